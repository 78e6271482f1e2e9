"""What Argo CD and Flux do to a Task: apply it again and again, and prune it."""

import json
from typing import Any

import pytest
import yaml

from e2e.install import ROOT
from e2e.user import User, condition, run_spec, task

pytestmark = pytest.mark.cluster

SAMPLES = sorted((ROOT / "manifests" / "samples").glob("*.yaml"))


def objects() -> list[dict[str, Any]]:
    return [one for path in SAMPLES for one in yaml.safe_load_all(path.read_text())]


def test_samples_applied_again_and_again_change_nothing(user: User) -> None:
    names = [one["metadata"]["name"] for one in objects()]
    for path in SAMPLES:
        user.kubectl("apply", "-f", str(path))
    user.wait(lambda: all(user.tasks(name)["status"].get("conditions") for name in names))
    for options in ((), ("--server-side", "--force-conflicts")):
        for _ in range(2):
            for path in SAMPLES:
                user.kubectl("apply", *options, "-f", str(path))
    user.wait(lambda: all(e.get("status", {}).get("completedAt") for e in user.executions()))
    for name in names:
        told = user.tasks(name)
        assert told["metadata"]["generation"] == 1, name
        starts = {"trigger", "schedule"}.isdisjoint(told["spec"])
        assert len(user.executions(name)) == int(starts), name
        ours = [
            field
            for field in told["metadata"]["managedFields"]
            if field["manager"].startswith("taskmill") and field.get("subresource") != "status"
        ]
        assert ours == [], "the operator wrote more than the status of a Task"


@pytest.mark.parametrize("cascade", ["foreground", "background"])
def test_a_pruned_task_takes_its_runs_along_and_starts_nothing(cascade: str, user: User) -> None:
    user.apply(
        task("below", "sleep 600", trigger="Manual", gracePeriod="1s"),
        task("pruned", "sleep 600", dependsOn=["below"], gracePeriod="1s"),
    )
    user.wait(user.pods)
    user.kubectl("delete", "tmt", "pruned", f"--cascade={cascade}", "--timeout=60s")
    user.wait(lambda: not user.executions() and not user.jobs() and not user.pods())


def test_a_typo_in_the_overlay_is_told_on_the_task(user: User) -> None:
    wrong = {"spec": {"tolerations": [{"key": "spot", "opeartor": "Exists"}]}}
    user.apply(task("typo", "true", podTemplate=wrong))
    stalled = user.wait(lambda: condition(user.tasks("typo"), "Stalled"))
    assert stalled["reason"] == "Rejected"
    assert stalled["message"].startswith("spec.podTemplate: ")
    assert "opeartor" in stalled["message"]
    assert not user.executions()
    assert not user.jobs()
    right = {"spec": {"tolerations": [{"key": "spot", "operator": "Exists"}]}}
    user.apply(task("typo", "true", podTemplate=right))
    assert user.end_of("typo")["status"]["phase"] == "Succeeded"


def test_a_backup_restored_with_its_status_starts_nothing_and_without_it_one_run(
    user: User,
) -> None:
    names = ("with", "without")
    user.apply(*(task(name, "true") for name in names))
    for name in names:
        user.end_of(name)
    user.wait(
        lambda: all(condition(user.tasks(name), "Ready").get("status") == "True" for name in names)
    )
    backup = {name: user.tasks(name) for name in names}
    user.kubectl("delete", "tmt", "--all", "--timeout=60s")
    user.wait(lambda: not user.executions())
    kept = {**backup["with"], "metadata": {"name": "with", "namespace": user.namespace}}
    # A restore puts the status in before anybody looks: the Task comes suspended, and is let go.
    held = {**kept, "spec": {**kept["spec"], "suspend": True}}
    user.kubectl("create", "-f", "-", stdin=json.dumps(held))
    user.kubectl("replace", "--subresource=status", "-f", "-", stdin=json.dumps(held))
    user.patch("tasks", "with", {"spec": {"suspend": None}})
    user.apply(task("without", "true"))
    user.end_of("without")
    user.patch("tasks", "with", {"spec": {"info": {"title": "looked at again"}}})
    user.wait(lambda: user.tasks("with")["status"].get("observedGeneration") == 3)
    assert not user.executions("with")
    assert len(user.executions("without")) == 1


def test_labels_of_the_pod_template_reach_job_and_pod_and_those_of_the_task_do_not(
    user: User,
) -> None:
    labels = {"kueue.x-k8s.io/priority-class": "high"}
    manifest = task("labelled", "sleep 30", podTemplate={"metadata": {"labels": labels}})
    manifest["metadata"]["labels"] = {"argocd.argoproj.io/instance": "app"}
    user.apply(manifest)
    (pod,) = user.wait(user.pods)
    (job,) = user.jobs()
    for one in (pod, job):
        assert one.metadata.labels["kueue.x-k8s.io/priority-class"] == "high"
        assert "argocd.argoproj.io/instance" not in one.metadata.labels
    assert (
        "argocd.argoproj.io/instance" not in (user.executions("labelled")[0]["metadata"]["labels"])
    )


def test_what_is_not_the_operators_to_write_is_not_written(user: User) -> None:
    user.apply({**task("plain"), "spec": run_spec("true")})
    user.end_of("plain")
    told = user.tasks("plain")
    assert told["spec"] == run_spec("true")
    assert set(told["metadata"].get("annotations", {})) <= {
        "kubectl.kubernetes.io/last-applied-configuration"
    }
    assert "finalizers" not in told["metadata"]
