"""The plan an execution runs: frozen into it when it was made, or resolved once from its Task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from taskmill.api.execution import Step
from taskmill.api.reasons import Reason
from taskmill.api.task import RunSpec, TaskSpec
from taskmill.plan.graph import problem
from taskmill.plan.world import Execution, Task

Plan = tuple[Step, ...]

PLAN_BYTES = 256 * 1024
"""Of the whole plan as JSON: an object has 1.5 MB in etcd, and every write sends all of it."""
PLAN_STEPS = 1000


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Why there is no plan (yet)."""

    reason: Reason
    """WaitingForTask, or InvalidTask where waiting does not help."""
    sentence: str


def steps_of(execution: Execution, tasks: Mapping[str, Task]) -> Plan | Unresolved:
    """The execution's plan: its own, the one in its status, or what its Task says now."""
    spec = execution.spec
    if spec and spec.plan:
        return spec.plan
    if execution.status.plan is not None:
        return execution.status.plan
    return resolve(spec.task_ref.name if spec and spec.task_ref else "", tasks)


def resolve(name: str, tasks: Mapping[str, Task]) -> Plan | Unresolved:
    """The plan of a Task: all it depends on, each once and before what depends on it."""
    found: dict[str, Step] = {}
    path: list[str] = []
    todo: list[tuple[str, bool]] = [(name, False)]
    while todo:
        one, is_left = todo.pop()
        if is_left:
            found[path.pop()] = _step(one, _spec(tasks, one))
            continue
        if one in found:
            continue
        if one in path:
            return _circle([*path[path.index(one) :], one])
        spec = _spec(tasks, one)
        if spec is None:
            return _missing(one, tasks, path)
        path.append(one)
        todo.append((one, True))
        todo.extend((below, False) for below in reversed(spec.depends_on or ()))
    plan = tuple(found.values())
    wrong = oversize(plan) or problem(plan)
    return Unresolved(Reason.INVALID_TASK, wrong) if wrong else plan


def oversize(plan: Plan) -> str:
    """What is too large about a plan, in words; "" when nothing is."""
    if len(plan) > PLAN_STEPS:
        return f"the plan has {len(plan)} steps; at most {PLAN_STEPS} are possible"
    if (size := sum(_size(step) for step in plan)) > PLAN_BYTES:
        limit = PLAN_BYTES // 1024
        return f"the plan is {size // 1024} KiB as JSON; at most {limit} KiB are possible"
    return ""


def _size(step: Step) -> int:
    return len(json.dumps(step.to_api(), separators=(",", ":"), ensure_ascii=False).encode()) + 1


def _spec(tasks: Mapping[str, Task], name: str) -> TaskSpec | None:
    task = tasks.get(name)
    return task.spec if task and not task.meta.deleting else None


def _step(name: str, spec: TaskSpec | None) -> Step:
    fields = RunSpec.model_fields
    runs = RunSpec.model_validate({field: getattr(spec, field) for field in fields})
    label = spec.info.title if spec and spec.info else None
    return Step(id=name, label=label, depends_on=spec.depends_on if spec else None, task=runs)


def _circle(names: list[str]) -> Unresolved:
    told = " → ".join(names if len(names) < 10 else [*names[:4], "…", *names[-4:]])  # noqa: PLR2004
    return Unresolved(Reason.INVALID_TASK, f"dependsOn leads back to where it began: {told}")


def _missing(name: str, tasks: Mapping[str, Task], path: list[str]) -> Unresolved:
    by = f", on which {path[-1]} depends" if path else ""
    task = tasks.get(name)
    invalid = f": {task.invalid}" if task and task.invalid else ""
    return Unresolved(Reason.WAITING_FOR_TASK, f"waiting for Task {name}{by}{invalid}")
