"""The plan an execution runs: frozen into it when it was made, or resolved once from its Task."""

from __future__ import annotations

from taskmill.api.execution import Step
from taskmill.api.task import RunSpec, TaskSpec
from taskmill.plan.world import Execution, Task


def plan_of(name: str, spec: TaskSpec) -> tuple[Step, ...]:
    """A Task's plan: itself, as the step of its own name."""
    fields = RunSpec.model_fields
    runs = RunSpec.model_validate({field: getattr(spec, field) for field in fields})
    return (Step(id=name, task=runs),)


def steps_of(execution: Execution, task: Task | None) -> tuple[Step, ...] | None:
    """The execution's steps; None while its Task is missing or cannot be understood."""
    spec = execution.spec
    if spec and spec.plan:
        return spec.plan
    if execution.status.plan is not None:
        return execution.status.plan
    if task is None or task.spec is None or task.meta.deleting:
        return None
    return plan_of(task.meta.name, task.spec)
