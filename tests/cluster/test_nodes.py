"""What can be done to a node, and what becomes of the pods on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cluster.components import NODE
from cluster.local import LocalCluster
from cluster.process import wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

PATIENT = {"tolerations": [{"operator": "Exists", "effect": "NoExecute"}]}


class Pods:
    """Bare pods that run until they are told to end."""

    def __init__(self, cluster: LocalCluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace

    def start(self, name: str, **spec: Any) -> dict[str, Any]:
        # Part of the memory is asked for: a kubelet short of it takes no pod that asks for none.
        container = {
            "name": "main",
            "image": "busybox",
            "command": ["sh", "-c", "trap 'exit 1' TERM; while :; do sleep 0.1; done"],
            "resources": {"requests": {"memory": "1Mi"}},
        }
        self._cluster.handle.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": self._namespace},
                "spec": {"restartPolicy": "Never", "containers": [container]} | spec,
            }
        )
        return self.wait(name, lambda pod: condition(pod, "Ready")["status"] == "True", "to run")

    def wait(self, name: str, seen: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """The pod as soon as this is seen of it."""

        def look() -> dict[str, Any] | None:
            pod = self._cluster.handle.get("pod", name, self._namespace)
            assert pod is not None, f"{name} is gone"
            return pod if seen(pod) else None

        return wait_for(look, f"the pod {name} {what}", timeout=90)

    def failed(self, name: str) -> dict[str, Any]:
        return self.wait(name, lambda pod: pod["status"]["phase"] == "Failed", "to fail")

    def gone(self, name: str) -> None:
        wait_for(
            lambda: self._cluster.handle.get("pod", name, self._namespace) is None,
            f"the pod {name} to be gone",
            timeout=90,
        )


def condition(thing: dict[str, Any], kind: str) -> dict[str, Any]:
    found = (c for c in thing["status"].get("conditions", []) if c["type"] == kind)
    return next(found, {"status": "", "reason": ""})


def wait_for_node(cluster: LocalCluster, kind: str, status: str) -> None:
    def look() -> bool:
        node = cluster.handle.get("node", NODE)
        return node is not None and condition(node, kind)["status"] == status

    wait_for(look, f"{NODE} to be {kind}={status}", timeout=90)


@pytest.fixture
def doomed(doomed_cluster: LocalCluster) -> Iterator[LocalCluster]:
    """Its node is well again after each test."""
    yield doomed_cluster
    doomed_cluster.boot_node()


@pytest.fixture
def pods(doomed: LocalCluster, doomed_namespace: str) -> Pods:
    return Pods(doomed, doomed_namespace)


def test_a_lost_nodes_pods_are_evicted_unless_they_tolerate_it(
    doomed: LocalCluster, pods: Pods
) -> None:
    pods.start("patient", **PATIENT)
    pods.start("hasty")
    doomed.stop("kubelet")
    wait_for_node(doomed, "Ready", "Unknown")
    deleted = pods.wait(
        "hasty", lambda pod: "deletionTimestamp" in pod["metadata"], "to be evicted"
    )
    assert condition(deleted, "DisruptionTarget")["reason"] == "DeletionByTaintManager"
    assert deleted["status"]["phase"] == "Running"
    patient = pods.wait("patient", lambda pod: condition(pod, "Ready")["status"] == "False", "lost")
    assert "deletionTimestamp" not in patient["metadata"]
    doomed.boot_node()
    pods.gone("hasty")
    pods.wait("patient", lambda pod: condition(pod, "Ready")["status"] == "True", "to be back")


def test_a_node_short_of_memory_evicts(doomed: LocalCluster, pods: Pods) -> None:
    pods.start("victim")
    doomed.restart_kubelet(evictionHard={"memory.available": "99.9%"})
    status = pods.failed("victim")["status"]
    assert status["reason"] == "Evicted"
    assert status["message"].startswith("The node was low on resource: memory.")
    wait_for_node(doomed, "MemoryPressure", "True")
    doomed.boot_node()
    wait_for_node(doomed, "MemoryPressure", "False")
    pods.start("next")


def test_a_node_that_shuts_down_ends_its_pods(doomed: LocalCluster, pods: Pods) -> None:
    pods.start("victim")
    doomed.shut_down_node()
    victim = pods.failed("victim")
    assert victim["status"]["reason"] == "Terminated"
    assert condition(victim, "DisruptionTarget")["reason"] == "TerminationByKubelet"
    wait_for_node(doomed, "Ready", "False")
    doomed.boot_node()
    pods.start("next")


def test_a_forgotten_container_is_missed(doomed: LocalCluster, pods: Pods) -> None:
    unharmed = pods.start("unharmed")
    victim = pods.start("victim")
    doomed.forget_containers(victim["metadata"]["uid"])
    pods.failed("victim")

    def unknown(pod: dict[str, Any]) -> bool:
        state = pod["status"]["containerStatuses"][0]["state"]
        return state.get("terminated", {}).get("reason") == "ContainerStatusUnknown"

    pods.wait("victim", unknown, "to be of unknown fate")
    now = pods.wait("unharmed", lambda pod: condition(pod, "Ready")["status"] == "True", "to run")
    assert now["status"]["containerStatuses"] == unharmed["status"]["containerStatuses"]
