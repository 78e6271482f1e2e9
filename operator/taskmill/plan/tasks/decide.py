"""One Task: which run to start, which finished ones to delete, and what its status says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from taskmill.api.duration import format_duration, parse_duration
from taskmill.api.reasons import Phase, Reason
from taskmill.diagnose.text import sentence
from taskmill.plan.decision import CreateExecution, Decision
from taskmill.plan.freeze import Plan, Unresolved, resolve
from taskmill.plan.overlay import problem
from taskmill.plan.tasks import history, overlap, rollup, ticks, trial, trigger
from taskmill.plan.tasks.rollup import State
from taskmill.plan.tasks.start import Start, execution
from taskmill.plan.tasks.ticks import Ticks
from taskmill.plan.tasks.trigger import Change
from taskmill.plan.world import Limits, Refused, Task, TaskWorld

ROLL_UP_APART = timedelta(seconds=1)
"""Least time between two writes of a Task's status."""


def decide(world: TaskWorld, now: datetime) -> Decision:
    """The next action, status and look of one Task."""
    task = world.task
    if task.meta.deleting:
        return Decision()
    change, schedule = trigger.seen(world), ticks.seen(world, now)
    wrong = _problem(task, world.limits) or schedule.wrong
    if not wrong and (tried := trial.wanted(world, now)):
        return Decision(None, (tried,))
    step = _next(world, change, schedule, wrong, now)
    if isinstance(step, CreateExecution):
        return Decision(None, (step,))
    status = rollup.rolled_up(world, change.triggered, step.schedule, step.state, now)
    deletions, of_age = history.outdated(world, now)
    looks = [*step.looks, *step.schedule.looks, trial.again_at(world), of_age]
    if status == task.status:
        return Decision(None, deletions, _soonest(looks, now))
    write_at = world.written_at + ROLL_UP_APART if world.written_at else now
    if now < write_at:
        # What is deleted has to be in the status that is stored before.
        return Decision(None, (), _soonest([*looks, write_at], now))
    return Decision(status, deletions, _soonest(looks, now))


@dataclass(frozen=True, slots=True)
class _Rest:
    """Nothing is started now."""

    state: State
    schedule: Ticks
    looks: tuple[datetime, ...] = ()


def _next(
    world: TaskWorld, change: Change, schedule: Ticks, wrong: str, now: datetime
) -> CreateExecution | _Rest:
    """The run to start, or why there is none."""
    spec = world.task.spec
    told = rollup.of_run(world, change.triggered)
    state = told or rollup.idle(world)
    plan = _plan(world, wrong, is_wanted=bool(change.due or schedule.due or told is None))
    is_hopeless = isinstance(plan, State) and plan.phase is Phase.FAILED
    if spec and spec.suspend and not is_hopeless:
        return _Rest(rollup.held_back() if change.due else state, schedule)
    if isinstance(plan, State):
        return _Rest(plan, schedule.unless_late(plan.message, now))
    start = _start(world, change, schedule, state, now)
    if isinstance(start, Start):
        return CreateExecution(execution(world, start, plan, now))
    return start


def _problem(task: Task, limits: Limits) -> str:
    """What the schema cannot refuse, in words."""
    spec = task.spec
    if spec is None:
        return task.invalid
    limit = None if spec.timeout else spec.max_run_time
    if limit and parse_duration(limit) > limits.timeout:
        return (
            f"spec.timeout must be given: maxRunTime {limit} is longer than "
            f"the operator's default of {format_duration(limits.timeout)}"
        )
    said = problem(spec.pod_template)
    return f"{rollup.SPEC}{said}" if said else ""


def _plan(world: TaskWorld, wrong: str, *, is_wanted: bool) -> Plan | State:
    """What would run, or why nothing can; empty where nobody asks."""
    if wrong:
        return State(Phase.FAILED, Reason.INVALID_TASK, sentence(wrong))
    if said := trial.refusal(world):
        return State(Phase.FAILED, Reason.REJECTED, said)
    if not is_wanted:
        return ()
    plan = resolve(world.task.meta.name, world.tasks)
    if not isinstance(plan, Unresolved):
        return plan
    if plan.reason is Reason.WAITING_FOR_TASK:
        return State(Phase.RUNNING, plan.reason, sentence(plan.sentence))
    # Some name steps, as a run's verdict may: from that they must differ.
    by_name = plan.sentence.startswith(rollup.DEPENDS_ON)
    words = plan.sentence if by_name else f"{rollup.SPEC}{rollup.DEPENDS_ON}: {plan.sentence}"
    return State(Phase.FAILED, plan.reason, sentence(words))


def _start(
    world: TaskWorld, change: Change, schedule: Ticks, state: State, now: datetime
) -> Start | _Rest:
    """One run in a pass: a change first, it is what somebody waits for."""
    busy, looks = overlap.busy(world), []
    if start := change.due:
        if busy:
            state = State(Phase.RUNNING, Reason.WAITING_FOR_SLOT, busy.waits)
        elif refused := _refused(world, start, now):
            state = rollup.refused(refused)
            looks.append(refused.again_at)
        else:
            return start
    if start := schedule.start:
        known = world.refused.get(start.name) or overlap.unanswered(world, now)
        schedule = schedule.unless_late(known.message if known else ticks.AWAY, now)
    if start := schedule.start:
        if busy:
            schedule = schedule.skip(busy.skipped)
        elif refused := _refused(world, start, now):
            state = rollup.refused(refused)
            looks.append(refused.again_at)
        else:
            return start
    return _Rest(state, schedule, tuple(looks))


def _refused(world: TaskWorld, start: Start, now: datetime) -> Refused | None:
    """Why it cannot be created yet; None when it may be tried."""
    refused = world.refused.get(start.name)
    if refused and now < refused.again_at:
        return refused
    return overlap.unanswered(world, now)


def _soonest(looks: Iterable[datetime | None], now: datetime) -> datetime | None:
    return min((at for at in looks if at and at > now), default=None)
