"""What becomes of a task when its node fails, on a cluster whose node nobody else needs."""

from collections.abc import Callable, Iterator

import pytest

from cluster.local import LocalCluster
from e2e.install import install, write_kubeconfig
from e2e.process import OperatorProcess
from e2e.user import run_spec
from e2e.verdicts.case import NAME, Case, Scene, check, scene_on, verdict
from e2e.verdicts.observer import Observer, recording

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

WORKS = run_spec("echo working; sleep 600", gracePeriod="1s")
NODE = {"nodeName": "node-1"}
"""Not on the fake one that keeps it company."""
PATIENT = [
    {"key": f"node.kubernetes.io/{state}", "effect": "NoExecute", "tolerationSeconds": 600}
    for state in ("unreachable", "not-ready")
]


def works(**overlay) -> dict[str, object]:
    return {**WORKS, "podTemplate": {"spec": overlay}}


@pytest.fixture(scope="module")
def doomed(
    doomed_cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalCluster]:
    """The cluster, with taskmill at work on it."""
    folder = tmp_path_factory.mktemp("doomed")
    install(doomed_cluster.handle)
    write_kubeconfig(doomed_cluster.handle, folder / "kubeconfig", duration="3h")
    process = OperatorProcess(folder / "kubeconfig", folder / "operator.log").start()
    yield doomed_cluster
    assert process.stop() == 0
    assert "a bug in taskmill" not in process.written()


Begin = Callable[[Case], Scene]


@pytest.fixture(scope="module")
def observer(doomed: LocalCluster) -> Observer | None:
    return Observer(doomed.handle) if recording() else None


@pytest.fixture
def begin(doomed: LocalCluster, observer: Observer | None) -> Iterator[Begin]:
    """Starts a case and waits until it runs; at the end each has its sentence."""
    begun: list[tuple[Case, Scene]] = []

    def start(case: Case) -> Scene:
        scene = scene_on(doomed.handle, doomed)
        begun.append((case, scene))
        scene.apply(case.execution())
        scene.running()
        return scene

    try:
        yield start
        for case, scene in begun:
            scene.end(NAME, within=90)
            told = verdict(case, scene)
            if observer:
                observer.keep(case, scene)
            check(case, told)
    finally:
        for _, scene in begun:
            scene.close()


SILENT = "node node-1 does not answer; its container may be running on"


def test_a_node_that_falls_silent(doomed: LocalCluster, begin: Begin) -> None:
    lost = begin(
        Case(
            title="node lost",
            runs=works(),
            reason="NodeLost",
            sentence="step main: node node-1 was lost: Taint manager: deleting due to NoExecute"
            " taint",
        )
    )
    back = begin(
        Case(
            title="node back in time",
            runs={**works(tolerations=PATIENT), "script": "sleep 30"},
            phase="Succeeded",
        )
    )
    late = begin(
        Case(
            title="deadline on a lost node",
            runs=works(tolerations=PATIENT),
            deadline=25,
            reason="DeadlineExceeded",
            sentence=f"deadline * passed; step main was running since *: {SILENT};"
            " its container was not seen to end within 11s",
        )
    )
    doomed.stop("kubelet")
    try:
        for scene in (lost, back, late):
            assert scene.told("NodeLost")["phase"] == "Running"
        assert back.status()["message"] == f"step main: {SILENT}"
        given_up = "step main: node node-1 does not answer and its pod was given up; *"
        lost.tells(given_up)
        late.end(NAME)
    finally:
        doomed.boot_node()
    back.wait(lambda: "message" not in back.status())


def test_a_node_that_is_taken_out_of_the_cluster(doomed: LocalCluster, begin: Begin) -> None:
    scene = begin(
        Case(
            title="node deleted",
            runs=works(tolerations=PATIENT),
            reason="NodeLost",
            sentence="step main: node node-1 was lost: PodGC: node no longer exists",
        )
    )
    doomed.stop("kubelet")
    try:
        doomed.handle.kubectl("delete", "node", "node-1")
        scene.end(NAME, within=150)
    finally:
        doomed.boot_node()


def test_a_node_without_memory(doomed: LocalCluster, begin: Begin) -> None:
    scene = begin(
        Case(
            title="evicted for memory of the node",
            runs=works(),
            reason="Evicted",
            sentence="step main: evicted from node node-1: The node had condition:"
            " [MemoryPressure].",
        )
    )
    doomed.restart_kubelet(evictionHard={"memory.available": "99.9%"})
    try:
        scene.end(NAME, within=90)
    finally:
        doomed.boot_node()


def test_a_node_that_is_shut_down(doomed: LocalCluster, begin: Begin) -> None:
    scene = begin(
        Case(
            title="node shut down",
            runs=works(),
            reason="NodeShutdown",
            sentence="step main: node node-1 was shut down: Pod was terminated in response to"
            " imminent node shutdown.",
        )
    )
    doomed.shut_down_node()
    try:
        scene.end(NAME)
    finally:
        doomed.boot_node()


def test_a_node_that_forgets_a_container(doomed: LocalCluster, begin: Begin) -> None:
    scene = begin(
        Case(
            title="container forgotten by its node",
            runs=works(),
            reason="NodeLost",
            sentence="step main: node node-1: The container could not be located when the pod"
            " was terminated",
        )
    )
    doomed.forget_containers(scene.pod().metadata.uid)
