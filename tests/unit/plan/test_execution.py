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
from taskmill.api.reasons import Phase, Reason
from taskmill.plan.decision import CreateJob, Decision, DeleteJob, ReadEvents, StopPod
from taskmill.plan.execution import decide
from taskmill.plan.world import Limits, Refusal

DELETE = DeleteJob(JOB, JOB_UID)
STOP = StopPod("build-1-x7k2p", POD_UID)


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
    return decision


def settled(before, seconds):
    """The decision, after which the same world has nothing more to say."""
    decision = decided(before, seconds)
    again = decided(stored(before, decision, at(seconds)), seconds)
    assert again.status is None
    return decision


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
    assert decision.look_at == at(2)


def test_no_second_job_is_made_while_one_exists():
    assert settled(world(job()), 1).actions == ()


def test_no_second_job_is_made_after_the_first_is_gone():
    decision = settled(world(job(), gone={JOB_UID}), 60)
    assert verdict(decision) == (
        Phase.FAILED,
        Reason.DELETED,
        f"step build: Job {JOB} was deleted",
    )
    assert decision.actions == ()


def test_no_second_job_is_made_when_the_status_remembers_one_that_nobody_saw_go():
    running = execution().status(
        phase="Running",
        startedAt=stamp(3),
        steps=[{"id": "build", "phase": "Running", "attempt": 1, "jobName": "build-1-x"}],
    )
    decision = settled(world(running), 60)
    assert verdict(decision)[1:] == (Reason.DELETED, "step build: Job build-1-x was deleted")
    assert decision.actions == ()
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


def test_a_run_is_pending_only_after_two_seconds():
    waiting = world(job(), pod())
    early = settled(waiting, 1.9)
    assert (early.status, early.look_at) == (None, at(2))
    late = settled(waiting, 2)
    assert late.status
    assert (late.status.phase, late.status.reason, late.status.message) == (
        Phase.PENDING,
        None,
        "step build: waiting for a node",
    )
    assert late.status.deadline == at(24 * 3600)
    assert late.status.observed_generation == 1


def test_a_run_that_starts_within_two_seconds_is_never_written_as_pending():
    decision = settled(world(job(), pod().running(1)), 1.5)
    status = decision.status
    assert status
    assert (status.phase, status.reason, status.message) == (Phase.RUNNING, None, None)
    assert status.started_at == at(1)
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
    told = stored(before, decided(before, 2), at(2))
    changed = replace(told, pods=(pod().waiting("CreateContainerError", "no such key").facts,))
    early = decided(changed, 5)
    assert (early.status, early.look_at) == (None, at(12))
    late = settled(changed, 12)
    assert late.status
    assert (late.status.reason, late.status.message) == (
        Reason.CONFIG_ERROR,
        "step build: no such key",
    )


def test_unschedulable_is_believed_after_15_seconds():
    before = world(job(), pod().unschedulable("0/1 nodes are available: 1 Insufficient cpu."))
    doubted = settled(before, 2)
    assert doubted.status
    assert (doubted.status.reason, doubted.status.message) == (
        None,
        "step build: waiting for a node",
    )
    told = stored(before, doubted, at(2))
    assert decided(told, 14).look_at == at(15)
    believed = settled(told, 15)
    assert believed.status
    assert (believed.status.reason, believed.status.message) == (
        Reason.UNSCHEDULABLE,
        "step build: Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.",
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
    assert decision.actions == ()
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
    assert decision.actions == ()


def test_a_verdict_takes_the_message_of_waiting_away():
    before = world(job(), pod().on())
    told = stored(before, decided(before, 2), at(2))
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
    assert decision.actions == ()


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
    assert decision.actions == (DELETE,)


def overdue(**running):
    return world(execution().deadline(60), job(), pod().running(5), **running)


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
    assert decision.actions == (STOP,)
    assert decision.look_at == at(60 + 30 + 10)


def test_a_container_is_asked_to_stop_until_it_has_been():
    before = overdue()
    ending = stored(before, decided(before, 60), at(60))
    assert decided(ending, 61) == Decision(None, (STOP,), at(100))
    asked = replace(ending, pods=(pod().running(5).asked_to_stop().facts,))
    assert decided(asked, 61) == Decision(None, (), at(100))
    deleted = replace(ending, pods=(pod().running(5).deleted().facts,))
    assert decided(deleted, 61).actions == ()


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
    assert decision.actions == (DELETE,)
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
    assert decision.actions == (DELETE,)


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
    assert decided(overdue(), 600).actions == (STOP,)


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
    assert decision.actions == (STOP,)


@pytest.mark.parametrize(("end", "reason"), [(15, None), (16, Reason.MAX_RUN_TIME_EXCEEDED)])
def test_after_an_outage_max_run_time_is_judged_by_the_containers_own_times(end, reason):
    ended = pod().exited(0, start=5, end=end)
    before = world(execution().runs(maxRunTime="10s"), job(), ended)
    decision = settled(before, 600)
    assert decision.status.reason == reason
    assert decision.actions == ((DELETE,) if reason else ())


def test_start_timeout_counts_from_the_node_and_is_told_with_the_known_cause():
    slow = execution().runs(startTimeout="1m")
    pulling = pod().on(seconds=20).waiting("ErrImagePull", "i/o timeout")
    decision = settled(world(slow, job(), pulling), 80)
    assert verdict(decision) == (
        Phase.FAILED,
        Reason.IMAGE_PULL_FAILED,
        "step build: did not start within startTimeout 1m: i/o timeout",
    )
    assert decision.actions == (DELETE,)
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


@pytest.mark.parametrize(
    ("waiting", "patience", "reason", "words"),
    [
        (("InvalidImageName", "no"), 0, Reason.INVALID_IMAGE_NAME, "InvalidImageName: no"),
        (("ImagePullBackOff", "a:1: not found"), 60, Reason.IMAGE_PULL_FAILED, "a:1: not found"),
        (("CreateContainerConfigError", "no s"), 30, Reason.CONFIG_ERROR, "no s"),
    ],
)
def test_a_fatal_cause_ends_it_after_its_patience(waiting, patience, reason, words):
    before = world(job(), pod().on(seconds=7).waiting(*waiting))
    if patience:
        told = stored(before, decided(before, 9), at(9))
        assert decided(told, 7 + patience - 0.1).look_at == at(7 + patience)
    decision = settled(before, 7 + patience)
    assert verdict(decision) == (Phase.FAILED, reason, f"step build: {words}")
    assert decision.actions == (DELETE,)


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
    assert decision.actions == actions
    assert {"Failed", "Finished"} <= set(conditions(decision.status))


def stopping():
    before = world(execution().stopped(), job(), pod().running(5))
    decision = decided(before, 20)
    assert decision.actions == (STOP,)
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
    assert decision.actions == (DELETE,)


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
    assert decision.actions == (DELETE,)


def test_what_ended_by_itself_before_it_was_stopped_has_its_own_verdict():
    decision = settled(world(execution().stopped(), job(), pod().exited(0)), 20)
    assert decision.status.phase is Phase.SUCCEEDED


def test_a_stop_wins_over_a_deadline_that_passes_later():
    before = stopping()
    late = replace(before, execution=replace(before.execution, spec=overdue().execution.spec))
    assert decided(late, 65).status.reason == Reason.STOPPED


# -- Events ---------------------------------------------------------------------------------------


def test_events_are_read_when_a_pod_does_not_start_and_then_every_ten_seconds():
    before = world(job(), pod().on().waiting("ContainerCreating"))
    assert decided(before, 2.9).actions == ()
    assert decided(before, 3).actions == (ReadEvents(POD_UID),)
    read = replace(before, events_at=at(3))
    assert decided(read, 12).actions == ()
    assert decided(read, 13).actions == (ReadEvents(POD_UID),)


def test_events_about_the_job_are_read_while_it_has_no_pod():
    assert decided(world(job()), 3).actions == (ReadEvents(JOB_UID),)


@pytest.mark.parametrize(
    "built",
    [
        [job().suspended()],
        [job(), pod().unschedulable("0/1 nodes")],
        [job(), pod().running()],
        [job(), pod().waiting("ImagePullBackOff", "i/o timeout")],
    ],
    ids=["suspended", "unschedulable", "running", "says why itself"],
)
def test_no_events_are_read_about_what_speaks_for_itself(built):
    assert decided(world(*built), 20).actions == ()


# -- retirement -----------------------------------------------------------------------------------


def finished(phase="Failed", reason="Error", *, done=10, **status):
    return execution().status(phase=phase, reason=reason, completedAt=stamp(done), **status)


def test_the_job_of_a_finished_execution_stays_for_its_retention():
    before = world(finished(), job().failed(), pod().exited(3))
    assert decided(before, 11) == Decision(None, (), at(10 + 3600))
    assert decided(before, 10 + 3600).actions == (DELETE,)


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
    assert decided(before, 11).actions == (DELETE,)


@pytest.mark.parametrize("pods", [(), (pod(),), (pod().running(),)], ids=["none", "new", "runs"])
def test_what_still_runs_for_a_finished_execution_is_deleted_at_once(pods):
    assert decided(world(finished(), job(), *pods), 11).actions == (DELETE,)


def test_a_job_whose_container_has_just_ended_is_not_deleted_for_its_sidecar():
    ended = pod().sidecar().running(container="proxy").exited(0).phase("Running")
    assert decided(world(finished("Succeeded"), job(), ended), 11).actions == ()


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
    assert decided(finished, 11).actions == (DELETE,)


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
    assert step.to_api() == {"id": "build", "task": {"image": "ubuntu:24.04", "script": "make"}}
    assert status.deadline == at(3600)
    assert isinstance(decision.actions[0], CreateJob)


def test_editing_the_task_later_changes_nothing_in_a_frozen_run():
    before = world(execution().bare(), task().spec(timeout="1h"))
    frozen = stored(before, decided(before, 0), at(0))
    edited = task().spec(image="other:1", timeout="1m").generation(2).facts
    for changed in (replace(frozen, task=edited), replace(frozen, task=None)):
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
    assert decision.actions == ()
    assert status.plan is None
    told = stored(before, decision, at(0))
    arrived = decided(replace(told, task=task().facts), 5)
    assert isinstance(arrived.actions[0], CreateJob)
    assert arrived.status.plan


def test_who_waited_for_a_task_longer_than_queue_timeout_still_gets_a_job():
    """Nothing was asked of the cluster yet: that was no wait for room."""
    waiting = world(execution().bare())
    told = stored(waiting, decided(waiting, 0), at(0))
    arrived = replace(told, task=task().spec(queueTimeout="1m").facts)
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
    assert decision.actions == ()


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
    assert decision.actions == ()


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
    assert decision.actions == ()


def test_a_max_run_time_beyond_the_default_is_fine_with_a_deadline_or_a_timeout():
    given = execution().runs(maxRunTime="25h").deadline(26 * 3600)
    assert isinstance(decided(world(given), 0).actions[0], CreateJob)
    timed = task().spec(maxRunTime="25h", timeout="26h")
    assert isinstance(decided(world(execution().bare(), timed), 0).actions[0], CreateJob)


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(Refusal.QUOTA, Reason.QUOTA_EXCEEDED), (Refusal.PASSING, Reason.QUEUED)],
)
def test_a_refusal_that_may_pass_is_told_and_tried_again_when_it_may_be(kind, reason):
    before = world(refused=refusal(kind, "exceeded quota: small", 0, again=11))
    early = settled(before, 1)
    assert (early.status, early.actions, early.look_at) == (None, (), at(2))
    decision = settled(before, 2)
    assert decision.status
    assert (decision.status.phase, decision.status.reason, decision.status.message) == (
        Phase.PENDING,
        reason,
        "step build: the API server refused its Job: exceeded quota: small",
    )
    assert (decision.actions, decision.look_at) == ((), at(11))
    assert isinstance(decided(before, 11).actions[0], CreateJob)


def test_a_refusal_that_may_pass_ends_with_queue_timeout():
    refused = refusal(Refusal.QUOTA, "exceeded quota: small", 5, again=70)
    before = world(execution().runs(queueTimeout="1m"), refused=refused)
    assert decided(before, 64).look_at == at(65)
    assert verdict(settled(before, 65)) == (
        Phase.FAILED,
        Reason.QUOTA_EXCEEDED,
        (
            "step build: waited for room longer than queueTimeout 1m:"
            " the API server refused its Job: exceeded quota: small"
        ),
    )


def test_a_final_refusal_rejects_at_once():
    refused = refusal(Refusal.FINAL, 'violates PodSecurity "restricted"', 1)
    decision = settled(world(refused=refused), 1)
    assert verdict(decision) == (
        Phase.FAILED,
        Reason.REJECTED,
        'step build: the API server refused its Job: violates PodSecurity "restricted"',
    )
    assert decision.actions == ()


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
    assert len(decided(before, 2).status.message.encode()) <= 1024
