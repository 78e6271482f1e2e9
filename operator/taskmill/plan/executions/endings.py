"""Why something must end although its containers would go on: stops, deadlines, clocks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from taskmill.api.duration import format_duration, parse_duration
from taskmill.api.execution import StepStatus
from taskmill.api.meta import rfc3339
from taskmill.api.reasons import Payer, Phase, Reason
from taskmill.diagnose.ends import usual_payer
from taskmill.diagnose.finding import Stage
from taskmill.diagnose.words import SIGKILL_CODE
from taskmill.plan.executions.attempt import Attempt
from taskmill.plan.job import grace_period, start_timeout
from taskmill.plan.slots import replaced_by
from taskmill.plan.world import ExecutionWorld, Trouble

ENDING_MARGIN = timedelta(seconds=10)
"""On top of the grace period: containers that are not seen to end by then are given up."""
CLOCK_GRAIN = timedelta(seconds=1)
"""Kubernetes cuts times down to seconds: a container may have started this much later."""

OF_ALL = frozenset({Reason.STOPPED, Reason.KILLED, Reason.REPLACED, Reason.DEADLINE_EXCEEDED})
"""What ends an execution with all its steps; every other reason is one step's own."""
STOPPED = frozenset({Reason.STOPPED, Reason.KILLED, Reason.REPLACED})


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a step must end, decided at `at`."""

    reason: str
    sentence: str
    at: datetime
    payer: Payer | None = None
    """Who pays for another attempt."""

    @property
    def phase(self) -> Phase:
        """The final phase it leads to."""
        return Phase.STOPPED if self.reason in STOPPED else Phase.FAILED


@dataclass(frozen=True, slots=True)
class Whole:
    """Why the execution ends with all its steps; `words` begin every step's sentence."""

    reason: Reason
    words: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Clock:
    """How long an attempt may stay in its stage, and what is said when it does not leave it."""

    length: timedelta
    reason: Reason
    sentence: str


def deadline_of(world: ExecutionWorld) -> datetime:
    """The instant at which all is over: given, stored, or from the timeout."""
    execution, task = world.execution, world.task
    if execution.spec and execution.spec.deadline:
        return execution.spec.deadline
    bare = execution.spec is not None and execution.spec.plan is None
    if execution.status.deadline and not (bare and execution.status.plan is None):
        return execution.status.deadline
    timeout = world.limits.timeout
    if bare and task and task.spec and task.spec.timeout:
        timeout = parse_duration(task.spec.timeout)
    return execution.meta.created_at + timeout


def whole(world: ExecutionWorld, deadline: datetime, now: datetime) -> Whole | None:
    """Why all of it must end now; None while it may go on."""
    spec = world.execution.spec
    if spec and spec.desired_phase:
        return Whole(Reason.STOPPED, "stopped on request", now)
    if now >= deadline:
        return Whole(Reason.DEADLINE_EXCEEDED, passed(deadline), now)
    if newer := replaced_by(world):
        return Whole(Reason.REPLACED, f"replaced by {newer}", now)
    return None


def recorded(known: StepStatus | None) -> Ending | None:
    """The ending that an earlier pass stored before it began to stop the step."""
    if known is None or known.stopping_since is None or known.reason is None:
        return None
    payer = usual_payer(known.reason) if known.reason in set(Reason) else None
    return Ending(known.reason, known.failure_message or "", known.stopping_since, payer)


def trouble_of(world: ExecutionWorld, attempt: Attempt, now: datetime) -> Trouble | None:
    """What ails the attempt and is fatal when it lasts, since it was seen first."""
    finding = attempt.finding
    if finding.fails_after is None or not finding.reason:
        return None
    job_uid = attempt.job.uid if attempt.job else ""
    for known in world.troubles:
        if (known.job_uid, known.reason) == (job_uid, finding.reason):
            return known
    return Trouble(job_uid, finding.reason, now)


def ended_by(reason: Whole, attempt: Attempt) -> Ending:
    """How the end of all of it ends one step."""
    words = f"{reason.words}; step {attempt.step.id} {_doing(attempt)}"
    return Ending(reason.reason, words, reason.at)


def due(
    world: ExecutionWorld, attempt: Attempt, trouble: Trouble | None, now: datetime
) -> Ending | None:
    """The first ending of its own that is due for a step, in the order of the table of reasons."""
    step, finding = attempt.step, attempt.finding
    if trouble and finding.fails_after is not None and now >= trouble.since + finding.fails_after:
        words = f"step {step.id}: {finding.sentence}"
        return Ending(trouble.reason, words, now, finding.payer)
    since = finding.since or world.execution.meta.created_at
    clock = clock_of(attempt)
    if clock is None or now < since + clock.length:
        return None
    # The known cause says more than the name of the clock.
    known = finding.reason if finding.stage is not Stage.RUNNING else None
    told = f": {finding.sentence}" if finding.sentence else ""
    return Ending(
        known or clock.reason,
        f"step {step.id}: {clock.sentence}{told}",
        now,
        finding.payer if known else usual_payer(clock.reason),
    )


def overran(attempt: Attempt, deadline: datetime) -> Ending | None:
    """What an operator on duty would have ended, although it is seen only after its end."""
    finding, step = attempt.finding, attempt.step
    at, limit = finding.finished_at, attempt.task.max_run_time
    if at is None:
        return None
    if at > deadline:
        ran = "was still running" if finding.started_at else "had not started"
        words = f"{passed(deadline)}; step {step.id} {ran}"
        return Ending(Reason.DEADLINE_EXCEEDED, words, at)
    if limit and finding.started_at and at - finding.started_at > parse_duration(limit):
        words = f"step {step.id}: ran longer than maxRunTime {limit}"
        reason = Reason.MAX_RUN_TIME_EXCEEDED
        return Ending(reason, words, at, usual_payer(reason))
    return None


def clock_of(attempt: Attempt) -> Clock | None:
    """The clock of the stage the attempt is in."""
    task, stage = attempt.task, attempt.finding.stage
    # What was not asked for yet does not wait for room.
    if stage is Stage.QUEUED and task.queue_timeout and attempt.finding.since:
        words = f"waited for room longer than queueTimeout {task.queue_timeout}"
        return Clock(parse_duration(task.queue_timeout), Reason.QUEUED, words)
    if stage is Stage.STARTING:
        length = start_timeout(task)
        words = f"did not start within startTimeout {format_duration(length)}"
        return Clock(length, Reason.START_FAILED, words)
    # What is not known to have started has no clock that runs.
    if stage is Stage.RUNNING and task.max_run_time and attempt.finding.started_at:
        words = f"ran longer than maxRunTime {task.max_run_time}"
        length = parse_duration(task.max_run_time) + CLOCK_GRAIN
        return Clock(length, Reason.MAX_RUN_TIME_EXCEEDED, words)
    return None


def completed(ending: Ending, attempt: Attempt) -> Ending:
    """The ending, its sentence completed with what became of the container."""
    finding, grace = attempt.finding, grace_period(attempt.task)
    if finding.stage is Stage.RUNNING:
        waited = format_duration(grace + ENDING_MARGIN)
        words = f"{ending.sentence}; its container was not seen to end within {waited}"
        return replace(ending, sentence=words)
    if finding.stage is not Stage.ENDED:
        return ending
    if finding.exit_code == SIGKILL_CODE:
        # Ours, and not the kernel's for its memory.
        end = f"it did not end within {format_duration(grace)} and was killed"
        said = ": ".join(filter(None, (end, finding.last_words)))
        killed = Reason.KILLED if ending.reason == Reason.STOPPED else ending.reason
        return replace(ending, reason=killed, sentence=f"{ending.sentence}; {said}")
    outcome = "exit code 0" if finding.succeeded else finding.outcome
    told = f"{ending.sentence}; it ended with {outcome}" if outcome else ending.sentence
    return replace(ending, sentence=told)


def passed(deadline: datetime) -> str:
    """The beginning of every sentence about a deadline."""
    return f"deadline {rfc3339(deadline)} passed"


def _doing(attempt: Attempt) -> str:
    finding = attempt.finding
    if finding.stage is Stage.RUNNING and finding.since:
        told = f": {finding.sentence}" if finding.sentence else ""
        return f"was running since {rfc3339(finding.since)}{told}"
    return f"was still waiting: {finding.sentence}" if finding.sentence else "had not started"
