"""Which finished executions of a Task are deleted, and that nothing is forgotten with them."""

import pytest

from builders import at, execution, stamp, task, task_world
from passes import Cluster, conditions, decided, ran, triggered
from taskmill.plan.decision import DeleteExecution
from taskmill.plan.tasks.history import AT_ONCE

OLD = 10_000


def of(*, history=None, generation=1):
    spec = {"history": history} if history else {}
    return triggered(task().spec(**spec), generation=generation).status(lastScheduleTime=stamp(OLD))


def run(number, phase="Succeeded", *, ended=None):
    """Run `number` of its schedule; the larger, the newer."""
    built = execution(f"run-{number}", uid=f"uid-{number}").created(number).scheduled(number)
    return built.ended(phase, number if ended is None else ended)


def deleted(*executions, task=None, seconds=OLD):
    before = task_world(task or of(), *executions)
    return [action.name for action in decided(before, seconds).actions]


def numbers(*wanted):
    return [f"run-{number}" for number in wanted]


# -- which ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phase", "history", "kept"),
    [
        ("Succeeded", None, 3),
        ("Failed", None, 5),
        ("Stopped", None, 5),
        ("Succeeded", {"succeeded": 1}, 1),
        ("Failed", {"succeeded": 1}, 5),
        ("Failed", {"failed": 0}, 0),
        ("Succeeded", {"succeeded": 0}, 0),
    ],
)
def test_the_newest_are_kept_and_older_ones_deleted_oldest_first(phase, history, kept):
    runs = [run(n, phase) for n in range(7)]
    assert deleted(*reversed(runs), task=of(history=history)) == numbers(*range(7 - kept))


def test_those_that_succeeded_and_others_are_counted_apart():
    runs = [run(n, "Failed" if n % 2 else "Succeeded") for n in range(12)]
    assert deleted(*runs) == numbers(0, 1, 2, 4)


def test_a_deletion_names_the_execution_by_its_uid():
    before = task_world(of(history={"succeeded": 0}), run(1))
    assert decided(before, OLD).actions == (DeleteExecution("run-1", "uid-1"),)


def test_with_a_ttl_older_ones_go_although_there_is_room():
    one, other = run(1, ended=1000), run(2, "Failed", ended=2000)
    task = of(history={"ttl": "1h"})
    assert deleted(one, other, task=task, seconds=4599) == []
    assert deleted(one, other, task=task, seconds=4600) == numbers(1)
    assert decided(task_world(task, other), 4600).look_at == at(5600)
    assert deleted(one, other, task=task, seconds=5600) == numbers(1, 2)


@pytest.mark.parametrize("history", [{"succeeded": 0}, {"ttl": "1s"}])
def test_none_goes_within_two_minutes_after_its_end(history):
    """Its Job's name is what a late duplicate of the Job's creation runs into."""
    before = task_world(of(history=history), run(1, ended=500))
    assert decided(before, 619).actions == ()
    assert decided(before, 619).look_at == at(620)
    assert decided(before, 620).actions


def test_its_end_is_when_it_finished_else_when_it_completed():
    finished = run(1, ended=500).status(completedAt=stamp(100))
    completed = ran("Succeeded", name="run-2", completedAt=stamp(300))
    silent = ran("Succeeded", name="run-3")
    task = of(history={"succeeded": 0})
    runs = (finished, completed, silent)
    assert deleted(*runs, task=task, seconds=450) == numbers(2)
    assert deleted(*runs, task=task, seconds=OLD) == numbers(2, 1)


@pytest.mark.parametrize(
    "other",
    [
        lambda: execution("by-hand").bare().ended(),
        lambda: execution("by-hand").bare().owned().ended(),
        lambda: ran("Running"),
        lambda: run(1).owned("another-uid"),
        lambda: run(1).deleted(5),
    ],
    ids=["of a person", "without a mark", "running", "of another Task", "being deleted"],
)
def test_others_are_never_deleted(other):
    assert deleted(other(), task=of(history={"succeeded": 0, "failed": 0, "ttl": "1s"})) == []


def test_those_that_are_being_deleted_or_run_take_no_room():
    runs = [run(1), run(2), run(3), run(4).deleted(5), ran("Running", created=9)]
    assert deleted(*runs) == []


def test_at_most_so_many_go_in_one_pass():
    runs = [run(n) for n in range(30)]
    assert deleted(*runs) == numbers(*range(AT_ONCE))


@pytest.mark.parametrize("spec", [{"maxRunTime": "25h"}, {"suspend": True}, {"dependsOn": ["lib"]}])
def test_history_is_kept_short_whatever_holds_the_task(spec):
    task = of(history={"succeeded": 0}).spec(**spec)
    assert deleted(run(1), task=task) == numbers(1)


def test_a_spec_that_cannot_be_read_deletes_nothing():
    assert deleted(*(run(n) for n in range(9)), task=of().spec(image=None)) == []


# -- what they prove ------------------------------------------------------------------------------


def test_what_proves_a_time_stays_until_the_stored_status_knows_it():
    unknown = of(history={"succeeded": 0}).status(lastScheduleTime=stamp(99))
    decision = decided(task_world(unknown, run(100)), OLD)
    assert decision.actions == ()
    assert decision.status.last_schedule_time == at(100)
    known = of(history={"succeeded": 0}).status(lastScheduleTime=stamp(100))
    assert deleted(run(100), task=known) == numbers(100)


@pytest.mark.parametrize(
    ("known", "now", "goes"),
    [(None, 2, False), (1, 2, False), (2, 2, True), (3, 3, True), (7, 2, False)],
    ids=["never", "older", "same", "newer", "of an earlier life"],
)
def test_what_proves_a_change_stays_until_the_stored_status_knows_it(known, now, goes):
    one = task().spec(history={"succeeded": 0}).generation(now)
    if known:
        one.status(lastTriggered={"generation": known, "hash": one.hash})
    proof = ran(generation=2).ended()
    actions = decided(task_world(one, proof), OLD).actions
    assert any(isinstance(action, DeleteExecution) for action in actions) == goes


def test_nothing_goes_before_a_status_that_is_written_a_second_later():
    before = task_world(of(history={"succeeded": 0}), run(1), written_at=OLD - 0.5)
    decision = decided(before, OLD)
    assert (decision.status, decision.actions) == (None, ())
    assert decision.look_at == at(OLD + 0.5)


# -- what is remembered ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phase", "reason"), [("Succeeded", None), ("Failed", "Error"), ("Stopped", "Replaced")]
)
def test_what_is_known_of_a_run_outlives_it(phase, reason):
    cluster = Cluster(task().spec(history={"succeeded": 0, "failed": 0})).settle()
    ended = cluster.end(phase=phase).runs[0]
    if reason:
        ended.status(reason=reason, failureMessage="words")
    cluster.settle()
    before = cluster.status
    cluster.on(cluster.seconds + 120).settle()
    assert cluster.runs == []
    assert cluster.status == before


def test_older_ones_that_are_kept_are_not_told_as_the_newest():
    """All that succeed are deleted; the newest of the others is older."""
    cluster = Cluster(task().spec(history={"succeeded": 0})).settle().end(phase="Failed")
    cluster.settle().edit(rerun="1").settle().end()
    cluster.settle()
    assert cluster.status["phase"] == "Succeeded"
    before = cluster.status
    cluster.on(cluster.seconds + 120)
    assert len(cluster.runs) == 1
    assert cluster.status == before
    cluster.edit(rerun="2").settle()
    assert cluster.status["phase"] == "Pending"


def test_a_newer_run_is_the_newest_although_the_older_one_started_after_it_was_made():
    older = run(1).status(startedAt=stamp(50))
    newer = execution("newer").created(10).scheduled(10)
    before = of().status(
        lastExecution={"name": "run-1", "phase": "Succeeded", "startedAt": stamp(50)}
    )
    status = decided(task_world(before, older, newer), 60).status
    assert (status.last_execution.name, status.phase) == ("newer", "Pending")


def test_an_older_run_of_the_second_in_which_the_newest_started_is_not_told():
    last = {"name": "gone", "phase": "Failed", "startedAt": stamp(1), "reason": "Error"}
    before = of().status(lastExecution=last, phase="Failed")
    assert decided(task_world(before, run(1)), 60).status.last_execution.name == "gone"


def test_a_newest_run_that_was_deleted_before_it_ended_is_forgotten_where_older_ones_are():
    before = of().status(
        lastExecution={"name": "gone", "phase": "Running", "startedAt": stamp(50)}, phase="Running"
    )
    status = decided(task_world(before, run(1)), 60).status
    assert (status.last_execution.name, status.phase) == ("run-1", "Succeeded")


def test_conditions_are_those_of_the_run_although_history_is_deleted_at_once():
    failed = ran().ended("Failed", 5, reason="Error", failureMessage="words")
    before = task_world(of(history={"failed": 0}), failed)
    decision = decided(before, OLD)
    assert decision.actions == (DeleteExecution("build-run", "uid-build-run"),)
    assert conditions(decision.status)["Stalled"] == ("True", "Error", "words")
