"""Plans of several steps, by real pods: order, failure, stops, and how few writes they take."""

import json
from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from cluster.handle import Handle
from cluster.local import LocalCluster
from e2e.test_endings import at
from e2e.user import FINAL, User, execution, run_spec, task
from e2e.writes import others, quiet, separate

pytestmark = pytest.mark.cluster

ON_KWOK = {
    "podTemplate": {
        "spec": {
            "nodeSelector": {"type": "kwok"},
            "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
        }
    }
}
"""On a node that is played: its pods start and succeed at once."""


def step(name: str, script: str, *after: str, **fields: Any) -> dict[str, Any]:
    depends = {"dependsOn": list(after)} if after else {}
    return {"id": name, **depends, "task": run_spec(script, **fields)}


def plan(name: str, *steps: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return execution(name, plan=list(steps), **spec)


def steps_of(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in told["status"].get("steps", [])}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_diamond_runs_in_order_and_side_by_side(user: User) -> None:
    user.apply(
        plan(
            "diamond",
            step("package", "sleep 1", "left", "right"),
            step("left", "sleep 4", "fetch"),
            step("right", "sleep 4", "fetch"),
            step("fetch", "sleep 1"),
        )
    )
    ended = user.end("diamond")
    assert ended["status"]["phase"] == "Succeeded"
    done = steps_of(ended)
    assert list(done) == ["package", "left", "right", "fetch"]
    for below, above in (("fetch", "left"), ("fetch", "right"), ("left", "package")):
        assert moment(done[below]["completedAt"]) <= moment(done[above]["startedAt"])
    assert moment(done["left"]["startedAt"]) < moment(done["right"]["completedAt"])
    assert moment(done["right"]["startedAt"]) < moment(done["left"]["completedAt"])
    assert len(user.jobs()) == 4


def test_after_a_failure_nothing_starts_and_what_runs_finishes(user: User) -> None:
    user.apply(
        plan(
            "broken",
            step("compile", "sleep 2; echo no such header; sleep 1; exit 3"),
            step("lint", "sleep 9"),
            step("test", "true", "compile"),
            step("report", "true", "lint"),
            step("deploy", "true", "test", "report"),
        )
    )
    failing = user.wait(
        lambda: (e := user.execution("broken")).get("status", {}).get("failureMessage") and e
    )
    assert failing["status"]["phase"] == "Running"
    assert steps_of(failing)["lint"]["phase"] == "Running"
    ended = user.end("broken")["status"]
    assert (ended["phase"], ended["reason"]) == ("Failed", "Error")
    assert ended["failureMessage"] == (
        "step compile: exit code 3: no such header; not started: test, report, deploy"
    )
    phases = {one["id"]: one["phase"] for one in ended["steps"]}
    assert phases == {"compile": "Failed", "lint": "Succeeded"}
    assert len(user.jobs()) == 2


def test_a_stop_ends_every_step(user: User) -> None:
    user.apply(
        plan(
            "stopped",
            step("one", "sleep 600"),
            step("two", "sleep 600"),
            step("three", "true", "one"),
        )
    )
    user.wait(lambda: _running(user, "stopped") == {"one", "two"})
    user.patch("taskexecutions", "stopped", {"spec": {"desiredPhase": "Stopped"}})
    ended = user.end("stopped", within=20)
    assert (ended["status"]["phase"], ended["status"]["reason"]) == ("Stopped", "Stopped")
    assert {one["phase"] for one in steps_of(ended).values()} == {"Stopped"}
    assert set(steps_of(ended)) == {"one", "two"}
    user.wait(lambda: not user.jobs(), within=10)


def test_the_deadline_is_above_all_steps(user: User) -> None:
    slow = [step("one", "sleep 600", gracePeriod="1s"), step("two", "true", "one")]
    user.apply(plan("late", *slow, deadline=at(8)))
    ended = user.end("late", within=30)
    assert ended["status"]["reason"] == "DeadlineExceeded"
    assert ended["status"]["failureMessage"].startswith(
        f"deadline {ended['status']['deadline']} passed; step one was running since "
    )
    assert set(steps_of(ended)) == {"one"}


def test_progress_is_told(user: User) -> None:
    user.apply(plan("pair", step("one", "true"), step("two", "sleep 8", "one")))
    user.wait(lambda: _running(user, "pair") == {"two"})
    printed = user.kubectl("get", "te", "pair").splitlines()[1]
    assert printed.endswith("1 of 2 steps done; running: two")
    user.end("pair")


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([step("a", "true", "b")], "step a: dependsOn names b, and there is no such step"),
        ([step("a", "true", "b"), step("b", "true", "a")], "dependsOn makes a circle"),
    ],
    ids=["unknown", "circle"],
)
def test_a_plan_that_cannot_run_says_why(
    steps: list[dict[str, Any]], words: str, user: User
) -> None:
    user.apply(plan("wrong", *steps))
    ended = user.end("wrong")["status"]
    assert ended["reason"] == "InvalidTask"
    assert words in ended["failureMessage"]
    assert not user.jobs()


def test_what_a_task_depends_on_runs_first_whatever_the_order_of_the_files(user: User) -> None:
    user.apply(task("deploy", "true", dependsOn=["test", "lint"]))
    user.apply(task("test", "true", dependsOn=["build"], trigger="Manual"))
    waiting = user.wait(
        lambda: (
            (t := user.tasks("deploy")).get("status", {}).get("conditions", [{}])[-1].get("reason")
            == "WaitingForTask"
            and t
        )
    )
    assert "waiting for Task " in str(waiting["status"]["conditions"])
    assert not user.executions("deploy")
    user.apply(task("lint", "true", dependsOn=["build"], trigger="Manual"))
    user.apply(task("build", "sleep 3", trigger="Manual"))
    made = user.wait(lambda: user.executions("deploy"))[0]
    ids = [one["id"] for one in made["spec"]["plan"]]
    assert ids == ["build", "test", "lint", "deploy"]
    # Frozen: what is edited now is for the next run.
    user.apply(task("build", "exit 9", trigger="Manual"))
    ended = user.end(made["metadata"]["name"])
    assert ended["status"]["phase"] == "Succeeded"
    done = steps_of(ended)
    assert moment(done["build"]["completedAt"]) <= moment(done["lint"]["startedAt"])
    assert not user.executions("build")


def test_tasks_that_depend_on_each_other_say_so(user: User) -> None:
    user.apply(task("hen", "true", dependsOn=["egg"]), task("egg", "true", dependsOn=["hen"]))
    stalled = user.wait(
        lambda: next(
            (
                c
                for c in user.tasks("hen").get("status", {}).get("conditions", ())
                if c["type"] == "Stalled" and c["reason"] == "InvalidTask"
            ),
            None,
        )
    )
    assert stalled["message"] == "dependsOn leads back to where it began: hen → egg → hen"
    assert not user.executions()


@pytest.mark.timeout(300)
def test_a_mesh_of_200_steps_takes_few_writes(
    user: User, cluster: Handle, local_cluster: LocalCluster
) -> None:
    local_cluster.kwok(2)
    separate(cluster)
    user.wait(lambda: others(user) == [], within=100)
    before = quiet(cluster)
    layers, width = 20, 10
    steps = [
        step(
            f"s{layer}-{place}",
            "true",
            # Each of its two nearest in the layer below: diamonds all over.
            *(f"s{layer - 1}-{(place + side) % width}" for side in (0, 1) if layer),
            **ON_KWOK,
        )
        for layer in range(layers)
        for place in range(width)
    ]
    user.kubectl("create", "-f", "-", stdin=json.dumps(plan("mesh", *steps)))
    told = user.end("mesh", within=150)
    assert told["status"]["phase"] == "Succeeded"
    assert len(told["status"]["steps"]) == layers * width
    wrote: Counter[str] = quiet(cluster) - before
    assert wrote["POST jobs"] == layers * width
    seconds = (
        moment(told["status"]["completedAt"]) - moment(told["metadata"]["creationTimestamp"])
    ).total_seconds()
    # One in two seconds at most (10 ms for each step), and the verdict.
    assert wrote["PATCH taskexecutions/status"] <= seconds / 2 + 2
    assert wrote["all"] == wrote["POST jobs"] + wrote["PATCH taskexecutions/status"]
    print(f"200 steps in {seconds} s: {dict(wrote)}")


def _running(user: User, name: str) -> set[str]:
    told = user.execution(name)
    assert told.get("status", {}).get("phase") not in FINAL, told["status"]
    return {
        one["id"] for one in told.get("status", {}).get("steps", ()) if one["phase"] == "Running"
    }
