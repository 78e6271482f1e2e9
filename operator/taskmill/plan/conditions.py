"""Conditions as Kubernetes keeps them: one per type, its time the last change of its status."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from taskmill.api.meta import Condition
from taskmill.api.reasons import ConditionType


@dataclass(frozen=True, slots=True)
class Wanted:
    """A condition as it should read."""

    type: ConditionType
    status: bool
    reason: str
    message: str = ""


def find(conditions: Iterable[Condition] | None, kind: ConditionType) -> Condition | None:
    """The condition of that type when it is True."""
    for condition in conditions or ():
        if condition.type == kind and condition.status == "True":
            return condition
    return None


def merged(
    old: Iterable[Condition] | None, wanted: Iterable[Wanted], *, now: datetime, generation: int
) -> tuple[Condition, ...]:
    """Exactly the `wanted` conditions; each keeps its time while its status stays the same."""
    before = {condition.type: condition for condition in old or ()}
    result = []
    for want in wanted:
        status = "True" if want.status else "False"
        known = before.get(want.type)
        same = known is not None and known.status == status
        result.append(
            Condition(
                type=want.type,
                status=status,
                reason=want.reason,
                message=want.message,
                last_transition_time=known.last_transition_time if known and same else now,
                observed_generation=generation,
            )
        )
    return tuple(result)
