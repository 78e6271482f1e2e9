"""Another attempt: whether, when, with what, and who pays."""

import copy
import itertools
from datetime import timedelta

import pytest

from builders import at, execution, job_of, pod_of, stamp, step, world
from taskmill.api.reasons import Phase, Reason
from taskmill.plan.decision import CreateJob, DeleteJob, TellEvent
from taskmill.plan.executions.decide import decide
from taskmill.plan.world import Refusal
from toy import Toy


def toy(limit=2, *, deadline=24 * 3600, **task):
    retry = {"limit": limit, "backoff": {"initial": "10s", "factor": 2, "max": "60s"}}
    retry |= task.pop("retry", {})
    built = execution().plan(step("a", retry=retry, **task)).deadline(deadline)
    return Toy(built).settles(0)


def fails(run, code=3, log="", **more):
    """Its newest attempt fails a second from now."""
    run.starts("a").settles()
    return run.exits("a", code, log, at=run.seconds + 1, **more).settles()


def goes_on(run):
    """Until the next attempt is made."""
    due = run.steps["a"].next_attempt_at
    assert due, run.status
    return run.settles((due - at()).total_seconds())


def verdict(run):
    status = run.status
    assert status.phase.final, status
    return status.reason, status.failure_message


# -- the task's own limit -------------------------------------------------------------------------


def test_it_is_tried_again_as_often_as_its_limit_says():
    run = toy(2)
    for _ in range(2):
        fails(run)
        assert run.phases == {"a": Phase.PENDING}
        goes_on(run)
    fails(run)
    assert run.jobs_made == ["a", "a2", "a3"]
    assert verdict(run) == (Reason.ERROR, "step a: exit code 3; it was attempt 3, the last")
    assert [(one.attempt, one.reason, one.exit_code) for one in run.status.attempts] == [
        (1, Reason.ERROR, 3),
        (2, Reason.ERROR, 3),
    ]


def test_a_success_of_a_later_attempt_is_the_verdict():
    run = goes_on(fails(toy(1)))
    run.runs("a", 0, at=30, end=40)
    assert run.status.phase is Phase.SUCCEEDED
    assert (run.steps["a"].attempt, run.status.started_at) == (2, at(0))
    assert run.steps["a"].started_at == at(30)


@pytest.mark.parametrize(
    ("limit", "words"), [(0, "step a: exit code 3"), (None, "step a: exit code 3")]
)
def test_without_a_limit_there_is_no_second_attempt(limit, words):
    built = execution().plan(step("a", **({"retry": {"limit": limit}} if limit == 0 else {})))
    assert verdict(fails(Toy(built).settles(0))) == (Reason.ERROR, words)


@pytest.mark.parametrize(("code", "tried"), [(75, 2), (3, 1), (111, 2)])
def test_only_after_the_exit_codes_that_are_listed(code, tried):
    run = fails(toy(1, retry={"onExitCodes": [75, 111]}), code)
    if tried == 2:
        goes_on(run)
    else:
        assert verdict(run)[1].endswith("; not tried again: 3 is not in retry.onExitCodes")
    assert len(run.jobs_made) == tried


@pytest.mark.parametrize("codes", [None, [143]])
def test_a_clock_pays_with_a_retry_unless_exit_codes_are_listed(codes):
    """The code of a container that taskmill stops is none of its own."""
    given = {"onExitCodes": codes} if codes else {}
    run = toy(1, maxRunTime="10s", retry=given)
    run.starts("a", at=1).settles().settles(12)
    run.exits("a", 143, at=13).settles()
    assert run.status.phase.final is bool(codes)


@pytest.mark.parametrize("codes", [None, [75]])
def test_a_clock_is_judged_the_same_after_an_outage(codes):
    run = toy(1, maxRunTime="10s", retry={"onExitCodes": codes} if codes else {})
    run.starts("a", at=1)
    run.exits("a", 75, at=20).settles(60)
    assert run.status.phase.final is bool(codes)


def test_what_another_attempt_would_not_change_is_not_tried_again():
    run = toy(3)
    fails(run, 127, "/bin/sh: make: not found")
    assert verdict(run)[0] is Reason.START_FAILED


def test_an_attempt_that_overran_is_followed_only_after_its_pod_has_ended():
    run = toy(1, maxRunTime="10s", gracePeriod="5s")
    run.starts("a", at=1).settles().settles(12)
    status = run.status
    assert (status.phase, status.reason) == (Phase.RUNNING, Reason.MAX_RUN_TIME_EXCEEDED)
    assert "FailureTarget" not in {c.type for c in status.conditions}
    assert status.message == "step a: ran longer than maxRunTime 10s"
    run.exits("a", 143, at=14).settles()
    assert run.phases == {"a": Phase.PENDING}
    goes_on(run)
    assert run.jobs_made == ["a", "a2"]
    first = run.status.attempts[0]
    assert (first.reason, first.exit_code) == (Reason.MAX_RUN_TIME_EXCEEDED, 143)
    assert DeleteJob(first.job_name, "job-a-1") in run.deeds


def test_a_container_that_does_not_end_is_given_up_and_its_pod_still_waited_for():
    run = toy(1, maxRunTime="10s", gracePeriod="5s")
    run.starts("a", at=1).settles().settles(12).settles(12 + 5 + 10)
    assert run.phases == {"a": Phase.PENDING}
    old = run.pods.pop("pod-a-1")
    run.jobs.popitem()
    run.pods["pod-a-1"], run.gone = old, set()  # the deletion of its Job has not reached it
    run.settles(100)
    assert run.jobs_made == ["a"]
    assert run.status.message.endswith(
        "attempt 2 waits until pod build-1-a-1 on node node-1 is gone"
    )
    run.gone.add("pod-a-1")
    run.settles(101)
    assert run.jobs_made == ["a", "a2"]


# -- the delay ------------------------------------------------------------------------------------


def delays(run, count):
    found = []
    for _ in range(count):
        fails(run)
        found.append(run.steps["a"].next_attempt_at - at(run.seconds))
        goes_on(run)
    return found


def test_the_delay_grows_by_its_factor_up_to_its_maximum_and_up_to_a_fifth_is_added():
    for found, meant in zip(delays(toy(6), 6), [10, 20, 40, 60, 60, 60], strict=True):
        assert timedelta(seconds=meant) <= found <= timedelta(seconds=meant * 1.2 + 1)


def test_the_delay_is_the_same_whoever_computes_it_and_differs_between_executions():
    assert delays(toy(4), 4) == delays(toy(4), 4)
    jitters = set()
    for number in range(20):
        run = toy(1, retry={"backoff": {"initial": "100s", "max": "100s"}})
        run.built.raw["spec"]["plan"][0]["id"] = f"a{number}"
        run = Toy(run.built).settles(0)
        run.starts(f"a{number}", at=1).exits(f"a{number}", 3, at=1).settles()
        jitters.add(run.status.steps[0].next_attempt_at)
    assert len(jitters) > 10


def test_a_delay_of_nothing_starts_the_next_attempt_at_once():
    run = toy(1, retry={"backoff": {"initial": "0s"}})
    fails(run)
    assert run.jobs_made == ["a", "a2"]


def test_nobody_looks_again_at_a_moment_that_has_passed():
    run = toy(1)
    decision = run.exits("a", 3, at=5).passes(conflict=True)
    assert decision.look_at == decision.status.steps[0].next_attempt_at
    run.seconds = 3600
    assert run.passes().look_at > run.now


def test_no_attempt_is_planned_for_after_the_deadline():
    run = fails(toy(2, deadline=11))
    assert verdict(run) == (
        Reason.ERROR,
        f"step a: exit code 3; the deadline {stamp(11)} leaves no time for another attempt",
    )


def test_the_delay_counts_from_the_end_of_the_attempt_and_not_from_when_it_was_seen():
    run = toy(1)
    run.exits("a", 3, at=5).settles(3600)
    assert run.jobs_made == ["a", "a2"]


# -- the cluster's limit --------------------------------------------------------------------------


def evicted(run):
    run.starts("a").settles()
    run.seconds += 1
    run.pod("a").exited(137, end=run.seconds).phase("Failed", "Evicted", "The node was low on disk")
    return run.settles()


def test_what_the_cluster_ended_is_paid_by_infra_retries_apart_from_the_limit():
    run = toy(1, infraRetries=2)
    goes_on(evicted(run))
    goes_on(fails(run))
    goes_on(evicted(run))
    assert run.jobs_made == ["a", "a2", "a3", "a4"]
    assert run.steps["a"].infra_retries == 2
    evicted(run)
    reason, words = verdict(run)
    assert reason is Reason.EVICTED
    assert words.endswith("; it was attempt 4, the last")


def test_own_failures_do_not_use_up_infra_retries():
    run = toy(2, infraRetries=1)
    goes_on(fails(run))
    goes_on(fails(run))
    goes_on(evicted(run))
    assert verdict(fails(run))[0] is Reason.ERROR
    assert len(run.jobs_made) == 4


def test_there_are_five_infra_retries_unless_told():
    built = execution().plan(step("a"))
    del built.raw["spec"]["plan"][0]["task"]["infraRetries"]
    run = Toy(built).settles(0)
    for _ in range(5):
        goes_on(evicted(run))
    evicted(run)
    assert run.status.phase is Phase.FAILED
    assert len(run.jobs_made) == 6


def test_an_attempt_whose_job_somebody_deleted_is_followed_by_another():
    run = toy(0, infraRetries=1)
    run.starts("a", at=1).settles()
    run.loses_job("job-a-1")
    run.settles(2)
    assert run.status.attempts[0].reason is Reason.DELETED
    goes_on(run)
    assert run.jobs_made == ["a", "a2"]


# -- memory ---------------------------------------------------------------------------------------


def out_of_memory(run, limit=None):
    """`limit`: what a LimitRange has put into the pod."""
    if limit:
        run.pod("a").limit(limit)
    run.starts("a").settles()
    return run.exits("a", 137, at=run.seconds + 1, reason="OOMKilled").settles()


def limits(run):
    return [
        made.raw["spec"]["template"]["spec"]["containers"][0].get("resources")
        for made in run.jobs.values()
    ]


OOM = {"onOOM": {"memoryPercent": 200, "max": "1Gi"}}


def test_out_of_memory_gets_more_up_to_the_maximum_and_is_final_there():
    run = toy(9, resources={"limits": {"memory": "300Mi", "cpu": "1"}}, retry=OOM)
    for _ in range(2):
        goes_on(out_of_memory(run))
    assert [one["limits"] for one in limits(run)] == [
        {"memory": "300Mi", "cpu": "1"},
        {"memory": "600Mi", "cpu": "1"},
        {"memory": "1Gi", "cpu": "1"},
    ]
    assert run.steps["a"].memory_limit == "1Gi"
    reason, words = verdict(out_of_memory(run))
    assert reason is Reason.OOM_KILLED
    assert words.endswith("; it had all that retry.onOOM.max 1Gi allows")


def test_a_limit_that_the_namespace_gave_is_raised():
    run = goes_on(out_of_memory(toy(1, retry=OOM), "256Mi"))
    assert limits(run) == [None, {"limits": {"memory": "512Mi"}}]


def test_without_any_limit_there_is_nothing_to_raise_and_it_is_tried_again():
    run = goes_on(out_of_memory(toy(1, retry=OOM)))
    assert limits(run) == [None, None]


def test_more_memory_is_kept_after_a_failure_of_another_kind():
    run = goes_on(out_of_memory(toy(3, retry=OOM), "256Mi"))
    goes_on(fails(run))
    assert limits(run)[2] == {"limits": {"memory": "512Mi"}}


def test_out_of_memory_counts_whatever_the_exit_codes_say_and_only_within_the_limit():
    run = goes_on(out_of_memory(toy(1, retry=OOM | {"onExitCodes": [3]}), "256Mi"))
    assert verdict(out_of_memory(run))[1].endswith("it was attempt 2, the last")


def test_without_on_oom_exit_codes_decide_about_out_of_memory():
    assert verdict(out_of_memory(toy(1, retry={"onExitCodes": [3]}), "256Mi"))
    assert goes_on(out_of_memory(toy(1, retry={"onExitCodes": [137]}), "256Mi"))


# -- nodes ----------------------------------------------------------------------------------------


def given_up(run):
    """Its node has fallen silent, and Kubernetes has deleted the pod that nobody can end."""
    run.starts("a", at=1).settles()
    run.pod("a").silent().disrupted("DeletionByTaintManager").deleted(300, grace=30)
    return run.settles(300)


def test_on_a_lost_node_the_next_attempt_waits_until_the_old_pod_is_gone():
    run = given_up(toy(0, infraRetries=1))
    assert run.phases == {"a": Phase.RUNNING}
    run.settles(4000)
    assert run.jobs_made == ["a"]
    run.gone.add("pod-a-1")
    goes_on(run.settles())
    assert run.jobs_made == ["a", "a2"]
    assert run.status.attempts[0].reason is Reason.NODE_LOST


def test_with_now_the_next_attempt_starts_once_the_pod_was_given_up():
    run = given_up(toy(0, infraRetries=1, retry={"onNodeLost": "Now"}))
    assert run.status.attempts[0].message == (
        "node node-1 does not answer and its pod was given up"
    )
    goes_on(run)
    assert run.jobs_made == ["a", "a2"]


def test_with_now_and_no_attempt_left_the_last_one_may_still_end_well():
    run = given_up(toy(0, infraRetries=0, retry={"onNodeLost": "Now"}))
    assert run.phases == {"a": Phase.RUNNING}
    run.exits("a", 0, at=400).settles()
    assert run.status.phase is Phase.SUCCEEDED


def test_with_now_a_pod_that_only_fell_silent_is_waited_for():
    run = toy(0, infraRetries=1, retry={"onNodeLost": "Now"})
    run.starts("a", at=1).settles()
    run.pod("a").silent()
    assert run.settles(60).phases == {"a": Phase.RUNNING}


def test_with_now_a_refused_creation_does_not_make_it_wait_for_the_old_pod():
    built = execution().plan(step("a", infraRetries=1, retry={"onNodeLost": "Now"}))
    waits = {"id": "a", "phase": "Pending", "attempt": 2, "reason": "QuotaExceeded"}
    lost = {"step": "a", "attempt": 1, "reason": "NodeLost", "message": "lost"}
    built.status(phase="Pending", steps=[waits], attempts=[lost])
    decision = decide(world(built, pod_of("a").running(1)), at(60))
    assert [type(action) for action in decision.actions] == [CreateJob]


@pytest.mark.parametrize("way", ["ended", "gone", "another step's", "a later attempt's"])
def test_only_a_pod_of_an_earlier_attempt_that_may_still_run_is_waited_for(way):
    built = execution().plan(step("a", retry={"limit": 1}), step("b", "a"))
    built.status(phase="Pending", steps=[{"id": "a", "phase": "Pending", "attempt": 2}])
    old = {
        "ended": pod_of("a").exited(3),
        "gone": pod_of("a").running(1),
        "another step's": pod_of("b").running(1),
        "a later attempt's": pod_of("a", 2).running(1),
    }[way]
    gone = {"pod-a-1"} if way == "gone" else ()
    (create,) = decide(world(built, old, gone=gone), at(60)).actions
    assert isinstance(create, CreateJob)


# -- what is kept and told ------------------------------------------------------------------------


def test_only_the_newest_attempts_are_kept():
    run = toy(10, retry={"backoff": {"initial": "1s", "max": "1s"}})
    for _ in range(10):
        goes_on(fails(run))
    assert [one.attempt for one in run.status.attempts] == [5, 6, 7, 8, 9, 10]
    assert run.steps["a"].attempt == 11


def test_every_attempt_that_is_followed_is_told_once():
    run = toy(2)
    goes_on(fails(run))
    goes_on(fails(run))
    fails(run)
    assert len({event.name for event in run.told}) == 3
    assert [event.message.split("; attempt")[0] for event in run.told] == [
        "step a: exit code 3",
        "step a: exit code 3",
        "step a: exit code 3; it was attempt 3, the last",
    ]
    first = run.told[0]
    assert first.reason == Reason.ERROR
    assert "attempt 2 (retry 1 of 2) starts at 2026-" in first.message


def test_while_it_waits_for_its_turn_the_message_says_why_and_until_when():
    run = fails(toy(1), log="boom")
    due = run.steps["a"].next_attempt_at
    assert (run.status.phase, run.status.reason) == (Phase.PENDING, Reason.ERROR)
    assert run.status.message == f"step a: exit code 3: boom; attempt 2 starts at {stamp_of(due)}"
    assert run.passes().look_at == due


def stamp_of(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_stop_while_it_waits_for_its_turn_ends_it():
    run = fails(toy(1), log="boom")
    run.built.stopped()
    run.settles(3)
    assert verdict(run) == (
        Reason.STOPPED,
        "stopped on request; step a was waiting for attempt 2: exit code 3: boom",
    )
    assert run.jobs_made == ["a"]


def test_another_attempt_that_is_refused_says_so():
    run = fails(toy(1))
    run.refuses = Refusal.QUOTA
    goes_on(run)
    run.settles(run.seconds + 10)
    assert run.status.reason is Reason.QUOTA_EXCEEDED
    run.refuses = None
    run.settles(run.seconds + 10)
    assert run.jobs_made == ["a", "a2"]


# -- whenever the operator dies -------------------------------------------------------------------


def history(dies_at):
    """Three attempts; before its pass of that number the operator starts anew."""
    passes = itertools.count()
    run = toy(2, infraRetries=1)

    def look(seconds):
        run.seconds = seconds
        for _ in range(6):
            if next(passes) == dies_at:
                run.passes(dies=True)
                run.restarts()
            run.passes()

    run.starts("a", at=1)
    look(1)
    run.exits("a", 3, at=2)
    look(3)
    look(20)
    run.pod("a").exited(137, start=20, end=25).phase("Failed", "Evicted", "low on disk")
    look(26)
    look(60)
    run.exits("a", 0, at=70)
    look(71)
    return run


@pytest.mark.parametrize("dies_at", range(36))
def test_an_operator_that_starts_anew_at_any_time_comes_to_the_same(dies_at):
    plain, run = history(-1), history(dies_at)
    assert run.status.phase is Phase.SUCCEEDED
    assert run.created == plain.created
    same = {"status_version": None, "conditions": None}
    assert run.status.model_copy(update=same) == plain.status.model_copy(update=same)


def test_no_job_of_another_attempt_is_made_before_the_status_says_so():
    run = toy(1, retry={"backoff": {"initial": "0s"}})
    run.exits("a", 3, at=2)
    for _ in range(5):
        decision = run.passes(conflict=True)
        assert decision.status.steps[0].attempt == 2
        assert not any(isinstance(action, CreateJob) for action in decision.actions)
    assert run.jobs_made == ["a"]


def test_the_status_of_an_attempt_remembers_a_job_that_nobody_saw_go():
    built = execution().plan(step("a", infraRetries=1))
    known = {"id": "a", "phase": "Running", "attempt": 1, "jobName": "build-1-a-x"}
    built.status(phase="Running", steps=[known])
    decision = decide(world(built), at(60))
    assert decision.status.steps[0].attempt == 2
    assert decision.status.attempts[0].reason is Reason.DELETED
    assert [type(action) for action in decision.actions] == [TellEvent]


def test_an_attempt_is_never_confused_with_the_job_of_another():
    built = execution().plan(step("a", retry={"limit": 1}))
    built.status(phase="Pending", steps=[{"id": "a", "phase": "Pending", "attempt": 2}])
    forged = copy.deepcopy(job_of("a", 2))
    forged.raw["metadata"]["labels"]["taskmill.dev/attempt"] = "1"
    (create,) = decide(world(built, forged), at(60)).actions
    assert isinstance(create, CreateJob)
