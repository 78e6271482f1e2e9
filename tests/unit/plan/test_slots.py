"""Whose turn it is among the runs of one Task."""

import pytest

from builders import execution, stamp, step, task
from taskmill.api.reasons import Phase, Reason
from taskmill.plan.decision import StopPod
from taskmill.plan.slots import age
from toy import Toy


def made(number, **fields):
    """A run that taskmill made, the later the higher its number."""
    built = execution(f"build-{number}", uid=f"uid-{number}").created(number)
    return built.triggered(f"v1:{number}", number).spec(plan=[step("build")], **fields)


def mine(number=5, *others, policy="Queue", **spec):
    built = execution().created(number).triggered("v1:mine", number)
    return Toy(built, *others, task().spec(concurrencyPolicy=policy, **spec)).settles(number)


def told(run):
    return run.status.phase, run.status.reason, run.status.message


@pytest.mark.parametrize("policy", ["Queue", "Replace"])
def test_it_waits_until_the_one_before_it_has_ended(policy):
    run = mine(5, made(4), policy=policy)
    assert told(run) == (Phase.PENDING, Reason.WAITING_FOR_SLOT, "waiting for build-4 to end")
    assert run.jobs_made == []
    run.beside = run.beside[1:]
    run.settles(60)
    assert run.jobs_made == ["build"]


def test_the_nearest_of_several_before_it_is_named():
    run = mine(5, made(2), made(4), made(3))
    assert told(run)[2] == "waiting for build-4, with 2 before it, to end"


@pytest.mark.parametrize("policy", ["Allow", "Forbid"])
def test_other_policies_make_nobody_wait(policy):
    assert mine(5, made(4), policy=policy).jobs_made == ["build"]


def test_only_runs_that_taskmill_made_wait():
    by_hand = execution().created(5).spec(taskRef={"name": "build"})
    run = Toy(by_hand, made(4), task().spec(concurrencyPolicy="Queue")).settles(5)
    assert run.jobs_made == ["build"]


def test_one_of_the_same_moment_waits_by_generation_and_then_by_name():
    assert mine(5, made(4).created(5)).jobs_made == []
    assert mine(5, made(6).created(5)).jobs_made == ["build"]
    assert mine(5, made(5).created(5)).jobs_made == ["build"]


@pytest.mark.parametrize("policy", ["Queue", "Replace"])
def test_of_any_number_exactly_one_may_start(policy):
    several = [made(number).created(5) for number in range(4)]
    free = [
        run
        for run in several
        if Toy(
            run,
            *(other for other in several if other is not run),
            task().spec(concurrencyPolicy="Queue"),
        )
        .settles(9)
        .created
    ]
    assert len(free) == 1


def test_what_has_begun_waits_for_nobody():
    run = mine(5)
    run.starts("build", at=6).settles()
    run.beside = (made(4), *run.beside)
    run.settles(7)
    assert run.status.phase is Phase.RUNNING


def test_a_suspended_task_holds_back_what_waited_and_not_what_is_new():
    run = mine(5, made(4))
    run.beside = (task().spec(concurrencyPolicy="Queue", suspend=True),)
    run.settles(60)
    assert told(run)[2] == "it is its turn, but its Task is suspended"
    assert run.jobs_made == []
    run.beside = (task().spec(concurrencyPolicy="Queue"),)
    run.settles(90)
    assert run.jobs_made == ["build"]
    assert mine(5, suspend=True).jobs_made == ["build"]


def test_a_deadline_ends_the_wait():
    run = mine(5, made(4))
    run.built.deadline(60)
    run.settles(60)
    assert (run.status.phase, run.status.failure_message) == (
        Phase.FAILED,
        f"deadline {stamp(60)} passed; it was still waiting for build-4 to end",
    )


def test_a_stop_ends_the_wait():
    run = mine(5, made(4))
    run.built.stopped()
    run.settles(6)
    assert (run.status.phase, run.status.reason, run.status.failure_message) == (
        Phase.STOPPED,
        Reason.STOPPED,
        "stopped on request",
    )


# -- Replace --------------------------------------------------------------------------------------


def test_a_newer_run_replaces_one_that_runs_and_its_container_ends_first():
    run = mine(5, policy="Replace")
    run.starts("build", at=6).settles()
    run.beside = (made(7), *run.beside)
    run.settles(7)
    assert (run.status.phase, run.status.reason) == (Phase.RUNNING, Reason.REPLACED)
    assert any(isinstance(deed, StopPod) for deed in run.deeds)
    run.exits("build", 143, at=8).settles()
    assert (run.status.phase, run.status.reason) == (Phase.STOPPED, Reason.REPLACED)
    assert run.status.failure_message == (
        f"replaced by build-7; step build was running since {stamp(6)};"
        " it ended with exit code 143 (SIGTERM)"
    )


def test_a_newer_run_replaces_one_that_waits():
    run = mine(5, made(4), policy="Replace")
    run.beside = (made(4), made(6), made(7), *run.beside[1:])
    run.settles(8)
    assert (run.status.phase, run.status.failure_message) == (
        Phase.STOPPED,
        "replaced by build-7; it was still waiting for build-4 to end",
    )
    assert run.jobs_made == []


def test_a_run_by_hand_is_neither_replaced_nor_waited_for():
    by_hand = execution().created(5).spec(taskRef={"name": "build"})
    run = Toy(by_hand, made(7), task().spec(concurrencyPolicy="Replace")).settles(8)
    assert run.jobs_made == ["build"]


def test_a_run_that_is_being_replaced_stays_so_when_the_newer_one_goes_away():
    run = mine(5, policy="Replace")
    run.starts("build", at=6).settles()
    run.beside = (made(7), *run.beside)
    run.settles(7)
    run.beside = run.beside[1:]
    run.exits("build", 0, at=8).settles()
    assert (run.status.phase, run.status.reason) == (Phase.STOPPED, Reason.REPLACED)


def test_without_its_task_nobody_waits_or_is_replaced():
    built = execution().created(5).triggered("v1:mine", 5)
    built.raw["metadata"].pop("ownerReferences")
    assert Toy(built, made(4), made(7)).settles(5).jobs_made == ["build"]


def test_of_a_change_and_a_time_in_the_same_second_the_change_came_first():
    change = execution("z", uid="z").triggered("v1:a", 1).facts
    tick = execution("a", uid="a").scheduled(0).facts
    assert age(change) < age(tick)
