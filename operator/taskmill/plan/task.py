"""One Task: whether to start a run, and the roll-up of its runs for GitOps and dashboards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from taskmill.api.duration import format_duration, parse_duration
from taskmill.api.meta import API_VERSION, rfc3339
from taskmill.api.reasons import ConditionType, Phase, Reason
from taskmill.api.task import WHAT_RUNS, LastExecution, LastTriggered, TaskSpec, TaskStatus, Trigger
from taskmill.diagnose.text import sentence
from taskmill.plan import names
from taskmill.plan.conditions import Wanted, merged
from taskmill.plan.decision import CreateExecution, Decision
from taskmill.plan.freeze import plan_of
from taskmill.plan.job import owner_reference
from taskmill.plan.overlay import problem
from taskmill.plan.world import Execution, Limits, Refusal, Refused, Task, TaskWorld

ROLL_UP_APART = timedelta(seconds=1)
"""Least time between two writes of a Task's status."""


def decide(world: TaskWorld, now: datetime) -> Decision:
    """The next action, status and look of one Task."""
    task, refused = world.task, world.refused
    if task.meta.deleting:
        return Decision()
    state = _problem(task, world.limits)
    triggered = last_triggered(world)
    look_at: datetime | None = None
    if task.spec and state is None:
        current = names.trigger_hash(what_runs(task.spec))
        name = names.execution_name(
            task=task.meta.name,
            uid=task.meta.uid,
            since=triggered.generation if triggered else 0,
            trigger=current,
        )
        if not _is_due(task.spec, triggered, current):
            if triggered is None or triggered.hash != current:
                triggered = _adopted(task, triggered, current)
        elif made := _made(world, name):
            triggered = LastTriggered(generation=made, hash=current)
        else:
            if refused is None or now >= refused.again_at:
                # Only the execution that exists then proves that it was triggered: a status
                # written first would lose the run with us.
                body = _execution(task, task.spec, name, current, world.limits, now)
                return Decision(None, (CreateExecution(body),))
            state, look_at = _refused(refused), refused.again_at
    status = _rolled_up(world, triggered, state or _state(world, triggered), now)
    if status == task.status:
        return Decision(None, (), look_at)
    write_at = world.written_at + ROLL_UP_APART if world.written_at else now
    if now < write_at:
        return Decision(None, (), min(filter(None, (look_at, write_at))))
    return Decision(status, (), look_at)


def what_runs(spec: TaskSpec) -> dict[str, Any]:
    """The part of a Task whose change starts a run, in its API form without absent fields."""
    return spec.model_dump(by_alias=True, exclude_none=True, mode="json", include=set(WHAT_RUNS))


def last_triggered(world: TaskWorld) -> LastTriggered | None:
    """What was triggered last: the status says it, or an execution that outran the status."""
    now = world.task.meta.generation
    newest = world.task.status.last_triggered
    if newest and newest.generation > now:
        # Restored from a backup with its status: generations began anew, what ran did not.
        newest = LastTriggered(generation=0, hash=newest.hash)
    for execution in world.executions:
        mark = _trigger_of(execution, world.task)
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


def _trigger_of(execution: Execution, task: Task) -> LastTriggered | None:
    """Which state of the Task it was started for; None for what others made."""
    mark = execution.meta.annotations.get(names.ANNOTATION_TRIGGER)
    ref = execution.spec.task_ref if execution.spec else None
    if not mark or execution.meta.task_uid != task.meta.uid or not ref or ref.generation is None:
        return None
    return LastTriggered(generation=ref.generation, hash=mark)


def _is_due(spec: TaskSpec, triggered: LastTriggered | None, current: str) -> bool:
    if spec.trigger is Trigger.MANUAL:
        return False
    if triggered is None:
        return True
    return _is_of_this_version(triggered) and triggered.hash != current


def _is_of_this_version(triggered: LastTriggered) -> bool:
    return triggered.hash.partition(":")[0] == names.TRIGGER_VERSION


def _problem(task: Task, limits: Limits) -> State | None:
    """What the schema cannot refuse, in words."""
    words = task.invalid
    if task.spec and (said := problem(task.spec.pod_template)):
        words = f"spec.{said}"
    limit = task.spec.max_run_time if task.spec and not task.spec.timeout else None
    if limit and parse_duration(limit) > limits.timeout:
        words = (
            f"spec.timeout must be given: maxRunTime {limit} is longer than "
            f"the operator's default of {format_duration(limits.timeout)}"
        )
    return State(Phase.FAILED, Reason.INVALID_TASK, sentence(words)) if words else None


def _refused(refused: Refused) -> State:
    """Waiting to be let in; stalled only where waiting does not help."""
    words = sentence(f"the API server refused its execution: {refused.message}")
    return {
        Refusal.QUOTA: State(Phase.RUNNING, Reason.QUOTA_EXCEEDED, words),
        Refusal.PASSING: State(Phase.RUNNING, Reason.QUEUED, words),
        Refusal.FINAL: State(Phase.FAILED, Reason.REJECTED, words),
    }[refused.kind]


def _execution(
    task: Task,
    spec: TaskSpec,
    name: str,
    trigger: str,
    limits: Limits,
    now: datetime,
) -> dict[str, Any]:
    """The execution that a change of the Task starts, with the plan frozen into it."""
    meta = task.meta
    timeout = parse_duration(spec.timeout) if spec.timeout else limits.timeout
    return {
        "apiVersion": API_VERSION,
        "kind": "TaskExecution",
        "metadata": {
            "name": name,
            "namespace": meta.namespace,
            "labels": {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_TASK: meta.name},
            "annotations": {names.ANNOTATION_TRIGGER: trigger},
            "ownerReferences": [owner_reference("Task", meta.name, meta.uid)],
        },
        "spec": {
            "taskRef": {"name": meta.name, "generation": meta.generation},
            "plan": [step.to_api() for step in plan_of(meta.name, spec)],
            "deadline": rfc3339(now + timeout),
            "startedBy": str(Trigger.ON_CHANGE),
        },
    }


# -- the roll-up -----------------------------------------------------------------------------------


def _rolled_up(
    world: TaskWorld, triggered: LastTriggered | None, state: State, now: datetime
) -> TaskStatus:
    task, old = world.task, world.task.status
    newest = max(world.executions, key=lambda e: (e.meta.created_at, e.meta.name), default=None)
    succeeded = [
        e.status.completed_at
        for e in world.executions
        if e.status.phase is Phase.SUCCEEDED and e.status.completed_at
    ]
    return old.model_copy(
        update={
            "phase": (newest.status.phase or Phase.PENDING) if newest else _ended(old.phase),
            "last_execution": _last(newest) if newest else _deleted(old.last_execution),
            "active": sum(not e.final for e in world.executions),
            "last_triggered": triggered,
            "last_successful_time": max(
                [*succeeded, *filter(None, [old.last_successful_time])], default=None
            ),
            "observed_generation": task.meta.generation,
            "conditions": merged(
                old.conditions,
                _conditions(state),
                now=now,
                generation=task.meta.generation,
            ),
        }
    )


def _ended(phase: Phase | None) -> Phase | None:
    """The phase of an execution that exists no more."""
    return Phase.FAILED if phase and not phase.final else phase


def _deleted(last: LastExecution | None) -> LastExecution | None:
    if last is None or last.phase is None or last.phase.final:
        return last
    return last.model_copy(update={"phase": Phase.FAILED, "reason": Reason.DELETED})


def _last(execution: Execution) -> LastExecution:
    status = execution.status
    return LastExecution(
        name=execution.meta.name,
        phase=status.phase or Phase.PENDING,
        reason=status.reason,
        failure_message=status.failure_message,
        started_at=status.started_at,
        completed_at=status.completed_at,
    )


@dataclass(frozen=True, slots=True)
class State:
    """What GitOps wants to know: whether this generation has done its work."""

    phase: Phase
    """Running while it works, Succeeded when it did, Failed when it did not or cannot."""
    reason: str
    message: str


def _state(world: TaskWorld, triggered: LastTriggered | None) -> State:
    run = _run_of(world, triggered)
    if run is None:
        if triggered and (known := _remembered(world.task, triggered)):
            return known
        return State(Phase.SUCCEEDED, "Idle", "waits to be started")
    status, name = run.status, run.meta.name
    phase = status.phase or Phase.PENDING
    if not phase.final:
        told = status.message or f"{name} is {phase.lower()}"
        return State(Phase.RUNNING, str(status.reason or phase), told)
    if phase is Phase.SUCCEEDED:
        return State(Phase.SUCCEEDED, str(phase), f"{name} succeeded")
    return State(Phase.FAILED, str(status.reason or phase), status.failure_message or str(phase))


def _run_of(world: TaskWorld, triggered: LastTriggered | None) -> Execution | None:
    """The execution that was started for what is triggered now, by us."""
    generation = triggered.generation if triggered else None
    marks = ((e, _trigger_of(e, world.task)) for e in world.executions)
    runs = [execution for execution, mark in marks if mark and mark.generation == generation]
    return max(runs, key=lambda e: e.meta.created_at, default=None)


def _remembered(task: Task, triggered: LastTriggered) -> State | None:
    """What the conditions say of a run that exists no more; None when it had not been started."""
    known = task.status.last_triggered
    # Either one may have been adopted: see last_triggered and _adopted.
    if not known or (known.generation != triggered.generation and known.hash != triggered.hash):
        return None
    by_type = {c.type: c for c in task.status.conditions or () if c.status == "True"}
    if ready := by_type.get(ConditionType.READY):
        return State(Phase.SUCCEEDED, ready.reason, ready.message)
    if stalled := by_type.get(ConditionType.STALLED):
        if stalled.reason not in (Reason.INVALID_TASK, Reason.REJECTED):
            return State(Phase.FAILED, stalled.reason, stalled.message)
        return None
    if ConditionType.RECONCILING in by_type:
        return State(Phase.FAILED, Reason.DELETED, "its execution was deleted before it ended")
    return None


def _conditions(state: State) -> list[Wanted]:
    ready = state.phase is Phase.SUCCEEDED
    wanted = [Wanted(ConditionType.READY, ready, state.reason, state.message)]
    if state.phase is Phase.RUNNING:
        wanted.append(Wanted(ConditionType.RECONCILING, True, state.reason, state.message))
    if state.phase is Phase.FAILED:
        wanted.append(Wanted(ConditionType.STALLED, True, state.reason, state.message))
    return wanted
