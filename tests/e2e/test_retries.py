"""Attempts after the first: who pays, when they start, with how much memory."""

from typing import Any

import pytest
from kubernetes import client

from e2e.process import OperatorProcess
from e2e.test_endings import at
from e2e.user import User, execution, run_spec

pytestmark = pytest.mark.cluster

SOON = {"backoff": {"initial": "1s", "factor": 1}}


def attempts(told: dict[str, Any]) -> list[tuple[int, str]]:
    return [(one["attempt"], one["reason"]) for one in told.get("status", {}).get("attempts", ())]


def events(user: User) -> list[tuple[str, str]]:
    found = user.core.list_namespaced_event(user.namespace).items
    ours = [e for e in found if e.involved_object.kind == "TaskExecution"]
    return [(e.reason, e.message) for e in sorted(ours, key=lambda e: e.first_timestamp)]


def test_it_is_tried_again_until_it_succeeds(user: User) -> None:
    # What fails is the attempt, not the script: each pod has a name of its own.
    script = 'test "$ATTEMPT" = 3 || { echo flaky; sleep 1; exit 7; }'
    env = [
        {
            "name": "ATTEMPT",
            "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['taskmill.dev/attempt']"}},
        }
    ]
    user.apply(execution("flaky", run_spec(script, env=env, retry={"limit": 4, **SOON})))
    ended = user.end("flaky")
    assert ended["status"]["phase"] == "Succeeded"
    assert ended["status"]["steps"][0]["attempt"] == 3
    assert attempts(ended) == [(1, "Error"), (2, "Error")]
    assert ended["status"]["attempts"][0]["message"] == "exit code 7: flaky"
    told = user.wait(lambda: (e := events(user)) and len(e) >= 2 and e)
    assert [reason for reason, _ in told] == ["Error", "Error"]
    assert "step main: exit code 7: flaky; attempt 2 (retry 1 of 4) starts at " in told[0][1]
    # One Job for each attempt; their logs are still there.
    assert len(user.jobs()) == 3


def test_the_last_attempts_verdict_is_the_verdict(user: User) -> None:
    user.apply(execution("hopeless", run_spec("exit 5", retry={"limit": 1, **SOON})))
    ended = user.end("hopeless")["status"]
    assert (ended["phase"], ended["reason"]) == ("Failed", "Error")
    assert ended["failureMessage"] == "step main: exit code 5; it was attempt 2, the last"


def test_only_the_exit_codes_that_are_named_are_tried_again(user: User) -> None:
    retry = {"limit": 3, "onExitCodes": [75], **SOON}
    user.apply(execution("other", run_spec("exit 5", retry=retry)))
    ended = user.end("other")
    words = "step main: exit code 5; not tried again: 5 is not in retry.onExitCodes"
    assert ended["status"]["failureMessage"] == words
    assert not attempts(ended)


def test_between_attempts_it_says_when_the_next_one_starts(user: User) -> None:
    retry = {"limit": 1, "backoff": {"initial": "8s"}}
    user.apply(execution("resting", run_spec("exit 5", retry=retry)))
    resting = user.wait(
        lambda: (
            ((e := user.execution("resting")).get("status", {}).get("steps", [{}])[0]).get(
                "nextAttemptAt"
            )
            and e
        )
    )
    status, step = resting["status"], resting["status"]["steps"][0]
    assert (status["phase"], status["reason"]) == ("Pending", "Error")
    starts = step["nextAttemptAt"]
    assert status["message"] == f"step main: exit code 5; attempt 2 starts at {starts}"
    assert user.end("resting")["status"]["steps"][0]["startedAt"] >= starts


def test_what_was_out_of_memory_gets_more_up_to_the_most(user: User) -> None:
    runs = run_spec(
        command=["tail", "/dev/zero"],
        resources={"limits": {"memory": "20Mi"}},
        retry={"limit": 9, "onOOM": {"memoryPercent": 200, "max": "50Mi"}, **SOON},
    )
    user.apply(execution("hungry", runs))
    ended = user.end("hungry")
    assert attempts(ended) == [(1, "OOMKilled"), (2, "OOMKilled")]
    assert ended["status"]["steps"][0]["memoryLimit"] == "50Mi"
    words = ended["status"]["failureMessage"]
    assert "memory limit 50Mi reached" in words
    assert words.endswith("it had all that retry.onOOM.max 50Mi allows")
    limits = [
        job.spec.template.spec.containers[0].resources.limits["memory"]
        for job in sorted(user.jobs(), key=lambda job: job.metadata.labels["taskmill.dev/attempt"])
    ]
    assert limits == ["20Mi", "40Mi", "50Mi"]


def test_the_cluster_pays_for_an_eviction(user: User) -> None:
    user.apply(execution("moved", run_spec("sleep 6", retry=SOON, gracePeriod="1s")))
    pod = user.phase("moved", "Running")["status"]["steps"][0]["podName"]
    eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name=pod, namespace=user.namespace))
    user.core.create_namespaced_pod_eviction(pod, user.namespace, eviction)
    ended = user.end("moved")
    assert ended["status"]["phase"] == "Succeeded"
    assert attempts(ended) == [(1, "Evicted")]
    assert ended["status"]["steps"][0]["infraRetries"] == 1


def test_what_ran_too_long_is_stopped_before_it_is_tried_again(user: User) -> None:
    runs = run_spec("sleep 600", maxRunTime="2s", gracePeriod="1s", retry={"limit": 1, **SOON})
    user.apply(execution("slow", runs))
    ended = user.end("slow", within=40)
    assert ended["status"]["reason"] == "MaxRunTimeExceeded"
    assert attempts(ended) == [(1, "MaxRunTimeExceeded")]
    first, second = ended["status"]["attempts"][0], ended["status"]["steps"][0]
    assert first["completedAt"] <= second["startedAt"]


def test_no_attempt_begins_that_the_deadline_would_end_at_once(user: User) -> None:
    retry = {"limit": 3, "backoff": {"initial": "60s"}}
    user.apply(execution("short", run_spec("exit 5", retry=retry), deadline=at(30)))
    ended = user.end("short", within=20)["status"]
    assert ended["reason"] == "Error"
    assert ended["failureMessage"] == (
        f"step main: exit code 5; the deadline {ended['deadline']}"
        " leaves no time for another attempt"
    )


def test_a_killed_operator_goes_on_with_the_attempt_it_was_at(
    user: User, operator: OperatorProcess
) -> None:
    retry = {"limit": 2, "backoff": {"initial": "3s", "factor": 1}}
    user.apply(execution("kept", run_spec("exit 5", retry=retry)))
    user.wait(lambda: attempts(user.execution("kept")))
    operator.kill()
    operator.start()
    ended = user.end("kept")
    assert attempts(ended) == [(1, "Error"), (2, "Error")]
    assert len(user.jobs()) == 3
