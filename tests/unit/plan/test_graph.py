"""The order of steps, and what the schema cannot refuse about them."""

import random
import time

import pytest

from builders import execution, step
from taskmill.api.reasons import Reason
from taskmill.plan.graph import order, problem
from toy import Toy


def plan(*steps):
    return execution().plan(*steps).facts.spec.plan


def takes(ref, key="url", name="URL"):
    return {"env": [{"name": name, "valueFrom": {"output": {"step": ref, "key": key}}}]}


def ids(steps):
    return [one.id for one in steps]


def test_each_step_is_behind_those_it_depends_on():
    steps = plan(step("d", "b", "c"), step("c", "a"), step("b", "a"), step("a"))
    assert ids(order(steps)) == ["a", "c", "b", "d"]


def test_the_order_of_any_graph():
    chance = random.Random(1)
    for _ in range(50):
        names = [f"s{n}" for n in range(12)]
        steps = [
            step(name, *chance.sample(names[:place], chance.randint(0, min(3, place))))
            for place, name in enumerate(names)
        ]
        chance.shuffle(steps)
        ordered = order(plan(*steps))
        seen = set()
        for one in ordered:
            assert seen.issuperset(one.depends_on or ())
            seen.add(one.id)
        assert len(seen) == 12


def test_a_dependency_that_is_named_twice_counts_once():
    assert ids(order(plan(step("a"), step("b", "a", "a")))) == ["a", "b"]


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        ((step("a", "a"),), "a"),
        ((step("a", "b"), step("b", "a")), "a, b"),
        ((step("x"), step("a", "x", "c"), step("b", "a"), step("c", "b"), step("d", "c")), None),
    ],
)
def test_a_circle_is_refused_and_named(steps, left):
    said = problem(plan(*steps))
    listed = left or "a, b, c, d"
    assert said == f"dependsOn makes a circle, in which are or after which come: {listed}"


def test_of_a_large_circle_some_are_named():
    names = [f"s{n}" for n in range(8)]
    steps = [step(one, names[place - 1]) for place, one in enumerate(names)]
    assert problem(plan(*steps)).endswith(": s0, s1, s2, s3, s4 and 3 more")


def test_a_dependency_that_does_not_exist_is_refused():
    said = problem(plan(step("a"), step("b", "a", "nosuch")))
    assert said == "step b: dependsOn names nosuch, and there is no such step"


@pytest.mark.parametrize(
    "steps",
    [
        (step("a"), step("b", "a", **takes("a"))),
        (step("a"), step("b", "a"), step("c", "b", **takes("a"))),
        (step("c", "b", **takes("a")), step("b", "a"), step("a")),
    ],
    ids=["next", "further on", "in any order"],
)
def test_an_output_may_come_from_any_step_before(steps):
    assert problem(plan(*steps)) == ""


@pytest.mark.parametrize(
    "steps",
    [
        (step("a"), step("b", **takes("a"))),
        (step("a"), step("b", "a"), step("c", "a", **takes("b"))),
        (step("b", **takes("b")),),
        (step("b", **takes("nosuch")),),
    ],
    ids=["no dependency", "beside", "itself", "nowhere"],
)
def test_an_output_of_another_step_is_refused(steps):
    said = problem(plan(*steps))
    assert "on which" in said
    assert said.endswith("; add it to dependsOn")


def test_a_plan_that_cannot_run_fails_at_once_and_runs_nothing():
    run = Toy(execution().plan(step("a"), step("b", "nosuch"))).settles(0)
    assert run.jobs_made == []
    assert (run.status.reason, run.status.failure_message) == (
        Reason.INVALID_TASK,
        "step b: dependsOn names nosuch, and there is no such step",
    )


def test_a_thousand_steps_with_a_hundred_dependencies_each_are_checked_in_moments():
    names = [f"s{n}" for n in range(1000)]
    steps = [step(one, *names[max(0, n - 100) : n]) for n, one in enumerate(names)]
    steps[-1] |= step("s999", "s998", **takes("s0"))
    large = plan(*steps)
    began = time.perf_counter()
    assert problem(large) == ""
    assert time.perf_counter() - began < 1
