"""What a change of a Task starts: the latest state of what runs, exactly once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from taskmill.api.task import WHAT_RUNS, LastTriggered, TaskSpec, Trigger
from taskmill.plan import names
from taskmill.plan.tasks.start import Start
from taskmill.plan.world import Execution, Task, TaskWorld


@dataclass(frozen=True, slots=True)
class Change:
    """What changes of a Task ask for."""

    triggered: LastTriggered | None
    """What was triggered last, for the status."""
    due: Start | None = None


def seen(world: TaskWorld) -> Change:
    """Whether the present state of what runs is to be run."""
    task, triggered = world.task, last_triggered(world)
    if task.spec is None:
        return Change(triggered)
    current = names.trigger_hash(what_runs(task.spec))
    if not _is_due(task.spec, triggered, current):
        if triggered is None or triggered.hash != current:
            triggered = _adopted(task, triggered, current)
        return Change(triggered)
    name = names.execution_name(
        task=task.meta.name,
        uid=task.meta.uid,
        since=triggered.generation if triggered else 0,
        trigger=current,
    )
    if made := _made(world, name):
        return Change(LastTriggered(generation=made, hash=current))
    # Only the execution that exists then proves that it was triggered: a status written first
    # would lose the run with us.
    due = Start(name, names.ANNOTATION_TRIGGER, current, str(Trigger.ON_CHANGE))
    return Change(triggered, due)


def what_runs(spec: TaskSpec) -> dict[str, Any]:
    """The part of a Task whose change starts a run, in its API form without absent fields."""
    return spec.model_dump(by_alias=True, exclude_none=True, mode="json", include=set(WHAT_RUNS))


def mark_of(execution: Execution, task: Task) -> LastTriggered | None:
    """Which state of the Task it was started for; None for what others made, or a schedule."""
    mark = execution.meta.annotations.get(names.ANNOTATION_TRIGGER)
    ref = execution.spec.task_ref if execution.spec else None
    if not mark or execution.meta.task_uid != task.meta.uid or not ref or ref.generation is None:
        return None
    return LastTriggered(generation=ref.generation, hash=mark)


def last_triggered(world: TaskWorld) -> LastTriggered | None:
    """What was triggered last: the status says it, or an execution that outran the status."""
    now = world.task.meta.generation
    newest = world.task.status.last_triggered
    if newest and newest.generation > now:
        # Restored from a backup with its status: generations began anew, what ran did not.
        newest = LastTriggered(generation=0, hash=newest.hash)
    for execution in world.executions:
        mark = mark_of(execution, world.task)
        # A mark from the future is not ours.
        if mark and mark.generation <= now and (not newest or mark.generation > newest.generation):
            newest = mark
    return newest


def _adopted(task: Task, triggered: LastTriggered | None, current: str) -> LastTriggered:
    """Taken note of, without a run: the Task is Manual, or the hash is of another version."""
    same = triggered is not None and not _is_of_this_version(triggered)
    # Of another version: the run of the known generation is still the one that counts.
    generation = triggered.generation if triggered and same else task.meta.generation
    return LastTriggered(generation=generation, hash=current)


def _made(world: TaskWorld, name: str) -> int | None:
    """The generation for which the execution of this name was made; None when there is none."""
    for execution in world.executions:
        mine = execution.meta.name == name and execution.meta.task_uid == world.task.meta.uid
        ref = execution.spec.task_ref if mine and execution.spec else None
        if ref:
            return ref.generation or world.task.meta.generation
    return None


def _is_due(spec: TaskSpec, triggered: LastTriggered | None, current: str) -> bool:
    if _trigger(spec) is Trigger.MANUAL:
        return False
    if triggered is None:
        return True
    return _is_of_this_version(triggered) and triggered.hash != current


def _trigger(spec: TaskSpec) -> Trigger:
    return spec.trigger or (Trigger.MANUAL if spec.schedule else Trigger.ON_CHANGE)


def _is_of_this_version(triggered: LastTriggered) -> bool:
    return triggered.hash.partition(":")[0] == names.TRIGGER_VERSION
