"""The execution that a person asks for. Pure: what was read and the time in, a manifest out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from taskmill.api.execution import Step
from taskmill.api.meta import API_VERSION, rfc3339
from taskmill.api.task import DEFAULT_TIMEOUT
from taskmill.cli.moments import moment
from taskmill.plan import names
from taskmill.plan.tasks.start import timeout
from taskmill.plan.world import Limits, Task

Raw = dict[str, Any]

_STEM = 57
"""Most characters of a generated name's stem: 63 less a dash and the five the server adds."""
MAIN = "main"
"""The step of what has no Task."""
_NAME = re.compile(r"(?:.*/)?([^:@]*)")
_FOREIGN = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the person wants of this one run."""

    namespace: str
    started_by: str
    name: str = ""
    """"": the server chooses one."""
    env: Mapping[str, str] | None = None
    args: Sequence[str] | None = None
    limit: timedelta | None = None
    """None: the Task's, else the default."""


def of_task(task: Task, plan: Sequence[Step], asked: Asked, now: datetime) -> Raw:
    """A run of a Task, its resolved plan frozen into it."""
    # Which operator's setting holds where the Task gives no timeout is not known here.
    limit = asked.limit or timeout(task, Limits())
    return _execution(
        task.meta.name,
        asked,
        {
            "taskRef": {"name": task.meta.name, "generation": task.meta.generation},
            "plan": [step.to_api() for step in plan],
            "deadline": rfc3339(now + limit),
        },
        task=task.meta.name,
    )


def of_reference(task: str, asked: Asked, now: datetime) -> Raw:
    """A run of a Task that the operator is to resolve: for those who may start, and no more."""
    limit = {"deadline": rfc3339(now + asked.limit)} if asked.limit else {}
    return _execution(task, asked, {"taskRef": {"name": task}, **limit}, task=task)


def of_image(runs: Raw, asked: Asked, now: datetime) -> Raw:
    """A run of one container, without a Task."""
    found = _NAME.match(runs["image"])
    stem = _FOREIGN.sub("-", found[1].lower() if found else "").strip("-") or "run"
    deadline = rfc3339(now + (asked.limit or DEFAULT_TIMEOUT))
    return _execution(stem, asked, {"plan": [{"id": MAIN, "task": runs}], "deadline": deadline})


def again(old: Raw, asked: Asked, now: datetime) -> Raw:
    """A run of the same frozen plan, with the same env and args, for as long as that one had."""
    spec, status = old["spec"], old.get("status") or {}
    kept = {key: spec[key] for key in ("taskRef", "plan", "env", "args") if key in spec}
    if "plan" not in kept and status.get("plan"):
        kept["plan"] = status["plan"]
    task = (spec.get("taskRef") or {}).get("name", "")
    made = moment(old["metadata"]["creationTimestamp"])
    ends = moment(spec.get("deadline") or status.get("deadline"))
    limit = asked.limit or (ends - made if ends and made else DEFAULT_TIMEOUT)
    kept["deadline"] = rfc3339(now + limit)
    return _execution(task or _stem(old["metadata"]), asked, kept, task=task)


def _stem(meta: Raw) -> str:
    return str(meta.get("generateName") or meta["name"]).rstrip("-")


def _execution(stem: str, asked: Asked, spec: Raw, *, task: str = "") -> Raw:
    named = {"name": asked.name} if asked.name else {"generateName": f"{stem[:_STEM].rstrip('-')}-"}
    labels = {"labels": {names.LABEL_TASK: task}} if task else {}
    if asked.env:
        spec["env"] = [{"name": name, "value": value} for name, value in asked.env.items()]
    if asked.args is not None:
        spec["args"] = list(asked.args)
    return {
        "apiVersion": API_VERSION,
        "kind": "TaskExecution",
        "metadata": {**named, "namespace": asked.namespace, **labels},
        "spec": {**spec, "startedBy": asked.started_by},
    }
