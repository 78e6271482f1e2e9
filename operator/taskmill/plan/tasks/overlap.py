"""Whether a new run of a Task may start while others have not ended: concurrencyPolicy.

`slots` is the other side: what runs that exist already wait for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from taskmill.api.task import DEFAULT_MAX_QUEUED, ConcurrencyPolicy
from taskmill.plan.slots import age
from taskmill.plan.world import Execution, Refused, TaskWorld


@dataclass(frozen=True, slots=True)
class Busy:
    """Why nothing may start now."""

    waits: str
    """Said of a change, which waits."""
    skipped: str
    """Said of a time of the schedule, which does not."""


def busy(world: TaskWorld) -> Busy | None:
    """What is in the way of another run that taskmill starts; None when it may."""
    spec, running = world.task.spec, _active(world)
    if spec is None or not running:
        return None
    oldest, others = running[0].meta.name, len(running) - 1
    waits, skipped = f"waiting for {oldest} to end", f"{oldest} was still running"
    if spec.concurrency_policy is ConcurrencyPolicy.FORBID:
        return Busy(waits, skipped)
    most = DEFAULT_MAX_QUEUED if spec.max_queued is None else spec.max_queued
    if spec.concurrency_policy is ConcurrencyPolicy.QUEUE and others >= most:
        return Busy(
            f"{waits}: {others} more wait already, and maxQueued is {most}",
            f"{skipped}, {others} more were waiting, and maxQueued is {most}",
        )
    return None


def unanswered(world: TaskWorld, now: datetime) -> Refused | None:
    """A recent creation, of whatever run, that may come through all the same.

    Whatever the policy: an older state must not run after, or in the place of, a newer one.
    """
    recent = (
        refused for refused in world.refused.values() if refused.unknown and now < refused.again_at
    )
    return max(recent, key=lambda refused: refused.again_at, default=None)


def _active(world: TaskWorld) -> list[Execution]:
    """What taskmill started for this Task and has not ended, the oldest first."""
    uid = world.task.meta.uid
    mine = [e for e in world.executions if e.automatic and e.meta.task_uid == uid and not e.final]
    return sorted(mine, key=age)
