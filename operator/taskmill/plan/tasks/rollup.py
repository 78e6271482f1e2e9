"""What a Task's status says of its runs, for GitOps and dashboards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from taskmill.api.meta import Condition
from taskmill.api.reasons import ConditionType, Phase, Reason
from taskmill.api.task import LastExecution, LastTriggered, TaskStatus
from taskmill.plan.conditions import Wanted, find, merged
from taskmill.plan.slots import age
from taskmill.plan.tasks import trigger
from taskmill.plan.tasks.ticks import Ticks
from taskmill.plan.world import Execution, Refusal, Refused, Task, TaskWorld

IDLE = "Idle"
SUSPENDED = "Suspended"

REFUSED = "the API server refused its execution: "
SPEC = "spec."
DEPENDS_ON = "dependsOn"
WAITING = "waiting for "
"""How sentences about the Task itself begin, unlike those about its runs."""


@dataclass(frozen=True, slots=True)
class State:
    """What GitOps wants to know: whether this generation has done its work."""

    phase: Phase
    """Running while it works, Succeeded when it did, Failed when it did not or cannot."""
    reason: str
    message: str


# ---- the states of a Task ----


def of_run(world: TaskWorld, triggered: LastTriggered | None) -> State | None:
    """How the run of what is triggered goes or went; None when there is none to tell of."""
    run = _run_of(world, triggered)
    if run is None:
        return _remembered(world.task, triggered) if triggered else None
    status, name = run.status, run.meta.name
    phase = status.phase or Phase.PENDING
    if not phase.final:
        told = status.message or f"{name} is {phase.lower()}"
        return State(Phase.RUNNING, str(status.reason or phase), told)
    if phase is Phase.SUCCEEDED:
        return State(Phase.SUCCEEDED, str(phase), f"{name} succeeded")
    return State(Phase.FAILED, str(status.reason or phase), status.failure_message or str(phase))


def idle(world: TaskWorld) -> State:
    """Nothing runs, and nothing needs to. Without moments: they would be a write for each."""
    spec, last = world.task.spec, _last(world)
    if spec and spec.suspend:
        return State(Phase.SUCCEEDED, SUSPENDED, "suspended")
    words = "waits for its schedule" if spec and spec.schedule else "waits to be started"
    if last and last.phase is Phase.FAILED and last.failure_message:
        # Nobody's change is to blame: it stays Ready, but not silent.
        words = f"its last run failed: {last.failure_message}; it {words}"
    return State(Phase.SUCCEEDED, IDLE, words)


def held_back() -> State:
    """The Task is suspended, and was changed."""
    return State(Phase.SUCCEEDED, SUSPENDED, "suspended: the latest change has not run")


def refused(refusal: Refused) -> State:
    """Waiting to be let in; stalled only where waiting does not help."""
    words = f"{REFUSED}{refusal.message}"
    return {
        Refusal.QUOTA: State(Phase.RUNNING, Reason.QUOTA_EXCEEDED, words),
        Refusal.PASSING: State(Phase.RUNNING, Reason.QUEUED, words),
        Refusal.FINAL: State(Phase.FAILED, Reason.REJECTED, words),
    }[refusal.kind]


def _run_of(world: TaskWorld, triggered: LastTriggered | None) -> Execution | None:
    """The execution that was started for what is triggered now, by us."""
    generation = triggered.generation if triggered else None
    marks = ((e, trigger.mark_of(e, world.task)) for e in world.executions)
    runs = [execution for execution, mark in marks if mark and mark.generation == generation]
    return max(runs, key=age, default=None)


def _remembered(task: Task, triggered: LastTriggered) -> State | None:
    """What the conditions say of a run that exists no more; None when they tell of none."""
    known, conditions = task.status.last_triggered, task.status.conditions
    # Either one may have been adopted: see trigger.last_triggered and trigger._adopted.
    if not known or (known.generation != triggered.generation and known.hash != triggered.hash):
        return None
    ready, stalled, doing = (find(conditions, kind) for kind in _TOLD)
    told = ready or stalled or doing
    if told is None or _is_of_task(told):
        return None
    if told is doing:
        return State(Phase.FAILED, Reason.DELETED, "its execution was deleted before it ended")
    return State(Phase.SUCCEEDED if told is ready else Phase.FAILED, told.reason, told.message)


_TOLD = (ConditionType.READY, ConditionType.STALLED, ConditionType.RECONCILING)
_HELD = (Reason.WAITING_FOR_TASK, Reason.WAITING_FOR_SLOT)


def _is_of_task(told: Condition) -> bool:
    """Whether it tells of the Task itself, not of a run: that is found out anew, if it still is."""
    if told.type == ConditionType.READY:
        return told.reason in (IDLE, SUSPENDED)
    waits = told.reason in _HELD and told.message.startswith(WAITING)
    return waits or told.message.startswith((SPEC, DEPENDS_ON, REFUSED))


# ---- the status ----


def rolled_up(
    world: TaskWorld,
    triggered: LastTriggered | None,
    ticks: Ticks,
    state: State,
    now: datetime,
) -> TaskStatus:
    """The status as it should read."""
    task, old = world.task, world.task.status
    succeeded = [
        e.status.completed_at
        for e in world.executions
        if e.status.phase is Phase.SUCCEEDED and e.status.completed_at
    ]
    last = _last(world)
    return old.model_copy(
        update={
            "phase": last.phase if last else _ended(old.phase),
            "last_execution": last,
            "active": sum(not e.final for e in world.executions),
            "last_triggered": triggered,
            "last_successful_time": max(
                [*succeeded, *filter(None, [old.last_successful_time])], default=None
            ),
            "last_schedule_time": ticks.last,
            "next_schedule_time": ticks.next,
            "last_skipped": ticks.skipped,
            "observed_generation": task.meta.generation,
            "conditions": merged(
                old.conditions,
                _conditions(state),
                now=now,
                generation=task.meta.generation,
            ),
        }
    )


def _last(world: TaskWorld) -> LastExecution | None:
    """The newest execution, although it may be gone while older ones are kept."""
    known = world.task.status.last_execution
    newest = max(world.executions, key=age, default=None)
    if newest is None:
        return _deleted(known)
    if known and known.phase and known.phase.final:
        is_gone = all(execution.meta.name != known.name for execution in world.executions)
        # It is not told when that was created; it was before it started.
        since = known.started_at or known.completed_at
        if is_gone and since and newest.meta.created_at <= since:
            return known
    return _told(newest)


def _ended(phase: Phase | None) -> Phase | None:
    """The phase of an execution that exists no more."""
    return Phase.FAILED if phase and not phase.final else phase


def _deleted(last: LastExecution | None) -> LastExecution | None:
    if last is None or last.phase is None or last.phase.final:
        return last
    return last.model_copy(update={"phase": Phase.FAILED, "reason": Reason.DELETED})


def _told(execution: Execution) -> LastExecution:
    status = execution.status
    return LastExecution(
        name=execution.meta.name,
        phase=status.phase or Phase.PENDING,
        reason=status.reason,
        failure_message=status.failure_message,
        started_at=status.started_at,
        completed_at=status.completed_at,
    )


def _conditions(state: State) -> list[Wanted]:
    ready = state.phase is Phase.SUCCEEDED
    wanted = [Wanted(ConditionType.READY, ready, state.reason, state.message)]
    if state.phase is Phase.RUNNING:
        wanted.append(Wanted(ConditionType.RECONCILING, True, state.reason, state.message))
    if state.phase is Phase.FAILED:
        wanted.append(Wanted(ConditionType.STALLED, True, state.reason, state.message))
    return wanted
