"""Plans of several steps: what starts when, what ends with what, and what is written of it."""

import json
from datetime import timedelta
from math import ceil

import pytest

from builders import at, execution, job, job_of, pod_of, stamp, step, task, world
from taskmill.api.execution import StepStatus
from taskmill.api.reasons import Phase, Reason
from taskmill.plan.decision import CreateJob, DeleteJob, LimitJob, StopPod, TellEvent
from taskmill.plan.executions import status as say
from taskmill.plan.executions.decide import APART_PER_STEP, decide
from taskmill.plan.world import Refusal
from toy import Toy

DIAMOND = (step("a"), step("b", "a"), step("c", "a"), step("d", "b", "c"))


def toy(*steps, **spec):
    return Toy(execution().plan(*steps).spec(**spec)).settles(0)


def verdict(run):
    status = run.status
    assert status.phase
    assert status.phase.final
    return status.phase, status.reason, status.failure_message


def wide(count, **task):
    return tuple(step(f"s{number}", **task) for number in range(count))


# -- the order ------------------------------------------------------------------------------------


def test_a_step_starts_when_all_it_depends_on_have_succeeded():
    run = toy(*DIAMOND)
    assert run.jobs_made == ["a"]
    run.runs("a", at=1, end=2)
    assert run.jobs_made == ["a", "b", "c"]
    run.runs("b", at=3, end=4)
    assert run.jobs_made == ["a", "b", "c"]
    run.runs("c", at=5, end=6)
    assert run.jobs_made == ["a", "b", "c", "d"]
    run.runs("d", at=7, end=8)
    assert verdict(run) == (Phase.SUCCEEDED, None, None)
    assert run.status.completed_at == at(8)


def test_the_order_of_the_plan_does_not_matter():
    run = toy(*reversed(DIAMOND))
    for second, name in enumerate("abcd"):
        run.runs(name, at=second, end=second)
    assert run.jobs_made == ["a", "c", "b", "d"]
    assert [one.id for one in run.status.steps] == ["d", "c", "b", "a"]


def test_steps_are_absent_until_they_have_started():
    run = toy(*DIAMOND)
    run.starts("a", at=1).settles()
    assert run.phases == {"a": Phase.RUNNING}
    run.exits("a", 0, at=2).settles().starts("b").settles()
    assert run.phases == {"a": Phase.SUCCEEDED, "b": Phase.RUNNING, "c": Phase.PENDING}


def test_what_ended_while_nobody_watched_is_taken_up_where_it_stands():
    run = toy(step("a"), step("b", "a"), step("c", "b"))
    run.exits("a", 0, at=5)
    run.restarts()
    run.settles(600)
    assert run.jobs_made == ["a", "b"]
    assert (run.phases["a"], run.steps["a"].completed_at) == (Phase.SUCCEEDED, at(5))


# -- failures -------------------------------------------------------------------------------------


def test_after_a_failure_siblings_finish_and_nothing_new_starts():
    run = toy(step("a"), step("b"), step("c", "b"))
    run.starts("a", "b", at=1).settles()
    run.exits("a", 3, "boom", at=5).settles()
    status = run.status
    assert (status.phase, status.reason) == (Phase.RUNNING, Reason.ERROR)
    assert (status.failure_message, status.message) == (
        "step a: exit code 3: boom",
        "1 of 3 steps done; running: b.".removesuffix("."),
    )
    assert {c.type for c in status.conditions} == {"Reconciling", "FailureTarget"}
    assert not any(isinstance(deed, StopPod | DeleteJob) for deed in run.deeds)
    run.exits("b", 0, at=60).settles()
    assert run.jobs_made == ["a", "b"]
    assert verdict(run) == (
        Phase.FAILED,
        Reason.ERROR,
        "step a: exit code 3: boom; not started: c",
    )
    assert run.phases == {"a": Phase.FAILED, "b": Phase.SUCCEEDED}
    assert run.status.completed_at == at(60)


def test_the_first_failure_is_the_cause_whatever_fails_later():
    run = toy(step("a"), step("b"))
    run.starts("a", "b", at=1).settles()
    run.exits("b", 4, at=5).settles().exits("a", 3, at=9).settles()
    assert verdict(run)[2] == "step b: exit code 4"
    assert [event.message for event in run.told] == ["step b: exit code 4"]


def test_of_failures_seen_together_the_earlier_is_the_cause():
    run = toy(step("a"), step("b"))
    run.starts("a", "b", at=1).settles()
    run.exits("b", 4, at=5).exits("a", 3, at=9).settles(60)
    assert verdict(run)[2] == "step b: exit code 4"


@pytest.mark.parametrize("together", [False, True], ids=["on duty", "away"])
def test_a_retry_that_waits_is_given_up_when_another_step_fails_and_is_not_the_cause(together):
    run = toy(step("a", retry={"limit": 3}), step("b"))
    run.starts("a", "b", at=1).settles()
    run.exits("a", 3, at=5)
    if not together:
        run.settles()
    run.exits("b", 4, at=6).settles()
    assert run.jobs_made == ["a", "b"]
    assert verdict(run)[2] == "step b: exit code 4"
    assert (run.phases["a"], run.steps["a"].failure_message) == (
        Phase.FAILED,
        "step a: exit code 3",
    )


@pytest.mark.parametrize("together", [False, True], ids=["on duty", "away"])
def test_what_fails_after_the_plan_has_failed_is_not_tried_again(together):
    run = toy(step("a", retry={"limit": 3}), step("b"))
    run.starts("a", "b", at=1).settles()
    run.exits("b", 4, at=5)
    if not together:
        run.settles()
    run.exits("a", 3, at=6).settles()
    assert run.jobs_made == ["a", "b"]
    assert verdict(run)[2] == "step b: exit code 4"
    assert run.status.attempts is None


def test_what_becomes_possible_in_the_pass_that_sees_a_failure_does_not_start():
    """In the order of the plan c comes before the step that fails."""
    run = toy(step("r"), step("b"), step("c", "b"), step("a", "r"))
    run.runs("r", at=1, end=2).starts("a", "b", at=3).settles()
    run.exits("b", 0, at=5).exits("a", 3, at=5)
    decision = run.passes()
    assert decision.status.phase is Phase.FAILED
    assert decision.status.failure_message == "step a: exit code 3; not started: c"
    assert run.jobs_made == ["r", "b", "a"]


def test_a_step_whose_job_was_refused_fails_the_plan_and_its_sibling_finishes():
    run = toy(step("a"), step("b", "a"))
    run.starts("a", at=1).settles()
    run.refuses = Refusal.FINAL
    run.exits("a", 0, at=3).settles()
    assert verdict(run)[:2] == (Phase.FAILED, Reason.REJECTED)
    assert run.phases == {"a": Phase.SUCCEEDED, "b": Phase.FAILED}


def test_a_certain_verdict_stays_certain_until_the_end():
    """The one that is being stopped is not tried again, whatever its container says."""
    run = toy(step("a", maxRunTime="10s", retry={"limit": 1, "onExitCodes": [143]}), step("b"))
    run.starts("a", "b", at=0).settles()
    run.settles(11)
    assert "FailureTarget" in {c.type for c in run.status.conditions}
    run.exits("a", 143, at=12).settles().settles(15)
    assert "FailureTarget" in {c.type for c in run.status.conditions}
    assert run.phases["a"] is Phase.FAILED
    run.exits("b", 0, at=16).settles()
    assert verdict(run)[:2] == (Phase.FAILED, Reason.MAX_RUN_TIME_EXCEEDED)


# -- the end of all of it -------------------------------------------------------------------------


def test_a_stop_ends_all_that_runs_and_starts_nothing():
    run = toy(*DIAMOND)
    run.runs("a", at=1, end=2).starts("b", "c", at=3).settles()
    run.built.stopped()
    run.settles(9)
    stops = [deed for deed in run.deeds if isinstance(deed, StopPod)]
    assert {stop.name for stop in stops} == {"build-1-b-1", "build-1-c-1"}
    assert "FailureTarget" in {c.type for c in run.status.conditions}
    run.exits("b", 143, at=10).settles()
    assert run.status.phase is Phase.RUNNING
    run.exits("c", 143, at=11).settles()
    phase, reason, words = verdict(run)
    assert (phase, reason) == (Phase.STOPPED, Reason.STOPPED)
    assert words.startswith("stopped on request; step b was running since")
    assert words.endswith("; not started: d")
    assert run.phases == {
        "a": Phase.SUCCEEDED,
        "b": Phase.STOPPED,
        "c": Phase.STOPPED,
    }
    deleted = [deed.name for deed in run.deeds if isinstance(deed, DeleteJob)]
    assert deleted == [run.steps["b"].job_name, run.steps["c"].job_name]


def test_of_several_that_are_stopped_the_one_that_needed_force_gives_the_reason():
    run = toy(step("a"), step("b"))
    run.starts("a", "b", at=1).settles()
    run.built.stopped()
    run.settles(9).exits("a", 143, at=10).exits("b", 137, at=39).settles()
    assert verdict(run)[:2] == (Phase.STOPPED, Reason.KILLED)


def test_a_deadline_ends_all_that_runs():
    run = toy(step("a"), step("b"), step("c", "a", "b"), deadline=stamp(60))
    run.starts("a", "b", at=1).settles().settles(60)
    run.exits("a", 143, at=61).exits("b", 0, at=61).settles()
    phase, reason, words = verdict(run)
    assert (phase, reason) == (Phase.FAILED, Reason.DEADLINE_EXCEEDED)
    assert words.startswith(f"deadline {stamp(60)} passed; step a was running since {stamp(1)}")
    assert run.phases == {"a": Phase.FAILED, "b": Phase.FAILED}


def test_a_deadline_that_passes_between_two_steps_starts_nothing():
    run = toy(step("a"), step("b", "a"), deadline=stamp(60))
    run.starts("a", at=1).settles()
    run.exits("a", 0, at=59).settles(61)
    assert run.jobs_made == ["a"]
    assert verdict(run)[1:] == (
        Reason.DEADLINE_EXCEEDED,
        f"deadline {stamp(60)} passed; step b had not started",
    )


def test_a_run_that_is_replaced_stops_all_its_steps():
    run = toy(step("a"), step("b"))
    assert run.status.phase is None
    run.built.triggered("v1:x", 1).spec(taskRef={"name": "build", "generation": 1})
    newer = execution("build-2", uid="newer").created(5).triggered("v1:y", 2)
    policy = task().spec(concurrencyPolicy="Replace")
    run.beside = (newer, policy)
    run.starts("a", "b", at=6).settles()
    assert run.status.reason is Reason.REPLACED
    run.exits("a", 143, at=7).exits("b", 143, at=7).settles()
    assert verdict(run)[:2] == (Phase.STOPPED, Reason.REPLACED)


def test_a_failure_before_the_stop_stays_the_verdict():
    run = toy(step("a"), step("b"))
    run.starts("a", "b", at=1).settles().exits("a", 3, at=2).settles()
    run.built.stopped()
    run.settles(9).exits("b", 143, at=10).settles()
    assert verdict(run) == (Phase.FAILED, Reason.ERROR, "step a: exit code 3")
    assert run.phases["b"] is Phase.STOPPED


# -- clocks ---------------------------------------------------------------------------------------


def test_every_step_has_its_own_clock():
    run = toy(step("a", maxRunTime="10s"), step("b", maxRunTime="60s"))
    run.starts("b", at=1).starts("a", at=5).settles()
    assert run.passes().look_at == at(16)
    run.settles(16)
    assert [deed.name for deed in run.deeds if isinstance(deed, StopPod)] == ["build-1-a-1"]
    assert run.steps["b"].stopping_since is None


def test_no_job_gets_more_time_than_the_deadline_leaves():
    run = toy(step("a"), step("b", "a"), deadline=stamp(600))
    run.runs("a", at=1, end=100)
    seconds = [j.raw["spec"]["activeDeadlineSeconds"] for j in run.jobs.values()]
    assert seconds == [600 + 60, 500 + 60]


def test_a_suspension_does_not_take_back_what_others_were_built_upon():
    """Its success, not stored yet, is what the other step's Job was made for."""
    mesh = execution().plan(step("a"), step("b", "a"))
    running = [{"id": "a", "phase": "Running", "attempt": 1, "startedAt": stamp(1)}]
    taken = pod_of("a").exited(0, start=1, end=4)
    below = job_of("a").started().suspended()
    for ended in (taken, taken.deleted(5)):
        seen = world(
            mesh.status(phase="Running", steps=running), below, ended, job_of("b"), asked=()
        )
        decision = decide(seen, at(6))
        # Until its success is stored, its Job is all that proves it.
        assert not [one for one in decision.actions if isinstance(one, DeleteJob)]
        assert [one.phase for one in decision.status.steps][:1] == [Phase.SUCCEEDED]
        assert decision.patience == timedelta()
        stored = mesh.status(**decision.status.to_api())
        decision = decide(world(stored, below, ended, job_of("b"), asked=()), at(6))
        deleted = [one.uid for one in decision.actions if isinstance(one, DeleteJob)]
        assert deleted == ["job-a-1"]


def test_a_job_that_was_resumed_is_limited_to_what_the_deadline_leaves_now():
    built = execution().plan(step("a"), step("b")).deadline(600)
    late, soon = job_of("a").started(300), job_of("b").started(3)
    for one in (late, soon):
        one.raw["spec"]["activeDeadlineSeconds"] = 660
    decision = decide(world(built, late, soon, pod_of("a").running(301)), at(301))
    limits = [action for action in decision.actions if isinstance(action, LimitJob)]
    assert limits == [LimitJob(late.raw["metadata"]["name"], "job-a-1", 360)]
    late.raw["spec"]["activeDeadlineSeconds"] = 360
    again = decide(world(built, late, soon, pod_of("a").running(301)), at(302))
    assert not any(isinstance(action, LimitJob) for action in again.actions)


@pytest.mark.parametrize("state", ["suspended", "not started", "without a deadline"])
def test_a_job_whose_clock_does_not_run_is_not_limited(state):
    made = job().started(500)
    made.raw["spec"]["activeDeadlineSeconds"] = 660
    if state == "suspended":
        made.suspended()
    elif state == "not started":
        del made.raw["status"]["startTime"]
    else:
        del made.raw["spec"]["activeDeadlineSeconds"]
    actions = decide(world(execution().deadline(600), made), at(501)).actions
    assert not any(isinstance(action, LimitJob) for action in actions)


# -- words ----------------------------------------------------------------------------------------


def test_the_message_tells_what_waits_and_how_far_it_is():
    run = toy(step("a"), step("b"), step("c", "a"))
    run.starts("b", at=1).settles()
    assert run.status.message == (
        "step a: waiting for its pod to be created (0 of 3 steps done; running: b)"
    )
    run.starts("a", at=2).settles()
    assert run.status.message == "0 of 3 steps done; running: a, b"


def test_of_many_that_run_a_few_are_named():
    run = toy(*wide(6))
    run.starts(*(f"s{n}" for n in range(6)), at=1).settles()
    assert run.status.message == "0 of 6 steps done; running: s0, s1, s2 and 3 more"


def test_of_many_that_were_not_started_a_few_are_named():
    run = toy(step("a"), *(step(f"s{n}", "a") for n in range(5)))
    run.runs("a", 3, at=1, end=2)
    assert verdict(run)[2] == "step a: exit code 3; not started: s0, s1, s2 and 2 more"


# -- writes ---------------------------------------------------------------------------------------


def test_a_chain_costs_one_write_a_step_and_one_for_the_verdict():
    names = [f"s{n}" for n in range(10)]
    before = [None, *names]
    steps = (step(n, *filter(None, [b])) for b, n in zip(before, names, strict=False))
    run = toy(*steps)
    for place, name in enumerate(names):
        run.starts(name, at=20 * place + 1).settles()
        run.exits(name, 0, at=20 * place + 20).settles()
    assert run.status.phase is Phase.SUCCEEDED
    assert len(run.writes) == 10 + 1


def test_what_starts_and_ends_within_moments_costs_one_write():
    run = toy(*(step(f"s{n}", *([f"s{n - 1}"] if n else [])) for n in range(5)))
    for place in range(5):
        run.exits(f"s{place}", 0, at=place / 2).settles()
    assert run.status.phase is Phase.SUCCEEDED
    assert len(run.writes) == 1


def test_an_end_that_starts_nothing_is_written_after_three_seconds():
    run = toy(step("a"), step("b"))
    run.starts("a", "b", at=1).settles().exits("a", 0, at=5)
    assert run.settles().passes().look_at == at(8)
    assert run.phases["a"] is Phase.RUNNING
    assert run.settles(8).phases["a"] is Phase.SUCCEEDED


@pytest.mark.parametrize("count", [20, 40], ids=["small", "large"])
def test_starts_of_a_large_plan_are_written_together(count):
    run = toy(*wide(count))
    for place in range(count):
        run.starts(f"s{place}", at=1 + place / count).settles()
    apart = (APART_PER_STEP * count).total_seconds()
    assert len(run.writes) == (20 if count == 20 else ceil(1 / apart))
    run.settles(5)
    assert set(run.phases.values()) == {Phase.RUNNING}


def test_the_ends_of_a_large_plan_that_is_stopped_are_written_together():
    count = 40
    run = toy(*wide(count))
    run.starts(*(f"s{n}" for n in range(count)), at=1).settles()
    run.built.stopped()
    run.settles(9)
    before = len(run.writes)
    for place in range(count):
        run.exits(f"s{place}", 143, at=10 + place / count).settles()
    assert run.status.phase is Phase.STOPPED
    assert len(run.writes) == before + 1


def test_a_first_failure_is_written_at_once_in_a_large_plan_too():
    run = toy(*wide(40))
    run.starts("s0", "s1", at=1).settles().exits("s0", 3, at=1.01).settles()
    assert run.status.reason is Reason.ERROR


def test_a_refusal_is_told_once_for_each_reason_however_many_steps_it_meets():
    run = toy(step("a"), step("b"), step("c", "a"), step("d", "a"))
    run.starts("b", at=1).settles()
    run.refuses = Refusal.QUOTA
    run.runs("a", 0, at=2, end=3).settles(6)
    run.exits("b", 0, at=20).settles(23)
    run.settles(60)
    assert run.phases["b"] is Phase.SUCCEEDED
    assert [event.reason for event in run.told] == [Reason.QUOTA_EXCEEDED]


def test_the_status_of_a_hundred_steps_is_small():
    run = toy(*wide(100))
    run.starts(*(f"s{n}" for n in range(100)), at=1).settles(4)
    for place in range(100):
        run.exits(f"s{place}", 3, "x" * 100, at=60)
    run.settles()
    assert run.status.phase is Phase.FAILED
    assert len(json.dumps(run.status.to_api())) < 64 * 1024


def test_no_event_tells_of_a_verdict_before_it_is_stored():
    run = toy(step("a"))
    run.exits("a", 3, at=2)
    run.passes(conflict=True)
    assert run.told == []
    run.settles()
    assert [type(deed) for deed in run.deeds] == [CreateJob, TellEvent]


def test_the_sentences_of_a_thousand_failures_are_cut_to_what_can_be_stored():
    long = StepStatus(id="s", phase=Phase.FAILED, failure_message="ä" * 500)
    quiet = StepStatus(id="q", phase=Phase.SUCCEEDED)
    told = say._within_bounds([long] * 1000 + [quiet])
    assert {len((one.failure_message or "").encode()) for one in told} <= {0, *range(70, 81)}
    assert told[-1] == quiet
    assert say._within_bounds(told) == say._within_bounds(say._within_bounds(told))
    assert say._within_bounds([long] * 12) == (long,) * 12
