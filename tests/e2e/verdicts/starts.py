"""What keeps a container from starting: its image, its configuration, its volumes."""

from e2e.user import IMAGE, run_spec
from e2e.verdicts.case import Case, Scene

MISSING = "docker.io/library/missing:1"
PRIVATE = "docker.io/private/tool:2"
NOWHERE = "registry.invalid/team/tool:3"


def _pull(title: str, image: str, told: str, advice: str, **fields) -> Case:
    runs = {"image": image, "command": ["true"], **fields}
    return Case(
        title=title,
        runs=runs,
        reason="ImagePullFailed",
        sentence=f"step main: {told}{advice}",
        waits=("ImagePullFailed", f"step main: {told}{advice}; it fails at *"),
        within=110,
    )


def _env(**source) -> list[dict[str, object]]:
    return [{"name": "X", "valueFrom": source}]


def _config(title: str, sentence: str, advice: str, **fields) -> Case:
    return Case(
        title=title,
        runs=run_spec("true", **fields),
        reason="ConfigError",
        sentence=f"step main: {sentence}; {advice}",
        waits=("ConfigError", f"step main: {sentence}; {advice}; it fails at *"),
    )


def _mount(title: str, volume: dict[str, object], told: str, advice: str) -> Case:
    overlay = {
        "spec": {
            "volumes": [{"name": "data", **volume}],
            "containers": [
                {"name": "main", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
            ],
        }
    }
    return Case(
        title=title,
        runs=run_spec("true", startTimeout="30s", podTemplate=overlay),
        reason="MountFailed",
        sentence=f"step main: did not start within startTimeout 30s: {told}{advice}",
        waits=("MountFailed", f"step main: {told}{advice}"),
    )


def _secret(scene: Scene) -> None:
    scene.apply(_object("Secret", "login"))


def _config_map(scene: Scene) -> None:
    scene.apply(_object("ConfigMap", "settings"))


def _object(kind: str, name: str) -> dict[str, object]:
    data = {"stringData": {"user": "me"}} if kind == "Secret" else {"data": {"user": "me"}}
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **data}


CREATE = "create it, or set optional: true"

CASES = (
    Case(
        title="bad image name",
        runs={"image": "docker.io/library/Upper:1", "command": ["true"]},
        reason="InvalidImageName",
        sentence="step main: couldn't parse image name"
        ' "docker.io/library/Upper:1": invalid reference format: repository name (library/Upper)'
        " must be lowercase; check image",
    ),
    _pull(
        "image not found",
        MISSING,
        f"cannot pull {MISSING}: not found",
        "; check image and its tag",
    ),
    _pull(
        "image not allowed",
        PRIVATE,
        f"cannot pull {PRIVATE}: *denied*",
        "; check image, or give imagePullSecrets in podTemplate.spec",
    ),
    _pull(
        "pull secret missing",
        PRIVATE,
        f"cannot pull {PRIVATE}: *; pull secret regcred does not exist",
        "; create it, or correct imagePullSecrets",
        podTemplate={"spec": {"imagePullSecrets": [{"name": "regcred"}]}},
    ),
    Case(
        title="registry unreachable",
        runs={"image": NOWHERE, "command": ["true"], "startTimeout": "30s"},
        reason="ImagePullFailed",
        sentence="step main: did not start within startTimeout 30s:"
        f" cannot pull {NOWHERE}: lookup registry.invalid: *",
        waits=("ImagePullFailed", f"step main: cannot pull {NOWHERE}: lookup registry.invalid: *"),
    ),
    Case(
        title="image not on the node and never pulled",
        runs={"image": MISSING, "imagePullPolicy": "Never", "command": ["true"]},
        reason="ImagePullFailed",
        sentence="step main: ErrImageNeverPull: *; load the image onto the node, or change"
        " imagePullPolicy",
    ),
    _config(
        "Secret missing",
        'secret "login" not found',
        CREATE,
        env=_env(secretKeyRef={"name": "login", "key": "user"}),
    ),
    _config(
        "ConfigMap missing",
        'configmap "settings" not found',
        CREATE,
        env=_env(configMapKeyRef={"name": "settings", "key": "user"}),
    ),
    _config(
        "Secret of envFrom missing",
        'secret "login" not found',
        CREATE,
        envFrom=[{"secretRef": {"name": "login"}}],
    ),
    Case(
        title="key of a Secret missing",
        given=_secret,
        runs=run_spec("true", env=_env(secretKeyRef={"name": "login", "key": "password"})),
        reason="ConfigError",
        sentence="step main: couldn't find key password in Secret */login;"
        " add the key, or set optional: true",
    ),
    Case(
        title="key of a ConfigMap missing",
        given=_config_map,
        runs=run_spec("true", env=_env(configMapKeyRef={"name": "settings", "key": "none"})),
        reason="ConfigError",
        sentence="step main: couldn't find key none in ConfigMap */settings;"
        " add the key, or set optional: true",
    ),
    Case(
        title="Secret that comes late",
        runs=run_spec("echo $X", env=_env(secretKeyRef={"name": "login", "key": "user"})),
        phase="Succeeded",
        waits=("ConfigError", f'step main: secret "login" not found; {CREATE}; it fails at *'),
        then=_secret,
    ),
    _config(
        "runs as root where that is refused",
        "container has runAsNonRoot and image will run as root",
        "set runAsUser in podTemplate.spec.securityContext",
        podTemplate={"spec": {"securityContext": {"runAsNonRoot": True}}},
    ),
    _mount(
        "Secret of a volume missing",
        {"secret": {"secretName": "tls"}},
        'volume "data": secret "tls" not found',
        f"; {CREATE}",
    ),
    _mount(
        "ConfigMap of a volume missing",
        {"configMap": {"name": "settings"}},
        'volume "data": configmap "settings" not found',
        f"; {CREATE}",
    ),
    _mount(
        "folder of a volume missing",
        {"hostPath": {"path": "/no/such/folder", "type": "Directory"}},
        'volume "data": hostPath type check failed: /no/such/folder is not a directory',
        "",
    ),
    Case(
        title="startTimeout while pulling",
        runs={"image": NOWHERE, "command": ["true"], "startTimeout": "6s"},
        reason="ImagePullFailed",
        sentence="step main: did not start within startTimeout 6s: cannot pull *",
    ),
    Case(
        title="startTimeout during an init container",
        runs=run_spec(
            "true",
            startTimeout="6s",
            gracePeriod="1s",
            podTemplate={
                "spec": {
                    "initContainers": [
                        {
                            "name": "fetch",
                            "image": IMAGE,
                            "command": ["sleep", "600"],
                            "imagePullPolicy": "IfNotPresent",
                        }
                    ]
                }
            },
        ),
        reason="StartFailed",
        sentence="step main: did not start within startTimeout 6s: init container fetch is running",
    ),
    Case(
        title="deadline while pulling",
        runs={"image": NOWHERE, "command": ["true"]},
        deadline=12,
        reason="DeadlineExceeded",
        sentence="deadline * passed; step main was still waiting: cannot pull"
        f" {NOWHERE}: lookup registry.invalid: *",
    ),
    Case(
        title="stopped while pulling",
        runs={"image": NOWHERE, "command": ["true"]},
        waits=("ImagePullFailed", "*"),
        then=lambda scene: scene.stop(),
        phase="Stopped",
        reason="Stopped",
        sentence="stopped on request; step main was still waiting: cannot pull *",
    ),
    Case(
        title="deleted while pulling",
        runs={"image": NOWHERE, "command": ["true"]},
        waits=("ImagePullFailed", "*"),
        then=lambda scene: scene.kubectl("delete", "pod", scene.pod().metadata.name),
        reason="Deleted",
        sentence="step main: pod * was deleted",
    ),
)
