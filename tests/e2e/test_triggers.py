"""When a Task runs: once for each state of what runs, and never because of anything else."""

import json

import pytest

from e2e.process import OperatorProcess
from e2e.user import User, condition, task

pytestmark = pytest.mark.cluster


def settled(user: User, name: str) -> dict[str, object]:
    """The Task once its status is about what its spec says now, and nothing of it runs."""
    return user.wait(
        lambda: (
            (t := user.tasks(name))["metadata"]["generation"]
            == t.get("status", {}).get("observedGeneration")
            and not condition(t, "Reconciling")
            and not t["status"].get("active")
            and t
        )
    )


def test_a_change_of_what_runs_starts_one_run_and_nothing_else_does(user: User) -> None:
    user.apply(task("build", "exit 0"))
    user.end_of("build")
    user.apply(task("build", "exit 0", info={"title": "Build"}, maxRunTime="1m", timeout="2m"))
    settled(user, "build")
    assert len(user.executions("build")) == 1
    user.apply(task("build", "exit 0; true"))
    user.end_of("build", runs=2)
    user.apply(task("build", "exit 0; true", rerun="again"))
    user.end_of("build", runs=3)
    settled(user, "build")
    assert len(user.executions("build")) == 3


def test_there_and_back_again_runs_three_times(user: User) -> None:
    for runs, script in enumerate(("echo a", "echo b", "echo a"), start=1):
        user.apply(task("swing", script))
        user.end_of("swing", runs=runs)
    settled(user, "swing")
    assert len(user.executions("swing")) == 3


def test_a_manual_task_runs_when_asked_only(user: User) -> None:
    user.apply(task("asked", "exit 0", trigger="Manual"))
    idle = settled(user, "asked")
    assert condition(idle, "Ready")["status"] == "True"
    user.apply(task("asked", "exit 0; true", trigger="Manual"))
    user.wait(lambda: user.tasks("asked")["status"]["observedGeneration"] == 2)
    # What runs did not change with the trigger, so there is nothing to run.
    user.apply(task("asked", "exit 0; true", trigger="OnChange"))
    user.wait(lambda: user.tasks("asked")["status"]["observedGeneration"] == 3)
    assert user.executions("asked") == []
    user.apply(task("asked", "exit 0; true; true", trigger="OnChange"))
    user.end_of("asked")


def test_only_the_latest_state_runs_after_an_outage(user: User, operator: OperatorProcess) -> None:
    user.apply(task("edited", "echo 1"))
    user.end_of("edited")
    settled(user, "edited")
    operator.kill()
    user.apply(task("new", "echo new"))
    for script in ("echo 2", "echo 3", "echo 4"):
        user.apply(task("edited", script))
    operator.start()
    latest = user.end_of("edited", runs=2)
    user.end_of("new")
    settled(user, "edited")
    assert len(user.executions("edited")) == 2
    assert latest["spec"]["plan"][0]["task"]["script"] == "echo 4"
    assert len(user.executions("new")) == 1


def test_a_restart_starts_nothing(user: User, operator: OperatorProcess) -> None:
    names = [f"still-{n}" for n in range(5)]
    user.apply(*(task(name, "exit 0") for name in names))
    for name in names:
        user.end_of(name)
        settled(user, name)
    before = {e["metadata"]["uid"] for e in user.executions()}
    jobs = {job.metadata.uid for job in user.jobs()}
    operator.kill()
    operator.start()
    user.apply(task("probe", "exit 0"))
    user.end_of("probe")
    after = {e["metadata"]["uid"] for e in user.executions()}
    assert len(after - before) == 1
    assert len({job.metadata.uid for job in user.jobs()} - jobs) == 1


def test_the_same_manifest_again_changes_nothing(user: User) -> None:
    manifest = {**task("git", "exit 0"), "metadata": {"name": "git", "labels": {"team": "a"}}}
    for options in ((), ("--server-side", "--force-conflicts")):
        for _ in range(2):
            user.kubectl("apply", *options, "-f", "-", stdin=json.dumps(manifest))
    user.end_of("git")
    rolled = settled(user, "git")
    assert rolled["metadata"]["generation"] == 1
    ours = [
        field["manager"]
        for field in rolled["metadata"]["managedFields"]
        if field["manager"].startswith("taskmill") and field.get("subresource") != "status"
    ]
    assert ours == []
    run = user.executions("git")[0]
    assert "team" not in run["metadata"]["labels"]
    assert "finalizers" not in rolled["metadata"]


def test_a_deleted_task_takes_its_runs_along(user: User) -> None:
    user.apply(task("pruned", "sleep 600", gracePeriod="1s"))
    user.wait(user.pods)
    user.kubectl("delete", "tmt", "pruned", "--cascade=foreground", "--timeout=60s")
    user.wait(lambda: not user.executions() and not user.jobs() and not user.pods())


def test_conditions_tell_gitops_when_a_generation_has_done_its_work(user: User) -> None:
    user.apply(task("deploy", "sleep 2"))
    working = user.wait(lambda: (t := user.tasks("deploy")) and condition(t, "Reconciling") and t)
    assert condition(working, "Ready")["status"] == "False"
    user.kubectl("wait", "tmt/deploy", "--for=condition=Ready", "--timeout=60s")
    assert user.tasks("deploy")["status"]["lastSuccessfulTime"]
    user.apply(task("deploy", "exit 4"))
    user.kubectl("wait", "tmt/deploy", "--for=condition=Stalled", "--timeout=60s")
    failed = user.tasks("deploy")
    assert condition(failed, "Ready")["message"] == "step deploy: exit code 4"


def test_a_task_that_cannot_be_run_says_why_and_runs_once_mended(user: User) -> None:
    user.apply(task("huge", "exit 0", maxRunTime="48h"))
    stalled = user.wait(lambda: condition(user.tasks("huge"), "Stalled"))
    assert stalled["reason"] == "InvalidTask"
    assert stalled["message"] == (
        "spec.timeout must be given: maxRunTime 48h is longer than the operator's default of 24h"
    )
    assert user.executions() == []
    user.apply(task("huge", "exit 0", maxRunTime="48h", timeout="50h"))
    assert user.end_of("huge")["status"]["phase"] == "Succeeded"


def test_a_task_restored_with_its_status_runs_again_when_it_is_edited(user: User) -> None:
    user.apply(task("restored", "true"))
    user.end_of("restored")
    settled(user, "restored")
    known = user.tasks("restored")["status"]["lastTriggered"]
    user.custom.patch_namespaced_custom_object_status(
        "taskmill.dev",
        "v1alpha1",
        user.namespace,
        "tasks",
        "restored",
        {"status": {"lastTriggered": {**known, "generation": 57}}},
    )
    user.apply(task("restored", "true; true"))
    user.end_of("restored", runs=2)
    settled(user, "restored")
    assert len(user.executions("restored")) == 2
    assert user.tasks("restored")["status"]["lastTriggered"]["generation"] == 2
