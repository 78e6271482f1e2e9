"""Things may be installed in any order."""

from pathlib import Path

import pytest

from cluster.handle import Handle
from cluster.local import LocalCluster
from e2e.install import install
from e2e.process import OperatorProcess
from e2e.user import User, execution, run_spec

pytestmark = pytest.mark.cluster


def test_an_operator_that_was_there_before_its_kinds_serves_them(
    cluster: Handle,
    local_cluster: LocalCluster,  # it deletes the kinds, and all there is of them
    operator: OperatorProcess,
    operator_kubeconfig: Path,
    tmp_path: Path,
    namespace: str,
) -> None:
    operator.stop()
    kinds = ("tasks.taskmill.dev", "taskexecutions.taskmill.dev")
    early = OperatorProcess(operator_kubeconfig, tmp_path / "log")
    try:
        cluster.kubectl("delete", "crd", *kinds, "--timeout=60s")
        early.spawn()
        someone = User(cluster, namespace)
        someone.wait(lambda: "CustomResourceDefinitions are not installed" in early.written())
        install(cluster)
        early.await_ready()
        someone.apply(execution("first", run_spec("true")))
        assert someone.end("first", within=30)["status"]["phase"] == "Succeeded"
        someone.close()
    finally:
        install(cluster)
        early.stop()
        operator.start()
