"""What is over: its sidecars, its Jobs, and the execution itself."""

from datetime import timedelta

import pytest

from builders import at, execution, job, job_of, pod_of, step, world
from taskmill.plan.decision import DeleteExecution, DeleteJob, StopPod
from taskmill.plan.executions.retire import leftovers
from toy import Toy


def done(run, kind):
    return [deed for deed in run.deeds if isinstance(deed, kind)]


def two(**spec):
    """An attempt that failed beside a sidecar that runs on, and the one after it."""
    again = {"limit": 1, "backoff": {"initial": "0s"}}
    built = execution().plan(step("a", retry=again, gracePeriod="5s")).spec(**spec)
    run = Toy(built).settles(0)
    run.pod("a").beside("helper").running(1, container="helper")
    run.starts("a", at=1).settles().exits("a", 3, at=2)
    run.pod("a").phase("Running")
    return run


# -- sidecars -------------------------------------------------------------------------------------


def test_a_sidecar_that_outlives_an_attempt_is_stopped_after_its_grace_period():
    run = two().settles()
    assert run.jobs_made == ["a"]
    assert run.passes().look_at.second == 2 + 5 + 1
    assert done(run, StopPod) == []
    run.settles(8)
    assert done(run, StopPod) == [StopPod("build-1-a-1", "pod-a-1")]
    run.pod("a").exited(143, end=9, container="helper").phase("Failed")
    run.settles(9)
    assert run.jobs_made == ["a", "a2"]


def test_a_sidecar_that_does_not_end_goes_with_its_job():
    run = two().settles().settles(8).settles(19)
    assert done(run, DeleteJob) == []
    run.restarts()
    del run.pod("a").raw["spec"]["activeDeadlineSeconds"]  # the kubelet never heard of it
    run.settles(19)
    (deleted,) = done(run, DeleteJob)
    assert deleted.uid == "job-a-1"
    run.settles(20)
    assert run.jobs_made == ["a", "a2"]


def test_a_sidecar_of_a_step_that_succeeded_is_stopped_while_others_run():
    run = Toy(execution().plan(step("a", gracePeriod="5s"), step("b"))).settles(0)
    run.pod("a").beside("helper").running(1, container="helper")
    run.starts("a", "b", at=1).settles().exits("a", 0, at=2)
    run.pod("a").phase("Running")
    run.settles().settles(7)
    assert done(run, StopPod) == []
    run.settles(8)
    assert done(run, StopPod) == [StopPod("build-1-a-1", "pod-a-1")]


def test_the_pod_of_an_attempt_that_goes_on_is_left_alone():
    run = Toy(execution().plan(step("a"))).settles(0)
    run.starts("a", at=1).settles(3600)
    assert leftovers(run.picture(), {run.job("a").facts.name}, run.now) == ((), None)


# -- Jobs -----------------------------------------------------------------------------------------


def test_the_jobs_of_all_attempts_stay_until_the_execution_has_ended_and_then_their_time():
    again = {"limit": 1, "backoff": {"initial": "0s"}}
    run = Toy(execution().plan(step("a", retry=again)), job_retention=timedelta(minutes=10))
    run.settles(0).runs("a", 3, at=1, end=2).settles(4000)
    assert done(run, DeleteJob) == []
    run.runs("a", 0, at=4001, end=4002)
    assert run.passes().look_at.timestamp() == run.now.timestamp() + 600
    run.settles(4601)
    assert done(run, DeleteJob) == []
    run.settles(4602)
    assert [one.uid for one in done(run, DeleteJob)] == ["job-a-1", "job-a-2"]


def test_the_job_of_an_attempt_that_overran_goes_once_that_is_stored():
    run = Toy(execution().plan(step("a", maxRunTime="10s", retry={"limit": 1}))).settles(0)
    run.starts("a", at=1).settles().settles(12).exits("a", 143, at=13)
    first = run.passes()
    assert not any(isinstance(action, DeleteJob) for action in first.actions)
    second = run.passes()
    assert [type(action) for action in second.actions] == [DeleteJob]


A_DAY_LATER = at(24 * 3600)


@pytest.mark.parametrize("foreign", [job("forged"), job().of("another-execution")])
def test_what_is_not_ours_is_never_deleted(foreign):
    ended = execution().ended("Failed", 5, reason="Error")
    assert leftovers(world(ended, foreign), (), A_DAY_LATER) == ((), None)


@pytest.mark.parametrize("state", ["gone", "deleting"])
def test_a_job_that_goes_already_is_not_deleted_again(state):
    ended = execution().plan(step("a")).ended("Stopped", 5, reason="Stopped")
    made = job_of("a")
    if state == "deleting":
        made.deleted()
    seen = world(ended, made, gone={"job-a-1"} if state == "gone" else ())
    assert leftovers(seen, (), A_DAY_LATER) == ((), None)


def test_a_job_that_appears_after_the_verdict_does_not_run_on():
    """Its creation had no answer, and then it was there after all."""
    ended = execution().plan(step("a"), step("b")).ended("Failed", 5, reason="Error")
    late = job_of("b")
    (deleted,), look_at = leftovers(world(ended, late, pod_of("b").running(6)), (), A_DAY_LATER)
    assert (deleted, look_at) == (DeleteJob(late.raw["metadata"]["name"], "job-b-1"), None)


def test_a_job_of_an_attempt_that_another_process_has_begun_is_left_alone():
    """The watch of executions is behind that of Jobs: a new leader knows of the one before."""
    known = {"id": "a", "phase": "Pending", "attempt": 2}
    behind = execution().plan(step("a"), step("b")).status(phase="Running", steps=[known])
    for later in (job_of("a", attempt=3), job_of("b", attempt=2)):
        assert leftovers(world(behind, later), (), at(60)) == ((), None)
    earlier = job_of("a", attempt=1)
    (deleted,), _ = leftovers(world(behind, earlier), (), at(60))
    assert isinstance(deleted, DeleteJob)


@pytest.mark.parametrize("resumed", [False, True])
def test_a_job_whose_pod_was_taken_away_does_not_run_on_after_the_verdict(resumed):
    ended = execution().plan(step("a")).ended("Failed", 15, reason="Queued")
    made = job_of("a").started(20) if resumed else job_of("a").started().suspended()
    taken = pod_of("a").created(1).exited(143, start=1, end=6).deleted(5)
    seen = world(ended, made, taken, gone={"pod-a-1"})
    (deleted,), look_at = leftovers(seen, (), at(21))
    assert (deleted.uid, look_at) == ("job-a-1", None)


# -- the execution --------------------------------------------------------------------------------


@pytest.mark.parametrize(("ttl", "after"), [(0, 120), (60, 120), (120, 120), (3600, 3600)])
def test_an_execution_goes_after_its_time_and_never_within_two_minutes(ttl, after):
    """A late duplicate of the creation of its Job has to run into something."""
    run = Toy(execution().plan(step("a")).spec(ttlSecondsAfterFinished=ttl)).settles(0)
    run.runs("a", 0, at=1, end=2)
    assert (run.passes().look_at - run.now).total_seconds() == min(after, 3600)
    run.settles(2 + after - 1)
    assert done(run, DeleteExecution) == []
    run.seconds = 2 + after
    run.passes()
    assert done(run, DeleteExecution) == [
        DeleteExecution("build-1", run.built.raw["metadata"]["uid"])
    ]


def test_its_time_counts_from_when_the_verdict_was_told():
    """The operator was away: nobody has seen the verdict yet."""
    run = Toy(execution().plan(step("a")).spec(ttlSecondsAfterFinished=0)).settles(0)
    run.exits("a", 0, at=2).settles(5000).settles(5119)
    assert done(run, DeleteExecution) == []
    run.seconds = 5120
    run.passes()
    assert len(done(run, DeleteExecution)) == 1


def test_without_a_time_it_stays():
    run = Toy(execution().plan(step("a"))).settles(0)
    run.runs("a", 0, at=1, end=2).settles(10**7)
    assert done(run, DeleteExecution) == []


def test_what_is_being_deleted_is_not_deleted_again():
    run = Toy(execution().plan(step("a")).spec(ttlSecondsAfterFinished=0)).settles(0)
    run.runs("a", 0, at=1, end=2)
    run.built.deleted(3)
    run.settles(500)
    assert done(run, DeleteExecution) == []
