"""The execution that taskmill makes from a Task, with the resolved plan frozen into it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from taskmill.api.duration import parse_duration
from taskmill.api.meta import API_VERSION, rfc3339
from taskmill.plan import names
from taskmill.plan.freeze import Plan
from taskmill.plan.job import owner_reference
from taskmill.plan.world import Limits, Task, TaskWorld


@dataclass(frozen=True, slots=True)
class Start:
    """A run that is due."""

    name: str
    """Of the execution; it follows from what the run is for, so that there is only one."""
    annotation: str
    mark: str
    """What the annotation says: the execution proves by it what was started."""
    started_by: str


def timeout(task: Task, limits: Limits) -> timedelta:
    """Longest time for a whole execution of the Task."""
    given = task.spec.timeout if task.spec else None
    return parse_duration(given) if given else limits.timeout


def execution(world: TaskWorld, start: Start, plan: Plan, now: datetime) -> dict[str, Any]:
    """The manifest of the run's execution."""
    meta = world.task.meta
    return {
        "apiVersion": API_VERSION,
        "kind": "TaskExecution",
        "metadata": {
            "name": start.name,
            "namespace": meta.namespace,
            "labels": {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_TASK: meta.name},
            "annotations": {start.annotation: start.mark},
            "ownerReferences": [owner_reference("Task", meta.name, meta.uid)],
        },
        "spec": {
            "taskRef": {"name": meta.name, "generation": meta.generation},
            "plan": [step.to_api() for step in plan],
            "deadline": rfc3339(now + timeout(world.task, world.limits)),
            "startedBy": start.started_by,
        },
    }
