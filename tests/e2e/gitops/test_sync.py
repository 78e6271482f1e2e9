"""A sync waits for the run and fails with it, as Argo CD's and Flux's own code has it."""

from typing import Any

import pytest

from cluster.handle import Handle
from e2e.gitops.evaluators import Wait, health, kstatus, lua
from e2e.process import OperatorProcess
from e2e.user import User, condition, execution, run_spec, task

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("evaluators")]


def of(user: User, *objects: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects as they are named to a tool that waits."""
    return [{**o, "metadata": {**o["metadata"], "namespace": user.namespace}} for o in objects]


def judged(user: User, name: str) -> tuple[str, str]:
    """What both say of a Task."""
    seen = user.tasks(name)
    return health(seen)[0], kstatus(seen)[0]


def test_a_sync_waits_for_the_run_and_ends_with_it(user: User, cluster: Handle) -> None:
    waited = task("waited", "until test -e /tmp/go; do sleep 0.1; done", gracePeriod="1s")
    user.apply(waited)
    with Wait(cluster, *of(user, waited)) as sync:
        user.wait(lambda: condition(user.tasks("waited"), "Reconciling").get("reason") == "Running")
        assert judged(user, "waited") == ("Progressing", "InProgress")
        assert sync.goes_on
        (pod,) = user.pods()
        user.kubectl("exec", pod.metadata.name, "-c", "main", "--", "touch", "/tmp/go")
        assert sync.end()["status"] == "Current"
    assert judged(user, "waited") == ("Healthy", "Current")
    assert health(user.executions("waited")[0]) == ("Healthy", "succeeded")
    assert kstatus(user.executions("waited")[0])[0] == "Current"


def test_a_sync_fails_with_the_run_in_its_words(user: User, cluster: Handle) -> None:
    fails = task("fails", "sleep 1; echo foo.c: no such file >&2; sleep 1; exit 3")
    well = task("well", "true")
    user.apply(fails, well)
    with Wait(cluster, *of(user, fails, well)) as sync:
        told = sync.end()
    assert told["status"] == "Failed"
    words = "step fails: exit code 3: foo.c: no such file"
    assert told["objects"]["Task/fails"] == {"status": "Failed", "message": words}
    assert health(user.tasks("fails")) == ("Degraded", words)
    run = user.executions("fails")[0]
    assert (health(run), kstatus(run)) == (("Degraded", words), ("Failed", words))


def test_what_nobody_has_looked_at_is_not_done(user: User, operator: OperatorProcess) -> None:
    operator.stop()
    try:
        user.apply(task("unseen", "true"), execution("alone", run_spec("true")))
        assert judged(user, "unseen") == ("Progressing", "InProgress")
        run = user.execution("alone")
        assert (health(run)[0], kstatus(run)[0]) == ("Progressing", "InProgress")
    finally:
        operator.start()
    user.end_of("unseen")
    user.wait(lambda: judged(user, "unseen") == ("Healthy", "Current"))


def test_a_change_is_in_progress_at_once(user: User, operator: OperatorProcess) -> None:
    user.apply(task("changed", "true"))
    user.wait(lambda: judged(user, "changed") == ("Healthy", "Current"))
    operator.stop()
    try:
        user.patch("tasks", "changed", {"spec": {"script": "exit 4"}})
        assert judged(user, "changed") == ("Progressing", "InProgress")
    finally:
        operator.start()
    user.wait(lambda: judged(user, "changed") == ("Degraded", "Failed"))
    user.patch("tasks", "changed", {"spec": {"script": "exit 0"}})
    user.wait(lambda: judged(user, "changed") == ("Healthy", "Current"))


@pytest.mark.parametrize(
    "fields",
    [
        {"schedule": {"cron": "0 0 1 1 *"}},
        {"trigger": "Manual"},
        {"suspend": True},
    ],
    ids=["a schedule", "by hand", "suspended"],
)
def test_what_starts_nothing_by_itself_is_done_at_once(user: User, fields: dict[str, Any]) -> None:
    user.apply(task("quiet", "true", **fields))
    user.wait(lambda: judged(user, "quiet") == ("Healthy", "Current"))
    assert user.executions() == []


def test_a_task_that_cannot_run_is_told_by_the_sync(user: User) -> None:
    user.apply(task("wrong", "true", schedule={"cron": "0 0 31 2 *"}))
    user.wait(lambda: judged(user, "wrong") == ("Degraded", "Failed"))
    assert "cron" in kstatus(user.tasks("wrong"))[1]


def test_what_is_being_deleted_is_not_done(user: User) -> None:
    held = task("held", "true", trigger="Manual")
    held["metadata"]["finalizers"] = ["example.com/held"]
    user.apply(held)
    user.wait(lambda: judged(user, "held") == ("Healthy", "Current"))
    user.kubectl("delete", "tmt", "held", "--wait=false")
    try:
        assert judged(user, "held") == ("Progressing", "Terminating")
    finally:
        user.patch("tasks", "held", {"metadata": {"finalizers": None}})


def test_a_stopped_run_is_no_success(user: User) -> None:
    user.apply(execution("stopped", run_spec("sleep 600", gracePeriod="1s")))
    user.phase("stopped", "Running")
    user.patch("taskexecutions", "stopped", {"spec": {"desiredPhase": "Stopped"}})
    run = user.end("stopped")
    assert (health(run)[0], kstatus(run)[0]) == ("Degraded", "Failed")


@pytest.mark.parametrize("name", ["asked", "a" * 63], ids=["usual", "longest"])
def test_argo_cd_offers_to_run_a_task_now(user: User, name: str) -> None:
    user.apply(task(name, "true", trigger="Manual"))
    assert list(lua("task.discovery.lua", user.tasks(name))) == ["run-now"]
    (wanted,) = lua("task.run-now.lua", user.tasks(name))
    assert wanted["operation"] == "create"
    user.apply(wanted["resource"])
    made = user.end(wanted["resource"]["metadata"]["name"])
    assert (made["status"]["phase"], made["spec"]["startedBy"]) == ("Succeeded", "Argo CD")
