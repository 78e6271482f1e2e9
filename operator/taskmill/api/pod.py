"""podTemplate: what a Task adds to the pod that taskmill makes, and what it cannot touch there.

The inside of its `spec` is Kubernetes', and neither known nor pruned here. Declared in it is only
what must be refused: by a rule on the field itself, which is evaluated nowhere but where the field
is given. The sentences are also those of `plan/overlay.py`, which checks once more what runs.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, WithJsonSchema

from taskmill.api.group import GROUP
from taskmill.api.meta import Model
from taskmill.api.schema import OPAQUE, VALIDATIONS, Cel, Keywords, Schema

MAIN: Final = "main"
"""Name of the task's own container."""

DEEPEST: Final = 32
"""Levels of nesting; the fields of a pod need about 10."""

# ---- what is taskmill's: the field, and what to do instead ----

OWNED_OF_POD: Final[Mapping[str, str]] = {
    "restartPolicy": "it is always Never; restartPolicy: Always is for init containers",
    "activeDeadlineSeconds": "use maxRunTime of the task",
    "terminationGracePeriodSeconds": "use gracePeriod of the task",
    "serviceAccountName": "use serviceAccountName of the task",
    "serviceAccount": "use serviceAccountName of the task",
    "ephemeralContainers": "use containers, or kubectl debug while it runs",
}
OWNED_OF_MAIN: Final[Mapping[str, str]] = {
    **{
        field: f"use {field} of the task"
        for field in (
            "image", "imagePullPolicy", "command", "args", "env", "envFrom", "workingDir",
            "resources",
        )
    },
    "restartPolicy": "it runs once; use rerun of the task to run it again",
    "terminationMessagePath": "use standard error, its end is quoted in failureMessage",
    "terminationMessagePolicy": "use standard error, its end is quoted in failureMessage",
}  # fmt: skip
OWNED_LABELS: Final[Mapping[str, str]] = {
    "app.kubernetes.io/managed-by": "use another label, such as app.kubernetes.io/part-of",
    "controller-uid": "use another label, this one is the Job controller's",
    "job-name": "use another label, this one is the Job controller's",
}
OWNED_DOMAIN: Final = f"keys of {GROUP} belong to taskmill: use a domain of your own"
JOBS_DOMAIN: Final = "batch.kubernetes.io"
OWNED_JOBS_DOMAIN: Final = (
    f"keys of {JOBS_DOMAIN} belong to the Job controller: use a domain of your own"
)
RESTART_RULES: Final = (
    "restartPolicyRules cannot be given here: such a rule can run the task's container again"
)
MAIN_INIT: Final = f"{MAIN} is the name of the task's own container: use another one"
DIRECTIVE: Final = "directives cannot be given here: all is merged, and null takes a field away"


def owned_of_pod(field: str) -> str:
    """Why a field of the pod is refused."""
    return f"{field} of the pod cannot be given here: {OWNED_OF_POD[field]}"


def owned_of_main(field: str) -> str:
    """Why a field of the task's container is refused."""
    return f"{field} of container {MAIN} cannot be given here: {OWNED_OF_MAIN[field]}"


def owned_label(key: str) -> str:
    """Why a label is refused."""
    return f"{key} cannot be given here: {OWNED_LABELS[key]}"


# ---- metadata ----

_DOMAIN: Final = GROUP.replace(".", "[.]")
_KEYS: Final = (
    Cel(
        rule=f"self.all(key, !key.matches('^([^/]*[.])?{_DOMAIN}/'))",
        message=OWNED_DOMAIN,
        reason="FieldValueForbidden",
    ),
    Cel(
        rule=f"self.all(key, !key.startsWith('{JOBS_DOMAIN}/'))",
        message=OWNED_JOBS_DOMAIN,
        reason="FieldValueForbidden",
    ),
)
Labels = Annotated[
    dict[str, Annotated[str, Keywords({"maxLength": 63})]],
    Keywords({"maxProperties": 64}),
    *_KEYS,
    *(
        Cel(rule=f"!('{key}' in self)", message=owned_label(key), reason="FieldValueForbidden")
        for key in OWNED_LABELS
    ),
]
Annotations = Annotated[
    dict[str, Annotated[str, Keywords({"maxLength": 65536})]],
    Keywords({"maxProperties": 64}),
    *_KEYS,
]


class PodTemplateMetadata(Model):
    """Labels and annotations of the Job and of its pod."""

    labels: Labels | None = None
    """Labels, for example {team: builds}. At most 64."""

    annotations: Annotations | None = None
    """Annotations, for example {example.com/ticket: "4711"}. At most 64."""


# ---- spec ----


def _refused(kind: Schema, why: str, said: str) -> Schema:
    """A field that is declared for nothing but its refusal."""
    rule = Cel(rule="false", message=why, reason="FieldValueForbidden")
    return {**kind, "description": f"Not to be given: {said}.", VALIDATIONS: [rule.to_schema()]}


def _list(item: Schema, most: int) -> Schema:
    return {"type": "array", "maxItems": most, "items": item}


_TEXT: Final[Schema] = {"type": "string", "maxLength": 4096}
_NUMBER: Final[Schema] = {"type": "integer"}
_OBJECT: Final[Schema] = dict(OPAQUE)
_TEXTS: Final[Schema] = _list({"type": "string", "maxLength": 65536}, 1024)
_OBJECTS: Final[Schema] = _list({**OPAQUE, "description": "An item, as in Kubernetes."}, 1024)

_OF_POD: Final[Mapping[str, Schema]] = {
    "restartPolicy": _TEXT,
    "activeDeadlineSeconds": _NUMBER,
    "terminationGracePeriodSeconds": _NUMBER,
    "serviceAccountName": _TEXT,
    "serviceAccount": _TEXT,
    "ephemeralContainers": _OBJECTS,
}
_OF_MAIN: Final[Mapping[str, Schema]] = {
    "image": _TEXT,
    "imagePullPolicy": _TEXT,
    "command": _TEXTS,
    "args": _TEXTS,
    "env": _OBJECTS,
    "envFrom": _OBJECTS,
    "workingDir": _TEXT,
    "resources": _OBJECT,
    "restartPolicy": _TEXT,
    "terminationMessagePath": _TEXT,
    "terminationMessagePolicy": _TEXT,
}
_DIRECTIVES: Final[Schema] = {
    "$patch": _refused(_TEXT, DIRECTIVE, "all is merged, and null takes a field away")
}
_RULES: Final[Schema] = {
    # Of any container: RestartAllContainers restarts them all.
    "restartPolicyRules": _refused(_OBJECTS, RESTART_RULES, "a task's container runs once")
}
_NAME: Final[Schema] = {"type": "string", "maxLength": 63}


def _containers() -> Schema:
    """Any containers; of the task's own only what it does not say itself."""
    fields: Schema = {
        field: {
            **_OF_MAIN[field],
            "nullable": True,
            "description": f"As in a container. Not to be given for {MAIN}: {instead}.",
        }
        for field, instead in OWNED_OF_MAIN.items()
    }
    rules = [
        Cel(
            rule=f"self.name != '{MAIN}' || !has(self.{field})",
            message=owned_of_main(field),
            field_path=f".{field}",
            reason="FieldValueForbidden",
        ).to_schema()
        for field in OWNED_OF_MAIN
    ]
    name = {**_NAME, "description": f"Its name; {MAIN} is the task's own container."}
    item = {
        **OPAQUE,
        "description": "A container, as in a pod.",
        "required": ["name"],
        "properties": {"name": name, **fields, **_RULES, **_DIRECTIVES},
        VALIDATIONS: rules,
    }
    return {
        **_list(item, 32),
        "description": f"More containers, and more about {MAIN}, the task's own: volumeMounts,"
        " securityContext, ports, probes. At most 32.",
    }


def _init_containers() -> Schema:
    rule = Cel(rule=f"self != '{MAIN}'", message=MAIN_INIT)
    name = {**_NAME, "description": f"Its name; not {MAIN}.", VALIDATIONS: [rule.to_schema()]}
    item = {
        **OPAQUE,
        "description": "An init container, as in a pod.",
        "required": ["name"],
        "properties": {"name": name, **_RULES, **_DIRECTIVES},
    }
    return {
        **_list(item, 32),
        "nullable": True,
        "description": "Containers that run before the task; with restartPolicy: Always, beside"
        " it. At most 32.",
    }


_SPEC: Final[Schema] = {
    **OPAQUE,
    "properties": {
        "containers": _containers(),
        "initContainers": _init_containers(),
        **{
            field: _refused(_OF_POD[field], owned_of_pod(field), instead)
            for field, instead in OWNED_OF_POD.items()
        },
        **_DIRECTIVES,
    },
}


def _within_depth(spec: dict[str, Any]) -> dict[str, Any]:
    """Neither pydantic nor JSON could write what is nested too deeply; the schema cannot see it."""
    level: list[Any] = [spec]
    for _ in range(DEEPEST):
        level = [below for value in level for below in _inside(value)]
    if level:
        raise ValueError(f"is nested more than {DEEPEST} levels deep")
    return spec


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


PodSpec = Annotated[dict[str, Any], WithJsonSchema(_SPEC), AfterValidator(_within_depth)]


class PodTemplate(Model):
    """What to add to the pod that taskmill makes."""

    metadata: PodTemplateMetadata | None = None
    """Labels and annotations of the Job and of its pod. Those of the Task itself are not copied."""

    spec: PodSpec | None = None
    """Part of a pod's spec, merged into it as kubectl patch --type=strategic does: lists by name or
    mountPath, objects field by field. For example tolerations, volumes, nodeSelector, or containers
    with volumeMounts for main. See kubectl explain pod.spec. At most 64 KiB, with the metadata."""
