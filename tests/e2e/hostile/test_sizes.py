"""The longest names, the largest specs, every edit, and a namespace that goes away meanwhile."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from e2e.hostile.forge import LARGEST
from e2e.hostile.judge import Judge
from e2e.user import GROUP, VERSION, User, condition, execution, run_spec, task

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

SLOW = run_spec("sleep 4", gracePeriod="1s")
BIG = 120_000
"""Characters of a text; several fill what the API server takes."""


def refusal(user: User, manifest: dict[str, Any]) -> int:
    """With which status it is refused; 0 when it is not."""
    plural = {"Task": "tasks", "TaskExecution": "taskexecutions"}[manifest["kind"]]
    try:
        user.custom.create_namespaced_custom_object(
            GROUP, VERSION, user.namespace, plural, manifest
        )
    except ApiException as error:
        return int(error.status)
    return 0


def test_the_longest_names(user: User, judge: Judge) -> None:
    long, digits = "x" * 63, "0" * 63
    assert not refusal(user, execution(long, run_spec("true")))
    assert not refusal(user, task(long, "true"))
    assert not refusal(user, task(digits, "true", dependsOn=[long]))
    assert not refusal(user, execution(digits, taskRef={"name": digits}))
    longer = {"taskRef": {"name": long}}
    for length in (64, 253, 254):
        assert refusal(user, execution("x" * length, **longer)) == 422
        assert refusal(user, task("x" * length, "true")) == 422
    for name in (long, digits):
        assert user.end(name)["status"]["phase"] == "Succeeded"
        assert user.end_of(name)["status"]["phase"] == "Succeeded"


def test_a_megabyte(user: User, judge: Judge) -> None:
    env = [{"name": f"V{n}", "value": "x" * BIG} for n in range(8)]
    assert not refusal(user, execution("env", run_spec("true", env=env, gracePeriod="1s")))
    assert not refusal(user, task("env", "true", env=env, gracePeriod="1s"))
    run_env = execution("twice", run_spec("true", env=env[:5]), env=[
        {**one, "name": f"W{n}"} for n, one in enumerate(env[:5])
    ])  # fmt: skip
    assert not refusal(user, run_env)
    plan = [{"id": f"s{n}", "task": run_spec("true", args=["x" * 1500])} for n in range(500)]
    assert not refusal(user, {**execution("plan"), "spec": {"plan": plan, "deadline": PAST}})
    noted = task("noted", "true", gracePeriod="1s")
    noted["metadata"]["annotations"] = {"a": "x" * 250_000}
    assert not refusal(user, noted)
    too_much = {"taskRef": {"name": "x"}, "env": env * 3}
    assert refusal(user, {**execution("more"), "spec": too_much}) in (413, 422)
    for name in ("env", "twice", "plan"):
        status = user.end(name, within=90)["status"]
        print(name, status.get("reason"), (status.get("failureMessage") or "")[:200])
        assert status["phase"] == "Succeeded" or status["failureMessage"]
    assert user.end_of("noted")["status"]["phase"] == "Succeeded"
    assert user.wait(lambda: condition(user.tasks("env"), "Stalled"))["reason"] == "InvalidTask"


def test_the_longest_clocks(user: User, judge: Judge) -> None:
    clocks = ("maxRunTime", "startTimeout", "queueTimeout", "gracePeriod")
    longest = dict.fromkeys(clocks, "99999h99999h99999h99999h")
    soon = f"{datetime.now(UTC) + timedelta(seconds=12):%Y-%m-%dT%H:%M:%SZ}"
    nowhere = {**run_spec("true", **longest), "image": "registry.invalid/nothing:1"}
    long_ttl = {"deadline": soon, "ttlSecondsAfterFinished": LARGEST}
    user.apply(
        execution("starts-never", nowhere, deadline=soon),
        execution("runs", run_spec("sleep 2", **longest), deadline=soon),
        execution("stays", run_spec("true", gracePeriod="1s"), **long_ttl),
    )
    assert user.end("runs")["status"]["phase"] == "Succeeded"
    assert user.end("stays")["status"]["phase"] == "Succeeded"
    assert user.end("starts-never")["status"]["reason"] == "DeadlineExceeded"


PAST = "2020-01-01T00:00:00Z"

EDITS: dict[str, Any] = {
    "taskRef": {"name": "x"},
    "plan": [{"id": "main", "task": run_spec("false")}],
    "deadline": PAST,
    "env": [{"name": "A"}],
    "args": ["a"],
    "startedBy": "somebody else",
    "ttlSecondsAfterFinished": 0,
}
"""What of an execution cannot be changed."""

TASK_EDITS: dict[str, Any] = {
    "image": "docker.io/library/busybox",
    "args": ["é"],
    "env": [{"name": "A", "value": "\x00"}],
    "envFrom": [{"secretRef": {"name": "none", "optional": True}}],
    "workingDir": "/nowhere",
    "resources": {"limits": {"cpu": "1n"}},
    "serviceAccountName": "nobody",
    "podTemplate": {"spec": {"containers": [{"name": "main", "volumeMounts": "x"}]}},
    "imagePullPolicy": "Never",
    "maxRunTime": "1ms",
    "startTimeout": "1ms",
    "queueTimeout": "1ms",
    "gracePeriod": "0s",
    "retry": {"limit": 100, "backoff": {"initial": "0s", "factor": 10, "max": "1ms"}},
    "infraRetries": 100,
    "info": {"title": "\x00"},
    "rerun": "é",
    "timeout": "1s",
    "dependsOn": ["edited"],
    "trigger": "Manual",
    "schedule": {"cron": "* * * * *", "timeZone": "../etc/passwd"},
    "concurrencyPolicy": "Forbid",
    "maxQueued": 1,
    "history": {"succeeded": 0, "failed": 0, "ttl": "1ms"},
    "suspend": True,
    "script": None,
}
"""Each field of a Task in turn."""


def test_every_edit_of_what_runs(user: User, judge: Judge) -> None:
    user.apply(task("edited", "sleep 4", gracePeriod="1s"), execution("fixed", SLOW))
    first = user.wait(lambda: user.executions("edited"))[0]["metadata"]["name"]
    for name in (first, "fixed"):
        user.phase(name, "Running")
    for field, value in EDITS.items():
        with pytest.raises(ApiException) as refused:
            user.patch("taskexecutions", "fixed", {"spec": {field: value}})
        assert refused.value.status == 422
        assert field in str(refused.value.body)
    known = set(user.kubectl("explain", "tasks.taskmill.dev.spec").split())
    unknown = {field for field in TASK_EDITS if field not in known}
    assert not unknown
    for field, value in TASK_EDITS.items():
        user.patch("tasks", "edited", {"spec": {field: value}})
    # What runs is what it was when it began.
    for name in (first, "fixed"):
        assert user.end(name)["status"]["phase"] == "Succeeded"

    def observed() -> bool:
        seen = user.tasks("edited")
        return bool(seen["status"].get("observedGeneration") == seen["metadata"]["generation"])

    user.wait(observed, within=30)


def test_a_namespace_deleted_under_many(user: User, judge: Judge) -> None:
    runs = run_spec("sleep 600", gracePeriod="1s")
    user.apply(
        *(execution(f"e{n}", runs) for n in range(5)),
        *(execution(f"w{n}", taskRef={"name": "later"}) for n in range(5)),
        task("often", "sleep 600", schedule={"cron": "* * * * *"}, gracePeriod="1s"),
        task("again", "exit 1", gracePeriod="1s", retry={"limit": 100, "backoff": SOON}),
    )
    for n in range(5):
        user.phase(f"e{n}", "Running")
    user.cluster.kubectl("delete", "namespace", user.namespace, "--timeout=90s", timeout=100)
    assert not judge.bugs()


SOON = {"initial": "0s", "max": "1s"}
