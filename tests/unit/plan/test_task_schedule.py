"""Which times of a Task's schedule start a run. When a schedule ticks is tested elsewhere.

`T0` is a full hour, and `at(0)` a tick of most schedules here.
"""

from dataclasses import replace

import pytest

from builders import (
    RUNS,
    TASK_UID,
    at,
    created_execution,
    refusal,
    stamp,
    task,
    task_world,
    unanswered,
)
from passes import Cluster, conditions, created, decided, ran, starts
from taskmill.plan.job import owner_reference
from taskmill.plan.names import scheduled_name
from taskmill.plan.world import Refusal

HOUR = 3600
HOURLY = {"cron": "0 * * * *"}
DEADLINE = HOURLY | {"startingDeadline": "10m"}


def hourly(schedule=HOURLY, **spec):
    return task().spec(schedule=schedule, **spec)


def waits(seconds, of=None):
    """It was there before, and waits for that time."""
    of = of or hourly()
    last = {"generation": 1, "hash": of.hash}
    return of.status(nextScheduleTime=stamp(seconds), lastTriggered=last)


def name_of(seconds):
    return scheduled_name(task="build", uid=TASK_UID, time=stamp(seconds))


# -- what is due ----------------------------------------------------------------------------------


def test_a_new_schedule_waits_for_its_next_time():
    decision = decided(task_world(hourly()), 5)
    assert decision.actions == ()
    assert decision.status.next_schedule_time == at(HOUR)
    assert decision.look_at == at(HOUR)
    assert conditions(decision.status) == {"Ready": ("True", "Idle", "waits for its schedule")}


def test_its_time_is_in_the_time_zone_that_is_given():
    given = {"cron": "30 2 * * *", "timeZone": "Asia/Tokyo"}
    assert decided(task_world(hourly(given))).status.next_schedule_time == at(5.5 * HOUR)


def test_a_time_that_has_come_starts_a_run_of_its_own():
    decision = decided(task_world(waits(0, hourly(timeout="1h"))), 1)
    (create,) = decision.actions
    assert decision.status is None
    assert create.body["metadata"] == {
        "name": name_of(0),
        "namespace": "team",
        "labels": {
            "app.kubernetes.io/managed-by": "taskmill",
            "taskmill.dev/task": "build",
        },
        "annotations": {"taskmill.dev/scheduled-at": stamp(0)},
        "ownerReferences": [owner_reference("Task", "build", TASK_UID)],
    }
    assert create.body["spec"] == {
        "taskRef": {"name": "build", "generation": 1},
        "plan": [{"id": "build", "task": RUNS}],
        "deadline": stamp(HOUR + 1),
        "startedBy": "Schedule",
    }


def test_before_its_time_nothing_starts():
    decision = decided(task_world(waits(HOUR)), HOUR - 1)
    assert (decision.actions, decision.look_at) == ((), at(HOUR))


def test_the_run_that_exists_moves_the_schedule_on_in_one_write():
    made = created(decided(task_world(waits(0)), 1), seconds=1)
    status = decided(task_world(waits(0), made), 2).status
    assert (status.last_schedule_time, status.next_schedule_time) == (at(0), at(HOUR))
    assert (status.last_execution.name, status.active) == (name_of(0), 1)


def test_every_time_runs_once():
    cluster = Cluster(hourly())
    for seconds in range(0, 3 * HOUR + 1, 600):
        cluster.on(seconds).settle().end()
    assert cluster.ticks == [stamp(n * HOUR) for n in (1, 2, 3)]


def test_of_times_that_were_missed_the_latest_runs():
    cluster = Cluster(waits(0)).on(1000 * HOUR + 59).settle()
    assert cluster.ticks == [stamp(1000 * HOUR)]
    assert cluster.status["nextScheduleTime"] == stamp(1001 * HOUR)
    assert "lastSkipped" not in cluster.status


def test_a_time_is_late_by_its_starting_deadline_at_most():
    assert starts(task_world(waits(0, hourly(DEADLINE))), 600)
    decision = decided(task_world(waits(0, hourly(DEADLINE))), 601)
    assert decision.actions == ()
    assert decision.status.next_schedule_time == at(HOUR)
    assert decision.status.last_schedule_time is None
    assert decision.status.last_skipped.to_api() == {
        "time": stamp(0),
        "message": "10m1s late: the operator was away; startingDeadline is 10m",
    }


def test_only_the_latest_of_the_missed_times_is_told_as_late():
    daily = {"cron": "0 12 * * *", "startingDeadline": "10m"}
    status = decided(task_world(waits(0, hourly(daily))), 49 * HOUR + 301).status
    assert status.last_skipped.to_api() == {
        "time": stamp(48 * HOUR),
        "message": "1h5m late: the operator was away; startingDeadline is 10m",
    }


def test_a_crash_between_creation_and_status_starts_no_second_run():
    made = created(decided(task_world(waits(0)), 1), seconds=1)
    assert decided(task_world(waits(0), made.ended()), 9000).actions[0].body["metadata"][
        "name"
    ] == name_of(2 * HOUR)
    assert not starts(task_world(waits(0), made), 2)


def test_a_time_that_the_status_knows_is_never_started_again():
    of = waits(0).status(lastScheduleTime=stamp(0))
    decision = decided(task_world(of), 2)
    assert decision.actions == ()
    assert decision.status.next_schedule_time == at(HOUR)
    assert decision.status.last_skipped is None


@pytest.mark.parametrize("mark", [None, "soon"], ids=["no mark", "no moment"])
def test_an_execution_of_the_name_to_be_created_counts_as_that_time(mark):
    made = created(decided(task_world(waits(0)), 1), seconds=1)
    made.raw["metadata"]["annotations"] = {"taskmill.dev/scheduled-at": mark} if mark else {}
    decision = decided(task_world(waits(0), made), 2)
    assert decision.actions == ()
    assert decision.status.last_schedule_time == at(0)


def test_executions_of_others_are_no_proof():
    made = created_execution(decided(task_world(waits(0)), 1).actions[0].body)
    assert starts(task_world(waits(0), made.owned("another-uid")), 2)
    forged = made.scheduled(99 * HOUR)
    forged.raw["metadata"]["name"] = "forged"
    assert starts(task_world(waits(0), forged), 2), "it is of a time that has not come"


# -- clocks, edits, backups -----------------------------------------------------------------------


def test_a_clock_that_was_set_back_starts_nothing_twice():
    cluster = Cluster(hourly()).on(5).on(HOUR).settle()
    cluster.end().on(2 * HOUR).settle().end()
    assert len(cluster.ticks) == 2
    cluster.on(30)
    assert cluster.status["nextScheduleTime"] == stamp(HOUR)
    cluster.on(HOUR).settle().on(2 * HOUR).settle()
    assert len(cluster.ticks) == 2
    assert cluster.status["lastSkipped"] == {
        "time": stamp(HOUR),
        "message": f"a clock was set back: {stamp(2 * HOUR)} was started before",
    }
    assert cluster.on(3 * HOUR).ticks[2:] == [stamp(3 * HOUR)]


@pytest.mark.parametrize(
    "schedule",
    [
        {"cron": "30 * * * *"},
        {"cron": "0 2 * * *"},
        {"cron": "0 * * * *", "timeZone": "Asia/Kolkata"},
    ],
)
def test_an_edited_schedule_counts_from_now(schedule):
    of = waits(0)
    of.spec(schedule=schedule).generation(2)
    for seconds in (60, HOUR - 60):
        decision = decided(task_world(of), seconds)
        assert decision.actions == ()
        assert decision.status.next_schedule_time > at(seconds)


def test_a_schedule_that_became_denser_is_followed_at_once():
    of = waits(HOUR)
    of.spec(schedule={"cron": "*/10 * * * *"})
    assert decided(task_world(of), 60).status.next_schedule_time == at(600)


@pytest.mark.parametrize("known", ["0001-01-01T00:00:00Z", "9999-12-31T23:00:00Z", "soon"])
def test_a_next_time_that_makes_no_sense_is_replaced(known):
    of = hourly().status(nextScheduleTime=known)
    assert decided(task_world(of), 1).status.next_schedule_time == at(HOUR)


def test_a_task_restored_with_its_status_runs_the_latest_missed_time_once():
    of = waits(0, hourly()).status(
        lastScheduleTime=stamp(-HOUR), lastTriggered={"generation": 7, "hash": hourly().hash}
    )
    cluster = Cluster(of).on(30 * HOUR + 60).settle()
    assert cluster.ticks == [stamp(30 * HOUR)]


def test_a_task_restored_without_its_status_runs_no_missed_time():
    restored = hourly().created(30 * HOUR + 60)
    assert Cluster(restored).on(30 * HOUR + 60).settle().runs == []


def test_of_what_a_new_task_missed_before_it_was_ever_seen_the_latest_is_run():
    assert Cluster(hourly()).on(30 * HOUR + 60).settle().ticks == [stamp(30 * HOUR)]


def test_suspended_times_are_not_made_up_for():
    cluster = Cluster(hourly()).settle().edit(suspend=True).settle()
    assert "nextScheduleTime" not in cluster.status
    cluster.on(5 * HOUR + 60).edit(suspend=None).settle()
    assert cluster.runs == []
    assert cluster.status["nextScheduleTime"] == stamp(6 * HOUR)
    assert len(cluster.on(6 * HOUR).runs) == 1


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ({"cron": "61 * * * *"}, "spec.schedule.cron '61 * * * *' "),
        ({"cron": "0 * * * *", "timeZone": "Mars/Base"}, "spec.schedule.timeZone 'Mars/Base' "),
    ],
)
@pytest.mark.parametrize("suspend", [None, True])
def test_a_schedule_that_cannot_be_read_is_told_and_runs_nothing(schedule, words, suspend):
    of = waits(0)
    of.spec(schedule=schedule, trigger="OnChange", script="b", suspend=suspend)
    decision = decided(task_world(of.generation(2)), 60)
    _, reason, message = conditions(decision.status)["Stalled"]
    assert decision.actions == ()
    assert (reason, message.startswith(words)) == ("InvalidTask", True)
    assert decision.status.next_schedule_time is None


# -- with changes ---------------------------------------------------------------------------------


def test_with_a_schedule_a_change_starts_nothing():
    cluster = Cluster(hourly()).settle().edit(script="b").settle()
    assert cluster.runs == []
    assert cluster.status["lastTriggered"]["generation"] == 2


def test_removing_the_schedule_starts_nothing():
    cluster = Cluster(hourly()).settle().edit(schedule=None).settle()
    assert cluster.runs == []
    assert "nextScheduleTime" not in cluster.status


def test_removing_one_that_could_not_be_read_starts_nothing():
    cluster = Cluster(hourly({"cron": "never"})).settle().edit(schedule=None).settle()
    assert cluster.runs == []
    assert {c["type"] for c in cluster.status["conditions"]} == {"Ready"}


def test_removing_the_schedule_and_changing_what_runs_is_a_change():
    cluster = Cluster(hourly()).settle().edit(schedule=None, script="b").settle()
    assert len(cluster.runs) == 1


def test_with_on_change_both_start_runs_one_in_a_pass():
    of = hourly(trigger="OnChange").status(nextScheduleTime=stamp(0))
    first = created(decided(task_world(of), 5), uid="a", seconds=5)
    assert "taskmill.dev/trigger-hash" in first.raw["metadata"]["annotations"]
    second = created(decided(task_world(of, first), 6), uid="b", seconds=6)
    assert second.raw["metadata"]["name"] == name_of(0)
    status = decided(task_world(of, first, second), 7).status
    assert (status.last_schedule_time, status.last_triggered.generation) == (at(0), 1)


def test_a_scheduled_run_is_no_change_and_changes_no_condition():
    of = waits(HOUR, hourly(trigger="OnChange"))
    failed = ran("Failed", trigger=of.hash, reason="Error", failureMessage="words")
    tick = ran(name="tick", created=9).scheduled(0).ended("Succeeded", 12)
    status = decided(task_world(of, failed, tick), 20).status
    assert conditions(status)["Stalled"] == ("True", "Error", "words")
    assert status.last_execution.name == "tick"


def test_a_failed_scheduled_run_leaves_a_scheduled_task_ready():
    tick = ran(name="tick").scheduled(0).ended("Failed", 12, failureMessage="step a: exit code 2")
    status = decided(task_world(waits(HOUR), tick), 20).status
    words = "its last run failed: step a: exit code 2; it waits for its schedule"
    assert conditions(status) == {"Ready": ("True", "Idle", words)}


# -- what holds it --------------------------------------------------------------------------------


def test_a_time_waits_for_a_task_that_is_not_there_yet():
    of = waits(0, hourly(dependsOn=["lib"]))
    decision = decided(task_world(of), 5)
    assert decision.actions == ()
    assert conditions(decision.status)["Reconciling"][1] == "WaitingForTask"
    assert decision.status.next_schedule_time == at(0)
    assert starts(task_world(of, tasks=[task("lib", uid="lib")]), 5)


def test_what_held_a_time_is_told_when_it_is_too_late():
    of = waits(0, hourly(DEADLINE, dependsOn=["lib"]))
    assert decided(task_world(of), 5).look_at == at(601)
    status = decided(task_world(of), 601).status
    assert status.last_skipped.message == (
        "10m1s late: waiting for Task lib, on which build depends; startingDeadline is 10m"
    )


def test_a_refused_time_is_told_tried_again_and_skipped_when_it_is_too_late():
    of = waits(0, hourly(DEADLINE))
    before = task_world(of, refused={name_of(0): refusal(Refusal.QUOTA, "no room", 1, again=11)})
    decision = decided(before, 2)
    words = "the API server refused its execution: no room"
    assert (decision.actions, decision.look_at) == ((), at(11))
    assert conditions(decision.status)["Reconciling"] == ("True", "QuotaExceeded", words)
    assert starts(before, 11)
    late = decided(before, 601)
    assert late.status.last_skipped.message == "10m1s late: no room; startingDeadline is 10m"
    assert set(conditions(late.status)) == {"Ready"}


def test_a_time_that_waited_for_an_answer_to_another_creation_says_so():
    before = task_world(waits(0, hourly(DEADLINE)), refused={"build-of-a-change": unanswered()})
    assert not starts(before, 5)
    late = decided(replace(before, refused={"build-of-a-change": unanswered("none", 600)}), 601)
    assert late.status.last_skipped.message == "10m1s late: none; startingDeadline is 10m"


def test_a_refused_change_does_not_hold_the_schedule():
    of = hourly(trigger="OnChange").status(nextScheduleTime=stamp(0))
    change = created(decided(task_world(of), 1)).raw["metadata"]["name"]
    before = task_world(of, refused={change: refusal(Refusal.FINAL, "no", 1)})
    assert created(decided(before, 2)).raw["metadata"]["name"] == name_of(0)
