"""Schedules: each time at most once, the latest missed one, and what is told of the others."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from e2e.process import OperatorProcess
from e2e.user import GROUP, VERSION, User, condition, task

pytestmark = pytest.mark.cluster

EVERY_MINUTE = {"cron": "* * * * *"}
HOURLY = {"cron": "0 * * * *"}
SCHEDULED = "taskmill.dev/scheduled-at"


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def minute(ago: int) -> datetime:
    return datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=ago)


def times(user: User, name: str) -> list[str]:
    return [e["metadata"]["annotations"][SCHEDULED] for e in user.executions(name)]


def status_of(user: User, name: str) -> dict[str, Any]:
    return dict(user.tasks(name).get("status", {}))


def waits(user: User, name: str) -> str:
    """What its schedule waits for, once that is told."""
    return str(user.wait(lambda: status_of(user, name).get("nextScheduleTime")))


def missed(user: User, operator: OperatorProcess, name: str, since: datetime) -> None:
    """Make it as if the operator had been away since then."""
    waits(user, name)
    operator.stop()
    user.custom.patch_namespaced_custom_object_status(
        GROUP,
        VERSION,
        user.namespace,
        "tasks",
        name,
        {"status": {"nextScheduleTime": stamp(since)}},
    )
    operator.start()


@pytest.mark.timeout(240)
def test_two_minutes_of_schedules(user: User) -> None:
    # Not so shortly before the minute that one of them misses it.
    time.sleep(max(0.0, 8 - (60 - time.time() % 60)))
    user.apply(
        task("often", "true", schedule=EVERY_MINUTE),
        task("slow", "sleep 90", schedule=EVERY_MINUTE, concurrencyPolicy="Forbid"),
        task("asleep", "true", schedule=EVERY_MINUTE, suspend=True),
    )
    first = waits(user, "often")
    assert not user.executions()
    assert condition(user.tasks("often"), "Ready")["message"] == "waits for its schedule"
    user.wait(lambda: len(times(user, "often")) == 2, within=130)
    second = stamp(datetime.fromisoformat(first) + timedelta(minutes=1))
    assert times(user, "often") == [first, second]
    assert {e["spec"]["startedBy"] for e in user.executions("often")} == {"Schedule"}
    for run in user.executions("often"):
        assert user.end(run["metadata"]["name"])["status"]["phase"] == "Succeeded"
    told = user.wait(lambda: (s := status_of(user, "slow")).get("lastSkipped") and s)
    assert times(user, "slow") == [first]
    assert told["lastSkipped"]["time"] == second
    assert told["lastSkipped"]["message"].endswith("was still running")
    user.wait(lambda: status_of(user, "often").get("lastScheduleTime") == second)
    # Removing the schedule of what is not changed starts nothing.
    user.apply(task("often", "true"))
    user.wait(lambda: "nextScheduleTime" not in status_of(user, "often"))
    assert len(user.executions("often")) == 2
    assert not user.executions("asleep")


def test_of_the_times_missed_the_latest_is_run_and_once(
    user: User, operator: OperatorProcess
) -> None:
    user.apply(task("away", "true", schedule=EVERY_MINUTE))
    missed(user, operator, "away", minute(ago=30))
    now = minute(ago=0)
    user.wait(lambda: times(user, "away"))
    assert times(user, "away")[0] in (stamp(now), stamp(now + timedelta(minutes=1)))
    user.wait(lambda: status_of(user, "away").get("lastScheduleTime") == times(user, "away")[0])
    operator.kill()
    operator.start()
    assert len(times(user, "away")) <= 2
    assert len(set(times(user, "away"))) == len(times(user, "away"))


def test_what_would_be_too_late_is_skipped_and_told(user: User, operator: OperatorProcess) -> None:
    schedule = {**HOURLY, "startingDeadline": "1s"}
    user.apply(task("late", "true", schedule=schedule))
    hour = minute(ago=0).replace(minute=0)
    missed(user, operator, "late", hour - timedelta(hours=3))
    told = user.wait(lambda: status_of(user, "late").get("lastSkipped"))
    assert told["time"] == stamp(hour)
    assert told["message"].endswith(" late: the operator was away; startingDeadline is 1s")
    assert not user.executions("late")


def test_an_edited_schedule_counts_from_then_on(user: User, operator: OperatorProcess) -> None:
    user.apply(task("edited", "true", schedule=EVERY_MINUTE))
    waits(user, "edited")
    operator.stop()
    user.apply(task("edited", "true", schedule={"cron": "0 0 1 1 *", "timeZone": "Asia/Tokyo"}))
    operator.start()
    new_year = datetime(datetime.now(UTC).year, 12, 31, 15, tzinfo=UTC)
    user.wait(lambda: status_of(user, "edited").get("nextScheduleTime") == stamp(new_year))
    assert not user.executions("edited")


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ({"cron": "61 * * * *"}, "spec.schedule.cron"),
        ({"cron": "* * * * *", "timeZone": "Mars/Olympus"}, "spec.schedule.timeZone"),
    ],
    ids=["cron", "zone"],
)
def test_a_schedule_that_cannot_be_read_says_so(
    schedule: dict[str, str], words: str, user: User
) -> None:
    user.apply(task("wrong", "true", schedule=schedule))
    stalled = user.wait(lambda: condition(user.tasks("wrong"), "Stalled"))
    assert stalled["reason"] == "InvalidTask"
    assert stalled["message"].startswith(words)
