"""What the API server refuses becomes a sentence; what may pass later is tried again."""

import pytest

from e2e.user import User, condition, execution, run_spec, task

pytestmark = pytest.mark.cluster


def quota(count: int) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "jobs"},
        "spec": {"hard": {"count/jobs.batch": str(count)}},
    }


def test_a_full_quota_is_waited_for(user: User) -> None:
    user.apply(quota(0))
    user.wait(lambda: user.core.read_namespaced_resource_quota("jobs", user.namespace).status.hard)
    user.apply(execution("later", run_spec("true")))
    waiting = user.phase("later", "Pending")
    assert waiting["status"]["reason"] == "QuotaExceeded"
    assert "exceeded quota: jobs" in waiting["status"]["message"]
    user.apply(quota(5))
    assert user.end("later")["status"]["phase"] == "Succeeded"


def test_a_pod_that_pod_security_refuses_is_rejected(user: User) -> None:
    level = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    user.core.patch_namespace(user.namespace, level)
    user.apply(execution("rooted", run_spec("true")))
    ended = user.end("rooted")
    assert ended["status"]["reason"] == "Rejected"
    assert 'violates PodSecurity "restricted' in ended["status"]["failureMessage"]
    user.wait(lambda: not user.jobs(), within=10)


def test_a_job_that_the_server_cannot_take_is_rejected(user: User) -> None:
    user.apply(
        execution(
            "odd",
            run_spec(
                "true",
                env=[{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec.nothing"}}}],
            ),
        )
    )
    ended = user.end("odd")
    assert ended["status"]["reason"] == "Rejected"
    assert "fieldPath" in ended["status"]["failureMessage"]
    assert not user.jobs()


def test_a_namespace_that_is_deleted_goes_away_quietly(user: User) -> None:
    user.apply(execution("doomed", run_spec(command=["sleep", "600"], gracePeriod="1s")))
    user.phase("doomed", "Running")
    user.cluster.kubectl("delete", "namespace", user.namespace, "--timeout=60s")


def test_a_task_whose_execution_finds_no_room_waits_for_it(user: User) -> None:
    limit = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "runs"},
        "spec": {"hard": {"count/taskexecutions.taskmill.dev": "0"}},
    }
    user.apply(limit)
    user.wait(lambda: user.core.read_namespaced_resource_quota("runs", user.namespace).status.hard)
    user.apply(task("crowded", "true"))
    waiting = user.wait(lambda: condition(user.tasks("crowded"), "Reconciling"))
    assert waiting["reason"] == "QuotaExceeded"
    assert not condition(user.tasks("crowded"), "Stalled")
    user.kubectl("delete", "resourcequota", "runs")
    assert user.end_of("crowded")["status"]["phase"] == "Succeeded"
