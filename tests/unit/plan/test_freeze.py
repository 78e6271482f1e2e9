"""The plan that is made of a Task and those it depends on."""

import json

import pytest

from builders import execution, step, task
from taskmill.api.reasons import Phase, Reason
from taskmill.plan.freeze import PLAN_BYTES, Unresolved, oversize, resolve, steps_of
from toy import Toy


def tasks(**below):
    """Tasks by name, each with what it depends on."""
    return {
        name: task(name).spec(image=f"{name}:1", dependsOn=on or None).facts
        for name, on in below.items()
    }


def ids(plan):
    assert not isinstance(plan, Unresolved), plan
    return [one.id for one in plan]


def test_a_task_alone_is_a_plan_of_one_step():
    (one,) = resolve("a", tasks(a=[]))
    assert (one.id, one.task.image, one.depends_on) == ("a", "a:1", None)


def test_all_it_depends_on_come_once_and_before_it():
    plan = resolve("d", tasks(d=["b", "c"], b=["a"], c=["a"], a=[], other=[]))
    assert ids(plan) == ["a", "b", "c", "d"]
    assert plan[-1].depends_on == ("b", "c")


def test_a_step_has_what_runs_and_its_clocks_and_nothing_of_when():
    made = task("a").spec(
        info={"title": "Build it", "owner": "me"},
        timeout="2h",
        schedule={"cron": "@daily"},
        suspend=True,
        retry={"limit": 2},
        maxRunTime="1h",
    )
    (one,) = resolve("a", {"a": made.facts})
    assert (one.label, one.task.max_run_time, one.task.retry.limit) == ("Build it", "1h", 2)
    assert not {"timeout", "schedule", "suspend", "info"} & one.to_api()["task"].keys()


@pytest.mark.parametrize(
    ("below", "told"),
    [
        ({"a": ["a"]}, "a → a"),
        ({"a": ["b"], "b": ["a"]}, "a → b → a"),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, "b → c → b"),
    ],
)
def test_a_circle_is_an_invalid_task(below, told):
    assert resolve("a", tasks(**below)) == Unresolved(
        Reason.INVALID_TASK, f"dependsOn leads back to where it began: {told}"
    )


def test_of_a_large_circle_both_ends_are_named():
    names = [f"s{n}" for n in range(20)]
    found = resolve("s0", tasks(**{one: [names[(n + 1) % 20]] for n, one in enumerate(names)}))
    assert found.sentence.endswith("s0 → s1 → s2 → s3 → … → s17 → s18 → s19 → s0")


def test_a_task_that_does_not_exist_yet_is_waited_for():
    waits = Unresolved(Reason.WAITING_FOR_TASK, "waiting for Task a")
    assert resolve("a", {}) == waits
    below = Unresolved(Reason.WAITING_FOR_TASK, "waiting for Task b, on which a depends")
    assert resolve("a", tasks(a=["b"])) == below


def test_a_task_that_cannot_be_read_or_goes_away_is_waited_for():
    broken = task("b").spec(image=7).facts
    found = resolve("a", tasks(a=["b"]) | {"b": broken})
    assert found.reason is Reason.WAITING_FOR_TASK
    assert found.sentence == f"waiting for Task b, on which a depends: {broken.invalid}"
    going = task("b").deleted().facts
    assert resolve("a", tasks(a=["b"]) | {"b": going}).reason is Reason.WAITING_FOR_TASK


def test_an_output_of_a_task_it_does_not_depend_on_is_invalid():
    env = [{"name": "X", "valueFrom": {"output": {"step": "b", "key": "k"}}}]
    found = resolve("a", tasks(b=[]) | {"a": task("a").spec(env=env).facts})
    assert found.reason is Reason.INVALID_TASK


def test_a_plan_has_a_thousand_steps_at_most():
    names = [f"s{n}" for n in range(1001)]
    found = resolve("top", tasks(**{one: [] for one in names}, top=names))
    assert found == Unresolved(
        Reason.INVALID_TASK, "the plan has 1002 steps; at most 1000 are possible"
    )
    chain = tasks(**{one: names[place + 1 : place + 2] for place, one in enumerate(names[:-1])})
    last = tasks(s1000=[])
    assert len(resolve("s1", chain | last)) == 1000


def test_a_plan_has_256_kib_at_most():
    script = "x" * (100 * 1024)
    small = execution().plan(*(step(n, script=script) for n in "ab")).facts.spec.plan
    assert oversize(small) == ""
    large = execution().plan(*(step(n, script=script) for n in "abc")).facts.spec.plan
    assert oversize(large) == "the plan is 300 KiB as JSON; at most 256 KiB are possible"


def test_the_size_of_a_plan_is_that_of_its_json():
    def plan(room):
        return execution().plan(step("a", script="ä€" + room), step("b", "a")).facts.spec.plan

    whole = [one.to_api() for one in plan("")]
    size = len(json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode())
    room = "x" * (PLAN_BYTES - size)
    assert oversize(plan(room)) == ""
    assert oversize(plan(room + "xx"))


def test_what_is_frozen_is_what_runs_whatever_becomes_of_the_tasks():
    run = Toy(execution().bare("b"), task("a").spec(image="a:1"))
    run.settles(0)
    assert (run.status.phase, run.status.reason) == (Phase.PENDING, Reason.WAITING_FOR_TASK)
    run.beside = (*run.beside, task("b").spec(image="b:1", dependsOn=["a"]))
    run.settles(1)
    assert [one.id for one in run.status.plan] == ["a", "b"]
    run.beside = ()
    run.restarts()
    run.runs("a", at=2, end=3)
    assert run.jobs_made == ["a", "b"]
    assert run.job("b").raw["spec"]["template"]["spec"]["containers"][0]["image"] == "b:1"


def test_no_job_is_made_before_the_plan_is_stored():
    run = Toy(execution().bare("b"), task("b"))
    decision = run.passes(conflict=True)
    assert decision.status.plan
    assert run.jobs_made == []


def test_its_own_plan_comes_before_the_one_of_its_status():
    made = execution().plan(step("own")).status(plan=[step("other")]).facts
    assert ids(steps_of(made, {})) == ["own"]
    bare = execution().bare("build").status(plan=[step("other")]).facts
    assert ids(steps_of(bare, tasks(build=[]))) == ["other"]
