"""Whose turn it is among the runs that taskmill made for one Task, by its concurrencyPolicy."""

from __future__ import annotations

from datetime import datetime

from taskmill.api.task import ConcurrencyPolicy
from taskmill.plan.names import ANNOTATION_SCHEDULED
from taskmill.plan.world import Execution, ExecutionWorld

IN_TURN = frozenset({ConcurrencyPolicy.QUEUE, ConcurrencyPolicy.REPLACE})
"""Policies with which a run waits until the one before it has ended."""


def age(execution: Execution) -> tuple[datetime, int, str, str]:
    """What runs of one Task are ordered by, oldest first: as they are made, within a second too."""
    ref = execution.spec.task_ref if execution.spec else None
    generation = (ref.generation if ref else None) or 0
    # A change is started before a time of the schedule.
    time = execution.meta.annotations.get(ANNOTATION_SCHEDULED, "")
    return execution.meta.created_at, generation, time, execution.meta.name


def waits_for(world: ExecutionWorld) -> str:
    """What a run that has not started waits for, in words; "" when it is its turn."""
    spec = world.task.spec if world.task else None
    if not world.execution.automatic or spec is None:
        return ""
    if spec.concurrency_policy not in IN_TURN:
        return ""
    mine = age(world.execution)
    before = [rival for rival in world.rivals if age(rival) < mine]
    if before:
        more = f", with {len(before) - 1} before it," if len(before) > 1 else ""
        return f"waiting for {max(before, key=age).meta.name}{more} to end"
    if spec.suspend and world.execution.status.phase is not None:
        return "it is its turn, but its Task is suspended"
    return ""


def replaced_by(world: ExecutionWorld) -> str:
    """Name of the newest run that takes this one's place; "" when there is none."""
    spec = world.task.spec if world.task else None
    if not world.execution.automatic or spec is None:
        return ""
    if spec.concurrency_policy is not ConcurrencyPolicy.REPLACE:
        return ""
    newest = max(world.rivals, key=age, default=None)
    return newest.meta.name if newest and age(newest) > age(world.execution) else ""
