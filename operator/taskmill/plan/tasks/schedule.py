"""When a cron schedule ticks.

`cronsim` says which times of a calendar match. What they are in a time zone is worked out here:
around a change of the clocks cronsim leaves out ticks where half an hour is repeated, tells times
that have passed, and tells others backward than forward. The rules are those of Debian's cron:

- A schedule of fixed times names its minutes and hours. Each time comes once a day: one that the
  clock skips comes when the skip is over, one that the clock shows twice comes at the first.
- Any other schedule (minute or hour begins with `*`, or all of them are named) follows the clock:
  what it skips does not come, what it shows twice comes twice.
"""

import re
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final, NoReturn, Self
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from taskmill.plan.names import digest

LIMIT: Final = 256
DEFAULT_ZONE: Final = "Etc/UTC"

_HORIZON: Final = timedelta(days=366 * 50)
_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)

# In the 28 years from here each weekday has been each date, 29 February included.
_ANY_DAY: Final = datetime.fromisoformat("2000-01-01")


class ScheduleError(ValueError):
    """What is wrong with a schedule and what would be right, in a sentence."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Times that come again and again. Moments are given and told in UTC."""

    cron: str
    """Five fields in which H has become numbers."""
    time_zone: str
    zone: ZoneInfo = field(repr=False, compare=False)
    fixed: bool
    """Whether it names fixed times of the day."""

    @classmethod
    def read(cls, cron: str, time_zone: str | None, seed: str) -> Self:
        """Reads a schedule; `seed` chooses the values of H. ScheduleError when it is not one."""
        return cls(*_read(cron, time_zone, seed))

    def next_after(self, moment: datetime) -> datetime | None:
        """The first tick after `moment`; None when there is none within 50 years."""
        wall, shown_twice = self._wall(moment)
        found: list[datetime] = []
        # What the clock will show again comes after `moment`, though its time of day is before.
        for tick in CronSim(self.cron, wall - shown_twice):
            found += [instant for instant in self._instants(tick) if instant > moment]
            if tick > wall and (found or tick > wall + _HORIZON):
                break
        return min(found, default=None)

    def latest(self, since: datetime, until: datetime) -> datetime | None:
        """The newest tick from `since` to `until`, both included."""
        wall, shown_twice = self._wall(until)
        oldest = self._wall(since)[0] - _DAY
        found: list[datetime] = []
        # What the clock has shown before came before `until`, though its time of day is after.
        start = wall.replace(microsecond=0) + shown_twice + _SECOND
        for tick in CronSim(self.cron, start, reverse=True):
            found += [instant for instant in self._instants(tick) if instant <= until]
            if tick <= wall and (found or tick < oldest):
                break
        newest = max(found, default=None)
        return newest if newest and newest >= since else None

    def is_tick(self, moment: datetime) -> bool:
        """Whether it ticks at `moment`, to the microsecond."""
        return self.latest(moment, moment) is not None

    def _wall(self, moment: datetime) -> tuple[datetime, timedelta]:
        """What the clock on the wall shows at `moment`, and how much of it is shown twice then."""
        wall = moment.astimezone(self.zone).replace(tzinfo=None, fold=0)
        first, second = self._readings(wall)
        return wall, max(second - first, timedelta())

    def _instants(self, wall: datetime) -> tuple[datetime, ...]:
        """When it ticks for a time on the wall that matches."""
        first, second = self._readings(wall)
        if first > second:
            return (self._end_of_gap(second, first),) if self.fixed else ()
        return (first,) if self.fixed or first == second else (first, second)

    def _readings(self, wall: datetime) -> tuple[datetime, datetime]:
        """A time on the wall by the two readings of PEP 495.

        They are equal but for a time that is shown twice, and one that is skipped: the first
        reading is by the clock before the change, hence later then.
        """
        first, second = (wall.replace(tzinfo=self.zone, fold=fold) for fold in (0, 1))
        return first.astimezone(UTC), second.astimezone(UTC)

    def _end_of_gap(self, before: datetime, after: datetime) -> datetime:
        """The moment between these two at which the clock jumped."""
        changed = after.astimezone(self.zone).utcoffset()
        moments = range(int((after - before) / _SECOND))
        seconds = bisect_left(
            moments,
            True,
            key=lambda s: (before + s * _SECOND).astimezone(self.zone).utcoffset() == changed,
        )
        return before + seconds * _SECOND


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five fields."""

    name: str
    """Part of what H is chosen by: never to change."""
    low: int
    high: int
    last_hashed: int
    """The largest value of H."""
    names: tuple[str, ...] = ()
    special: re.Pattern[str] = re.compile(r"(?!)")

    @property
    def size(self) -> int:
        """How many different values it has."""
        return 7 if self.name == "day of week" else self.high - self.low + 1


_MONTHS: Final = (
    "JAN",
    "FEB",
    "MAR",
    "APR",
    "MAY",
    "JUN",
    "JUL",
    "AUG",
    "SEP",
    "OCT",
    "NOV",
    "DEC",
)
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS: Final = (
    _Field("minute", 0, 59, 59),
    _Field("hour", 0, 23, 23),
    # The 28th is in every month.
    _Field("day of month", 1, 31, 28, special=re.compile("LW?")),
    _Field("month", 1, 12, 12, _MONTHS),
    _Field(
        "day of week",
        0,
        7,
        6,
        _DAYS,
        re.compile(rf"[0-7]L|([0-7]|{'|'.join(_DAYS)})#[1-5]"),
    ),
)
_VALUE: Final = "[0-9]{1,2}|[A-Z]{3}"
_STEP: Final = "(?:/([0-9]{1,2}))?"
_PLAIN: Final = re.compile(rf"(?:\*|({_VALUE})(?:-({_VALUE}))?){_STEP}")
_HASHED: Final = re.compile(rf"H(?:\(({_VALUE})-({_VALUE})\))?{_STEP}")
_ZONE_INSIDE: Final = re.compile(r"\s*(CRON_)?TZ=", re.IGNORECASE)
_SPACE: Final = re.compile("[ \t\r\n]+")
_MACROS: Final = {
    "@HOURLY": "0 * * * *",
    "@DAILY": "0 0 * * *",
    "@MIDNIGHT": "0 0 * * *",
    "@WEEKLY": "0 0 * * 0",
    "@MONTHLY": "0 0 1 * *",
    "@YEARLY": "0 0 1 1 *",
    "@ANNUALLY": "0 0 1 1 *",
}
_INSTEAD: Final = {
    "@EVERY": "write a time of the clock, such as */5 * * * * for every 5 minutes",
    "@REBOOT": "a Task starts without a schedule when it is created, with trigger OnChange",
}


@lru_cache(maxsize=1024)
def _read(cron: str, time_zone: str | None, seed: str) -> tuple[str, str, ZoneInfo, bool]:
    text = _expand(cron, seed)
    try:
        calendar = CronSim(text, _ANY_DAY)
    except CronSimError:
        _refuse(cron, "never comes: there is no such day")
    if next(calendar, None) is None:
        _refuse(cron, "never comes: there is no such day")
    minute, hour, *_ = text.split()
    follows = (
        minute.startswith("*")
        or hour.startswith("*")
        # Unlike cron, which looks at the letters: `0 0-23 * * *` means every hour, too.
        or len(calendar.minutes) == _FIELDS[0].size
        or len(calendar.hours) == _FIELDS[1].size
    )
    name = DEFAULT_ZONE if time_zone is None else time_zone
    return text, name, _zone(name), not follows


@cache
def _zones() -> frozenset[str]:
    # Factory is for clocks that nobody has set yet.
    return frozenset(files("tzdata").joinpath("zones").read_text("ascii").split()) - {"Factory"}


@cache
def _zone(name: str) -> ZoneInfo:
    if name not in _zones():
        raise ScheduleError(
            f"timeZone {name[:64]!r} is not known; "
            "write an IANA name such as Europe/Berlin or Etc/UTC"
        )
    # ZoneInfo(name) would prefer the machine's files, often years older; each machine is to give
    # the same answer.
    with files("tzdata.zoneinfo").joinpath(name).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def _expand(cron: str, seed: str) -> str:
    """The five fields, checked, with numbers for H."""
    if len(cron) > LIMIT:
        raise ScheduleError(f"cron has {len(cron)} characters; at most {LIMIT} are possible")
    if _ZONE_INSIDE.match(cron):
        _refuse(cron, "has a time zone in it; write that in timeZone")
    if not cron.isascii():
        _refuse(cron, "has characters that are not ASCII; write five fields such as 30 2 * * 1-5")
    text = cron.strip(" \t\r\n").upper()
    if text.startswith("@"):
        word = _SPACE.split(text)[0]
        if text not in _MACROS:
            known = ", ".join(_MACROS).lower()
            _refuse(cron, f"is not possible; {_INSTEAD.get(word, f'write one of {known}')}")
        text = _MACROS[text]
    items = _SPACE.split(text) if text else []
    if len(items) != len(_FIELDS):
        names = ", ".join(field.name for field in _FIELDS)
        count = "1 field" if len(items) == 1 else f"{len(items)} fields"
        _refuse(cron, f"has {count}; write five: {names} (there are no seconds or years)")
    try:
        fields = zip(_FIELDS, items, strict=True)
        return " ".join(
            ",".join(_item(field, item, seed) for item in items.split(","))
            for field, items in fields
        )
    except _WrongItemError as error:
        _refuse(cron, f"cannot be read: {error}")


def _refuse(cron: str, why: str) -> NoReturn:
    # Without what was raised below: the sentence says it all.
    raise ScheduleError(f"cron {cron!r} {why}") from None


class _WrongItemError(ValueError):
    """What is wrong with one item of a field."""


def _item(field: _Field, item: str, seed: str) -> str:
    """One item of a field's list, as cronsim reads it."""
    if field.special.fullmatch(item):
        return item
    hashed = _HASHED.fullmatch(item)
    match = hashed or _PLAIN.fullmatch(item)
    if not match:
        raise _WrongItemError(f"{item!r} is no {field.name}; write *, a value, a range or a step")
    first, last, step = match.groups()
    low = _value(field, first) if first else field.low
    high = _value(field, last) if last else field.last_hashed if hashed else field.high
    if high < low and last:
        hint = " (Sunday is 0 and 7)" if field.names is _DAYS else ""
        raise _WrongItemError(f"{item!r} ends before it begins{hint}; write two ranges")
    if step and not 1 <= int(step) <= field.size:
        raise _WrongItemError(f"a step of the {field.name} is from 1 to {field.size}, not {step}")
    if not hashed:
        # cronsim takes 5-5/10 for 5/10, which goes on to the end.
        return str(low) if last and low == high else item
    if high > field.last_hashed:
        raise _WrongItemError(
            f"H of the {field.name} is from {field.low} to {field.last_hashed}, not to {high}"
        )
    number = int(digest(seed, field.name, chars=16), 16)
    size = high - low + 1
    if not step:
        return str(low + number % size)
    start = low + number % min(int(step), size)
    return ",".join(map(str, range(start, high + 1, int(step))))


def _value(field: _Field, text: str) -> int:
    if text in field.names:
        return field.names.index(text) + field.low
    if text.isdigit() and field.low <= int(text) <= field.high:
        return int(text)
    raise _WrongItemError(f"{text} is no {field.name} from {field.low} to {field.high}")
