"""The CRDs deleted under a running operator, and put back: it ends, and works when started again.

With its definition every object of a kind is deleted: that is for a cluster nobody else uses.
"""

import contextlib
import time
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
ENDS_WITHIN = 60.0
SAYS = "the CustomResourceDefinitions are not installed: kubectl apply -f crds/"


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
        with contextlib.suppress(AssertionError):  # it has ended
            process.kill()


def code_of(process: OperatorProcess) -> int:
    """Its exit code, once it has ended by itself."""
    assert process._process is not None
    code = process._process.wait(timeout=ENDS_WITHIN)
    process._process = None
    return code


@pytest.mark.parametrize("kinds", [("tasks",), ("taskexecutions",), tuple(CRDS)])
def test_it_ends_with_1_and_works_when_they_are_back(
    doomed: Handle, tmp_path: Path, kinds: tuple[str, ...]
) -> None:
    with running(doomed, tmp_path) as operator, namespace_on(doomed) as namespace:
        user = User(doomed, namespace)
        user.apply(task("before", "sleep 600", gracePeriod="1s"))
        user.apply(execution("runs", run_spec("sleep 600", gracePeriod="1s")))
        user.phase("runs", "Running")
        doomed.kubectl("delete", "crd", *(CRDS[kind] for kind in kinds), "--timeout=60s")
        began = time.monotonic()
        code = code_of(operator)
        print(f"\n{kinds}: ended with {code} after {time.monotonic() - began:.1f} s")
        assert code == 1
        last = operator.written().strip().splitlines()[-1]
        print(last)
        assert last.startswith("taskmill: ended: ")
        # A supervisor starts it again before they are back.
        operator.spawn()
        user.wait(lambda: SAYS in operator.written(), within=30)
        install(doomed)
        operator.await_ready()
        user.apply(task("after", "true", gracePeriod="1s"))
        assert user.end_of("after")["status"]["phase"] == "Succeeded"
        if "taskexecutions" not in kinds:
            user.kubectl("patch", "te", "runs", "--type=merge", "-p", STOPPED)
            assert user.end("runs")["status"]["phase"] == "Stopped"
        else:
            # What ran for those that are gone is deleted with them.
            user.wait(lambda: not left_of("runs", user), within=60)
        assert operator.stop() == 0
        assert "a bug in taskmill" not in operator.written()
        user.close()


STOPPED = '{"spec":{"desiredPhase":"Stopped"}}'


def left_of(name: str, user: User) -> list[str]:
    """The Jobs of an execution."""
    labels = ((job.metadata.name, job.metadata.labels or {}) for job in user.jobs())
    return [job for job, label in labels if label.get("taskmill.dev/execution") == name]
