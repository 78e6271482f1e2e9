"""What a Task's schedule starts: each of its times at most once, of missed ones the latest.

status.nextScheduleTime is what it waits for. A time is due once that has come, however long ago:
nothing depends on being there at the moment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from taskmill.api.duration import format_duration, parse_duration
from taskmill.api.meta import parse_rfc3339, rfc3339
from taskmill.api.task import SkippedTime
from taskmill.diagnose.text import sentence
from taskmill.plan import names
from taskmill.plan.tasks.schedule import Schedule, ScheduleError
from taskmill.plan.tasks.start import Start
from taskmill.plan.world import Execution, Task, TaskWorld

STARTED_BY = "Schedule"
AWAY = "the operator was away"
"""Why a time that could have been started was not."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""No clock shows less: what a status has from before, somebody scribbled there."""


@dataclass(frozen=True, slots=True)
class Due:
    """A time of the schedule that has come."""

    start: Start
    tick: datetime
    following: datetime | None
    """What to wait for once this one is started or skipped."""
    starting_deadline: str | None

    @property
    def too_late_at(self) -> datetime | None:
        """When it may not be started any more; None when it always may."""
        if self.starting_deadline is None:
            return None
        # In whole seconds, as all moments of a status.
        return self.tick + parse_duration(self.starting_deadline) + timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Ticks:
    """What the schedule asks for, and what the status says of it."""

    last: datetime | None
    next: datetime | None
    skipped: SkippedTime | None
    due: Due | None = None
    wrong: str = ""
    """Why the schedule cannot be read; "" when it can, or there is none."""

    @property
    def start(self) -> Start | None:
        """The run that is due."""
        return self.due.start if self.due else None

    @property
    def looks(self) -> tuple[datetime | None, ...]:
        """When it asks for something else."""
        return self.next, self.due.too_late_at if self.due else None

    def unless_late(self, cause: str, now: datetime) -> Ticks:
        """The time that is due is left out when it is too late for it."""
        due = self.due
        if due is None or due.too_late_at is None or now < due.too_late_at:
            return self
        ago = _in_short(now - due.tick)
        return self.skip(f"{ago} late: {cause}; startingDeadline is {due.starting_deadline}")

    def skip(self, words: str) -> Ticks:
        """The time that is due is left out."""
        assert self.due is not None  # noqa: S101 - only what is due is skipped
        skipped = SkippedTime(time=self.due.tick, message=sentence(words))
        return replace(self, next=self.due.following, skipped=skipped, due=None)


def seen(world: TaskWorld, now: datetime) -> Ticks:
    """Which time of the schedule is due, and which comes next."""
    task, status = world.task, world.task.status
    ticks = Ticks(_started(world, now), status.next_schedule_time, status.last_skipped)
    if task.spec is None:
        return ticks
    given = task.spec.schedule
    if given is None:
        return replace(ticks, next=None)
    seed = f"{task.meta.namespace}/{task.meta.name}"
    try:
        schedule = Schedule.read(given.cron, given.time_zone, seed)
    except ScheduleError as error:
        return replace(ticks, next=None, wrong=f"spec.schedule.{error}")
    if task.spec.suspend:
        # What it would wait for is forgotten: times meanwhile are not made up for.
        return replace(ticks, next=None)
    following, awaited = schedule.next_after(now), ticks.next
    if awaited is None and status.observed_generation is None:
        # Never seen: it counts from its creation, as the operator may have been away.
        awaited = schedule.next_after(task.meta.created_at)
    tick = _come(schedule, awaited, now)
    if tick is None:
        return replace(ticks, next=following)
    due = Due(_start(task, tick), tick, following, given.starting_deadline)
    return _unless_started(world, replace(ticks, due=due), due)


def mark_of(execution: Execution, task: Task) -> datetime | None:
    """Which time of the Task's schedule it was started for; None for what others started."""
    mark = execution.meta.annotations.get(names.ANNOTATION_SCHEDULED)
    if not mark or execution.meta.task_uid != task.meta.uid:
        return None
    try:
        return parse_rfc3339(mark)
    except ValueError:
        return None


def _started(world: TaskWorld, now: datetime) -> datetime | None:
    """The latest time that was started: the status says it, or an execution that outran it."""
    marks = (mark_of(execution, world.task) for execution in world.executions)
    # A mark from the future is not ours, or a clock was set back: its name still stands for it.
    past = (mark for mark in marks if mark and mark <= now)
    return max([*past, *filter(None, [world.task.status.last_schedule_time])], default=None)


def _come(schedule: Schedule, awaited: datetime | None, now: datetime) -> datetime | None:
    """The newest time that has come of those from the awaited one on.

    None where that is no time of this schedule: it was edited, or nothing was awaited.
    """
    if awaited is None or not EPOCH <= awaited <= now or not schedule.is_tick(awaited):
        return None
    return schedule.latest(awaited, now)


def _start(task: Task, tick: datetime) -> Start:
    time = rfc3339(tick)
    name = names.scheduled_name(task=task.meta.name, uid=task.meta.uid, time=time)
    return Start(name, names.ANNOTATION_SCHEDULED, time, STARTED_BY)


def _unless_started(world: TaskWorld, ticks: Ticks, due: Due) -> Ticks:
    """What is due, unless it was started before."""
    passed = replace(ticks, next=due.following, due=None)
    if ticks.last and due.tick < ticks.last:
        # Maybe for years, when a clock was that wrong: it has to be seen.
        later = f"a clock was set back: {rfc3339(ticks.last)} was started before"
        return ticks.skip(later)
    if ticks.last == due.tick:
        return passed
    if any(
        execution.meta.name == due.start.name and execution.meta.task_uid == world.task.meta.uid
        for execution in world.executions
    ):
        # Whatever became of its mark: creating it again would only find it, for ever.
        return replace(passed, last=due.tick)
    return ticks


def _in_short(ago: timedelta) -> str:
    unit = timedelta(minutes=1) if ago >= timedelta(hours=1) else timedelta(seconds=1)
    return format_duration(ago // unit * unit)
