"""One execution: what to do next.

    Pending ──► Running ──► Succeeded | Failed | Stopped      (a final phase never changes)
       └────────────┴─ FailureTarget: the verdict is stored, containers are still ending ─┘

The order is that of evidence: an attempt that ended by itself has its own verdict, whenever we
come to see it; what has not ended is judged by its clocks. So an operator that was away reaches
the verdict that one on duty would have reached.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from taskmill.api.duration import format_duration, parse_duration
from taskmill.api.execution import Step, TaskExecutionStatus
from taskmill.api.reasons import Phase, Reason
from taskmill.api.task import SCRIPT_BYTES
from taskmill.diagnose.ends import is_unexplained
from taskmill.diagnose.finding import Stage
from taskmill.diagnose.text import sentence
from taskmill.plan import names
from taskmill.plan import status as say
from taskmill.plan.attempt import Attempt, observe
from taskmill.plan.decision import (
    Action,
    CreateJob,
    Decision,
    ReadEvents,
    StopPod,
    TellEvent,
)
from taskmill.plan.endings import (
    CLOCK_GRAIN,
    ENDING_MARGIN,
    Ending,
    clock_of,
    completed,
    deadline_of,
    due,
    overran,
    passed,
    recorded,
    trouble_of,
)
from taskmill.plan.freeze import steps_of
from taskmill.plan.job import build_job, grace_period
from taskmill.plan.overlay import problem
from taskmill.plan.retire import retire
from taskmill.plan.world import ExecutionWorld, Trouble

FIRST_WORD = timedelta(seconds=3)
"""A run that starts sooner is never written as Pending: one write less for most runs."""
WORDS_APART = timedelta(seconds=10)
"""Least time between two writes that only change `message`."""
EVENTS_AFTER = timedelta(seconds=2)
EVENTS_APART = timedelta(seconds=60)
"""When the Events of a pod that does not start are read: before the first word, and at least."""

EVENT_LATE = timedelta(seconds=5)
"""How long after a container's end an Event about it may come."""

UNEXPLAINED = frozenset({None, Reason.IMAGE_PULL_FAILED})
"""Waiting for these is explained by Events only; the pull's own words leave out its secrets."""


def decide(world: ExecutionWorld, now: datetime) -> Decision:
    """The next status, actions and look of one execution."""
    execution = world.execution
    if execution.final:
        return retire(world, now)
    if execution.spec is None:
        return _conclude(world, Ending(Reason.INVALID_TASK, execution.invalid, now), None, now)
    steps = steps_of(execution, world.task)
    if steps is None:
        return _await_task(world, now)
    return _run(world, steps[0], now)


def _run(world: ExecutionWorld, step: Step, now: datetime) -> Decision:
    deadline = deadline_of(world)
    attempt = observe(world, step)
    # What runs already is not judged by a rule that came later.
    if attempt.job is None and (wrong := _wrong(world, step, deadline)):
        return _conclude(world, Ending(Reason.INVALID_TASK, wrong, now), None, now)
    if attempt.finding.stage is Stage.ENDED:
        if awaited := _await_events(world, attempt, now):
            return awaited
        return _conclude(world, recorded(world) or overran(attempt, deadline), attempt, now)
    ending = recorded(world) or due(world, attempt, deadline, now)
    if ending is None:
        trouble = trouble_of(world, attempt, now)
        return replace(_advance(world, attempt, deadline, now, trouble), trouble=trouble)
    given_up_at = ending.at + grace_period(attempt.task) + ENDING_MARGIN
    if attempt.finding.stage is Stage.RUNNING and now < given_up_at:
        return _stop(world, ending, attempt, now, given_up_at)
    return _conclude(world, ending, attempt, now)


def _await_events(world: ExecutionWorld, attempt: Attempt, now: datetime) -> Decision | None:
    """Before the verdict: a probe or hook that had it killed is told by an Event, maybe late."""
    pod, ended_at = attempt.pod, attempt.finding.finished_at
    if not pod or not is_unexplained(pod, world.events) or recorded(world):
        return None
    read_at, until = world.events_at, (ended_at or now) + EVENT_LATE
    if read_at is None or (now < until and now >= read_at + EVENT_LATE / 5):
        return Decision(None, (ReadEvents(pod.uid),), None)
    return Decision(None, (), min(until, read_at + EVENT_LATE / 5)) if now < until else None


def _wrong(world: ExecutionWorld, step: Step, deadline: datetime) -> str:
    """What the schema cannot refuse, in words; "" when all is well."""
    spec, limit = world.execution.spec, step.task.max_run_time
    # The schema counts characters.
    if len((step.task.script or "").encode()) > SCRIPT_BYTES:
        return f"step {step.id}: script is longer than {SCRIPT_BYTES // 1024} KiB"
    if said := problem(step.task.pod_template):
        return f"step {step.id}: {said}"
    if not limit or (spec and spec.deadline):
        return ""
    room = deadline - world.execution.meta.created_at
    # A stored deadline has lost its fraction of a second.
    if parse_duration(limit) < room + CLOCK_GRAIN:
        return ""
    return (
        f"step {step.id}: maxRunTime {limit} is longer than the whole execution may take "
        f"({format_duration(room)}); give spec.deadline, or timeout in its Task"
    )


def _await_task(world: ExecutionWorld, now: datetime) -> Decision:
    """Its Task does not exist yet: files may be applied in any order."""
    spec, deadline = world.execution.spec, deadline_of(world)
    name = spec.task_ref.name if spec and spec.task_ref else ""
    waits = f"waiting for Task {name}"
    if world.task and world.task.invalid:
        waits = f"{waits}: {world.task.invalid}"
    if spec and spec.desired_phase:
        return _conclude(world, Ending(Reason.STOPPED, "stopped on request", now), None, now)
    if now >= deadline:
        words = f"{passed(deadline)}; it was still {waits}"
        return _conclude(world, Ending(Reason.DEADLINE_EXCEEDED, words, now), None, now)
    told = say.waiting_for_task(world, sentence(waits), now)
    changed = say.differs(told, world.execution.status)
    return Decision(told if changed else None, (), deadline)


def _advance(
    world: ExecutionWorld,
    attempt: Attempt,
    deadline: datetime,
    now: datetime,
    trouble: Trouble | None,
) -> Decision:
    """Nothing is due: create what is missing, tell what it does, look again when a clock ends."""
    if attempt.job is None and (world.execution.meta.deleting or not world.owner_alive):
        # The garbage collector is on its way: nothing new is made, what runs still ends in time.
        return Decision(None, (), deadline)
    finding = attempt.finding
    since = finding.since or world.execution.meta.created_at
    looks = [deadline]
    actions: list[Action] = []
    if attempt.job is None:
        action, look = _create(world, attempt, deadline, now)
    else:
        action, look = _ask(world, attempt, since, now)
    if action:
        actions.append(action)
    if clock := clock_of(attempt):
        looks.append(since + clock.length)
    if trouble and finding.fails_after is not None:
        looks.append(trouble.since + finding.fails_after)
    told, tell_at = _tell(world, attempt, since, now)
    if told and (refusal := _refusal(world, attempt)):
        actions.append(refusal)
    looks.extend(filter(None, (look, tell_at)))
    return Decision(told, tuple(actions), min(looks))


def _create(
    world: ExecutionWorld, attempt: Attempt, deadline: datetime, now: datetime
) -> tuple[Action | None, datetime | None]:
    if world.refused and now < world.refused.again_at:
        return None, world.refused.again_at
    body = build_job(
        world.execution,
        attempt.step,
        attempt=attempt.number,
        deadline=deadline,
        now=now,
        limits=world.limits,
    )
    return CreateJob(body), None


def _ask(
    world: ExecutionWorld, attempt: Attempt, since: datetime, now: datetime
) -> tuple[Action | None, datetime | None]:
    """Read Events where the objects are silent: a pod that is not created, or does not start."""
    job, pod, stage = attempt.job, attempt.pod, attempt.finding.stage
    silent = (stage is Stage.QUEUED and pod is None) or stage is Stage.STARTING
    if job is None or job.suspended or not silent:
        return None, None
    if attempt.finding.reason not in UNEXPLAINED and not world.events:
        return None, None
    at = since + EVENTS_AFTER
    if world.events_at:
        # Soon at first, as an Event may be late; less often as the wait goes on.
        at = world.events_at + min(max(world.events_at - since, EVENTS_AFTER), EVENTS_APART)
    return (None, at) if now < at else (ReadEvents(pod.uid if pod else job.uid), None)


def _tell(
    world: ExecutionWorld, attempt: Attempt, since: datetime, now: datetime
) -> tuple[TaskExecutionStatus | None, datetime | None]:
    """The status that says what it does, and when there may be more to say."""
    finding, old = attempt.finding, world.execution.status
    doubted = bool(finding.shown_after) and now < since + finding.shown_after
    later = since + finding.shown_after if doubted else None
    told = say.going_on(world, attempt, now, doubted=doubted)
    if not say.is_news(told, old):
        return None, later
    starts = finding.stage is Stage.RUNNING and old.phase is not Phase.RUNNING
    if starts or say.freezes_plan(world):
        return told, later
    if old.phase is None:
        tried_at = world.refused.since if world.refused else now
        at = (attempt.job.created_at if attempt.job else tried_at) + FIRST_WORD
    else:
        at = world.written_at + WORDS_APART if world.written_at else now
    return (told, later) if now >= at else (None, at)


def _refusal(world: ExecutionWorld, attempt: Attempt) -> TellEvent | None:
    """The Event about what the API server did not let in, once for each reason."""
    finding = attempt.finding
    refused = attempt.job is None and world.refused is not None
    if finding.reason is None or not (refused or finding.reason is Reason.QUOTA_EXCEEDED):
        return None
    words = sentence(f"step {attempt.step.id}: {finding.sentence}")
    name = _event_name(world, attempt, f"refused {finding.reason}")
    return TellEvent(name, finding.reason, words)


def _event_name(world: ExecutionWorld, attempt: Attempt | None, about: str) -> str:
    meta, number = world.execution.meta, attempt.number if attempt else 1
    return names.event_name(execution=meta.name, uid=meta.uid, attempt=number, about=about)


def _stop(
    world: ExecutionWorld, why: Ending, attempt: Attempt, now: datetime, given_up_at: datetime
) -> Decision:
    """Store the verdict, then have the containers end in place."""
    pod = attempt.pod
    asked = pod is None or pod.ended or pod.deleting or pod.deadline_seconds == 1
    actions = () if asked or pod is None else (StopPod(pod.name, pod.uid),)
    told = None if recorded(world) else say.ending(world, why, attempt, now)
    return Decision(told, actions, given_up_at)


def _conclude(
    world: ExecutionWorld, why: Ending | None, attempt: Attempt | None, now: datetime
) -> Decision:
    """The final status; what still runs is deleted once it is stored."""
    if why and attempt:
        why = completed(why, attempt)
    verdict = say.final(world, why, attempt, now)
    concluded = replace(world, execution=replace(world.execution, status=verdict))
    decision = replace(retire(concluded, now), status=verdict)
    if verdict.phase is not Phase.FAILED:
        return decision
    event = TellEvent(
        _event_name(world, attempt, "ended"),
        verdict.reason or Reason.ERROR,
        verdict.failure_message or "",
    )
    return replace(decision, actions=(*decision.actions, event))
