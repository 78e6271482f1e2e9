"""What one execution does next, by the moment and by what is seen."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from builders import (
    JOB,
    JOB_UID,
    POD_UID,
    at,
    event,
    execution,
    job,
    pod,
    refusal,
    stamp,
    stored,
    task,
    world,
)
from taskmill.api.reasons import Payer, Phase, Reason
from taskmill.plan.decision import (
    CreateJob,
    Decision,
    DeleteJob,
    ReadChildren,
    ReadEvents,
    StopPod,
    TellEvent,
)
from taskmill.plan.executions.attempt import family, observe
from taskmill.plan.executions.decide import decide
from taskmill.plan.executions.questions import DUE, SIGHT
from taskmill.plan.world import Heard, Limits, Refusal, Trouble

DELETE = DeleteJob(JOB, JOB_UID)
STOP = StopPod("build-1-x7k2p", POD_UID)
VERDICT = "build-1-993dc9d638"
"""Name of the Event about the end of the default execution."""


def decided(before, seconds):
    """The decision, checked for what is true of every decision."""
    now = at(seconds)
    decision = decide(before, now)
    assert decision.look_at is None or decision.look_at > now
    old, new = before.execution.status, decision.status
    if new is not None:
        assert new.status_version == (old.status_version or 0) + 1
        assert new.model_copy(update={"status_version": old.status_version}) != old
        for words in (new.message, new.failure_message):
            assert words is None or 0 < len(words.encode()) <= 1024
        if new.phase.final:
            told = [TellEvent(VERDICT, new.reason, new.failure_message)]
            assert tells(decision) == (told if new.phase is Phase.FAILED else [])
    return decision


def tells(decision):
    """The Events that it writes."""
    return [action for action in decision.actions if isinstance(action, TellEvent)]


def deeds(decision):
    """What it does beyond writing Events."""
    return tuple(action for action in decision.actions if not isinstance(action, TellEvent))


def settled(before, seconds):
    """The decision once Events were read, after which the same world has nothing more to say."""
    before = replace(before, heard={**heard(before, seconds).heard, **before.heard})
    decision = decided(before, seconds)
    again = decided(stored(before, decision, at(seconds)), seconds)
    assert again.status is None
    return decision


def heard(before, seconds):
    """The world, no Event having been found about anything in it at that second."""
    about = [one.uid for one in (*before.jobs, *before.pods)]
    return replace(before, heard=dict.fromkeys(about, Heard((), at(seconds))))


def with_task(before, of):
    """The world, its Task being that by now."""
    return replace(before, tasks={of.meta.name: of} if of else {})


def verdict(decision):
    status = decision.status
    assert status
    assert status.phase
    assert status.phase.final
    return status.phase, status.reason, status.failure_message


def conditions(status):
    return {c.type: (c.status, c.reason) for c in status.conditions or ()}


# -- from creation to running ---------------------------------------------------------------------


def test_a_new_execution_gets_its_job_and_no_word_yet():
    decision = settled(world(), 0)
    (create,) = decision.actions
    assert isinstance(create, CreateJob)
    assert create.body["kind"] == "Job"
    assert decision.status is None
    # Its shell looks again after each deed.
    assert decision.look_at == at(24 * 3600)


def test_no_second_job_is_made_while_one_exists():
    assert settled(world(job()), 1).actions == ()


def test_no_second_job_is_made_after_the_first_is_gone():
    decision = settled(world(job(), gone={JOB_UID}), 60)
    assert verdict(decision) == (
        Phase.FAILED,
        Reason.DELETED,
        f"step build: Job {JOB} was deleted",
    )
    assert deeds(decision) == ()


def test_no_second_job_is_made_when_the_status_remembers_one_that_nobody_saw_go():
    running = execution().status(
        phase="Running",
        startedAt=stamp(3),
        steps=[{"id": "build", "phase": "Running", "attempt": 1, "jobName": "build-1-x"}],
    )
    decision = settled(world(running), 60)
    assert verdict(decision)[1:] == (Reason.DELETED, "step build: Job build-1-x was deleted")
    assert deeds(decision) == ()
    assert decision.status.started_at == at(3)


def test_the_job_of_another_execution_of_the_same_name_is_not_ours():
    decision = decided(world(job().of("another-uid")), 0)
    assert isinstance(decision.actions[0], CreateJob)


def test_a_job_of_another_name_is_not_ours_whatever_it_says():
    forged = world(job("forged"), pod().exited(0))
    decision = decided(forged, 0)
    (create,) = decision.actions
    assert isinstance(create, CreateJob)
    assert create.body["metadata"]["name"] == JOB
    assert decision.status is None


def test_a_run_is_pending_only_after_three_seconds():
    waiting = world(job(), pod())
    early = settled(waiting, 2.9)
    assert (early.status, early.look_at) == (None, at(3))
    late = settled(waiting, 3)
    assert late.status
    assert (late.status.phase, late.status.reason, late.status.message) == (
        Phase.PENDING,
        None,
        "step build: waiting for a node",
    )
    assert late.status.deadline == at(24 * 3600)
    assert late.status.observed_generation == 1


def test_a_run_that_starts_within_three_seconds_is_never_written_as_pending():
    decision = settled(world(job(), pod().running(2)), 2.5)
    status = decision.status
    assert status
    assert (status.phase, status.reason, status.message) == (Phase.RUNNING, None, None)
    assert status.started_at == at(2)
    assert conditions(status) == {"Reconciling": ("True", "Running")}
    (step,) = status.steps
    assert (step.id, step.phase, step.attempt) == ("build", Phase.RUNNING, 1)
    assert (step.job_name, step.pod_name, step.node) == (
        JOB,
        "build-1-x7k2p",
        "node-1",
    )


def test_running_on_writes_nothing_and_looks_again_at_the_deadline():
    before = world(job(), pod().running(1))
    after = stored(before, decided(before, 1), at(1))
    for seconds in (2, 60, 3600):
        assert decided(after, seconds) == Decision(None, (), at(24 * 3600))


def test_a_new_message_waits_ten_seconds_after_the_last_write():
    before = world(job(), pod().waiting("ImagePullBackOff", "i/o timeout"))
    told = stored(before, decided(before, 3), at(3))
    changed = replace(told, pods=(pod().waiting("CreateContainerError", "no such key").facts,))
    early = decided(changed, 5)
    assert (early.status, early.look_at) == (None, at(13))
    late = settled(changed, 13)
    assert late.status
    assert (late.status.reason, late.status.message) == (
        Reason.CONFIG_ERROR,
        "step build: no such key; it fails at 2026-11-24T12:00:43Z",
    )


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (
            pod().waiting("ErrImagePull", "dial tcp 10.0.0.1:443: i/o timeout"),
            pod().waiting("ErrImagePull", "dial tcp 10.0.0.27:443: i/o timeout"),
        ),
        (
            pod().unschedulable("0/3 nodes are available: 3 Insufficient cpu."),
            pod().unschedulable("0/12 nodes are available: 12 Insufficient cpu."),
        ),
        (
            pod().beside().running(1).exited(3, "7 of 9 lost", container="helper"),
            pod().beside().running(1).exited(3, "8 of 9 lost", container="helper"),
        ),
    ],
    ids=["address", "count", "while it runs"],
)
def test_the_same_words_with_other_numbers_are_no_news(first, then):
    before = world(job(), first)
    told = stored(before, decided(before, 20), at(20))
    changed = replace(told, pods=(then.facts,))
    for seconds in (25, 60, 300):
        assert decided(changed, seconds).status is None


def test_other_numbers_are_told_together_with_what_is_news():
    before = world(job(), pod().waiting("ErrImagePull", "dial tcp 10.0.0.1:443: i/o timeout"))
    told = stored(before, decided(before, 20), at(20))
    moved = pod().waiting("ErrImagePull", "dial tcp 10.0.0.2:443: i/o timeout").on("node-2")
    after = settled(replace(told, pods=(moved.facts,)), 30).status
    assert after.message == "step build: dial tcp 10.0.0.2:443: i/o timeout"
    (reconciling,) = after.conditions
    assert reconciling.message == after.message


def test_the_same_words_for_another_reason_are_news():
    before = world(job(), pod().waiting("CreateContainerError", "no 1"))
    told = stored(before, decided(before, 20), at(20))
    other = replace(told, pods=(pod().waiting("ErrImagePull", "no 2").facts,))
    assert decided(other, 30).status.reason is Reason.IMAGE_PULL_FAILED


def test_a_node_that_falls_silent_is_told_and_costs_the_container_nothing():
    before = world(execution().deadline(7200), job().started(), pod().running(1))
    told = stored(before, decided(before, 1), at(1))
    silent = replace(told, pods=(pod().running(1).silent().facts,))
    decision = settled(silent, 60)
    status = decision.status
    assert (status.phase, status.reason, status.message) == (
        Phase.RUNNING,
        Reason.NODE_LOST,
        "step build: node node-1 does not answer; its container may be running on",
    )
    assert status.started_at == status.steps[0].started_at == at(1)
    assert conditions(status) == {"Reconciling": ("True", "NodeLost")}
    assert (decision.actions, decision.look_at) == ((), at(7200))
    still = stored(silent, decision, at(60))
    assert decided(still, 3600) == Decision(None, (), at(7200))
    back = replace(still, pods=(pod().running(1).facts,))
    answers = settled(back, 3600).status
    assert (answers.phase, answers.reason, answers.message) == (Phase.RUNNING, None, None)
    ended = replace(still, pods=(pod().exited(0, start=1, end=900).facts,))
    assert decided(ended, 3600).status.phase is Phase.SUCCEEDED


def test_a_silent_node_stops_no_clock():
    silent = pod().running(5).silent()
    before = world(execution().deadline(60), job().started(), silent)
    assert decided(before, 60).actions == (STOP,)
    limited = world(execution().runs(maxRunTime="10s"), job().started(), silent)
    assert decided(limited, 16).status.reason is Reason.MAX_RUN_TIME_EXCEEDED


def test_what_ails_a_running_execution_is_told_like_every_message_ten_seconds_after_the_last():
    before = world(job(), pod().beside().running(1))
    told = stored(before, decided(before, 1), at(1))
    ailing = pod().beside().running(1).exited(3, "no config", container="helper")
    changed = replace(told, pods=(ailing.facts,))
    early = decided(changed, 5)
    assert (early.status, early.look_at) == (None, at(11))
    late = settled(changed, 11).status
    assert (late.phase, late.reason, late.message) == (
        Phase.RUNNING,
        None,
        "step build: sidecar helper: exit code 3: no config",
    )
    assert conditions(late) == {"Reconciling": ("True", "Running")}


def test_what_runs_again_is_told_at_once():
    """A queueing system took the pod away and let the Job in again."""
    before = world(job().suspended())
    told = stored(before, decided(before, 20), at(20))
    resumed = replace(told, jobs=(job().started(21).facts,), pods=(pod().running(22).facts,))
    assert decided(resumed, 22).status.phase is Phase.RUNNING


def test_a_failed_pod_whose_container_is_said_to_run_waits_for_the_job_or_the_pod_to_go():
    before = world(job().started(), pod().running(1))
    told = stored(before, decided(before, 1), at(1))
    failing = pod().running(1).phase("Failed", "Strange", "words")
    failing.condition("Ready", "False", "PodFailed", seconds=5)
    half = replace(told, pods=(failing.facts,))
    undecided = decided(half, 6)
    assert undecided.status is None
    assert deeds(undecided) == ()
    counted = replace(half, jobs=(job().started().failed(seconds=6).facts,))
    assert decided(counted, 7).status is None, "the kubelet has still to say how it ended"
    assert decided(counted, 7).look_at == at(11)
    assert verdict(decided(counted, 11))[1] == Reason.ERROR
    assert verdict(decided(replace(half, gone=frozenset({POD_UID})), 7))[1] == Reason.ERROR
    for then in (half, counted):
        told_more = replace(then, pods=(pod().exited(4, start=1, end=5).facts,))
        assert verdict(decided(told_more, 7))[2] == "step build: exit code 4"


def test_a_stopped_pod_that_its_job_counts_as_failed_first_is_asked_how_it_ended():
    """The Job controller may be quicker than the kubelet's last word."""
    before = world(execution().deadline(10), job().started(), pod().running(1))
    told = stored(before, decided(before, 2), at(2))
    stopping = stored(told, decided(told, 10), at(10))
    failing = pod().running(1).asked_to_stop().phase("Failed", "DeadlineExceeded", "words")
    counted = replace(stopping, jobs=(job().started().failed(seconds=12).facts,))
    assert decided(replace(counted, pods=(failing.facts,)), 12).status is None
    ended = pod().exited(143, "halfway", start=1, end=12).phase("Failed", "DeadlineExceeded")
    ends = replace(counted, pods=(ended.facts,))
    assert verdict(decided(ends, 13))[2].endswith(
        "; it ended with exit code 143 (SIGTERM): halfway"
    )


def test_unschedulable_is_believed_after_15_seconds():
    before = world(job(), pod().unschedulable("0/1 nodes are available: 1 Insufficient cpu."))
    doubted = settled(before, 3)
    assert doubted.status
    assert (doubted.status.reason, doubted.status.message) == (
        None,
        "step build: waiting for a node",
    )
    told = stored(before, doubted, at(3))
    assert decided(told, 14).look_at == at(15)
    believed = settled(told, 15)
    assert believed.status
    assert (believed.status.reason, believed.status.message) == (
        Reason.UNSCHEDULABLE,
        (
            "step build: Unschedulable: 0/1 nodes are available: 1 Insufficient cpu;"
            " lower resources.requests, or add nodes"
        ),
    )


# -- verdicts -------------------------------------------------------------------------------------


def test_a_success_is_complete_and_finished():
    decision = settled(world(job(), pod().exited(0, start=1, end=9)), 9)
    status = decision.status
    assert verdict(decision) == (Phase.SUCCEEDED, None, None)
    assert (status.started_at, status.completed_at) == (at(1), at(9))
    assert conditions(status) == {
        "Complete": ("True", "Succeeded"),
        "Finished": ("True", "Succeeded"),
    }
    assert status.steps[0].exit_code == 0
    assert deeds(decision) == ()
    assert decision.look_at == at(9 + 3600)


def test_a_failure_says_step_code_and_last_line():
    decision = settled(world(job(), pod().exited(3, "one\ncc: error: foo.c\n")), 11)
    status = decision.status
    assert verdict(decision) == (
        Phase.FAILED,
        Reason.ERROR,
        "step build: exit code 3: cc: error: foo.c",
    )
    assert conditions(status) == {
        "Failed": ("True", "Error"),
        "Finished": ("True", "Error"),
        "Stalled": ("True", "Error"),
    }
    (step,) = status.steps
    assert (step.exit_code, step.reason, step.failure_message) == (
        3,
        Reason.ERROR,
        status.failure_message,
    )
    assert deeds(decision) == ()


def test_a_verdict_takes_the_message_of_waiting_away():
    before = world(job(), pod().on())
    told = stored(before, decided(before, 3), at(3))
    assert told.execution.status.message
    ended = replace(told, pods=(pod().exited(1).facts,))
    assert decided(ended, 12).status.message is None


def test_a_verdict_is_told_although_it_was_never_seen_to_run():
    decision = settled(world(job(), pod().exited(0, start=1, end=2)), 600)
    assert decision.status.completed_at == at(2)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed", "Stopped"])
def test_a_final_phase_never_changes(phase):
    final = execution().status(phase=phase, completedAt=stamp(5)).stopped().deadline(1)
    for pods in ((), (pod().running(),), (pod().exited(3),), (pod().exited(0),)):
        assert decided(world(final, job(), *pods), 60).status is None


# -- the deadline ---------------------------------------------------------------------------------

PASSED = f"deadline {stamp(60)} passed"


def test_a_deadline_that_passed_before_anything_started_runs_nothing():
    decision = settled(world(execution().deadline(60)), 61)
    assert verdict(decision) == (
        Phase.FAILED,
        Reason.DEADLINE_EXCEEDED,
        f"{PASSED}; step build had not started",
    )
    assert deeds(decision) == ()


@pytest.mark.parametrize(
    ("pods", "words"),
    [
        ([], "waiting for its pod to be created"),
        ([pod()], "waiting for a node"),
        ([pod().unschedulable("0/1 nodes")], "Unschedulable: 0/1 nodes"),
        ([pod().waiting("ErrImagePull", "i/o timeout")], "i/o timeout"),
    ],
    ids=["no pod", "no node", "no room", "no image"],
)
def test_a_deadline_says_what_was_still_waited_for_and_deletes_the_job(pods, words):
    before = world(execution().deadline(60), job(), *pods)
    assert decided(before, 59.9).look_at == at(60)
    decision = settled(before, 60)
    assert verdict(decision) == (
        Phase.FAILED,
        Reason.DEADLINE_EXCEEDED,
        f"{PASSED}; step build was still waiting: {words}",
    )
    assert deeds(decision) == (DELETE,)


def overdue(**running):
    return world(execution().deadline(60), job().started(), pod().running(5), **running)


def test_a_deadline_while_it_runs_is_stored_before_its_container_is_stopped():
    decision = settled(overdue(), 60)
    status = decision.status
    assert status
    words = f"{PASSED}; step build was running since {stamp(5)}"
    assert (status.phase, status.reason, status.failure_message) == (
        Phase.RUNNING,
        Reason.DEADLINE_EXCEEDED,
        words,
    )
    assert conditions(status) == {
        "Reconciling": ("True", "Ending"),
        "FailureTarget": ("True", "DeadlineExceeded"),
    }
    assert deeds(decision) == (STOP,)
    assert decision.look_at == at(60 + 30 + 10)


def test_a_container_is_asked_to_stop_until_it_has_been():
    before = overdue()
    ending = stored(before, decided(before, 60), at(60))
    assert decided(ending, 61) == Decision(None, (STOP,), at(100))
    asked = replace(ending, pods=(pod().running(5).asked_to_stop().facts,))
    assert decided(asked, 61) == Decision(None, (), at(100))
    deleted = replace(ending, pods=(pod().running(5).deleted().facts,))
    assert deeds(decided(deleted, 61)) == ()


def test_the_verdict_completes_the_sentence_with_how_it_ended():
    before = overdue()
    ending = stored(before, decided(before, 60), at(60))
    stopped = pod().exited(143, "bye", start=5, end=62).phase("Failed", "DeadlineExceeded", "long")
    decision = settled(replace(ending, pods=(stopped.facts,)), 62)
    assert verdict(decision) == (
        Phase.FAILED,
        Reason.DEADLINE_EXCEEDED,
        (
            f"{PASSED}; step build was running since {stamp(5)};"
            " it ended with exit code 143 (SIGTERM): bye"
        ),
    )
    assert deeds(decision) == (DELETE,)
    assert decision.status.completed_at == at(62)
    assert conditions(decision.status)["FailureTarget"] == ("True", "DeadlineExceeded")


def test_the_stored_verdict_survives_a_restart_whatever_the_container_does():
    before = overdue()
    ending = stored(before, decided(before, 60), at(60))
    fresh = replace(ending, written_at=None)
    for ended in (pod().exited(0, end=61), pod().exited(3, end=61)):
        phase, reason, words = verdict(decided(replace(fresh, pods=(ended.facts,)), 62))
        assert (phase, reason) == (Phase.FAILED, Reason.DEADLINE_EXCEEDED)
        assert "it ended with exit code" in words


def test_what_cannot_be_stopped_is_given_up_ten_seconds_after_its_grace():
    before = overdue()
    ending = stored(before, decided(before, 60), at(60))
    assert decided(ending, 99.9).status is None
    decision = settled(ending, 100)
    assert verdict(decision)[2].endswith("; its container was not seen to end within 40s")
    assert deeds(decision) == (DELETE,)


def test_after_an_outage_what_ended_before_the_deadline_has_its_own_verdict():
    for ended, phase in (
        (pod().exited(0, end=60), Phase.SUCCEEDED),
        (pod().exited(3), Phase.FAILED),
    ):
        decision = settled(world(execution().deadline(60), job(), ended), 600)
        assert decision.status.phase is phase
        assert decision.status.reason != Reason.DEADLINE_EXCEEDED


@pytest.mark.parametrize("code", [0, 3])
def test_after_an_outage_what_ended_after_the_deadline_is_overdue(code):
    before = world(execution().deadline(60), job(), pod().exited(code, start=5, end=61))
    phase, reason, words = verdict(settled(before, 600))
    assert (phase, reason) == (Phase.FAILED, Reason.DEADLINE_EXCEEDED)
    assert words == f"{PASSED}; step build was still running; it ended with exit code {code}"


def test_after_an_outage_what_still_runs_is_stopped():
    assert deeds(decided(overdue(), 600)) == (STOP,)


def test_the_default_deadline_is_the_operators_timeout():
    before = world(limits=Limits(timeout=timedelta(minutes=5)))
    assert verdict(decided(before, 300))[1] == Reason.DEADLINE_EXCEEDED
    late = decided(before, 299)
    # However late it is seen first, its Job comes before any word about it.
    assert late.status is None
    assert isinstance(late.actions[0], CreateJob)


def test_a_stored_deadline_outlives_a_change_of_the_operators_timeout():
    before = world(job(), pod().running(1))
    told = stored(before, decided(before, 1), at(1))
    changed = replace(told, limits=Limits(timeout=timedelta(minutes=1)))
    assert decided(changed, 3600) == Decision(None, (), at(24 * 3600))


def test_a_deadline_with_a_fraction_of_a_second_is_not_written_for_ever():
    before = world(execution().spec(deadline="2026-11-24T12:01:00.5Z"), job(), pod().running(1))
    assert settled(before, 1).status


def test_a_timeout_with_a_fraction_of_a_second_stays_valid():
    """The stored deadline has whole seconds; maxRunTime just fits into the one meant."""
    of = task().spec(timeout="1m500ms", maxRunTime="1m500ms")
    before = world(execution().bare(), of)
    after = stored(before, decided(before, 0), at(0))
    again = decided(after, 1)
    assert again.status is None
    assert isinstance(again.actions[0], CreateJob)


# -- the other clocks -----------------------------------------------------------------------------


def test_max_run_time_is_counted_in_the_whole_seconds_of_kubernetes():
    """A container that started at 5 s may have started at 5.999 s."""
    before = world(execution().runs(maxRunTime="10s"), job(), pod().running(5))
    told = stored(before, decided(before, 6), at(6))
    assert decided(told, 15.9) == Decision(None, (), at(16))
    decision = settled(told, 16)
    assert decision.status
    assert decision.status.failure_message == "step build: ran longer than maxRunTime 10s"
    assert decision.status.reason == Reason.MAX_RUN_TIME_EXCEEDED
    assert deeds(decision) == (STOP,)


@pytest.mark.parametrize(("end", "reason"), [(15, None), (16, Reason.MAX_RUN_TIME_EXCEEDED)])
def test_after_an_outage_max_run_time_is_judged_by_the_containers_own_times(end, reason):
    ended = pod().exited(0, start=5, end=end)
    before = world(execution().runs(maxRunTime="10s"), job(), ended)
    decision = settled(before, 600)
    assert decision.status.reason == reason
    assert deeds(decision) == ((DELETE,) if reason else ())


def test_start_timeout_counts_from_the_node_and_is_told_with_the_known_cause():
    slow = execution().runs(startTimeout="1m")
    pulling = pod().on(seconds=20).waiting("ErrImagePull", "i/o timeout")
    decision = settled(world(slow, job(), pulling), 80)
    assert verdict(decision) == (
        Phase.FAILED,
        Reason.IMAGE_PULL_FAILED,
        "step build: did not start within startTimeout 1m: i/o timeout",
    )
    assert deeds(decision) == (DELETE,)
    assert decided(world(slow, job(), pulling), 79).look_at == at(80)


def test_start_timeout_without_a_known_cause_is_a_failed_start():
    decision = settled(world(job(), pod().on().waiting("ContainerCreating")), 600)
    assert verdict(decision) == (
        Phase.FAILED,
        Reason.START_FAILED,
        "step build: did not start within startTimeout 10m: starting on node-1",
    )


def test_start_timeout_does_not_count_the_wait_for_a_node():
    assert decided(world(job(), pod()), 3600).status.phase is Phase.PENDING


@pytest.mark.parametrize(
    ("built", "reason"),
    [
        ([job()], Reason.QUEUED),
        ([job().suspended()], Reason.QUEUED),
        ([job(), pod().unschedulable("0/1 nodes")], Reason.UNSCHEDULABLE),
    ],
    ids=["no pod", "suspended", "unschedulable"],
)
def test_queue_timeout_ends_every_wait_for_room(built, reason):
    before = world(execution().runs(queueTimeout="1m"), *built)
    assert decided(before, 59).look_at == at(60)
    phase, given, words = verdict(settled(before, 60))
    assert (phase, given) == (Phase.FAILED, reason)
    assert words.startswith("step build: waited for room longer than queueTimeout 1m: ")


def test_without_queue_timeout_a_full_cluster_is_a_queue():
    before = world(job(), pod().unschedulable("0/1 nodes"))
    assert decided(before, 23 * 3600).status.phase is Phase.PENDING


FATAL = {
    "name": (("InvalidImageName", "no"), 0, Reason.INVALID_IMAGE_NAME, "no; check image"),
    "pull": (
        ("ImagePullBackOff", "a:1: not found"),
        60,
        Reason.IMAGE_PULL_FAILED,
        "a:1: not found; check image and its tag",
    ),
    "config": (("CreateContainerConfigError", "no s"), 30, Reason.CONFIG_ERROR, "no s"),
}


@pytest.mark.parametrize("name", FATAL)
def test_a_fatal_cause_ends_it_after_its_patience_with_it(name):
    """From when it was seen first: what had kept the pod from starting until then is over."""
    waiting, patience, reason, words = FATAL[name]
    before = world(job(), pod().on(seconds=7).waiting(*waiting), events_at=290)
    if patience:
        before = stored(before, decided(before, 300), at(300))
        waited = decided(heard(before, 299 + patience), 299.5 + patience)
        assert waited.status is None
        assert waited.look_at == at(300 + patience)
    decision = settled(before, 300 + patience)
    assert verdict(decision) == (Phase.FAILED, reason, f"step build: {words}")
    assert deeds(decision) == (DELETE,)


def test_the_clock_of_a_fatal_cause_starts_anew_with_another_cause():
    def pulls(words):
        return (pod().waiting("ImagePullBackOff", words).facts,)

    before = world(job(), events_at=0)
    first = decided(replace(before, pods=pulls("a:1: not found")), 10)
    assert first.troubles == (Trouble(JOB_UID, Reason.IMAGE_PULL_FAILED, at(10)),)
    timed_out = replace(before, pods=pulls("i/o timeout"), troubles=first.troubles)
    between = decided(timed_out, 20)
    assert between.troubles == ()
    again = decided(replace(before, pods=pulls("a:1: not found"), troubles=between.troubles), 30)
    assert [one.since for one in again.troubles] == [at(30)]
    keyless = (pod().waiting("CreateContainerConfigError", "no key").facts,)
    other = decided(replace(before, pods=keyless, troubles=again.troubles), 40)
    assert other.troubles == (Trouble(JOB_UID, Reason.CONFIG_ERROR, at(40)),)


def test_the_clock_of_a_fatal_cause_goes_on_while_it_is_seen_again_in_other_words():
    before = world(job(), events_at=0)
    pull = pod().waiting("ErrImagePull", "a:1: not found").facts
    back_off = pod().waiting("ImagePullBackOff", "unauthorized: login first").facts
    first = decided(replace(before, pods=(pull,)), 10)
    second = decided(replace(before, pods=(back_off,), troubles=first.troubles), 40)
    assert second.troubles == first.troubles
    third = replace(before, pods=(pull,), troubles=second.troubles)
    assert not decided(third, 69).status.phase.final
    assert verdict(decided(heard(third, 70), 70))[1] == Reason.IMAGE_PULL_FAILED


def test_the_clock_of_a_fatal_cause_is_that_of_its_job():
    former = Trouble("another-uid", Reason.CONFIG_ERROR, at(0))
    waits = pod().waiting("CreateContainerConfigError", "no key")
    decision = decided(world(job(), waits, trouble=former), 60)
    assert decision.troubles == (Trouble(JOB_UID, Reason.CONFIG_ERROR, at(60)),)


def test_a_process_that_starts_anew_gives_a_fatal_cause_its_time_again():
    """It may have come back just now; nothing that is stored says so."""
    waits = pod().waiting("CreateContainerConfigError", "no key")
    assert not decided(world(job(), waits), 3600 // 8).status.phase.final


def test_what_is_not_fatal_by_itself_is_no_trouble():
    for built in ([job()], [job(), pod().running()], [job(), pod().on()]):
        assert decided(world(*built), 5).troubles == ()


# -- stopping -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("built", "words", "actions"),
    [
        ([], "had not started", ()),
        ([job()], "was still waiting: waiting for its pod to be created", (DELETE,)),
        ([job(), pod().on()], "was still waiting: starting on node-1", (DELETE,)),
    ],
    ids=["no job", "queued", "starting"],
)
def test_a_stop_before_it_runs_is_final_at_once(built, words, actions):
    decision = settled(world(execution().stopped(), *built), 5)
    assert verdict(decision) == (
        Phase.STOPPED,
        Reason.STOPPED,
        f"stopped on request; step build {words}",
    )
    assert deeds(decision) == actions
    assert {"Failed", "Finished"} <= set(conditions(decision.status))


def stopping():
    before = world(execution().stopped(), job(), pod().running(5))
    decision = decided(before, 20)
    assert deeds(decision) == (STOP,)
    assert decision.status
    assert decision.status.phase is Phase.RUNNING
    return stored(before, decision, at(20))


def test_a_stop_that_is_obeyed_within_grace_is_stopped():
    ended = pod().exited(143, start=5, end=21).asked_to_stop()
    decision = settled(replace(stopping(), pods=(ended.facts,)), 21)
    assert verdict(decision) == (
        Phase.STOPPED,
        Reason.STOPPED,
        (
            f"stopped on request; step build was running since {stamp(5)};"
            " it ended with exit code 143 (SIGTERM)"
        ),
    )
    assert deeds(decision) == (DELETE,)


def test_a_stop_that_needs_sigkill_is_killed_and_its_phase_is_stopped():
    ended = pod().exited(137, start=5, end=51).phase("Failed", "DeadlineExceeded")
    decision = settled(replace(stopping(), pods=(ended.facts,)), 51)
    assert verdict(decision) == (
        Phase.STOPPED,
        Reason.KILLED,
        (
            f"stopped on request; step build was running since {stamp(5)};"
            " it did not end within 30s and was killed"
        ),
    )
    assert deeds(decision) == (DELETE,)


def test_what_ended_by_itself_before_it_was_stopped_has_its_own_verdict():
    decision = settled(world(execution().stopped(), job(), pod().exited(0)), 20)
    assert decision.status.phase is Phase.SUCCEEDED


def test_a_stop_wins_over_a_deadline_that_passes_later():
    before = stopping()
    late = replace(before, execution=replace(before.execution, spec=overdue().execution.spec))
    assert decided(late, 65).status.reason == Reason.STOPPED


# -- Events ---------------------------------------------------------------------------------------


def test_events_are_read_when_a_pod_does_not_start_and_then_less_and_less_often():
    before = world(job(), pod().on().waiting("ContainerCreating"))
    reads = []
    for tenths in range(1900):
        if ReadEvents(POD_UID, patient=True) in decided(before, tenths / 10).actions:
            reads.append(tenths / 10)
            before = heard(before, tenths / 10)
    assert reads == [2, 4, 8, 16, 32, 64, 124, 184]


@pytest.mark.parametrize("read_at", [None, 2, 4, 8, 300])
def test_whoever_waits_for_events_looks_again_when_they_are_due(read_at):
    now = 1 if read_at is None else read_at + 0.1
    before = world(job(), pod().on().waiting("ContainerCreating"), events_at=read_at)
    told = stored(before, decided(before, now), at(now))
    look_at = decided(told, now).look_at
    seconds = (look_at - at(0)).total_seconds()
    if seconds == 3:  # the first word comes first
        seconds = 4
    assert deeds(decided(told, seconds - 0.1)) == ()
    assert deeds(decided(told, seconds)) == (ReadEvents(POD_UID, patient=True),)


def test_events_are_read_before_the_first_word_is_written():
    """So that it says why."""
    before = world(job(), pod().on().waiting("ContainerCreating"))
    early = decided(before, 2)
    assert (early.status, deeds(early)) == (None, (ReadEvents(POD_UID, patient=True),))
    told = [event("FailedMount", 'secret "tls" not found')]
    read = world(job(), pod().on().waiting("ContainerCreating"), events=told, events_at=2)
    assert decided(read, 3).status.reason is Reason.MOUNT_FAILED


def test_events_about_the_job_are_read_while_it_has_no_pod():
    taken_up = world(job().started(0))
    assert deeds(decided(taken_up, 3)) == (ReadEvents(JOB_UID, patient=True),)


def test_of_a_job_that_waits_for_its_controller_no_event_says_anything():
    """A pod is refused to whoever has taken up the Job: so it is in all that was recorded."""
    assert deeds(decided(world(job()), 3)) == ()


def test_events_about_a_pull_that_fails_are_read_for_its_secrets():
    before = world(job(), pod().waiting("ImagePullBackOff", "unauthorized"))
    assert deeds(decided(before, 3)) == (ReadEvents(POD_UID, patient=True),)
    assert deeds(decided(heard(before, 3), 4)) == ()


@pytest.mark.parametrize(
    "built",
    [
        [job().suspended()],
        [job(), pod().unschedulable("0/1 nodes")],
        [job(), pod().running()],
        [job(), pod().running().silent()],
        [job(), pod().waiting("CreateContainerConfigError", "no key")],
    ],
    ids=["suspended", "unschedulable", "running", "silent", "says why itself"],
)
def test_no_events_are_read_about_what_speaks_for_itself(built):
    assert deeds(decided(world(*built), 20)) == ()


# -- retirement -----------------------------------------------------------------------------------


def finished(phase="Failed", reason="Error", *, done=10, **status):
    steps = [{"id": "build", "phase": phase, "reason": reason, "attempt": 1}]
    told = {"phase": phase, "reason": reason, "completedAt": stamp(done), "steps": steps}
    return execution().status(**told, **status)


def test_the_job_of_a_finished_execution_stays_for_its_retention():
    before = world(finished(), job().failed(), pod().exited(3))
    assert decided(before, 11) == Decision(None, (), at(10 + 3600))
    assert deeds(decided(before, 10 + 3600)) == (DELETE,)


def test_the_retention_of_a_run_that_ended_during_an_outage_begins_with_its_verdict():
    verdict = {
        "type": "Finished",
        "status": "True",
        "reason": "Error",
        "message": "",
        "lastTransitionTime": stamp(9000),
    }
    before = world(finished(conditions=[verdict]), job().failed(), pod().exited(3))
    assert decided(before, 9001) == Decision(None, (), at(9000 + 3600))


@pytest.mark.parametrize("reason", ["Stopped", "Killed", "DeadlineExceeded", "MaxRunTimeExceeded"])
def test_an_overdue_job_is_deleted_at_once(reason):
    before = world(finished(reason=reason), job().failed(), pod().exited(143))
    assert deeds(decided(before, 11)) == (DELETE,)


@pytest.mark.parametrize("pods", [(), (pod(),), (pod().running(),)], ids=["none", "new", "runs"])
def test_what_still_runs_for_a_finished_execution_is_deleted_at_once(pods):
    assert deeds(decided(world(finished(), job(), *pods), 11)) == (DELETE,)


def test_the_wait_for_room_begins_anew_when_its_job_is_suspended_or_resumed():
    patient = execution().runs(queueTimeout="10s")
    taken = job().started().suspended().condition("Suspended", "True", seconds=100)
    before = world(patient, taken, pod().exited(143, start=1, end=101).deleted(100))
    assert decided(before, 105).look_at == at(110)
    assert verdict(settled(before, 110))[1] == Reason.QUEUED
    resumed = job().started(200).condition("Suspended", "False", seconds=200)
    waits = pod().created(200).unschedulable("0/1 nodes are available: 1 Insufficient cpu.")
    told = decided(world(patient, resumed, waits), 205)
    assert told.look_at == at(210)


def test_a_run_whose_pod_says_nothing_of_its_start_has_no_clock_of_running():
    before = world(execution().runs(maxRunTime="10s"), job(), pod().on().phase("Running"))
    assert deeds(decided(before, 1000)) == ()


def probed():
    built = pod()
    built.raw["spec"]["containers"][0]["livenessProbe"] = {"exec": {"command": ["false"]}}
    return built.exited(143)


def test_of_what_a_probe_may_have_killed_the_events_are_read_before_the_verdict():
    before = world(job(), probed())
    assert decided(before, 11) == Decision(None, (ReadEvents(POD_UID),), at(24 * 3600))
    silent = heard(before, 11)
    assert decided(silent, 11.5) == Decision(None, (), at(12))
    assert decided(silent, 12) == Decision(None, (ReadEvents(POD_UID),), at(24 * 3600))
    assert verdict(decided(silent, 15))[1] == Reason.ERROR
    told = world(job(), probed(), events=[event("Unhealthy", "Liveness probe failed")])
    assert "Liveness probe failed" in verdict(decided(told, 11.1))[2]
    assert verdict(decided(world(job(), pod().exited(143)), 11))[1] == Reason.ERROR


def test_before_a_start_is_given_up_its_events_are_read_though_its_pod_was_looked_for():
    """The two questions may be answered by different passes."""
    before = world(execution().runs(startTimeout="10s"), job().started(), pod().on(), asked=())
    (looked_for, events) = deeds(decided(before, 11))
    assert (type(looked_for), events) == (ReadChildren, ReadEvents(POD_UID))
    found = replace(before, asked={looked_for.why})
    assert deeds(decided(found, 11)) == (events,)
    assert verdict(decided(heard(found, 11), 11))[1] == Reason.START_FAILED


def test_while_the_events_are_read_nothing_is_written():
    """Its verdict comes within seconds, and is one write."""
    ailing = probed().beside().exited(3, "no config", container="helper")
    before = world(job(), pod().beside().running(1).exited(3, "no config", container="helper"))
    told = stored(before, decided(before, 1), at(1))
    assert told.execution.status.message
    ended = replace(told, pods=(ailing.facts,))
    for seconds in (11, 12, 14):
        assert decided(heard(ended, 10.5), seconds).status is None
    assert decided(heard(ended, 14), 15).status.phase is Phase.FAILED


def test_a_rule_that_came_later_does_not_end_what_runs():
    older = execution().runs(podTemplate={"spec": {"restartPolicy": "Never"}})
    assert verdict(settled(world(older), 1))[1] == Reason.INVALID_TASK
    assert deeds(decided(world(older, job(), pod().running(1)), 2)) == ()


def outlived(code=0, *, end=10):
    """A sidecar runs on."""
    built = pod().grace(30).beside().running(container="helper").exited(code, start=1, end=end)
    return built.phase("Running")


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_what_outlives_the_container_is_stopped_in_place_after_its_grace_period(phase):
    reason = None if phase == "Succeeded" else "Error"
    before = world(finished(phase, reason), job(), outlived(0 if reason is None else 3))
    assert decided(before, 11) == Decision(None, (), at(41))
    assert decided(before, 40.9) == Decision(None, (), at(41))
    assert decided(before, 41) == Decision(None, (STOP,), at(10 + 3600))


def test_what_cannot_be_stopped_in_place_goes_with_its_job_ten_seconds_later():
    before = world(finished("Succeeded", None), job(), outlived())
    assert deeds(decided(before, 50.9)) == (STOP,)
    assert deeds(decided(before, 51)) == (DELETE,)


@pytest.mark.parametrize(
    "ended",
    [
        outlived().asked_to_stop(),
        outlived().deleted(20),
        outlived().phase("Succeeded"),
        outlived().phase("Failed", "DeadlineExceeded"),
    ],
    ids=["asked already", "being deleted", "ended by itself", "was stopped"],
)
def test_what_ends_or_was_asked_to_is_not_stopped_again(ended):
    before = world(finished("Succeeded", None), job().started(), ended)
    assert decided(before, 60) == Decision(None, (), at(10 + 3600))


def test_what_outlived_the_container_is_no_more_when_its_job_is_done_or_it_is_gone():
    for before in (
        world(finished("Succeeded", None), job().complete(), outlived()),
        world(finished("Succeeded", None), job(), pod().exited(0)),
    ):
        assert decided(before, 60) == Decision(None, (), at(10 + 3600))
    gone = world(finished("Succeeded", None), job().complete(), outlived(), gone={POD_UID})
    assert decided(gone, 60) == Decision(None, (), at(10 + 3600))


def test_a_verdict_says_when_to_look_after_what_outlives_the_container():
    decision = settled(world(job(), outlived(3)), 12)
    assert verdict(decision)[1] == Reason.ERROR
    assert deeds(decision) == ()
    assert decision.look_at == at(43)


def test_a_pod_whose_container_was_not_told_to_end_yet_keeps_its_job():
    assert deeds(decided(world(finished("Succeeded", None), job(), outlived()), 11)) == ()


@pytest.mark.parametrize(
    ("built", "gone"),
    [(job().deleted(), ()), (job(), (JOB_UID,)), (job().of("someone-else"), ())],
    ids=["being deleted", "gone", "not ours"],
)
def test_a_job_that_goes_or_is_not_ours_is_left_alone(built, gone):
    assert decided(world(finished(), built, gone=gone), 9999) == Decision()


# -- owners and namespaces ------------------------------------------------------------------------


def test_an_execution_that_is_being_deleted_gets_nothing_new():
    leaving = execution().deleted().deadline(60)
    assert decided(world(leaving), 5) == Decision(None, (), at(60))


def test_what_runs_of_an_execution_that_is_being_deleted_still_ends_in_time():
    """A finalizer may keep it for ever; nothing may run for ever."""
    leaving = execution().deleted().deadline(60)
    before = world(leaving, job(), pod().running(5))
    ending = decided(before, 60)
    assert ending.actions == (STOP,)
    assert ending.status.reason == Reason.DEADLINE_EXCEEDED
    ended = world(leaving, job(), pod().exited(0, end=9))
    assert decided(ended, 10).status.phase is Phase.SUCCEEDED
    finished = world(execution().deleted().status(phase="Failed"), job(), pod().running())
    assert deeds(decided(finished, 11)) == (DELETE,)


def test_no_job_is_made_for_an_execution_whose_task_is_gone():
    before = world(execution().owned().deadline(60), owner_alive=False)
    assert decided(before, 5) == Decision(None, (), at(60))
    assert verdict(decided(before, 60))[1] == Reason.DEADLINE_EXCEEDED


def test_what_runs_already_runs_on_when_its_task_is_gone():
    before = world(execution().owned(), job(), pod().exited(0), owner_alive=False)
    assert decided(before, 20).status.phase is Phase.SUCCEEDED


# -- a bare taskRef -------------------------------------------------------------------------------


def test_a_bare_task_ref_freezes_the_plan_together_with_the_jobs_creation():
    before = world(execution().bare(), task().spec(timeout="1h", info={"title": "t"}))
    decision = decided(before, 0)
    status = decision.status
    assert status
    (step,) = status.plan
    assert step.to_api() == {
        "id": "build",
        "label": "t",
        "task": {"image": "ubuntu:24.04", "script": "make", "infraRetries": 0},
    }
    assert status.deadline == at(3600)
    assert isinstance(decision.actions[0], CreateJob)


def test_editing_the_task_later_changes_nothing_in_a_frozen_run():
    before = world(execution().bare(), task().spec(timeout="1h"))
    frozen = stored(before, decided(before, 0), at(0))
    edited = task().spec(image="other:1", timeout="1m").generation(2).facts
    for changed in (with_task(frozen, edited), with_task(frozen, None)):
        decision = decided(changed, 120)
        (create,) = decision.actions
        (container,) = create.body["spec"]["template"]["spec"]["containers"]
        assert container["image"] == "ubuntu:24.04"
        assert create.body["spec"]["activeDeadlineSeconds"] == 3600 - 120 + 60


def test_the_operators_own_executions_need_no_task_to_run():
    before = world(execution().triggered("v1:x", 1), task().spec(image="newer:1"))
    (create,) = decided(before, 0).actions
    (container,) = create.body["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "ubuntu:24.04"


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (None, "waiting for Task build"),
        (task().deleted(), "waiting for Task build"),
        (task().spec(image=None), "waiting for Task build: spec.image: Field required"),
    ],
    ids=["missing", "being deleted", "unreadable"],
)
def test_an_execution_waits_for_its_task(of, words):
    before = world(execution().bare(), *([of] if of else []))
    decision = settled(before, 0)
    status = decision.status
    assert status
    assert (status.phase, status.reason, status.message) == (
        Phase.PENDING,
        Reason.WAITING_FOR_TASK,
        words,
    )
    assert deeds(decision) == ()
    assert status.plan is None
    told = stored(before, decision, at(0))
    arrived = decided(with_task(told, task().facts), 5)
    assert isinstance(arrived.actions[0], CreateJob)
    assert arrived.status.plan


def test_who_waited_for_a_task_longer_than_queue_timeout_still_gets_a_job():
    """Nothing was asked of the cluster yet: that was no wait for room."""
    waiting = world(execution().bare())
    told = stored(waiting, decided(waiting, 0), at(0))
    arrived = with_task(told, task().spec(queueTimeout="1m").facts)
    decision = decided(arrived, 600)
    assert isinstance(decision.actions[0], CreateJob)
    assert decision.status.phase is Phase.PENDING
    queued = replace(stored(arrived, decision, at(600)), jobs=(job().created(600).facts,))
    assert not decided(queued, 659).status.phase.final
    assert verdict(decided(queued, 660))[1] == Reason.QUEUED


def test_the_wait_for_a_task_ends_at_the_deadline_and_by_a_stop():
    bare = execution().bare()
    assert verdict(decided(world(bare), 24 * 3600)) == (
        Phase.FAILED,
        Reason.DEADLINE_EXCEEDED,
        "deadline 2026-11-25T12:00:00Z passed; it was still waiting for Task build",
    )
    assert verdict(decided(world(bare.stopped()), 5)) == (
        Phase.STOPPED,
        Reason.STOPPED,
        "stopped on request",
    )


# -- specs that cannot run ------------------------------------------------------------------------


def test_a_spec_that_cannot_be_read_is_an_invalid_task():
    broken = execution()
    del broken.raw["spec"]["plan"][0]["task"]["image"]
    decision = settled(world(broken), 0)
    assert verdict(decision) == (
        Phase.FAILED,
        Reason.INVALID_TASK,
        "spec.plan.0.task.image: Field required",
    )
    assert deeds(decision) == ()


def test_a_max_run_time_beyond_the_default_deadline_is_an_invalid_task():
    decision = settled(world(execution().runs(maxRunTime="25h")), 0)
    assert verdict(decision) == (
        Phase.FAILED,
        Reason.INVALID_TASK,
        (
            "step build: maxRunTime 25h is longer than the whole execution may take (24h);"
            " give spec.deadline, or timeout in its Task"
        ),
    )
    assert deeds(decision) == ()


def test_a_script_of_too_many_bytes_is_an_invalid_task():
    """The schema of an execution counts characters."""
    longest = 120 * 1024 // 2
    before = world(execution().runs(script="é" * longest))
    assert isinstance(decided(before, 0).actions[0], CreateJob)
    decision = settled(world(execution().runs(script="é" * longest + "x")), 0)
    assert verdict(decision) == (
        Phase.FAILED,
        Reason.INVALID_TASK,
        "step build: script is longer than 120 KiB",
    )
    assert deeds(decision) == ()


def test_a_max_run_time_beyond_the_default_is_fine_with_a_deadline_or_a_timeout():
    given = execution().runs(maxRunTime="25h").deadline(26 * 3600)
    assert isinstance(decided(world(given), 0).actions[0], CreateJob)
    timed = task().spec(maxRunTime="25h", timeout="26h")
    assert isinstance(decided(world(execution().bare(), timed), 0).actions[0], CreateJob)


# -- refusals -------------------------------------------------------------------------------------


REFUSED = "step build: the API server refused its Job: "
QUOTA = f"{REFUSED}exceeded quota: small; free some of the quota, or raise it"


@pytest.mark.parametrize(
    ("kind", "said", "reason", "words"),
    [
        (Refusal.QUOTA, "exceeded quota: small", Reason.QUOTA_EXCEEDED, QUOTA),
        (Refusal.PASSING, "no endpoints", Reason.QUEUED, f"{REFUSED}no endpoints"),
        (
            Refusal.QUOTA,
            f'jobs.batch "{JOB}" is forbidden: exceeded quota: small',
            Reason.QUOTA_EXCEEDED,
            QUOTA,
        ),
    ],
    ids=["quota", "passing", "repeats the name"],
)
def test_a_refusal_that_may_pass_is_told_and_tried_again_when_it_may_be(kind, said, reason, words):
    before = world(refused=refusal(kind, said, 0, again=11))
    early = settled(before, 1)
    assert (early.status, early.actions, early.look_at) == (None, (), at(3))
    decision = settled(before, 3)
    assert decision.status
    assert (decision.status.phase, decision.status.reason, decision.status.message) == (
        Phase.PENDING,
        reason,
        words,
    )
    assert (deeds(decision), decision.look_at) == ((), at(11))
    (again,) = deeds(decided(before, 11))
    assert isinstance(again, CreateJob)


def test_a_refusal_that_may_pass_ends_with_queue_timeout():
    refused = refusal(Refusal.QUOTA, "exceeded quota: small", 5, again=70)
    before = world(execution().runs(queueTimeout="1m"), refused=refused)
    assert decided(before, 64).look_at == at(65)
    assert verdict(settled(before, 65)) == (
        Phase.FAILED,
        Reason.QUOTA_EXCEEDED,
        QUOTA.replace(": ", ": waited for room longer than queueTimeout 1m: ", 1),
    )


def test_a_final_refusal_rejects_at_once():
    refused = refusal(Refusal.FINAL, "spec.x: no", 1)
    decision = settled(world(refused=refused), 1)
    assert verdict(decision) == (Phase.FAILED, Reason.REJECTED, f"{REFUSED}spec.x: no")
    assert deeds(decision) == ()


# -- Kubernetes Events of ours --------------------------------------------------------------------


def test_a_failure_is_told_in_one_event_with_the_same_words():
    """`decided` checks it of every verdict; once it is stored, nothing is told again."""
    before = world(job(), pod().exited(3, "cc: error"))
    decision = decided(before, 11)
    assert tells(decision) == [
        TellEvent("build-1-993dc9d638", Reason.ERROR, "step build: exit code 3: cc: error")
    ]
    assert tells(decided(stored(before, decision, at(11)), 12)) == []


def test_a_success_and_a_stop_are_told_in_no_event():
    assert tells(decided(world(job(), pod().exited(0)), 11)) == []
    assert tells(decided(world(execution().stopped(), job()), 11)) == []
    ended = pod().exited(137, start=5, end=51).asked_to_stop()
    assert tells(decided(replace(stopping(), pods=(ended.facts,)), 51)) == []


def test_an_ending_is_told_with_its_verdict_and_not_before():
    before = overdue()
    ending = decided(before, 60)
    assert ending.status.failure_message
    assert tells(ending) == []
    stopped = pod().exited(143, start=5, end=62).phase("Failed", "DeadlineExceeded")
    after = replace(stored(before, ending, at(60)), pods=(stopped.facts,))
    assert len(tells(decided(after, 62))) == 1


def test_a_failure_before_there_is_any_attempt_is_told_by_the_same_name():
    before = world(execution().runs(maxRunTime="25h"))
    (told,) = tells(decided(before, 0))
    assert (told.name, told.reason) == (VERDICT, Reason.INVALID_TASK)


def test_a_refusal_is_told_in_an_event_together_with_the_message_and_once():
    before = world(refused=refusal(Refusal.QUOTA, "exceeded quota: small", 0, again=11))
    assert tells(decided(before, 1)) == []
    decision = decided(before, 3)
    assert tells(decision) == [TellEvent("build-1-958416847b", Reason.QUOTA_EXCEEDED, QUOTA)]
    after = stored(before, decision, at(3))
    for seconds in (4, 10, 60):
        assert tells(decided(after, seconds)) == []


def test_a_refused_pod_is_told_in_an_event_too():
    words = 'Error creating: pods "build-1-" is forbidden: exceeded quota: small'
    before = world(job(), events=[event("FailedCreate", words)], events_at=2)
    assert tells(decided(before, 3)) == [
        TellEvent(
            "build-1-958416847b",
            Reason.QUOTA_EXCEEDED,
            (
                "step build: its pod was refused: exceeded quota: small;"
                " free some of the quota, or raise it"
            ),
        )
    ]


def test_a_refusal_in_other_words_has_the_same_name_and_another_reason_another():
    names = set()
    for kind, said in (
        (Refusal.QUOTA, "exceeded quota: small"),
        (Refusal.QUOTA, "exceeded quota: tiny"),
        (Refusal.PASSING, "no endpoints"),
    ):
        (told,) = tells(decided(world(refused=refusal(kind, said)), 3))
        names.add((told.reason, told.name))
    assert len(names) == 2
    assert len({name for _, name in names} | {VERDICT}) == 3


def test_a_verdict_after_a_refusal_is_told_as_well():
    refused = refusal(Refusal.QUOTA, "exceeded quota: small", 5, again=70)
    before = world(execution().runs(queueTimeout="1m"), refused=refused)
    first = decided(before, 8)
    last = decided(stored(before, first, at(8)), 65)
    (told,), (verdict_told,) = tells(first), tells(last)
    assert (verdict_told.name, verdict_told.message) == (VERDICT, last.status.failure_message)
    assert told.name != verdict_told.name


@pytest.mark.parametrize(
    "built",
    [
        pod().waiting("ErrImagePull", "i/o timeout"),
        pod().unschedulable("0/1 nodes"),
        pod().running().silent(),
        pod(),
    ],
    ids=["pull", "no node", "silent", "waits"],
)
def test_what_is_no_refusal_is_told_in_the_status_only(built):
    assert tells(decided(world(job(), built), 20)) == []


# -- size -----------------------------------------------------------------------------------------


def test_the_status_of_a_single_step_is_small():
    before = world(job(), pod().exited(1, "x" * 4096))
    status = decided(before, 20).status
    assert len(json.dumps(status.to_api())) < 4096


def test_the_longest_words_fit_into_the_status():
    before = world(
        job(),
        pod().on(),
        events=[event("FailedMount", "語" * 4096)],
    )
    assert len(decided(before, 3).status.message.encode()) <= 1024


def test_a_refusal_before_the_job_was_there_after_all_is_no_event_about_its_pod():
    """Its creation had no answer, and the watch was faster than the next try."""
    pulls = pod().waiting("ErrImagePull", "i/o timeout")
    before = world(job(), pulls, refused=refusal(Refusal.PASSING, "broken", 0))
    assert tells(decided(before, 4)) == []


def test_a_node_whose_clock_is_ahead_of_ours_is_not_doubted():
    """Only a cause that is worth a doubt is."""
    decision = decided(world(job(), pod().running(1)), 0.5)
    assert (decision.status.phase, decision.status.message) == (Phase.RUNNING, None)


def test_a_long_run_that_fails_is_no_failed_start():
    """For the moment in which its container is still said to run."""
    before = world(job().started(), pod().running(1))
    told = stored(before, decided(before, 1), at(1))
    half = replace(told, pods=(pod().running(1).phase("Failed").facts,))
    assert decided(half, 1000) == Decision(None, (), at(24 * 3600))


def test_a_short_run_after_a_long_wait_has_not_run_for_too_long():
    """For the moment in which its pod is still said to run."""
    killed = pod().exited(143, start=60, end=65).phase("Running")
    before = world(execution().runs(maxRunTime="10s"), job().started(), killed)
    assert deeds(decided(before, 66)) == ()


def test_the_cluster_pays_for_a_job_that_vanished_while_nobody_watched():
    ran = execution().status(
        phase="Running", steps=[{"id": "build", "phase": "Running", "jobName": "build-1-x"}]
    )
    before = world(ran)
    (step,), (known,) = before.execution.spec.plan, before.execution.status.steps
    assert observe(before, family(before), step, known).finding.payer is Payer.INFRA


def test_before_a_deadline_decides_the_pods_are_read_once():
    """A watch that is behind must not make an end in time a late one."""
    before = world(execution().deadline(10), job().started(), pod().running(1), asked=())
    told = stored(before, decided(before, 2), at(2))
    due = decided(told, 10)
    assert (due.status, deeds(due)) == (None, (ReadChildren("DeadlineExceeded", DUE),))
    asked = replace(told, asked={"DeadlineExceeded"})
    assert decided(asked, 10).status.reason == Reason.DEADLINE_EXCEEDED
    in_time = replace(asked, pods=(pod().exited(0, start=1, end=8).facts,))
    assert verdict(decided(in_time, 10))[0] is Phase.SUCCEEDED


def test_a_stop_on_request_asks_nobody():
    before = world(execution().stopped(), job().started(), pod().running(1), asked=())
    assert decided(before, 2).status.reason == Reason.STOPPED


def test_of_a_job_that_is_over_the_pod_is_looked_for_before_it_counts_as_deleted():
    """The watch of Jobs may be ahead of the one of pods."""
    before = world(job().started().failed(seconds=5), asked=())
    why = f"pod of {JOB_UID}"
    assert deeds(decided(before, 6)) == (ReadChildren(why, SIGHT),)
    asked = replace(before, asked={why})
    assert verdict(decided(asked, 6))[1] == Reason.DELETED
    found = replace(asked, pods=(pod().exited(4, start=1, end=5).facts,))
    assert verdict(decided(found, 6))[2] == "step build: exit code 4"


def test_a_job_that_was_never_seen_is_looked_for_before_it_counts_as_deleted():
    """The status is newer than the watch of Jobs: another process wrote it."""
    before = world(job().started(), pod().running(1))
    told = stored(before, decided(before, 1), at(1))
    behind = replace(told, jobs=(), pods=(), asked=())
    assert deeds(decided(behind, 2)) == (ReadChildren(f"Job {JOB}", SIGHT),)
    assert verdict(decided(replace(behind, asked={f"Job {JOB}"}), 2))[1] == Reason.DELETED


def test_of_a_pod_that_was_taken_away_it_is_asked_whether_its_job_was_suspended():
    """The watch of pods may be ahead of the one of Jobs."""
    before = world(job().started(), pod().running(1).deleted(5), gone=[POD_UID], asked=())
    why = f"end of {POD_UID}"
    assert deeds(decided(before, 6)) == (ReadChildren(why, SIGHT),)
    asked = replace(before, asked={why})
    assert verdict(decided(asked, 6))[1] == Reason.DELETED
    suspended = replace(asked, jobs=(job().started().suspended().facts,))
    assert decided(suspended, 6).status.phase is Phase.PENDING


def test_what_ended_well_as_its_job_was_suspended_runs_again():
    """Its Job does not count what it takes away, whoever leaves the Job its time of start."""
    taken = pod().exited(0, start=1, end=6).deleted(5)
    before = world(job().started(), taken, asked=())
    why = f"end of {POD_UID}"
    assert deeds(decided(before, 6)) == (ReadChildren(why, SIGHT),)
    asked = replace(before, asked={why})
    assert verdict(decided(asked, 6))[0] is Phase.SUCCEEDED
    for gone in ((), (POD_UID,)):
        suspended = replace(asked, jobs=(job().started().suspended().facts,), gone=frozenset(gone))
        assert settled(suspended, 60).status.reason == Reason.QUEUED
    counted = replace(before, jobs=(job().started().complete(6).facts,))
    assert verdict(decided(counted, 6))[0] is Phase.SUCCEEDED


def test_what_ended_well_before_it_was_taken_away_has_ended():
    """What was built upon it stands; and the Job, which does not know, makes no other pod."""
    taken = pod().exited(0, start=1, end=4).deleted(5)
    for gone in ((), (POD_UID,)):
        before = world(job().started().suspended(), taken, asked=(), gone=gone)
        told = stored(before, settled(before, 6), at(6))
        assert told.execution.status.phase is Phase.SUCCEEDED
        assert deeds(decided(told, 7)) == (DeleteJob(JOB, JOB_UID),)


def test_what_ends_well_as_it_is_taken_away_runs_again_though_a_sidecar_is_there():
    taken = pod().beside().running(1, container="helper").exited(0, start=1, end=6)
    suspended = world(job().started().suspended(), taken.phase("Running").deleted(5))
    assert settled(suspended, 7).status.reason == Reason.QUEUED


@pytest.mark.parametrize("started", [100, 101])
def test_a_pod_that_is_older_by_a_second_than_its_resumed_jobs_start_is_its_pod(started):
    """The controller makes the pod before it writes when it began."""
    resumed = job().started(started).condition("Suspended", "False", "JobResumed", seconds=started)
    theirs = pod().created(100).disrupted("EvictionByEvictionAPI", "drained").deleted(200)
    assert decided(world(resumed, theirs.running(102)), 201).status.phase is Phase.RUNNING
    ended = world(resumed, theirs.exited(143, start=102, end=203))
    assert verdict(settled(ended, 204))[1] == Reason.EVICTED


def test_what_was_told_to_stop_and_was_taken_away_has_ended():
    """Its Job is suspended: what it makes once it is resumed is not waited for."""
    before = world(execution().deadline(10), job().started(), pod().running(1))
    told = stored(before, settled(before, 11), at(11))
    taken = pod().running(1).deleted(12)
    suspended = replace(told, jobs=(job().started().suspended().facts,), pods=(taken.facts,))
    assert decided(suspended, 12).status is None
    ended = replace(suspended, pods=(taken.exited(143, start=1, end=13).facts,))
    assert verdict(decided(ended, 13))[1] == Reason.DEADLINE_EXCEEDED


def test_before_the_deadline_decides_it_is_asked_whether_another_process_made_the_job():
    before = world(execution().deadline(10), asked=())
    assert deeds(decided(before, 11)) == (ReadChildren("DeadlineExceeded", DUE),)
    asked = replace(before, asked={"DeadlineExceeded"})
    assert verdict(decided(asked, 11))[1] == Reason.DEADLINE_EXCEEDED
    found = replace(asked, jobs=(job().started().facts,), pods=(pod().exited(0, end=5).facts,))
    assert decided(found, 11).status.phase is Phase.SUCCEEDED


@pytest.mark.parametrize("gone", ["owner", "itself"])
def test_what_goes_away_unbegun_asks_at_its_deadline_too(gone):
    built = execution().deadline(10)
    built = built.deleted(5) if gone == "itself" else built.owned()
    before = world(built, asked=(), owner_alive=gone == "itself")
    early, due = decided(before, 5), decided(before, 11)
    assert (deeds(early), early.look_at) == ((), at(10))
    assert deeds(due) == (ReadChildren("DeadlineExceeded", DUE),)
    asked = replace(before, asked={"DeadlineExceeded"})
    assert verdict(decided(asked, 11))[1] == Reason.DEADLINE_EXCEEDED


def test_before_a_start_timeout_decides_its_events_are_read_if_this_process_has_not():
    """Another one may have heard of a Secret that is missing, and died with that."""
    waits = (job().started(), pod().on(seconds=1))
    before = world(execution().runs(startTimeout="10s"), *waits, asked=())
    assert set(deeds(decided(before, 12))) == {
        ReadChildren(f"StartFailed {JOB_UID} {at():%FT%T}", DUE),
        ReadEvents(POD_UID),
    }
    missing = event("FailedMount", 'MountVolume.SetUp failed: secret "none" not found', 5)
    told = world(execution().runs(startTimeout="10s"), *waits, events=[missing], events_at=12)
    assert verdict(decided(told, 12))[1] == Reason.MOUNT_FAILED


def questions(decision):
    return [deed.why for deed in deeds(decision) if isinstance(deed, ReadChildren)]


def test_the_clocks_of_a_job_that_is_resumed_are_asked_about_anew():
    waits = execution().runs(queueTimeout="10s")
    first = world(waits, job().started(), asked=())
    (asked,) = questions(decided(first, 11))
    resumed = job().started(20).condition("Suspended", "False", "JobResumed", seconds=20)
    again = replace(first, jobs=(resumed.facts,), asked={asked})
    assert questions(decided(again, 25)) == []
    (anew,) = questions(decided(again, 31))
    assert anew != asked


FAR = "9999-12-31T23:59:59Z"


def test_a_ttl_beyond_all_time_keeps_no_verdict_waiting():
    ended = world(execution().spec(ttlSecondsAfterFinished=2**63 - 1), job(), pod().exited(0))
    assert verdict(decided(ended, 5))[0] is Phase.SUCCEEDED


def test_clocks_may_be_longer_than_a_duration_can_be_written():
    long = "h".join(["99999"] * 4) + "h"
    starting = world(execution().runs(startTimeout=long), job().started(), pod().on(seconds=1))
    assert decided(starting, 5).status.phase is Phase.PENDING


def test_numbers_and_moments_that_somebody_wrote_into_a_status_are_borne():
    running = world(
        execution().status(
            phase="Running",
            statusVersion=2**63 - 1,
            steps=[
                {
                    "id": "build",
                    "phase": "Running",
                    "attempt": 1,
                    "reason": "Error",
                    "failureMessage": "words",
                    "stoppingSince": FAR,
                }
            ],
            conditions=[
                {
                    "type": "Finished",
                    "status": "True",
                    "reason": "Error",
                    "message": "",
                    "lastTransitionTime": FAR,
                }
            ],
        ),
        job().started(),
        pod().running(1),
    )
    assert decide(running, at(5)).actions is not None
    ended = replace(running, pods=(pod().exited(4, start=1, end=5).facts,))
    assert decide(ended, at(6)).status.status_version == 2**63 - 1


def test_an_end_without_a_time_waits_for_no_event_for_ever():
    lost = pod().exited(137, reason="ContainerStatusUnknown")
    lost.raw["spec"]["containers"][0]["livenessProbe"] = {"exec": {"command": ["false"]}}
    lost.raw["status"]["containerStatuses"][0]["state"]["terminated"].pop("finishedAt", None)
    heard = world(job().started(), lost, events_at=5)
    assert decided(heard, 6).status.phase.final
