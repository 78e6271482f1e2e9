"""Where each step of a plan stands, and what is to be done about it.

    absent ──► Pending ──► Running ──► Succeeded | Failed | Stopped     (stored once, never changed)
                  ▲            │
                  └── retry ───┘   `attempt` counts up; the one before is kept in `attempts`

The order is that of evidence: an attempt that ended by itself has its own verdict, whenever we
come to see it; what has not ended is judged by its clocks. So an operator that was away reaches
the verdict that one on duty would have reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from taskmill.api.duration import later
from taskmill.api.execution import AttemptStatus, Step, StepStatus, TaskExecutionStatus
from taskmill.api.meta import rfc3339
from taskmill.api.reasons import ConditionType, Phase, Reason
from taskmill.diagnose.ends import usual_payer
from taskmill.diagnose.finding import Stage
from taskmill.diagnose.text import quote, sentence
from taskmill.plan import names, outputs
from taskmill.plan.conditions import find
from taskmill.plan.decision import (
    Action,
    CreateJob,
    ReadEvents,
    StopPod,
    TellEvent,
)
from taskmill.plan.executions.attempt import Attempt, family, name_of, observe, predecessor
from taskmill.plan.executions.endings import (
    ENDING_MARGIN,
    Ending,
    Whole,
    clock_of,
    completed,
    due,
    ended_by,
    overran,
    recorded,
    trouble_of,
)
from taskmill.plan.executions.questions import ask_before, await_words, silent
from taskmill.plan.executions.retry import Failure, follow
from taskmill.plan.executions.standing import Round, Standing
from taskmill.plan.graph import order
from taskmill.plan.job import build_job, grace_period
from taskmill.plan.world import ExecutionWorld, Refusal, Trouble

EVENTS_AFTER = timedelta(seconds=2)
EVENTS_APART = timedelta(seconds=60)
"""When the Events of a pod that does not start are read: before the first word, and at least."""
RECORD_CHARS = 200
"""Longest message of an earlier attempt."""

UNEXPLAINED = frozenset({None, Reason.IMAGE_PULL_FAILED})
"""Waiting for these is explained by Events only; the pull's own words leave out its secrets."""

Outputs = Mapping[str, Mapping[str, str]]

EVER = datetime.min.replace(tzinfo=UTC)
"""Before all that is seen."""


def look(
    world: ExecutionWorld,
    plan: tuple[Step, ...],
    deadline: datetime,
    why: Whole | None,
    now: datetime,
) -> list[Standing]:
    """Where every step stands, in the order of the plan; `why` all of them must end, if so."""
    status = world.execution.status
    last = {record.step: record for record in status.attempts or ()}
    this = Round(world, family(world), why, deadline, now, last)
    known = {one.id: one for one in status.steps or ()}
    ordered = order(plan)
    failing = _failed_before(status)
    found = _look(this, ordered, known, failing)
    if failing is None and why is None and (failing := _failed_now(found.values(), now)):
        # Nothing starts any more, and what failed later is not tried again.
        certain = {one.step.id: one for one in found.values() if one.certain}
        found = _look(this, ordered, known, failing, certain)
    # What stands in a circle is in no order.
    return [found.get(step.id) or Standing(step) for step in plan]


def _look(
    this: Round,
    ordered: Iterable[Step],
    known: Mapping[str, StepStatus],
    failing: datetime | None,
    certain: Mapping[str, Standing] = MappingProxyType({}),
) -> dict[str, Standing]:
    """Where each step stands, by its id; `failing`: since when the plan has been failing.

    `certain`: where some of them are known to stand.
    """
    written = {status.id: status.output for status in known.values() if status.output}
    found: dict[str, Standing] = {}
    for step in ordered:
        status = known.get(step.id)
        if status and status.phase.final:
            found[step.id] = Standing(step, status)
            continue
        if step.id in certain:
            found[step.id] = certain[step.id]
            continue
        if not all(_succeeded(found[below]) for below in step.depends_on or ()):
            found[step.id] = Standing(step)
            continue
        one = found[step.id] = _stand(this, step, status, written, failing)
        if one.final and one.status:
            if this.whole and not _succeeded(one):
                failing = EVER
            if one.status.output:
                written[step.id] = one.status.output
    return found


def _failed_before(status: TaskExecutionStatus) -> datetime | None:
    """Whether the verdict was certain before this pass: it stays so."""
    ended = any(one.phase in (Phase.FAILED, Phase.STOPPED) for one in status.steps or ())
    return EVER if ended or find(status.conditions, ConditionType.FAILURE_TARGET) else None


def _failed_now(found: Iterable[Standing], now: datetime) -> datetime | None:
    """When the first of those steps failed whose failure is final."""
    ends = [
        (one.status.completed_at if one.final else None) or now
        for one in found
        if one.status and one.certain
    ]
    return min(ends, default=None)


def _succeeded(standing: Standing) -> bool:
    return standing.status is not None and standing.status.phase is Phase.SUCCEEDED


def _stand(
    this: Round,
    step: Step,
    known: StepStatus | None,
    written: Outputs,
    failed_at: datetime | None,
) -> Standing:
    attempt = observe(this.world, this.among, step, known)
    ended_at = attempt.finding.finished_at
    # What ended before the plan failed is judged as if it had been seen then.
    failing = failed_at is not None and not (ended_at and ended_at <= failed_at)
    if attempt.job is None and attempt.finding.stage is not Stage.ENDED:
        return _unmade(this, attempt, known, written, failing=failing)
    if attempt.finding.stage is Stage.ENDED:
        waits = await_words(this, attempt, known)
        return waits or _ended(this, attempt, known, written, failing=failing)
    if followed := _given_up(this, attempt, known, failing=failing):
        return followed
    trouble = trouble_of(this.world, attempt, this.moment)
    ending = recorded(known) or _due(this, attempt, trouble)
    if ending is None:
        return _goes_on(this, attempt, known, trouble)
    if asks := ask_before(this, attempt, known, ending):
        return replace(asks, trouble=trouble)
    return _end(this, attempt, known, ending, failing=failing)


def _end(
    this: Round, attempt: Attempt, known: StepStatus | None, ending: Ending, *, failing: bool
) -> Standing:
    """It must end: have it stop as long as it may, then it has failed."""
    # What was told to stop is waited for, whatever its pod says in between.
    stopping = recorded(known) is not None and attempt.pod is not None
    runs = stopping or attempt.finding.stage is Stage.RUNNING
    if runs and this.moment < _given_up_at(ending, attempt):
        return _stop(this, attempt, known, ending, failing=failing)
    return _failed(this, attempt, known, completed(ending, attempt), failing=failing)


def _due(this: Round, attempt: Attempt, trouble: Trouble | None) -> Ending | None:
    if this.whole:
        return ended_by(this.whole, attempt)
    return due(this.world, attempt, trouble, this.moment)


# -- before there is a Job ------------------------------------------------------------------------


def _unmade(
    this: Round,
    attempt: Attempt,
    known: StepStatus | None,
    written: Outputs,
    *,
    failing: bool,
) -> Standing:
    """A step that may start, or another attempt of one."""
    step, now = attempt.step, this.moment
    if attempt.number > 1 and known:
        if standing := _between(this, attempt, known, failing=failing):
            return standing
    elif failing:
        return Standing(step)
    trouble = trouble_of(this.world, attempt, now)
    ending = _due(this, attempt, trouble)
    if ending is None and (wrong := outputs.missing(step.task, written)):
        ending = Ending(Reason.INVALID_TASK, f"step {step.id}: {wrong}", now)
    if ending:
        asks = ask_before(this, attempt, known, ending)
        return asks or _failed(this, attempt, known, ending, failing=failing)
    standing = _goes_on(this, attempt, known, trouble)
    if this.world.execution.meta.deleting or not this.world.owner_alive:
        # The garbage collector is on its way: nothing new is made, what runs still ends in time.
        return standing
    refusals = [one for one in this.world.refused.values() if one.kind is Refusal.QUOTA]
    if attempt.refused:
        refusals.append(attempt.refused)
    # Where there is no room for one step there is none for another.
    again_at = max((one.again_at for one in refusals), default=now)
    if now < again_at:
        return replace(standing, look_at=min(filter(None, [standing.look_at, again_at])))
    body = build_job(
        this.world.execution,
        step,
        attempt=attempt.number,
        deadline=this.deadline,
        now=now,
        limits=this.world.limits,
        written=written,
        memory_limit=known.memory_limit if known else None,
    )
    return replace(standing, creation=CreateJob(body))


def _between(this: Round, attempt: Attempt, known: StepStatus, *, failing: bool) -> Standing | None:
    """What holds the next attempt back; None when nothing does."""
    last = this.last.get(attempt.step.id)
    reason, cause = known.reason, "the attempt before failed"
    if last:
        reason, cause = last.reason, last.message or str(last.reason)
    if failing and this.whole is None:
        why = Ending(reason or Reason.ERROR, f"step {attempt.step.id}: {cause}", this.moment)
        return _failed(this, attempt, known, why, failing=True)
    if this.whole:
        words = (
            f"{this.whole.words}; step {attempt.step.id} was waiting for attempt"
            f" {attempt.number}: {cause}"
        )
        why = Ending(this.whole.reason, words, this.whole.at)
        asks = ask_before(this, attempt, known, why)
        return asks or _failed(this, attempt, known, why, failing=failing)
    if known.next_attempt_at and this.moment < known.next_attempt_at:
        words, look_at = _announced(cause, known), known.next_attempt_at
        return Standing(attempt.step, known, attempt, words=words, look_at=look_at)
    retry = attempt.task.retry
    lost = reason is Reason.NODE_LOST and retry and retry.on_node_lost == "Now"
    pod = predecessor(this.world, this.among, attempt)
    if pod and not lost:
        words = f"{cause}; attempt {attempt.number} waits until pod {pod.name}"
        words += f" on node {pod.node} is gone" if pod.node else " is gone"
        return Standing(attempt.step, known, attempt, words=words)
    return None


def _announced(cause: str, status: StepStatus) -> str:
    at = rfc3339(status.next_attempt_at) if status.next_attempt_at else "its turn"
    return f"{cause}; attempt {status.attempt} starts at {at}"


# -- while it goes on -----------------------------------------------------------------------------


def _goes_on(
    this: Round, attempt: Attempt, known: StepStatus | None, trouble: Trouble | None
) -> Standing:
    """Nothing is due: say what it does, look again when a clock ends."""
    finding, now = attempt.finding, this.moment
    since = finding.since or this.world.execution.meta.created_at
    doubted = bool(finding.shown_after) and now < since + finding.shown_after
    words = "waiting for a node" if doubted else finding.sentence
    looks = [since + finding.shown_after] if doubted else []
    if clock := clock_of(attempt):
        looks.append(since + clock.length)
    if trouble and finding.fails_after is not None:
        fails_at = trouble.since + finding.fails_after
        looks.append(fails_at)
        words = f"{words}; it fails at {rfc3339(fails_at)}" if finding.fails_after else words
    action, look_at = _ask(this, attempt, since)
    if look_at:
        looks.append(look_at)
    running = finding.stage is Stage.RUNNING
    status = _status(
        attempt,
        known,
        phase=Phase.RUNNING if running else Phase.PENDING,
        reason=None if doubted else finding.reason,
    )
    return Standing(
        attempt.step,
        status,
        attempt,
        words=words,
        actions=(action,) if action else (),
        look_at=min(looks, default=None),
        trouble=trouble,
    )


def _ask(this: Round, attempt: Attempt, since: datetime) -> tuple[Action | None, datetime | None]:
    """Read Events where the objects are silent: a pod that is not created, or does not start."""
    about = silent(attempt)
    if about is None:
        return None, None
    heard = this.world.heard.get(about)
    if attempt.finding.reason not in UNEXPLAINED and not (heard and heard.events):
        return None, None
    at = since + EVENTS_AFTER
    if heard:
        # Soon at first, as an Event may be late; less often as the wait goes on.
        at = heard.at + min(max(heard.at - since, EVENTS_AFTER), EVENTS_APART)
    return (None, at) if this.moment < at else (ReadEvents(about, patient=True), None)


def _given_up_at(ending: Ending, attempt: Attempt) -> datetime:
    return later(ending.at, grace_period(attempt.task) + ENDING_MARGIN)


def _stop(
    this: Round, attempt: Attempt, known: StepStatus | None, ending: Ending, *, failing: bool
) -> Standing:
    """Store why, then have the containers end in place."""
    pod, follows = attempt.pod, False
    if this.whole is None and not failing:
        failure = Failure(ending.reason, ending.payer, None, this.moment)
        uid = this.world.execution.meta.uid
        follows = follow(attempt, known, failure, uid=uid, deadline=this.deadline).at is not None
    asked = pod is None or pod.ended or pod.deleting or pod.deadline_seconds == 1
    status = _status(
        attempt,
        known,
        phase=Phase.RUNNING,
        reason=ending.reason,
        failure_message=sentence(ending.sentence),
        stopping_since=ending.at.replace(microsecond=0),
    )
    return Standing(
        attempt.step,
        status,
        attempt,
        must=known is None or known.stopping_since is None,
        words=ending.sentence.removeprefix(f"step {attempt.step.id}: ") if follows else "",
        may_follow=follows,
        actions=() if asked or pod is None else (StopPod(pod.name, pod.uid),),
        look_at=_given_up_at(ending, attempt),
    )


# -- its end --------------------------------------------------------------------------------------


def _given_up(
    this: Round, attempt: Attempt, known: StepStatus | None, *, failing: bool
) -> Standing | None:
    """With onNodeLost: Now, what follows a pod that Kubernetes gave up and nobody saw end."""
    pod, retry = attempt.pod, attempt.task.retry
    lost = attempt.finding.reason is Reason.NODE_LOST and pod is not None and pod.deleting
    if not lost or pod is None or retry is None or retry.on_node_lost != "Now" or recorded(known):
        return None
    words = f"step {attempt.step.id}: node {pod.node} does not answer and its pod was given up"
    why = Ending(Reason.NODE_LOST, words, this.moment, usual_payer(Reason.NODE_LOST))
    standing = _failed(this, attempt, known, why, failing=failing)
    # Without another attempt to come, this one may still end well.
    return None if standing.final else standing


def _ended(
    this: Round,
    attempt: Attempt,
    known: StepStatus | None,
    written: Outputs,
    *,
    failing: bool,
) -> Standing:
    """It has ended by itself, or because it was told to."""
    finding = attempt.finding
    ending = recorded(known) or overran(attempt, this.deadline)
    if ending:
        return _failed(this, attempt, known, completed(ending, attempt), failing=failing)
    at, step = finding.finished_at or this.moment, attempt.step
    if not finding.succeeded:
        words = f"step {step.id}: {finding.sentence}"
        own = Ending(finding.reason or Reason.ERROR, words, at, finding.payer)
        return _failed(this, attempt, known, own, failing=failing)
    main = attempt.pod.main if attempt.pod else None
    message = main.ended.message if main and main.ended else ""
    containers = len(attempt.pod.containers) if attempt.pod else 1
    if wrong := outputs.too_much(message, written, containers=containers):
        why = Ending(Reason.INVALID_TASK, f"step {step.id}: {wrong}", at)
        return _failed(this, attempt, known, why, failing=failing)
    status = _status(attempt, known, phase=Phase.SUCCEEDED, output=outputs.parse(message) or None)
    # Stored before anything is made of it: together outputs are limited, and judged only once; a
    # Job that is suspended would run again, and goes once its success is stored.
    must = bool(status.output) or bool(attempt.job and attempt.job.suspended)
    return Standing(step, status, attempt, must=must)


def _failed(
    this: Round, attempt: Attempt, known: StepStatus | None, why: Ending, *, failing: bool
) -> Standing:
    """The attempt has failed of `why`: another one follows, or the step has its verdict."""
    finding, words = attempt.finding, sentence(why.sentence)
    if this.whole is None:
        at = finding.finished_at or this.moment
        failure = Failure(why.reason, why.payer, finding.exit_code, at)
        meta = this.world.execution.meta
        after = follow(attempt, known, failure, uid=meta.uid, deadline=this.deadline)
        told = sentence("; ".join(filter(None, (why.sentence, after.words))))
        if after.at and not failing:
            status = StepStatus(
                id=attempt.step.id,
                phase=Phase.PENDING,
                reason=Reason.of(why.reason),
                attempt=attempt.number + 1,
                infra_retries=after.infra_retries or None,
                next_attempt_at=after.at,
                memory_limit=after.memory_limit,
            )
            event = TellEvent(event_name(this.world, attempt, "ended"), why.reason, told)
            record = _record(attempt, why, this.moment)
            return Standing(
                attempt.step,
                status,
                replace(attempt, number=attempt.number + 1, job=None, pod=None),
                words=_announced(record.message or why.reason, status),
                must=True,
                record=record,
                actions=(event,),
                look_at=after.at if after.at > this.moment else None,
            )
        words = words if after.at else told
    status = _status(attempt, known, phase=why.phase, reason=why.reason, failure_message=words)
    # That the plan fails is stored at once; what ends of it then waits for others.
    must = not failing or finding.stage is not Stage.ENDED
    return Standing(attempt.step, status, attempt, must=must)


def event_name(world: ExecutionWorld, attempt: Attempt, about: str) -> str:
    """Name of the Event about an attempt and matter."""
    meta, about = world.execution.meta, f"{about} {attempt.step.id}"
    return names.event_name(execution=meta.name, uid=meta.uid, attempt=attempt.number, about=about)


def _record(attempt: Attempt, why: Ending, now: datetime) -> AttemptStatus:
    finding = attempt.finding
    return AttemptStatus(
        step=attempt.step.id,
        attempt=attempt.number,
        reason=Reason.of(why.reason),
        message=quote(why.sentence.removeprefix(f"step {attempt.step.id}: "), RECORD_CHARS),
        exit_code=finding.exit_code,
        job_name=attempt.job.name if attempt.job else None,
        started_at=finding.started_at,
        completed_at=finding.finished_at or now,
    )


def _status(
    attempt: Attempt,
    known: StepStatus | None,
    *,
    phase: Phase,
    reason: str | None = None,
    **more: object,
) -> StepStatus:
    finding, job, pod = attempt.finding, attempt.job, attempt.pod
    ended = phase.final
    status = StepStatus(
        id=attempt.step.id,
        phase=phase,
        reason=None if reason is None else Reason.of(reason),
        exit_code=finding.exit_code if ended else None,
        signal=finding.signal if ended else None,
        job_name=job.name if job else None,
        pod_name=pod.name if pod else None,
        node=(pod.node or None) if pod else None,
        attempt=attempt.number,
        infra_retries=known.infra_retries if known else None,
        memory_limit=known.memory_limit if known else None,
        started_at=finding.started_at,
        completed_at=finding.finished_at if ended else None,
    )
    return status.model_copy(update=more) if more else status


def jobs_in_use(world: ExecutionWorld, standings: Iterable[Standing]) -> frozenset[str]:
    """Names of the Jobs of attempts that go on."""
    return frozenset(
        name_of(world, one.step.id, one.attempt.number)
        for one in standings
        if one.active and one.attempt
    )
