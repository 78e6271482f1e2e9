"""Which finished executions of a Task are deleted: only those that taskmill made."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from taskmill.api.duration import parse_duration
from taskmill.api.reasons import ConditionType, Phase
from taskmill.api.task import DEFAULT_HISTORY_FAILED, DEFAULT_HISTORY_SUCCEEDED, History, TaskStatus
from taskmill.plan.conditions import find
from taskmill.plan.decision import DeleteExecution
from taskmill.plan.names import ANNOTATION_TRIGGER
from taskmill.plan.slots import age
from taskmill.plan.tasks import ticks, trigger
from taskmill.plan.world import Execution, Task, TaskWorld

LEAST = timedelta(minutes=2)
"""How long one stays in any case: a late duplicate of its Job's creation runs into its Job's name,
and the Job goes with it."""

AT_ONCE = 20
"""Most deletions of one pass."""


def outdated(
    world: TaskWorld, now: datetime
) -> tuple[tuple[DeleteExecution, ...], datetime | None]:
    """What to delete, the oldest first, and when the next comes of age."""
    task = world.task
    if task.spec is None:
        return (), None
    ages = sorted(_ages(world, task.spec.history or History()), key=lambda found: found[0])
    later = (at for at, _ in ages if at > now)
    over = [
        DeleteExecution(execution.meta.name, execution.meta.uid)
        for at, execution in ages
        if at <= now and _is_known(execution, task)
    ]
    return tuple(over[:AT_ONCE]), next(later, None)


def _ages(world: TaskWorld, history: History) -> Iterator[tuple[datetime, Execution]]:
    """Each that is to go, and when."""
    ttl = max(parse_duration(history.ttl), LEAST) if history.ttl else None
    finished = [(e, end) for e in world.executions if (end := _end(e, world.task))]
    finished.sort(key=lambda one: age(one[0]), reverse=True)
    room = {
        True: DEFAULT_HISTORY_SUCCEEDED if history.succeeded is None else history.succeeded,
        False: DEFAULT_HISTORY_FAILED if history.failed is None else history.failed,
    }
    for execution, end in finished:
        succeeded = execution.status.phase is Phase.SUCCEEDED
        room[succeeded] -= 1
        if room[succeeded] < 0:
            yield end + LEAST, execution
        elif ttl is not None:
            yield end + ttl, execution


def _end(execution: Execution, task: Task) -> datetime | None:
    """When it ended; None for one that has not, or that is not ours to delete."""
    mine = execution.automatic and execution.meta.task_uid == task.meta.uid
    if not mine or not execution.final or execution.meta.deleting:
        return None
    finished = find(execution.status.conditions, ConditionType.FINISHED)
    return finished.last_transition_time if finished else execution.status.completed_at


def _is_known(execution: Execution, task: Task) -> bool:
    """Whether the stored status remembers what it was started for: till then it is the proof."""
    status = task.status
    if ANNOTATION_TRIGGER in execution.meta.annotations:
        known, mark = status.last_triggered, trigger.mark_of(execution, task)
        # A generation that was not reached is of an earlier life, and tells nothing of this one.
        if known is None or known.generation > task.meta.generation:
            return False
        if mark and mark.generation > known.generation:
            return False
    tick = ticks.mark_of(execution, task)
    return tick is None or _has_reached(status, tick)


def _has_reached(status: TaskStatus, tick: datetime) -> bool:
    return status.last_schedule_time is not None and status.last_schedule_time >= tick
