"""What keeps a pod from a node: no room, a quota, a queue, a rule."""

import json

from e2e.user import run_spec
from e2e.verdicts.case import Case, Json, Scene

ROOM = "lower resources.requests, or add nodes"


def _unschedulable(title: str, told: str, given=None, **fields) -> Case:
    more = {"given": given} if given else {}
    return Case(
        title=title,
        runs=run_spec("true", queueTimeout="20s", **fields),
        reason="Unschedulable",
        sentence=f"step main: waited for room longer than queueTimeout 20s: Unschedulable: {told}",
        waits=("Unschedulable", f"step main: Unschedulable: {told}"),
        **more,
    )


def _requests(**amounts: str) -> Json:
    return {"resources": {"requests": amounts}}


def _overlay(**spec) -> Json:
    return {"podTemplate": {"spec": spec}}


def _quota(**hard: str):
    def given(scene: Scene) -> None:
        scene.apply(
            {
                "apiVersion": "v1",
                "kind": "ResourceQuota",
                "metadata": {"name": "small"},
                "spec": {
                    "hard": {
                        key.replace("__", "/").replace("_", "."): value
                        for key, value in hard.items()
                    }
                },
            }
        )
        read = scene.core.read_namespaced_resource_quota
        scene.wait(lambda: read("small", scene.namespace).status.hard)

    return given


def _limit_range(scene: Scene) -> None:
    limit = {"type": "Container", "max": {"memory": "64Mi"}}
    scene.apply(
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "small"},
            "spec": {"limits": [limit]},
        }
    )


def _policy(resource: str, group: str):
    """A policy that refuses what is created in this namespace."""

    def given(scene: Scene) -> None:
        name = f"{scene.namespace}-{resource}"
        kind = "ValidatingAdmissionPolicy"
        api = {"apiVersion": "admissionregistration.k8s.io/v1"}
        rule = {
            "apiGroups": [group],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": [resource],
        }
        refusal = {"expression": "false", "message": "images come from registry.example.com here"}
        there = {"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}}
        scene.cluster.apply(
            {
                **api,
                "kind": kind,
                "metadata": {"name": name},
                "spec": {
                    "matchConstraints": {"resourceRules": [rule], "namespaceSelector": there},
                    "validations": [refusal],
                },
            },
            {
                **api,
                "kind": f"{kind}Binding",
                "metadata": {"name": name},
                "spec": {"policyName": name, "validationActions": ["Deny"]},
            },
        )
        made = (f"{kind}Binding", kind)
        scene.undo.callback(
            lambda: [scene.cluster.kubectl("delete", which, name) for which in made]
        )
        probe = {
            "apiVersion": "batch/v1" if group else "v1",
            "kind": "Job" if group else "Pod",
            "metadata": {"name": "probe"},
        }
        pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]}
        probe["spec"] = {"template": {"spec": pod}} if group else pod

        def refuses() -> bool:
            return "denied" in scene.kubectl(
                "create", "--dry-run=server", "-f", "-", stdin=json.dumps(probe), check=False
            )

        scene.wait(refuses)

    return given


def _fake_node(scene: Scene) -> None:
    scene.local.kwok(1)


def _suspend(scene: Scene, *, on: bool) -> None:
    name = scene.job().metadata.name
    scene.batch.patch_namespaced_job(name, scene.namespace, {"spec": {"suspend": on}})


def _suspend_and_resume(scene: Scene) -> None:
    scene.running()
    _suspend(scene, on=True)
    scene.wait(lambda: scene.job().status.active in (None, 0))
    _suspend(scene, on=False)


CASES = (
    _unschedulable(
        "no node has the CPU",
        f"0/* nodes are available: *Insufficient cpu*; {ROOM}",
        **_requests(cpu="4000"),
    ),
    _unschedulable(
        "no node has the memory",
        f"0/* nodes are available: *Insufficient memory*; {ROOM}",
        **_requests(memory="4000Gi"),
    ),
    _unschedulable(
        "no node has the device",
        f"0/* nodes are available: *Insufficient example.com/gpu*; {ROOM}",
        resources={"limits": {"example.com/gpu": "1"}},
    ),
    _unschedulable(
        "no node matches the selector",
        "0/* nodes are available: *didn't match Pod's node affinity/selector*;"
        " check nodeSelector, affinity and tolerations in podTemplate.spec",
        **_overlay(nodeSelector={"disk": "fast"}),
    ),
    _unschedulable(
        "the node has a taint",
        "0/* nodes are available: *had untolerated taint*;"
        " check nodeSelector, affinity and tolerations in podTemplate.spec",
        given=_fake_node,
        **_overlay(nodeSelector={"type": "kwok"}),
    ),
    _unschedulable(
        "claim of a volume missing",
        '*persistentvolumeclaim "data" not found; create it',
        **_overlay(
            volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
            containers=[{"name": "main", "volumeMounts": [{"name": "data", "mountPath": "/d"}]}],
        ),
    ),
    Case(
        title="deadline while queued",
        runs=run_spec("true", **_requests(cpu="4000")),
        deadline=20,
        waits=("Unschedulable", "*Insufficient cpu*"),
        reason="DeadlineExceeded",
        sentence="deadline * passed; step main was still waiting: Unschedulable: 0/*"
        f" nodes are available: *Insufficient cpu*; {ROOM}",
    ),
    Case(
        title="stopped while queued",
        runs=run_spec("true", **_requests(cpu="4000")),
        waits=("Unschedulable", "*Insufficient cpu*"),
        then=lambda scene: scene.stop(),
        phase="Stopped",
        reason="Stopped",
        sentence="stopped on request; step main was still waiting: Unschedulable: *",
    ),
    Case(
        title="quota of Jobs",
        given=_quota(count__jobs_batch="0"),
        runs=run_spec("true", queueTimeout="8s"),
        reason="QuotaExceeded",
        sentence="step main: waited for room longer than queueTimeout 8s: the API server refused"
        " its Job: *exceeded quota: small, *; free some of the quota, or raise it",
        waits=("QuotaExceeded", "*exceeded quota: small*"),
    ),
    Case(
        title="quota of pods",
        given=_quota(pods="0"),
        runs=run_spec("true", queueTimeout="8s"),
        reason="QuotaExceeded",
        sentence="step main: waited for room longer than queueTimeout 8s: its pod was refused:"
        " exceeded quota: small, requested: pods=1, used: pods=0, limited: pods=0;"
        " free some of the quota, or raise it",
        waits=("QuotaExceeded", "*exceeded quota: small*"),
    ),
    Case(
        title="quota that demands requests",
        given=_quota(requests_cpu="1"),
        runs=run_spec("true"),
        reason="Rejected",
        sentence="step main: its pod was refused: failed quota: small: must specify requests.cpu"
        " for: main; give them in resources",
    ),
    Case(
        title="quota that gets room",
        given=_quota(pods="0"),
        runs=run_spec("true"),
        waits=("QuotaExceeded", "*exceeded quota: small*"),
        then=_quota(pods="5"),
        phase="Succeeded",
        within=90,
    ),
    Case(
        title="limit range refuses",
        given=_limit_range,
        runs=run_spec("true", resources={"limits": {"memory": "128Mi"}}),
        reason="Rejected",
        sentence="step main: its pod was refused: maximum memory usage per Container is 64Mi, *",
    ),
    Case(
        title="service account missing",
        runs=run_spec("true", serviceAccountName="builder"),
        reason="ConfigError",
        sentence="step main: its pod was refused: error looking up service account */builder:"
        ' serviceaccount "builder" not found; create it, or correct serviceAccountName',
    ),
    Case(
        title="Pod Security refuses",
        labels={"pod-security.kubernetes.io/enforce": "restricted"},
        runs=run_spec("true"),
        reason="Rejected",
        sentence='step main: its pod was refused: violates PodSecurity "restricted:latest": *;'
        " give podTemplate.spec {securityContext: *}",
    ),
    Case(
        title="admission policy refuses the pod",
        given=_policy("pods", ""),
        runs=run_spec("true"),
        reason="Rejected",
        sentence="step main: its pod was refused: ValidatingAdmissionPolicy * denied request:"
        " images come from registry.example.com here",
    ),
    Case(
        title="admission policy refuses the Job",
        given=_policy("jobs", "batch"),
        runs=run_spec("true"),
        reason="Rejected",
        sentence="step main: the API server refused its Job: *denied request:"
        " images come from registry.example.com here",
    ),
    Case(
        title="scheduling gate",
        runs=run_spec(
            "true", queueTimeout="8s", **_overlay(schedulingGates=[{"name": "example.com/wait"}])
        ),
        reason="Queued",
        sentence="step main: waited for room longer than queueTimeout 8s:"
        " the pod's scheduling gates are closed",
        waits=("Queued", "step main: the pod's scheduling gates are closed"),
    ),
    Case(
        title="suspended and resumed",
        # It has not waited for room that long, neither before nor after.
        runs=run_spec("sleep 4", gracePeriod="1s", queueTimeout="5s"),
        then=_suspend_and_resume,
        phase="Succeeded",
        within=90,
    ),
)
