"""Other containers of the pod: init containers and sidecars of an overlay."""

from e2e.user import IMAGE, run_spec
from e2e.verdicts.case import Case, Json, Scene

MISSING = "docker.io/library/missing:1"


def _container(name: str, script: str, **fields) -> Json:
    return {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **fields,
    }


def _init(script: str, **fields) -> Json:
    return {"podTemplate": {"spec": {"initContainers": [_container("fetch", script, **fields)]}}}


def _sidecar(script: str, **fields) -> Json:
    sidecar = _container("proxy", script, restartPolicy="Always", **fields)
    return {"podTemplate": {"spec": {"initContainers": [sidecar]}}}


def _beside(script: str, **fields) -> Json:
    return {"podTemplate": {"spec": {"containers": [_container("proxy", script, **fields)]}}}


def _pod_has_ended(scene: Scene) -> None:
    """The sidecar does not run on for ever, whatever becomes of the verdict."""
    scene.end("run")
    scene.wait(
        lambda: all(pod.status.phase in ("Succeeded", "Failed") for pod in scene.pods()), within=30
    )


CASES = (
    Case(
        title="killed for its liveness probe",
        runs=run_spec(
            "echo working; sleep 600",
            podTemplate={
                "spec": {
                    "containers": [
                        {
                            "name": "main",
                            "livenessProbe": {
                                "exec": {"command": ["sh", "-c", "echo no answer; exit 1"]},
                                "periodSeconds": 1,
                                "failureThreshold": 1,
                            },
                        }
                    ]
                }
            },
        ),
        reason="Error",
        sentence="step main: exit code 143 (SIGTERM): working;"
        " it was killed: Liveness probe failed: no answer",
    ),
    Case(
        title="init container fails",
        runs=run_spec("true", **_init("echo 'curl: (22) 404' >&2; sleep 1; exit 22")),
        reason="InitFailed",
        sentence="step main: init container fetch: exit code 22: curl: (22) 404",
    ),
    Case(
        title="init container out of memory",
        runs=run_spec(
            "true", **_init("exec tail /dev/zero", resources={"limits": {"memory": "24Mi"}})
        ),
        reason="InitFailed",
        sentence="step main: init container fetch: OOMKilled: memory limit 24Mi reached"
        " (exit code 137); raise its resources.limits.memory",
    ),
    Case(
        title="init container's command not found",
        runs=run_spec("true", **_init("", command=["no-such-program"])),
        reason="InitFailed",
        sentence='step main: init container fetch: exit code 128: exec: "no-such-program": *',
    ),
    Case(
        title="deleted during its init container",
        runs=run_spec("true", gracePeriod="1s", **_init("sleep 600")),
        waits=("", "step main: init container fetch is running"),
        then=lambda scene: scene.kubectl("delete", "pod", scene.pod().metadata.name),
        reason="Deleted",
        sentence="step main: pod * was deleted",
    ),
    Case(
        title="init container's image not found",
        runs=run_spec("true", startTimeout="15s", **_init("true", image=MISSING)),
        reason="ImagePullFailed",
        sentence="step main: did not start within startTimeout 15s: init container fetch: cannot"
        f" pull {MISSING}: not found; check image and its tag",
    ),
    Case(
        title="sidecar's image not found",
        runs=run_spec("true", startTimeout="15s", **_sidecar("true", image=MISSING)),
        reason="ImagePullFailed",
        sentence="step main: did not start within startTimeout 15s: sidecar proxy: cannot pull"
        f" {MISSING}: not found; check image and its tag",
    ),
    Case(
        title="sidecar never ready",
        runs=run_spec(
            "true",
            startTimeout="20s",
            **_sidecar(
                "echo 'no config' >&2; sleep 1; exit 1",
                startupProbe={
                    "exec": {"command": ["true"]},
                    "periodSeconds": 1,
                    "initialDelaySeconds": 30,
                },
            ),
        ),
        reason="SidecarFailed",
        sentence="step main: did not start within startTimeout 20s: sidecar proxy: exit code 1:"
        " no config; it is started again",
        waits=("SidecarFailed", "*no config*"),
    ),
    Case(
        title="sidecar fails and main fails of it",
        runs=run_spec(
            "sleep 4; echo 'connection refused'; sleep 1; exit 7",
            **_beside("echo 'cannot listen' >&2; sleep 1; exit 3"),
        ),
        reason="Error",
        sentence="step main: exit code 7: connection refused; sidecar proxy had ended before with"
        " exit code 3: cannot listen",
    ),
    Case(
        title="sidecar fails and main does without",
        runs=run_spec("sleep 3", **_beside("exit 3")),
        phase="Succeeded",
    ),
    Case(
        title="sidecar outlives main",
        runs=run_spec("sleep 1", gracePeriod="2s", **_beside("sleep 600")),
        then=_pod_has_ended,
        phase="Succeeded",
    ),
    Case(
        title="native sidecar outlives main",
        runs=run_spec("sleep 1", gracePeriod="2s", **_sidecar("sleep 600")),
        then=_pod_has_ended,
        phase="Succeeded",
    ),
    Case(
        title="main fails beside a sidecar that would go on",
        runs=run_spec("echo 'no space'; sleep 1; exit 9", gracePeriod="2s", **_beside("sleep 600")),
        then=_pod_has_ended,
        reason="Error",
        sentence="step main: exit code 9: no space",
    ),
)
