"""The CRDs deleted under a running operator, and put back: it waits for them, and works again.

With its definition every object of a kind is deleted: that is for a cluster nobody else uses.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.fixtures import namespace_on
from cluster.handle import Handle
from cluster.local import LocalCluster
from e2e.install import install, write_kubeconfig
from e2e.process import OperatorProcess
from e2e.user import User, execution, run_spec, task

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

CRDS = {"tasks": "tasks.taskmill.dev", "taskexecutions": "taskexecutions.taskmill.dev"}
SAYS = {
    "tasks": "the CustomResourceDefinitions are not installed: kubectl apply -f crds/",
    "taskexecutions": "watch of taskexecutions.taskmill.dev is interrupted, trying on",
}


@pytest.fixture
def doomed(doomed_cluster: LocalCluster) -> Iterator[Handle]:
    """A cluster with taskmill installed, and again so afterwards."""
    install(doomed_cluster.handle)
    try:
        yield doomed_cluster.handle
    finally:
        install(doomed_cluster.handle)


@contextlib.contextmanager
def running(cluster: Handle, folder: Path) -> Iterator[OperatorProcess]:
    write_kubeconfig(cluster, folder / "kubeconfig", duration="1h")
    process = OperatorProcess(folder / "kubeconfig", folder / "operator.log")
    process.start()
    try:
        yield process
    finally:
        process.kill()


@pytest.mark.parametrize("kinds", [("tasks",), ("taskexecutions",), tuple(CRDS)])
def test_it_waits_for_them_and_works_when_they_are_back(
    doomed: Handle, tmp_path: Path, kinds: tuple[str, ...]
) -> None:
    with running(doomed, tmp_path) as operator, namespace_on(doomed) as namespace:
        user = User(doomed, namespace)
        user.apply(task("before", "sleep 600", gracePeriod="1s"))
        user.apply(execution("runs", run_spec("sleep 600", gracePeriod="1s")))
        user.phase("runs", "Running")
        doomed.kubectl("delete", "crd", *(CRDS[kind] for kind in kinds), "--timeout=60s")
        for kind in kinds:
            user.wait(lambda kind=kind: SAYS[kind] in operator.written(), within=30)
        install(doomed)
        user.apply(task("after", "true", gracePeriod="1s"))
        assert user.end_of("after")["status"]["phase"] == "Succeeded"
        if "taskexecutions" not in kinds:
            user.kubectl("patch", "te", "runs", "--type=merge", "-p", STOPPED)
            assert user.end("runs")["status"]["phase"] == "Stopped"
        else:
            # What ran for those that are gone is deleted with them.
            user.wait(lambda: not left_of("runs", user), within=60)
        assert "a bug in taskmill" not in operator.written()
        user.close()


STOPPED = '{"spec":{"desiredPhase":"Stopped"}}'


def left_of(name: str, user: User) -> list[str]:
    """The Jobs of an execution."""
    labels = ((job.metadata.name, job.metadata.labels or {}) for job in user.jobs())
    return [job for job, label in labels if label.get("taskmill.dev/execution") == name]
