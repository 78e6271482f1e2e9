"""Other hands: people, drains, the scheduler and the kubelet take a pod away."""

import uuid

from e2e.user import run_spec
from e2e.verdicts.case import Case, Json, Scene

WORKS = run_spec("echo working; sleep 600", gracePeriod="2s")


def _delete_pod(scene: Scene, *how: str) -> None:
    name = scene.running().metadata.name
    scene.kubectl("delete", "pod", name, "--wait=false", *how)


def _delete_job(scene: Scene) -> None:
    scene.running()
    scene.kubectl("delete", "job", scene.job().metadata.name, "--wait=false")


def _evict(scene: Scene) -> None:
    name = scene.running().metadata.name
    scene.core.create_namespaced_pod_eviction(
        name, scene.namespace, {"metadata": {"name": name, "namespace": scene.namespace}}
    )


SLOT = "example.com/slot"


def _one_slot(scene: Scene) -> None:
    """A device of which the node has one, so that two pods cannot be there."""
    node = scene.local.handle.get("nodes", "node-1")
    assert node
    path = "/status/capacity/" + SLOT.replace("/", "~1")
    patch = ("patch", "node", "node-1", "--subresource=status", "--type=json", "-p")
    scene.cluster.kubectl(*patch, f'[{{"op":"add","path":"{path}","value":"1"}}]')
    scene.undo.callback(
        lambda: scene.cluster.kubectl(*patch, f'[{{"op":"remove","path":"{path}"}}]')
    )
    scene.wait(
        lambda: (scene.local.handle.get("nodes", "node-1") or {})["status"]["allocatable"].get(SLOT)
    )
    name = f"urgent-{uuid.uuid4().hex[:8]}"
    scene.cluster.apply(
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": name},
            "value": 1000000,
        }
    )
    scene.undo.callback(lambda: scene.cluster.kubectl("delete", "priorityclass", name))
    scene.urgent = name


def _preempt(scene: Scene) -> None:
    scene.running()
    container = {
        "name": "main",
        "image": WORKS["image"],
        "command": ["true"],
        "imagePullPolicy": "IfNotPresent",
        "resources": {"limits": {SLOT: "1"}},
    }
    scene.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "urgent"},
            "spec": {
                "priorityClassName": scene.urgent,
                "restartPolicy": "Never",
                "containers": [container],
            },
        }
    )


def _overlay(**spec) -> Json:
    return {"podTemplate": {"spec": spec}}


CASES = (
    Case(
        title="pod deleted",
        runs=WORKS,
        then=_delete_pod,
        reason="Deleted",
        sentence="step main: pod * was deleted while it ran; it ended with exit code 143 *",
    ),
    Case(
        title="pod deleted by force",
        runs=WORKS,
        then=lambda scene: _delete_pod(scene, "--force", "--grace-period=0"),
        reason="Deleted",
        sentence="step main: pod * was deleted*",
    ),
    Case(
        title="Job deleted",
        runs=WORKS,
        then=_delete_job,
        reason="Deleted",
        sentence="step main: Job * was deleted",
    ),
    Case(
        title="pod deleted and the program says 1",
        runs=run_spec("trap 'exit 1' TERM; while true; do sleep 1; done", gracePeriod="5s"),
        then=_delete_pod,
        reason="Deleted",
        sentence="step main: pod * was deleted while it ran; it ended with exit code 1",
    ),
    Case(
        title="evicted by a drain",
        runs=WORKS,
        then=_evict,
        reason="Evicted",
        sentence="step main: evicted from node node-1: Eviction API: evicting",
    ),
    Case(
        title="preempted",
        runs={**WORKS, "resources": {"limits": {SLOT: "1"}}},
        given=_one_slot,
        then=_preempt,
        reason="Preempted",
        sentence="step main: preempted on node node-1: default-scheduler: preempting to"
        " accommodate a higher priority pod",
    ),
    Case(
        title="more ephemeral storage than its limit",
        runs=run_spec(
            "dd if=/dev/zero of=/big bs=1M count=20 2>/dev/null; sleep 600",
            resources={"limits": {"ephemeral-storage": "2Mi"}},
            gracePeriod="1s",
        ),
        reason="Evicted",
        sentence="step main: evicted from node node-1: Pod ephemeral local storage usage exceeds *;"
        " write less, or raise resources.limits.ephemeral-storage",
        within=110,
    ),
    Case(
        title="more in an emptyDir than its limit",
        runs=run_spec(
            "dd if=/dev/zero of=/scratch/big bs=1M count=20 2>/dev/null; sleep 600",
            gracePeriod="1s",
            **_overlay(
                volumes=[{"name": "scratch", "emptyDir": {"sizeLimit": "2Mi"}}],
                containers=[
                    {"name": "main", "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}
                ],
            ),
        ),
        reason="Evicted",
        sentence='step main: evicted from node node-1: Usage of EmptyDir volume "scratch"'
        ' exceeds the limit "2Mi"*; raise its sizeLimit',
        within=110,
    ),
    Case(
        title="refused by the node for CPU",
        runs=run_spec(
            "true", resources={"requests": {"cpu": "4000"}}, **_overlay(nodeName="node-1")
        ),
        reason="Evicted",
        sentence="step main: node node-1 refused the pod: OutOfcpu: Node didn't have enough"
        " resource: cpu, *",
    ),
    Case(
        title="refused by the node in an unexpected way",
        runs=run_spec(
            "true",
            resources={"requests": {"cpu": "4000"}},
            **_overlay(nodeName="node-1", priorityClassName="system-node-critical"),
        ),
        reason="Evicted",
        sentence="step main: node node-1 refused the pod: UnexpectedAdmissionError: *preempt*",
    ),
    Case(
        title="refused by the node for its labels",
        runs=run_spec("true", **_overlay(nodeName="node-1", nodeSelector={"disk": "fast"})),
        reason="Evicted",
        sentence="step main: node node-1 refused the pod: NodeAffinity: *node affinity*",
    ),
    Case(
        title="refused by the node for a kernel setting",
        runs=run_spec(
            "true",
            **_overlay(
                securityContext={"sysctls": [{"name": "net.core.somaxconn", "value": "1024"}]}
            ),
        ),
        reason="Evicted",
        sentence="step main: node node-1 refused the pod: SysctlForbidden: *net.core.somaxconn*",
    ),
)
