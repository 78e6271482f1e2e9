"""The next status of an execution, put together from where its steps stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from taskmill.api.execution import AttemptStatus, StepStatus, TaskExecutionStatus
from taskmill.api.reasons import ConditionType, Phase, Reason
from taskmill.diagnose.text import gist, sentence, shortened
from taskmill.plan.conditions import Wanted, find, merged
from taskmill.plan.executions.endings import OF_ALL, STOPPED, Whole, deadline_of
from taskmill.plan.executions.standing import Standing
from taskmill.plan.freeze import Unresolved, steps_of
from taskmill.plan.world import ExecutionWorld

SENTENCES_BYTES = 12 * 1024
"""Of all steps' sentences: beyond it each is cut to its share."""
ATTEMPTS_MOST = 100
ATTEMPTS_KEPT = 6
"""Earlier attempts that are kept of a small plan; a status has to stay small."""
NAMES_TOLD = 3
LAST_VERSION = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an execution ends."""

    phase: Phase
    reason: str | None = None
    words: str = ""


def waiting(
    world: ExecutionWorld, reason: Reason, words: str, now: datetime
) -> TaskExecutionStatus:
    """Pending, before any step: for its Task, or for its turn."""
    message = sentence(words)
    return _next(
        world,
        phase=Phase.PENDING,
        reason=reason,
        message=message,
        conditions=_reconciling(world, reason, message, now),
    )


def verdict(standings: Sequence[Standing], why: Whole | None) -> Verdict | None:
    """The verdict on all steps together; None while something goes on, or may yet start."""
    if any(one.active for one in standings):
        return None
    statuses = [one.status for one in standings if one.status]
    if failed := _first_failure(statuses):
        words = (failed.failure_message or "") + _left_out(standings)
        return Verdict(Phase.FAILED, failed.reason, sentence(words))
    ended = [status for status in statuses if status.reason in OF_ALL]
    if ended:
        # The one that needed force tells most, then one that ran.
        lead = min(ended, key=lambda s: (s.reason is not Reason.KILLED, s.started_at is None))
        words = (lead.failure_message or "") + _left_out(standings)
        return Verdict(lead.phase, lead.reason, sentence(words))
    if len(statuses) == len(standings):
        return Verdict(Phase.SUCCEEDED)
    if why:
        phase = Phase.STOPPED if why.reason in STOPPED else Phase.FAILED
        return Verdict(phase, why.reason, sentence(why.words + _left_out(standings)))
    return None


def target(standings: Sequence[Standing]) -> Verdict | None:
    """The verdict that is certain already, although containers are still ending."""
    statuses = [one.status for one in standings if one.status]
    if failed := _first_failure(statuses):
        return Verdict(Phase.FAILED, failed.reason, failed.failure_message or "")
    for one in standings:
        status = one.status
        if status and status.stopping_since and not status.phase.final and not one.may_follow:
            return Verdict(Phase.FAILED, status.reason, status.failure_message or "")
    return None


def going_on(
    world: ExecutionWorld, standings: Sequence[Standing], now: datetime
) -> TaskExecutionStatus:
    """Pending or Running, and what it waits for."""
    old = world.execution.status
    phase = _phase(standings)
    lead = _lead(standings)
    reason: str | None = lead.status.reason if lead and lead.status else None
    certain = target(standings)
    message = _message(standings, lead)
    conditions = [Wanted(ConditionType.RECONCILING, True, reason or phase, message or "")]
    if certain:
        reason, words = certain.reason, certain.words
        conditions = [
            Wanted(ConditionType.RECONCILING, True, "Ending", words),
            Wanted(ConditionType.FAILURE_TARGET, True, reason or Reason.ERROR, words),
        ]
        if all(one.status is None or one.status.stopping_since or one.final for one in standings):
            message = None
    return _next(
        world,
        phase=phase,
        reason=None if reason is None else Reason.of(reason),
        message=message,
        failure_message=certain.words if certain else None,
        started_at=_started(old, standings),
        steps=_within_bounds([one.status for one in standings if one.status]) or None,
        attempts=_attempts(old, standings),
        conditions=_conditions(world, conditions, now),
    )


def final(
    world: ExecutionWorld, standings: Sequence[Standing], how: Verdict, now: datetime
) -> TaskExecutionStatus:
    """The verdict."""
    old = world.execution.status
    statuses = tuple(one.status for one in standings if one.status)
    started = _started(old, standings)
    ends = [status.completed_at for status in statuses if status.completed_at]
    untimed = any(status.completed_at is None for status in statuses)
    completed = now if untimed or not ends else max(ends)
    conditions = _final_conditions(old, how)
    return _next(
        world,
        phase=how.phase,
        reason=None if how.reason is None else Reason.of(how.reason),
        message=None,
        failure_message=how.words or None,
        started_at=started,
        completed_at=max(completed, started) if started else completed,
        steps=_within_bounds(statuses) or None,
        attempts=_attempts(old, standings),
        conditions=_conditions(world, conditions, now),
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


def _within_bounds(statuses: Sequence[StepStatus]) -> tuple[StepStatus, ...]:
    """The statuses, their sentences cut where they would make the object too large to store."""
    told = [s.failure_message or "" for s in statuses]
    if sum(len(words.encode()) for words in told) <= SENTENCES_BYTES:
        return tuple(statuses)
    share = SENTENCES_BYTES // sum(map(bool, told))
    return tuple(
        s.model_copy(update={"failure_message": shortened(s.failure_message, max(share, 80))})
        if s.failure_message
        else s
        for s in statuses
    )


# -- one sentence for many steps ------------------------------------------------------------------


def _first_failure(statuses: Iterable[StepStatus]) -> StepStatus | None:
    failed = [s for s in statuses if s.phase is Phase.FAILED and s.reason not in OF_ALL]
    # One without a time has never run.
    return min(failed, key=lambda s: (s.completed_at is None, s.completed_at), default=None)


def _left_out(standings: Sequence[Standing]) -> str:
    left = [one.step.id for one in standings if one.status is None]
    return f"; not started: {_listed(left)}" if left else ""


def _listed(ids: Sequence[str]) -> str:
    shown = ", ".join(ids[:NAMES_TOLD])
    return shown if len(ids) <= NAMES_TOLD else f"{shown} and {len(ids) - NAMES_TOLD} more"


def _lead(standings: Sequence[Standing]) -> Standing | None:
    """The step that has most to say: one with a reason, else one that waits, else one that runs."""
    active = [(one, one.status) for one in standings if one.active and one.status]
    lead = min(
        active,
        key=lambda one: (not one[0].words, one[1].reason is None, one[1].phase is Phase.RUNNING),
        default=None,
    )
    return lead[0] if lead else None


def _message(standings: Sequence[Standing], lead: Standing | None) -> str | None:
    words = f"step {lead.step.id}: {lead.words}" if lead and lead.words else ""
    if len(standings) > 1:
        done = sum(one.final for one in standings)
        running = [
            one.step.id for one in standings if one.status and one.status.phase is Phase.RUNNING
        ]
        doing = f"; running: {_listed(running)}" if running else ""
        progress = f"{done} of {len(standings)} steps done{doing}"
        words = f"{words} ({progress})" if words else progress
    return sentence(words) if words else None


def _phase(standings: Sequence[Standing]) -> Phase:
    begun = any(one.status and one.status.phase is not Phase.PENDING for one in standings)
    return Phase.RUNNING if begun else Phase.PENDING


def _started(old: TaskExecutionStatus, standings: Sequence[Standing]) -> datetime | None:
    starts = [one.status.started_at for one in standings if one.status and one.status.started_at]
    return old.started_at or min(starts, default=None)


def _attempts(
    old: TaskExecutionStatus, standings: Sequence[Standing]
) -> tuple[AttemptStatus, ...] | None:
    new = [one.record for one in standings if one.record]
    if not new:
        return old.attempts
    kept = max(ATTEMPTS_KEPT, min(ATTEMPTS_MOST, len(standings) // 5))
    return (*(old.attempts or ()), *new)[-kept:]


# -- what every write carries ---------------------------------------------------------------------


def _final_conditions(old: TaskExecutionStatus, how: Verdict) -> list[Wanted]:
    if how.reason is None:
        return [
            Wanted(ConditionType.COMPLETE, True, how.phase),
            Wanted(ConditionType.FINISHED, True, how.phase),
        ]
    types = [ConditionType.FAILED, ConditionType.FINISHED, ConditionType.STALLED]
    if find(old.conditions, ConditionType.FAILURE_TARGET):
        types.append(ConditionType.FAILURE_TARGET)
    return [Wanted(kind, True, how.reason, how.words) for kind in types]


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
    if freezes_plan(world):
        plan = steps_of(execution, world.tasks)
        changes["plan"] = None if isinstance(plan, Unresolved) else plan
    return old.model_copy(
        update={
            "observed_generation": execution.meta.generation,
            # Stored in whole seconds: a fraction would differ from what is read back, for ever.
            "deadline": deadline_of(world).replace(microsecond=0),
            # Somebody may have written the last number there is.
            "status_version": min((old.status_version or 0) + 1, LAST_VERSION),
            **changes,
        }
    )
