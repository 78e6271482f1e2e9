"""The order of a plan's steps, and what is wrong with one.

The schema compares no step with another: for a thousand of them that is beyond CEL's budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_

from taskmill.api.execution import Step
from taskmill.plan.outputs import references


def problem(plan: Sequence[Step]) -> str:
    """What the schema cannot refuse about how steps refer to each other; "" when all is well."""
    ids = {step.id for step in plan}
    for step in plan:
        for below in step.depends_on or ():
            if below not in ids:
                return f"step {step.id}: dependsOn names {below}, and there is no such step"
    ordered = order(plan)
    if len(ordered) < len(plan):
        left = sorted(ids - {step.id for step in ordered})
        return f"dependsOn makes a circle, in which are or after which come: {_listed(left)}"
    bit = {step.id: 1 << place for place, step in enumerate(ordered)}
    before: dict[str, int] = {}
    """All that come before a step, a bit for each."""
    for step in ordered:
        before[step.id] = reduce(
            or_, (bit[below] | before[below] for below in step.depends_on or ()), 0
        )
        for name, ref in references(step.task):
            if not before[step.id] & bit.get(ref.step, 0):
                return (
                    f"step {step.id}: env {name} takes an output of {ref.step},"
                    f" on which {step.id} does not depend; add it to dependsOn"
                )
    return ""


def order(plan: Sequence[Step]) -> list[Step]:
    """The steps, each behind those it depends on; without those of a circle and behind it."""
    waits: dict[str, int] = {}
    after: dict[str, list[Step]] = {step.id: [] for step in plan}
    for step in plan:
        nearest = set(step.depends_on or ())
        waits[step.id] = len(nearest)
        for below in nearest & after.keys():
            after[below].append(step)
    ordered = [step for step in plan if not waits[step.id]]
    for step in ordered:  # it grows meanwhile
        for above in after[step.id]:
            waits[above.id] -= 1
            if not waits[above.id]:
                ordered.append(above)
    return ordered


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"  # noqa: PLR2004
