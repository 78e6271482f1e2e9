"""The executions that people ask for: what the operator would make, but theirs."""

from datetime import timedelta

from builders import TASK_UID
from taskmill.api.execution import TaskExecutionSpec
from taskmill.cli.make import Asked, again, of_image, of_reference, of_task
from taskmill.plan.freeze import resolve
from taskmill.reconcile.parse import parse_task
from unit.cli.runs import NOON, at, raw

ASKED = Asked(namespace="team", started_by="jane")


def a_task(name, **spec):
    return parse_task(
        {
            "metadata": {
                "name": name,
                "namespace": "team",
                "uid": TASK_UID,
                "generation": 4,
                "resourceVersion": "1",
                "creationTimestamp": at(0),
            },
            "spec": {"image": "busybox", **spec},
        }
    )


def test_a_task_with_its_plan_frozen():
    tasks = {"fetch": a_task("fetch"), "build": a_task("build", dependsOn=["fetch"], timeout="1h")}
    made = of_task(tasks["build"], resolve("build", tasks), ASKED, NOON)
    assert made == {
        "apiVersion": "taskmill.dev/v1alpha1",
        "kind": "TaskExecution",
        "metadata": {
            "generateName": "build-",
            "namespace": "team",
            "labels": {"taskmill.dev/task": "build"},
        },
        "spec": {
            "taskRef": {"name": "build", "generation": 4},
            "plan": [
                {"id": "fetch", "task": {"image": "busybox"}},
                {"id": "build", "dependsOn": ["fetch"], "task": {"image": "busybox"}},
            ],
            "deadline": at(3600),
            "startedBy": "jane",
        },
    }


def test_env_args_a_name_and_a_time_of_this_run():
    task = a_task("build")
    asked = Asked(namespace="team", started_by="jane", name="mine", env={"A": "1", "B": "="},
                  args=("x",), limit=timedelta(minutes=5))  # fmt: skip
    made = of_task(task, resolve("build", {"build": task}), asked, NOON)
    assert made["metadata"]["name"] == "mine"
    assert "generateName" not in made["metadata"]
    assert made["spec"]["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "="}]
    assert made["spec"]["args"] == ["x"]
    assert made["spec"]["deadline"] == at(300)


def test_without_a_timeout_it_has_a_day_and_a_long_name_is_cut():
    task = a_task("a" * 63)
    made = of_task(task, resolve(task.meta.name, {task.meta.name: task}), ASKED, NOON)
    assert made["spec"]["deadline"] == at(86400)
    assert len(made["metadata"]["generateName"]) + 5 <= 63


def test_a_reference_leaves_the_rest_to_the_operator():
    spec = of_reference("build", ASKED, NOON)["spec"]
    assert spec == {"taskRef": {"name": "build"}, "startedBy": "jane"}


def test_an_image():
    runs = {"image": "registry.example.com:5000/Team/My_Tool:1.2@sha256:abc", "args": ["-v"]}
    made = of_image(runs, ASKED, NOON)
    assert made["metadata"] == {"generateName": "my-tool-", "namespace": "team"}
    assert made["spec"]["plan"] == [{"id": "main", "task": runs}]
    assert of_image({"image": "_"}, ASKED, NOON)["metadata"]["generateName"] == "run-"


def test_the_same_plan_again_with_as_much_time():
    plan = [{"id": "build", "task": {"image": "x"}}]
    spec = {
        "taskRef": {"name": "build", "generation": 2},
        "plan": plan,
        "env": [{"name": "A", "value": "1"}],
        "args": ["x"],
        "deadline": at(600),
        "desiredPhase": "Stopped",
        "startedBy": "OnChange",
        "ttlSecondsAfterFinished": 5,
    }
    made = again(raw("build-1", spec=spec, phase="Stopped"), ASKED, NOON + timedelta(hours=1))
    kept = {key: spec[key] for key in ("taskRef", "plan", "env", "args")}
    assert made["spec"] == {**kept, "deadline": at(4200), "startedBy": "jane"}
    assert made["metadata"]["generateName"] == "build-"
    assert TaskExecutionSpec.model_validate(made["spec"])


def test_again_what_the_operator_resolved():
    plan = [{"id": "build", "task": {"image": "x"}}]
    old = raw("mine", spec={"taskRef": {"name": "build"}}, plan=plan, deadline=at(60))
    made = again(old, ASKED, NOON)
    assert (made["spec"]["plan"], made["spec"]["deadline"]) == (plan, at(60))
