"""The next status of an execution: one function for each thing there is to say."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from taskmill.api.execution import StepStatus, TaskExecutionStatus
from taskmill.api.meta import rfc3339
from taskmill.api.reasons import ConditionType, Phase, Reason
from taskmill.diagnose.finding import Stage
from taskmill.diagnose.text import gist, sentence
from taskmill.plan.attempt import Attempt
from taskmill.plan.conditions import Wanted, find, merged
from taskmill.plan.endings import Ending, deadline_of, trouble_of
from taskmill.plan.freeze import steps_of
from taskmill.plan.world import ExecutionWorld


def waiting_for_task(world: ExecutionWorld, message: str, now: datetime) -> TaskExecutionStatus:
    """Pending: its Task is not there."""
    reason = Reason.WAITING_FOR_TASK
    return _next(
        world,
        phase=Phase.PENDING,
        reason=reason,
        message=message,
        conditions=_reconciling(world, reason, message, now),
    )


def going_on(
    world: ExecutionWorld, attempt: Attempt, now: datetime, *, doubted: bool
) -> TaskExecutionStatus:
    """Pending or Running, and what it waits for; a `doubted` cause is not told yet."""
    finding = attempt.finding
    running = finding.stage is Stage.RUNNING
    phase = Phase.RUNNING if running else Phase.PENDING
    reason = None if doubted else finding.reason
    words = "waiting for a node" if doubted else finding.sentence
    trouble = trouble_of(world, attempt, now)
    if trouble and finding.fails_after:
        words = f"{words}; it fails at {rfc3339(trouble.since + finding.fails_after)}"
    message = sentence(f"step {attempt.step.id}: {words}") if words else None
    return _next(
        world,
        phase=phase,
        reason=reason,
        message=message,
        started_at=world.execution.status.started_at or finding.started_at,
        steps=(_step(attempt, phase, reason),),
        conditions=_reconciling(world, reason or phase, message or "", now),
    )


def ending(
    world: ExecutionWorld, why: Ending, attempt: Attempt, now: datetime
) -> TaskExecutionStatus:
    """Still running, the verdict known: its containers are about to be stopped."""
    words = sentence(why.sentence)
    reconciling = Wanted(ConditionType.RECONCILING, True, "Ending", words)
    target = Wanted(ConditionType.FAILURE_TARGET, True, why.reason, words)
    return _next(
        world,
        phase=Phase.RUNNING,
        reason=why.reason,
        message=None,
        failure_message=words,
        started_at=world.execution.status.started_at or attempt.finding.started_at,
        steps=(_step(attempt, Phase.RUNNING, why.reason),),
        conditions=_conditions(world, (reconciling, target), now),
    )


def final(
    world: ExecutionWorld, why: Ending | None, attempt: Attempt | None, now: datetime
) -> TaskExecutionStatus:
    """The verdict: `why` it had to end, else how the attempt ended by itself."""
    old, finding = world.execution.status, attempt.finding if attempt else None
    phase, reason, words = _verdict(why, attempt)
    started = old.started_at or (finding.started_at if finding else None)
    completed = (finding.finished_at if finding else None) or now
    return _next(
        world,
        phase=phase,
        reason=reason,
        message=None,
        failure_message=words or None,
        started_at=started,
        completed_at=max(completed, started) if started else completed,
        steps=(_step(attempt, phase, reason, words),) if attempt else None,
        conditions=_conditions(world, _final_conditions(old, phase, reason, words), now),
    )


def differs(new: TaskExecutionStatus, old: TaskExecutionStatus) -> bool:
    """Whether there is anything new to store."""
    return new.model_copy(update={"status_version": old.status_version}) != old


def is_news(new: TaskExecutionStatus, old: TaskExecutionStatus) -> bool:
    """Whether `new` says anything else than `old`: other counts and addresses are not news."""
    if not new.message or not old.message or gist(new.message) != gist(old.message):
        return differs(new, old)
    by_type = {condition.type: condition.message for condition in old.conditions or ()}
    conditions = tuple(
        condition.model_copy(update={"message": by_type.get(condition.type, condition.message)})
        for condition in new.conditions or ()
    )
    return differs(new.model_copy(update={"message": old.message, "conditions": conditions}), old)


def freezes_plan(world: ExecutionWorld) -> bool:
    """Whether the plan comes from a bare taskRef and is not stored yet."""
    execution = world.execution
    bare = execution.spec is not None and execution.spec.plan is None
    return bare and execution.status.plan is None


def _verdict(why: Ending | None, attempt: Attempt | None) -> tuple[Phase, str | None, str]:
    if why:
        return why.phase, why.reason, sentence(why.sentence)
    if attempt is None or attempt.finding.succeeded:
        return Phase.SUCCEEDED, None, ""
    finding = attempt.finding
    words = sentence(f"step {attempt.step.id}: {finding.sentence}")
    return Phase.FAILED, finding.reason or Reason.ERROR, words


def _final_conditions(
    old: TaskExecutionStatus, phase: Phase, reason: str | None, words: str
) -> list[Wanted]:
    if reason is None:
        return [
            Wanted(ConditionType.COMPLETE, True, phase),
            Wanted(ConditionType.FINISHED, True, phase),
        ]
    types = [ConditionType.FAILED, ConditionType.FINISHED, ConditionType.STALLED]
    if find(old.conditions, ConditionType.FAILURE_TARGET):
        types.append(ConditionType.FAILURE_TARGET)
    return [Wanted(kind, True, reason, words) for kind in types]


def _reconciling(world: ExecutionWorld, reason: str, message: str, now: datetime) -> object:
    return _conditions(world, (Wanted(ConditionType.RECONCILING, True, reason, message),), now)


def _conditions(world: ExecutionWorld, wanted: Iterable[Wanted], now: datetime) -> object:
    execution = world.execution
    generation = execution.meta.generation
    return merged(execution.status.conditions, wanted, now=now, generation=generation)


def _next(world: ExecutionWorld, **changes: object) -> TaskExecutionStatus:
    """The stored status with `changes` and what every write carries."""
    execution = world.execution
    old = execution.status
    if freezes_plan(world) and (steps := steps_of(execution, world.task)):
        changes["plan"] = steps
    return old.model_copy(
        update={
            "observed_generation": execution.meta.generation,
            # Stored in whole seconds: a fraction would differ from what is read back, for ever.
            "deadline": deadline_of(world).replace(microsecond=0),
            "status_version": (old.status_version or 0) + 1,
            **changes,
        }
    )


def _step(attempt: Attempt, phase: Phase, reason: str | None, words: str = "") -> StepStatus:
    finding, job, pod = attempt.finding, attempt.job, attempt.pod
    ended = phase.final
    return StepStatus(
        id=attempt.step.id,
        phase=phase,
        reason=reason,
        failure_message=words or None,
        exit_code=finding.exit_code if ended else None,
        signal=finding.signal if ended else None,
        job_name=job.name if job else None,
        pod_name=pod.name if pod else None,
        node=(pod.node or None) if pod else None,
        attempt=attempt.number,
        started_at=finding.started_at,
        completed_at=finding.finished_at if ended else None,
    )
