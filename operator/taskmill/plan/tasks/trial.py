"""The dry run of a changed Task's Job: what its podTemplate has wrong is told before it runs."""

from __future__ import annotations

from datetime import datetime, timedelta

from taskmill.api.execution import Step, TaskExecutionSpec, TaskExecutionStatus, TaskRef
from taskmill.api.reasons import ConditionType, Reason
from taskmill.api.task import TaskSpec
from taskmill.diagnose import words
from taskmill.diagnose.text import sentence
from taskmill.plan import names
from taskmill.plan.conditions import find
from taskmill.plan.decision import TryJob
from taskmill.plan.job import build_job
from taskmill.plan.tasks.start import timeout
from taskmill.plan.world import Execution, Meta, Task, TaskWorld, Tried

AGAIN = timedelta(minutes=5)
"""Until what was refused is tried again: a policy may have changed."""


def wanted(world: TaskWorld, now: datetime) -> TryJob | None:
    """The dry run to make before anything else; None when there is nothing to find out."""
    task, spec = world.task, world.task.spec
    if spec is None or spec.pod_template is None:
        return None
    if known := _tried(world):
        is_due = bool(known.message) and now >= known.at + AGAIN
    else:
        stalled = find(task.status.conditions, ConditionType.STALLED)
        # The words of a refusal are of an earlier process: it says anew whether they still hold.
        refused = stalled is not None and stalled.reason == Reason.REJECTED
        is_due = refused or task.status.observed_generation != task.meta.generation
    return TryJob(_job(world, spec, now), task.meta.generation) if is_due else None


def refusal(world: TaskWorld) -> str:
    """What is wrong with the podTemplate, in words; "" when nothing is known of that."""
    known = _tried(world)
    if known is None or not known.message:
        return ""
    told = words.advised(Reason.REJECTED, words.refusal(known.message))
    return sentence(f"spec.podTemplate: {told}")


def again_at(world: TaskWorld) -> datetime | None:
    """When it is tried again; None when it need not be."""
    known = _tried(world)
    return known.at + AGAIN if known and known.message else None


def _tried(world: TaskWorld) -> Tried | None:
    known = world.tried
    return known if known and known.generation == world.task.meta.generation else None


def _job(world: TaskWorld, spec: TaskSpec, now: datetime) -> dict[str, object]:
    """The Job of its own step: those it depends on are tried as Tasks of their own."""
    deadline = now + timeout(world.task, world.limits)
    return build_job(
        _stand_in(world.task),
        Step(id=world.task.meta.name, task=spec),
        attempt=1,
        deadline=deadline,
        now=now,
        limits=world.limits,
    )


def _stand_in(task: Task) -> Execution:
    """An execution that is never made."""
    meta = Meta(
        namespace=task.meta.namespace,
        name=names.readable(task.meta.name, task.meta.uid, "try"),
        uid=task.meta.uid,
        resource_version="",
        generation=1,
        created_at=task.meta.created_at,
    )
    spec = TaskExecutionSpec(task_ref=TaskRef(name=task.meta.name))
    return Execution(meta, spec, TaskExecutionStatus())
