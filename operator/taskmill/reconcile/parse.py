"""Our two kinds, read once from the API's objects. What cannot be read says so in words."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from pydantic import BaseModel, ValidationError

from taskmill.api.execution import Step, TaskExecutionSpec, TaskExecutionStatus
from taskmill.api.meta import API_VERSION, parse_rfc3339
from taskmill.api.task import TaskSpec, TaskStatus
from taskmill.kube import codec
from taskmill.plan.names import ANNOTATION_SCHEDULED, ANNOTATION_TRIGGER
from taskmill.plan.world import Execution, Meta, Task

ANNOTATIONS = frozenset({ANNOTATION_TRIGGER, ANNOTATION_SCHEDULED})
"""Those that decisions look at."""

M = TypeVar("M", bound=BaseModel)
Raw = Mapping[str, Any]


def parse_task(raw: Raw, known: Task | None = None) -> Task:
    """Read a Task; `known`, an earlier reading, spares what has not changed."""
    meta = _meta(raw)
    if known and known.meta.uid == meta.uid and known.meta.generation == meta.generation:
        spec, invalid = known.spec, known.invalid
    else:
        spec, invalid = _spec(TaskSpec, raw)
    return Task(meta, spec, _status(TaskStatus, raw), invalid)


def parse_execution(raw: Raw, known: Execution | None = None) -> Execution:
    """Read a TaskExecution; `known` as for a Task."""
    meta = _meta(raw)
    if known and known.meta.uid == meta.uid and known.meta.generation == meta.generation:
        spec, invalid = known.spec, known.invalid
    else:
        spec, invalid = _spec(TaskExecutionSpec, raw)
    return Execution(meta, spec, _status(TaskExecutionStatus, raw), invalid)


def _meta(raw: Raw) -> Meta:
    meta = raw["metadata"]
    owner: Raw = next(
        (
            reference
            for reference in meta.get("ownerReferences") or ()
            if reference.get("apiVersion") == API_VERSION and reference.get("kind") == "Task"
        ),
        {},
    )
    return Meta(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        generation=meta.get("generation", 0),
        created_at=parse_rfc3339(meta["creationTimestamp"]),
        deleting="deletionTimestamp" in meta,
        task_name=owner.get("name", ""),
        task_uid=owner.get("uid", ""),
        # Not kubectl's copy of the whole manifest.
        annotations={k: v for k, v in (meta.get("annotations") or {}).items() if k in ANNOTATIONS},
    )


_STEPS: WeakValueDictionary[bytes, Step] = WeakValueDictionary()
"""Those in use, by what they say. The runs of a Task share its steps: each is kept once, and read
once."""


def _spec(model: type[M], raw: Raw) -> tuple[M | None, str]:
    """A spec that an older or newer schema let pass may not be readable to us."""
    given = raw.get("spec") or {}
    try:
        return model.model_validate(_shared(given)), ""
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in ("spec", *first["loc"]))
        return None, f"{where}: {first['msg']}"


def _shared(spec: Raw) -> Raw:
    """The spec with the steps of its plan read; those that cannot be are left as they are."""
    plan = spec.get("plan")
    if not isinstance(plan, list):
        return spec
    return {**spec, "plan": [_step(one) for one in plan]}


def _step(raw: Any) -> Any:
    said = blake2b(codec.encode(raw), digest_size=16).digest() if isinstance(raw, dict) else b""
    if (known := _STEPS.get(said)) is not None:
        return known
    try:
        step = Step.model_validate(raw)
    except ValidationError:
        return raw
    _STEPS[said] = step
    return step


def _status(model: type[M], raw: Raw) -> M:
    """The status as far as it can be read: whoever scribbled over a field hides only that one."""
    fields = dict(raw.get("status") or {})
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        for wrong in error.errors(include_url=False, include_input=False):
            fields.pop(str(wrong["loc"][0]), None)
        return model.model_validate(fields)
