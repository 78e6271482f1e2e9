"""One execution: what to do next.

    Pending ◄─► Running ──► Succeeded | Failed | Stopped      (a final phase never changes)
       └────────────┴─ FailureTarget: the verdict is certain, containers are still ending ─┘

It is Pending again while all that it has to do waits: for another attempt, for its place back.

`steps` says where each step stands, `status` puts that into words; here it is decided whether
the execution has come to its end, when what is new is written, and what is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from taskmill.api.duration import format_duration, parse_duration
from taskmill.api.execution import Step, StepStatus, TaskExecutionStatus
from taskmill.api.reasons import Phase, Reason
from taskmill.api.task import SCRIPT_BYTES
from taskmill.diagnose.text import sentence
from taskmill.plan import graph, names
from taskmill.plan.decision import Action, Decision, LimitJob, TellEvent
from taskmill.plan.executions import status as say
from taskmill.plan.executions.endings import CLOCK_GRAIN, STOPPED, deadline_of, whole
from taskmill.plan.executions.retire import leftovers, retire
from taskmill.plan.executions.standing import Standing
from taskmill.plan.executions.status import Verdict
from taskmill.plan.executions.steps import event_name, jobs_in_use, look
from taskmill.plan.freeze import Plan, Unresolved, oversize, steps_of
from taskmill.plan.job import backstop, takes_args
from taskmill.plan.overlay import problem
from taskmill.plan.slots import waits_for
from taskmill.plan.world import ExecutionWorld

FIRST_WORD = timedelta(seconds=3)
"""A step that starts sooner is never written as Pending, and one that ends is written together
with the start of the next: a write less for each."""
WORDS_APART = timedelta(seconds=10)
"""Least time between two writes that only change `message`."""
APART_PER_STEP = timedelta(milliseconds=10)
"""Least time between two writes of a plan, for each of its steps: the API server needs up to a
second to take in a thousand of them."""
SMALL_PLAN = 20
"""Steps up to which each start is written at once."""
START_PATIENCE = timedelta(seconds=5)
WAIT_PATIENCE = timedelta(seconds=30)
"""How late it may be told, in a crowd, that something starts, and that something merely waits."""
BACKSTOP_SLACK = 5
"""Seconds by which Kubernetes' own deadline of a Job may be late."""


def decide(world: ExecutionWorld, now: datetime) -> Decision:
    """The next status, actions and look of one execution."""
    if world.execution.final:
        return retire(world, now)
    plan = _plan(world)
    if isinstance(plan, Unresolved):
        if plan.reason is Reason.INVALID_TASK:
            how = Verdict(Phase.FAILED, plan.reason, sentence(plan.sentence))
            return _conclude(world, (), how, now)
        return _wait(world, plan.reason, plan.sentence, now)
    if not _begun(world) and (turn := waits_for(world)):
        return _wait(world, Reason.WAITING_FOR_SLOT, turn, now)
    return _run(world, plan, now)


def _plan(world: ExecutionWorld) -> Plan | Unresolved:
    """The steps to run, or why there are none."""
    execution = world.execution
    if execution.spec is None:
        return Unresolved(Reason.INVALID_TASK, execution.invalid)
    plan = steps_of(execution, world.tasks)
    if isinstance(plan, Unresolved) or _begun(world):
        return plan
    wrong = _wrong(world, plan)
    return Unresolved(Reason.INVALID_TASK, wrong) if wrong else plan


def _begun(world: ExecutionWorld) -> bool:
    """Whether something of it has run already: that is not judged by a rule that came later."""
    uid = world.execution.meta.uid
    return bool(world.execution.status.steps) or any(job.owner_uid == uid for job in world.jobs)


def _run(world: ExecutionWorld, plan: Plan, now: datetime) -> Decision:
    deadline = deadline_of(world)
    why = whole(world, deadline, now)
    standings = look(world, plan, deadline, why, now)
    if how := say.verdict(standings, why):
        return _conclude(world, standings, how, now)
    leaves = world.execution.meta.deleting or not world.owner_alive
    if leaves and not why and not _begun(world):
        # It goes away with its owner, and nothing of it ever was.
        return Decision(None, (), deadline)
    told, tell_at = _tell(world, standings, now)
    refusals = tuple(_refusals(world, standings)) if told else ()
    over, over_at = leftovers(world, jobs_in_use(world, standings), now)
    actions: list[Action] = [*refusals]
    if say.target(standings) is None:
        actions.extend(one.creation for one in standings if one.creation)
    # Several may ask for the same.
    actions.extend(dict.fromkeys(action for one in standings for action in one.actions))
    for one in standings:
        actions.extend(_backstops(world, one, deadline, now))
    actions.extend(over)
    looks = [deadline, tell_at, over_at, *(one.look_at for one in standings)]
    return Decision(
        told,
        tuple(actions),
        # A deadline that has passed is looked at by those who wait for its consequences.
        min(filter(None, looks[1:] if why else looks), default=None),
        tuple(one.trouble for one in standings if one.trouble),
        # A refusal and its Event are told together.
        patience=_patience(world, standings) if told and not refusals else timedelta(),
    )


def _wrong(world: ExecutionWorld, plan: Plan) -> str:
    """What the schema cannot refuse, in words; "" when all is well."""
    if said := oversize(plan) or graph.problem(plan) or _wrong_run(world, plan):
        return said
    deadline = deadline_of(world)
    for step in plan:
        if said := _wrong_step(world, step, deadline):
            return f"step {step.id}: {said}"
    return ""


def _wrong_run(world: ExecutionWorld, plan: Plan) -> str:
    """What is wrong with the env and args of this run."""
    spec = world.execution.spec
    if spec is None:
        return ""
    if spec.args is not None and not any(takes_args(spec, step) for step in plan):
        return "args: no step is called like taskRef; give them in the plan"
    if spec.args is not None and len(plan) > 1 and all(takes_args(spec, step) for step in plan):
        return "args: of several steps none is called like taskRef; give them in the plan"
    for variable in spec.env or ():
        if variable.value_from and variable.value_from.output:
            return f"env {variable.name}: an output can only be taken in a step's own env"
    return ""


def _wrong_step(world: ExecutionWorld, step: Step, deadline: datetime) -> str:
    spec, limit = world.execution.spec, step.task.max_run_time
    # The schema counts characters.
    if len((step.task.script or "").encode()) > SCRIPT_BYTES:
        return f"script is longer than {SCRIPT_BYTES // 1024} KiB"
    if said := problem(step.task.pod_template):
        return said
    if not limit or (spec and spec.deadline):
        return ""
    room = max(timedelta(), deadline - world.execution.meta.created_at)
    # A stored deadline has lost its fraction of a second.
    if parse_duration(limit) < room + CLOCK_GRAIN:
        return ""
    return (
        f"maxRunTime {limit} is longer than the whole execution may take "
        f"({format_duration(room)}); give spec.deadline, or timeout in its Task"
    )


def _wait(world: ExecutionWorld, reason: Reason, waits: str, now: datetime) -> Decision:
    """Nothing of it exists yet: its Task is missing, or it is not its turn."""
    deadline = deadline_of(world)
    if why := whole(world, deadline, now):
        phase = Phase.STOPPED if why.reason in STOPPED else Phase.FAILED
        told = "" if why.reason is Reason.STOPPED else f"; it was still {waits}"
        return _conclude(world, (), Verdict(phase, why.reason, sentence(why.words + told)), now)
    status, old = say.waiting(world, reason, waits, now), world.execution.status
    if not say.is_news(status, old):
        return Decision(None, (), deadline)
    if old.phase and world.written_at and now < (at := world.written_at + WORDS_APART):
        return Decision(None, (), min(at, deadline))
    # Who has waited for a slot is known by its being told.
    patience = timedelta() if reason is Reason.WAITING_FOR_SLOT else START_PATIENCE
    return Decision(status, (), deadline, patience=patience)


# -- what is written, and when --------------------------------------------------------------------


def _tell(
    world: ExecutionWorld, standings: Sequence[Standing], now: datetime
) -> tuple[TaskExecutionStatus | None, datetime | None]:
    """The status to store now, or when to look whether there still is something to say."""
    old = world.execution.status
    told = say.going_on(world, standings, now)
    if not say.is_news(told, old):
        return None, None
    if _must(world, standings):
        return told, None
    at = min(_moments(world, standings, now), default=None)
    if at is None and old.phase is not None and not any(one.held for one in standings):
        at = world.written_at + WORDS_APART if world.written_at else now
    return (told, None) if at and now >= at else (None, at)


def _patience(world: ExecutionWorld, standings: Sequence[Standing]) -> timedelta:
    if _must(world, standings):
        return timedelta()
    begun = any(one.final or _runs(one.status) for one in standings)
    explained = any(one.status and one.status.reason for one in standings)
    return START_PATIENCE if begun or explained else WAIT_PATIENCE


def _must(world: ExecutionWorld, standings: Sequence[Standing]) -> bool:
    """Whether something rests on what is told being stored."""
    return any(one.must for one in standings) or say.freezes_plan(world)


def _moments(
    world: ExecutionWorld, standings: Sequence[Standing], now: datetime
) -> Iterator[datetime]:
    """When each start or end of a step that is new is worth a write."""
    before = {status.id: status for status in world.execution.status.steps or ()}
    apart = APART_PER_STEP * len(standings) if len(standings) > SMALL_PLAN else timedelta()
    since = (world.written_at or datetime.min.replace(tzinfo=now.tzinfo)) + apart
    for one in standings:
        known = before.get(one.step.id)
        if one.status is None or one.status == known:
            continue
        if (one.status.phase is Phase.RUNNING) != _runs(known) and not one.final:
            yield since  # it starts, or has lost its place again
        elif one.final:
            yield max(since, (one.status.completed_at or now) + FIRST_WORD)
        elif known is None and (asked := _asked_at(one)):
            yield max(since, asked + FIRST_WORD)


def _runs(known: StepStatus | None) -> bool:
    return known is not None and known.phase is Phase.RUNNING


def _asked_at(one: Standing) -> datetime | None:
    attempt = one.attempt
    if attempt and attempt.job:
        return attempt.job.created_at
    return attempt.refused.since if attempt and attempt.refused else None


def _refusals(world: ExecutionWorld, standings: Sequence[Standing]) -> Iterator[TellEvent]:
    """The Events about what the API server did not let in, once for each reason."""
    told = {step.reason for step in world.execution.status.steps or ()}
    for one in standings:
        attempt = one.attempt
        if attempt is None or one.final or (reason := attempt.finding.reason) is None:
            continue
        if reason in told:
            continue
        refused = attempt.job is None and attempt.refused is not None
        if refused or reason is Reason.QUOTA_EXCEEDED:
            told.add(reason)
            words = sentence(f"step {one.step.id}: {attempt.finding.sentence}")
            yield TellEvent(event_name(world, attempt, f"refused {reason}"), reason, words)


def _backstops(
    world: ExecutionWorld, one: Standing, deadline: datetime, now: datetime
) -> Iterator[LimitJob]:
    """Kubernetes' own clock starts anew when a Job is resumed; the deadline does not."""
    job = one.attempt.job if one.attempt and one.active else None
    if job is None or job.suspended or not job.started_at or job.deadline_seconds is None:
        return
    if (refused := world.refused.get(job.name)) and now < refused.again_at:
        return
    wanted = backstop(deadline, one.step.task, job.started_at)
    if job.deadline_seconds > wanted + BACKSTOP_SLACK:
        yield LimitJob(job.name, job.uid, wanted)


def _conclude(
    world: ExecutionWorld, standings: Sequence[Standing], how: Verdict, now: datetime
) -> Decision:
    """The final status; what still runs is deleted once it is stored."""
    verdict = say.final(world, standings, how, now)
    concluded = replace(world, execution=replace(world.execution, status=verdict))
    decision = replace(retire(concluded, now), status=verdict)
    if verdict.phase is not Phase.FAILED:
        return decision
    meta = world.execution.meta
    name = names.event_name(execution=meta.name, uid=meta.uid, attempt=0, about="verdict")
    event = TellEvent(name, verdict.reason or Reason.ERROR, verdict.failure_message or "")
    return replace(decision, actions=(*decision.actions, event))
