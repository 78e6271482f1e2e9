"""The table of clock changes in docs/schedules.md, row by row."""

import re
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from taskmill.plan.tasks.schedule import _MACROS, Schedule, ScheduleError

PAGE = Path(__file__).parents[3] / "docs" / "schedules.md"


def rows(title):
    """The cells below the header that begins with `title`."""
    lines = iter(PAGE.read_text(encoding="utf-8").splitlines())
    assert any(line.startswith(f"| {title} |") for line in lines), title
    next(lines)
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


CHANGES = rows("timeZone")


def computed(name, cron, day):
    """A row as it should be; `day` is a date, with the times it is shown from and to."""
    date, _, span = day.partition(" ")
    first, _, last = span.partition("-")
    schedule = Schedule.read(cron.strip("`"), name, "")
    midnight = datetime.combine(datetime.fromisoformat(date), time(), schedule.zone)
    tick = schedule.next_after(midnight.astimezone(UTC) - timedelta(seconds=1))
    ticks = []
    while (local := tick.astimezone(schedule.zone)).date() == midnight.date():
        if (first or "00:00") <= f"{local:%H:%M}" <= (last or "24:00"):
            ticks.append(tick)
        tick = schedule.next_after(tick)
    walls = [f"{tick.astimezone(schedule.zone):%H:%M%z}" for tick in ticks]
    moments = [f"{tick:%d %H:%M}" for tick in ticks]
    return [name, cron, day, ", ".join(walls) or "-", ", ".join(moments) or "-"]


@pytest.mark.parametrize("row", CHANGES, ids=lambda row: " ".join(row[:3]))
def test_a_row_about_a_change_of_the_clock_is_right(row):
    assert row == computed(*row[:3])


def test_the_table_is_read():
    assert len(CHANGES) > 15
    assert len({row[0] for row in CHANGES}) > 5


def test_the_macros_are_those_that_are_read():
    told = {
        macro.upper(): cron.strip("`")
        for names, cron in rows("instead of five fields")
        for macro in re.findall(r"`(@\w+)`", names)
    }
    assert told == _MACROS


def test_every_item_of_the_syntax_is_read():
    items = [item for cell, *_ in rows("in any field") for item in re.findall("`(.+?)`", cell)]
    assert len(items) > 8
    for item in items:
        assert Schedule.read(f"{item} * * * *", None, "").next_after(
            datetime(2026, 1, 1, tzinfo=UTC)
        )


def test_h_is_within_what_the_page_says():
    for cell, meaning in rows("written"):
        item = cell.strip("`")
        low, high = map(int, re.search(r"one of (\d+)-(\d+)$", meaning).groups())
        firsts = {
            int(Schedule.read(f"{item} * * * *", None, str(n)).cron.split(",")[0].split()[0])
            for n in range(1000)
        }
        assert firsts == set(range(low, high + 1))


@pytest.mark.parametrize("cron", ["0 0 2 * * *", "0 0 ? * *", "@every 5m", "@reboot", "0 0 31 2 *"])
def test_what_the_page_calls_refused_is(cron):
    with pytest.raises(ScheduleError):
        Schedule.read(cron, None, "")


@pytest.mark.parametrize(
    ("cron", "days"), [("0 0 13 * FRI", {5, 12, 13, 19, 26}), ("0 0 */2 * FRI", {5, 19})]
)
def test_day_of_month_and_day_of_week_are_as_the_page_says(cron, days):
    schedule = Schedule.read(cron, None, "")
    june = (datetime(2026, 6, day, tzinfo=UTC) for day in range(1, 31))
    assert {day.day for day in june if schedule.is_tick(day)} == days
