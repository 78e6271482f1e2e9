"""The models read what the API sends and write what it takes."""

import pytest
from pydantic import BaseModel, ValidationError

from taskmill.api import meta
from taskmill.api.execution import TaskExecution, TaskExecutionSpec, TaskExecutionStatus
from taskmill.api.reasons import Phase, Reason
from taskmill.api.task import WHAT_RUNS, RunSpec, Task, TaskSpec, TaskStatus, WhatRuns

RUN = {
    "image": "ubuntu:24.04",
    "imagePullPolicy": "IfNotPresent",
    "command": ["/bin/bash", "-c", "ls && du /usr"],
    "args": [],
    "env": [
        {"name": "EMPTY", "value": ""},
        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": False}}},
        {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
        {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "D", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": 1}}},
        {"name": "E", "valueFrom": {"output": {"step": "prepare", "key": "version"}}},
    ],
    "envFrom": [{"prefix": "P_", "secretRef": {"name": "s"}}, {"configMapRef": {"name": "c"}}],
    "workingDir": "/src",
    "resources": {"limits": {"cpu": 2, "memory": "1Gi"}, "requests": {"cpu": "500m"}},
    "serviceAccountName": "builder",
    "podTemplate": {
        "metadata": {"labels": {"team": "builds"}, "annotations": {"example.com/a": "b"}},
        "spec": {"nodeSelector": None, "containers": [{"name": "main", "volumeMounts": []}]},
    },
    "maxRunTime": "600s",
    "startTimeout": "5m",
    "queueTimeout": "1h",
    "gracePeriod": "0s",
    "retry": {
        "limit": 3,
        "onExitCodes": [75, 111],
        "backoff": {"initial": "0s", "factor": 3, "max": "1h"},
        "onOOM": {"memoryPercent": 200, "max": "8Gi"},
        "onNodeLost": "Now",
    },
    "infraRetries": 0,
}
TASK = {
    "apiVersion": "taskmill.dev/v1alpha1",
    "kind": "Task",
    "metadata": {"name": "seed", "namespace": "default", "generation": 3},
    "spec": {
        **RUN,
        "info": {"title": "t", "description": "d", "owner": "o", "source": "s"},
        "rerun": "1",
        "timeout": "51h",
        "dependsOn": ["prepare"],
        "trigger": "Manual",
        "schedule": {
            "cron": "H 2 * * *",
            "timeZone": "Europe/Berlin",
            "startingDeadline": "10m",
        },
        "concurrencyPolicy": "Queue",
        "maxQueued": 0,
        "suspend": False,
        "history": {"succeeded": 0, "failed": 1, "ttl": "720h"},
    },
    "status": {
        "phase": "Failed",
        "lastExecution": {
            "name": "seed-1",
            "phase": "Failed",
            "reason": "OOMKilled",
            "failureMessage": "m",
            "startedAt": "2026-11-24T12:00:00Z",
            "completedAt": "2026-11-24T12:01:00Z",
        },
        "active": 0,
        "lastTriggered": {"generation": 3, "hash": "1:abc"},
        "lastSuccessfulTime": "2026-11-24T11:00:00Z",
        "lastScheduleTime": "2026-11-24T10:00:00Z",
        "nextScheduleTime": "2026-11-25T10:00:00Z",
        "lastSkipped": {"time": "2026-11-23T10:00:00Z", "message": "m"},
        "observedGeneration": 3,
        "conditions": [
            {
                "type": "Stalled",
                "status": "True",
                "reason": "OOMKilled",
                "message": "m",
                "lastTransitionTime": "2026-11-24T12:01:00Z",
                "observedGeneration": 3,
            }
        ],
    },
}
PLAN = [{"id": "build", "label": "Build", "dependsOn": ["prepare"], "task": RUN}]
EXECUTION = {
    "apiVersion": "taskmill.dev/v1alpha1",
    "kind": "TaskExecution",
    "metadata": {"name": "seed-1"},
    "spec": {
        "taskRef": {"name": "seed", "generation": 3},
        "plan": PLAN,
        "desiredPhase": "Stopped",
        "deadline": "2026-11-26T15:00:00Z",
        "env": [{"name": "A", "value": "1"}],
        "args": ["-v"],
        "startedBy": "system:serviceaccount:taskmill:operator",
        "ttlSecondsAfterFinished": 0,
    },
    "status": {
        "phase": "Stopped",
        "reason": "Killed",
        "message": "m",
        "failureMessage": "f",
        "statusVersion": 4,
        "observedGeneration": 2,
        "startedAt": "2026-11-24T12:00:00Z",
        "completedAt": "2026-11-24T12:01:00Z",
        "deadline": "2026-11-26T15:00:00Z",
        "plan": PLAN,
        "steps": [
            {
                "id": "build",
                "phase": "Stopped",
                "reason": "Killed",
                "failureMessage": "f",
                "exitCode": 137,
                "signal": 9,
                "jobName": "j",
                "podName": "p",
                "node": "n",
                "attempt": 2,
                "infraRetries": 1,
                "nextAttemptAt": "2026-11-24T11:59:00Z",
                "memoryLimit": "1Gi",
                "stoppingSince": "2026-11-24T12:00:30Z",
                "output": {"version": "1.2", "empty": ""},
                "startedAt": "2026-11-24T12:00:00Z",
                "completedAt": "2026-11-24T12:01:00Z",
            }
        ],
        "attempts": [
            {
                "step": "build",
                "attempt": 1,
                "reason": "Evicted",
                "message": "m",
                "exitCode": 143,
                "jobName": "j",
                "startedAt": "2026-11-24T11:57:00Z",
                "completedAt": "2026-11-24T11:58:00Z",
            }
        ],
        "conditions": TASK["status"]["conditions"],
    },
}
SCRIPT = {"metadata": {"name": "s"}, "spec": {"image": "alpine", "script": "echo $HOME"}}


@pytest.mark.parametrize(("model", "sent"), [(Task, TASK), (TaskExecution, EXECUTION)])
def test_an_object_with_every_field_dumps_back_exactly(model, sent):
    read = model.model_validate(sent)
    assert read.to_api() == sent
    assert read.model_dump(by_alias=True, exclude_none=True, mode="json") == sent


@pytest.mark.parametrize(("model", "sent"), [(Task, TASK), (TaskExecution, EXECUTION)])
def test_the_objects_above_do_have_every_field(model, sent):
    read = model.model_validate(sent)
    # Fields that exclude each other have an object of their own.
    assert unset(read) <= {"script", "value", "value_from", "secret_ref", "config_map_ref"} | {
        "prefix", "optional", "secret_key_ref", "config_map_key_ref", "field_ref", "api_version",
        "resource_field_ref", "output", "container_name", "divisor",
        "creation_timestamp", "deletion_timestamp", "labels", "annotations", "owner_references",
        "finalizers",
    }  # fmt: skip
    assert Task.model_validate(SCRIPT).to_api()["spec"] == SCRIPT["spec"]


def unset(value: object) -> set[str]:
    """Names of the fields that are None in a model, at any depth."""
    if isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        return {name for name, item in fields.items() if item is None}.union(
            *map(unset, fields.values())
        )
    return set().union(*map(unset, value)) if isinstance(value, tuple) else set()


def test_null_reads_as_absent():
    sent = {"image": "a", "command": None, "env": [{"name": "A", "value": None}], "trigger": None}
    assert TaskSpec.model_validate(sent).to_api() == {"image": "a", "env": [{"name": "A"}]}


def test_fields_of_a_newer_version_are_ignored():
    assert TaskSpec.model_validate({"image": "a", "artifacts": []}).to_api() == {"image": "a"}


def test_a_reason_of_a_newer_version_is_kept():
    sent = {"phase": "Failed", "reason": "Teleported"}
    status = TaskExecutionStatus.model_validate(sent)
    assert status.to_api() == sent
    assert status.model_copy(update={"phase": Phase.FAILED}) == status


def test_a_reason_that_is_no_text_is_refused():
    with pytest.raises(ValidationError, match="a reason is text"):
        TaskExecutionStatus.model_validate({"reason": 3})


def test_words_are_read_as_members():
    status = TaskStatus.model_validate(TASK["status"])
    assert status.phase is Phase.FAILED
    assert status.last_execution.reason is Reason.OOM_KILLED


def test_what_an_older_and_laxer_crd_let_in_is_still_readable():
    # Bounds and rules are the API server's; the operator tells the user, it does not crash.
    spec = TaskSpec.model_validate({"image": "", "script": "", "command": [], "timeout": "2 days"})
    assert spec.timeout == "2 days"


def test_names_are_snake_case_inside():
    spec = RunSpec(image="a", max_run_time="10m")
    assert spec.to_api() == {"image": "a", "maxRunTime": "10m"}


def test_models_do_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        RunSpec(image="a").image = "b"  # type: ignore[misc]


def test_what_runs_is_what_the_design_marks():
    assert frozenset(
        {
            "image", "command", "args", "script", "env", "env_from", "working_dir", "resources",
            "service_account_name", "pod_template", "rerun", "depends_on",
        }
    ) == WHAT_RUNS  # fmt: skip
    assert set(TaskSpec.model_fields) >= WHAT_RUNS
    assert set(RunSpec.model_fields) - set(WhatRuns.model_fields) == {
        "image_pull_policy", "max_run_time", "start_timeout", "queue_timeout", "grace_period",
        "retry", "infra_retries",
    }  # fmt: skip


def test_a_step_carries_nothing_that_only_a_task_has():
    assert not set(RunSpec.model_fields) & {
        "info", "rerun", "timeout", "trigger", "schedule", "concurrency_policy", "max_queued",
        "suspend", "history", "depends_on",
    }  # fmt: skip
    assert TaskExecutionSpec.model_validate({"plan": PLAN}).plan[0].task.image == "ubuntu:24.04"


def test_what_is_kept_of_all_that_was_ever_read_has_a_bound():
    known = dict(meta._SETS)
    try:
        meta._SETS.update({frozenset({str(n)}): {str(n)} for n in range(meta._SETS_KEPT)})
        size = len(meta._SETS)
        read = TaskSpec.model_validate({"image": "x", "rerun": "1", "suspend": True})
        assert read.model_fields_set == {"image", "rerun", "suspend"}
        assert len(meta._SETS) == size
    finally:
        meta._SETS.clear()
        meta._SETS.update(known)
