"""concurrencyPolicy and suspend: when a run that is due may start."""

import pytest

from builders import at, execution, refusal, stamp, task, task_world, unanswered
from passes import Cluster, conditions, created, decided, ran, starts, triggered
from taskmill.plan.world import Refusal

HOUR = 3600
HOURLY = {"cron": "0 * * * *"}


def changed(policy, **spec):
    """A Task whose first state was started, and that was changed then."""
    of = triggered(task())
    return of.spec(script="b", concurrencyPolicy=policy, **spec).generation(2)


def due(policy, **spec):
    """A Task whose schedule has come."""
    of = task().spec(schedule=HOURLY, concurrencyPolicy=policy, **spec)
    last = {"generation": 1, "hash": of.hash}
    return of.status(nextScheduleTime=stamp(), lastTriggered=last)


def runs(count):
    """Runs of this Task that have not ended, the oldest first."""
    return [
        execution(f"run-{n}", uid=f"uid-{n}").created(n - 90).triggered("v1:x", 1)
        for n in range(count)
    ]


def slot(words):
    return {
        "Ready": ("False", "WaitingForSlot", words),
        "Reconciling": ("True", "WaitingForSlot", words),
    }


# -- the policies ---------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [None, "Allow", "Replace"])
@pytest.mark.parametrize("of", [changed, due])
def test_with_allow_and_replace_it_starts_beside_others(policy, of):
    assert starts(task_world(of(policy), *runs(20)), 5)


def test_with_forbid_a_change_waits_for_the_oldest():
    decision = decided(task_world(changed("Forbid"), *runs(2)))
    assert decision.actions == ()
    assert conditions(decision.status) == slot("waiting for run-0 to end")
    assert decision.status.last_triggered.generation == 1


def test_with_forbid_a_time_of_the_schedule_is_skipped():
    decision = decided(task_world(due("Forbid"), *runs(1)), 5)
    assert decision.actions == ()
    assert decision.status.last_skipped.to_api() == {
        "time": stamp(0),
        "message": "run-0 was still running",
    }
    assert decision.status.next_schedule_time == at(HOUR)
    assert decision.status.last_schedule_time is None
    assert decision.look_at == at(HOUR)


@pytest.mark.parametrize("of", [changed, due])
def test_with_forbid_it_starts_once_the_others_have_ended(of):
    ended = [run.ended("Failed") for run in runs(2)]
    assert starts(task_world(of("Forbid"), *ended), 5)


@pytest.mark.parametrize("policy", ["Forbid", "Queue"])
@pytest.mark.parametrize(
    "other",
    [
        lambda: execution("by-hand").bare(),
        lambda: execution("by-hand").bare().owned(),
        lambda: execution("other").triggered("v1:x", 1).owned("another-uid"),
    ],
    ids=["of a person", "without a mark", "of another Task"],
)
@pytest.mark.parametrize("of", [changed, due])
def test_runs_that_taskmill_did_not_make_for_it_do_not_count(policy, other, of):
    assert starts(task_world(of(policy, maxQueued=0), other()), 5)


@pytest.mark.parametrize("scheduled", [False, True])
def test_runs_by_schedule_and_by_change_count_alike(scheduled):
    run = execution("run-0").triggered("v1:x", 1)
    run = run.scheduled(-HOUR) if scheduled else run
    assert not starts(task_world(changed("Forbid"), run), 5)


@pytest.mark.parametrize(
    ("given", "most"), [(None, 10), (3, 3), (0, 0)], ids=["default", "given", "none"]
)
@pytest.mark.parametrize("of", [changed, due])
def test_with_queue_as_many_may_wait_as_is_said(given, most, of):
    """Of those that have not ended the oldest runs, the others wait."""
    assert starts(task_world(of("Queue", maxQueued=given)), 5)
    assert starts(task_world(of("Queue", maxQueued=given), *runs(most)), 5)
    assert not starts(task_world(of("Queue", maxQueued=given), *runs(most + 1)), 5)


def test_with_queue_a_change_beyond_that_waits():
    status = decided(task_world(changed("Queue", maxQueued=2), *runs(3))).status
    words = "waiting for run-0 to end: 2 more wait already, and maxQueued is 2"
    assert conditions(status) == slot(words)


def test_with_queue_a_time_beyond_that_is_skipped():
    status = decided(task_world(due("Queue", maxQueued=2), *runs(3)), 5).status
    words = "run-0 was still running, 2 more were waiting, and maxQueued is 2"
    assert status.last_skipped.to_api() == {"time": stamp(0), "message": words}


# -- exactly once all the same --------------------------------------------------------------------


def test_of_a_burst_of_changes_the_latest_runs_once_the_slot_is_free():
    cluster = Cluster(task().spec(concurrencyPolicy="Forbid")).settle()
    for script in "bcd":
        cluster.edit(script=script).settle()
    assert len(cluster.runs) == 1
    cluster.end().settle().settle()
    assert len(cluster.runs) == 2
    assert cluster.runs[1].raw["spec"]["plan"][0]["task"]["script"] == "d"


def test_a_change_that_was_taken_back_while_it_waited_runs_nothing():
    cluster = Cluster(task().spec(concurrencyPolicy="Forbid")).settle()
    cluster.edit(script="b").settle().edit(script="make").settle().end().settle()
    assert len(cluster.runs) == 1
    (ready,) = cluster.status["conditions"]
    assert (ready["status"], ready["reason"]) == ("True", "Succeeded")


def test_one_that_was_taken_back_after_its_run_was_deleted_leaves_no_trace():
    cluster = Cluster(task().spec(concurrencyPolicy="Forbid")).settle().end().settle()
    cluster.runs = [execution("tick").scheduled(-HOUR)]
    cluster.edit(script="b").settle()
    assert cluster.status["conditions"][0]["reason"] == "WaitingForSlot"
    cluster.edit(script="make").settle()
    (ready,) = cluster.status["conditions"]
    assert (ready["status"], ready["reason"]) == ("True", "Idle")


def test_a_time_that_comes_with_a_change_is_skipped_where_overlap_is_forbidden():
    of = due("Forbid", trigger="OnChange").spec(script="b").generation(2)
    change = created(decided(task_world(of), 5), seconds=5)
    decision = decided(task_world(of, change), 6)
    assert decision.actions == ()
    name = change.raw["metadata"]["name"]
    assert decision.status.last_skipped.message == f"{name} was still running"


@pytest.mark.parametrize("policy", ["Allow", "Forbid", "Queue", "Replace"])
def test_a_creation_without_an_answer_is_waited_for(policy):
    """It may yet come through: the older state would run after the newer one, or beside it."""
    of = changed(policy)
    refused = {"build-of-an-earlier-state": unanswered("timeout", 1)}
    decision = decided(task_world(of, refused=refused), 2)
    assert (decision.actions, decision.look_at) == ((), at(11))
    assert conditions(decision.status)["Reconciling"][1] == "Queued"
    assert starts(task_world(of, refused=refused), 11)


@pytest.mark.parametrize("kind", [Refusal.QUOTA, Refusal.PASSING])
def test_another_run_that_was_refused_is_no_reason_to_wait(kind):
    """It cannot come through any more, whenever the server would be asked again."""
    refused = {"other": refusal(kind, "come back in an hour", 1, again=3600)}
    assert starts(task_world(changed("Forbid"), refused=refused), 2)


# -- suspend --------------------------------------------------------------------------------------


def test_a_suspended_task_starts_nothing():
    decision = decided(task_world(task().spec(suspend=True)))
    words = "suspended: the latest change has not run"
    assert decision.actions == ()
    assert conditions(decision.status) == {"Ready": ("True", "Suspended", words)}
    assert decision.status.last_triggered is None
    assert not starts(task_world(due(None, suspend=True)), 5)


def test_a_suspended_task_that_waits_for_nothing_says_so():
    of = task().spec(suspend=True, trigger="Manual")
    status = decided(task_world(of)).status
    assert conditions(status) == {"Ready": ("True", "Suspended", "suspended")}


@pytest.mark.parametrize(
    ("phase", "expected"),
    [("Running", "Reconciling"), ("Failed", "Stalled"), ("Succeeded", "Ready")],
)
def test_a_suspended_task_tells_of_the_run_of_this_generation(phase, expected):
    of = triggered(task().spec(suspend=True))
    run = ran(phase, reason=phase, failureMessage="words")
    told = conditions(decided(task_world(of, run)).status)
    assert (told[expected][0], told[expected][1]) == ("True", phase)


def test_what_was_changed_while_suspended_runs_once_afterwards():
    cluster = Cluster(task()).settle().end().edit(suspend=True).settle()
    cluster.edit(script="b").settle().edit(script="c").settle()
    assert len(cluster.runs) == 1
    cluster.edit(suspend=False).settle().settle()
    assert len(cluster.runs) == 2
    assert cluster.runs[1].raw["spec"]["plan"][0]["task"]["script"] == "c"


def test_a_suspended_change_that_was_taken_back_leaves_no_trace():
    cluster = Cluster(task()).settle().end().settle()
    cluster.runs = []
    cluster.edit(script="b", suspend=True).settle().edit(script="make", suspend=None).settle()
    assert cluster.runs == []
    (ready,) = cluster.status["conditions"]
    assert (ready["status"], ready["reason"]) == ("True", "Idle")


def test_a_suspended_task_waits_for_no_other():
    """Else a GitOps tool would wait for it, too."""
    of = task().spec(suspend=True, dependsOn=["lib"])
    assert set(conditions(decided(task_world(of)).status)) == {"Ready"}


def test_a_suspended_task_tells_what_is_wrong_with_it():
    of = task().spec(suspend=True, maxRunTime="25h")
    assert conditions(decided(task_world(of)).status)["Stalled"][1] == "InvalidTask"
