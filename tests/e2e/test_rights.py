"""The operator's account can do what it must and nothing else."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client, config
from kubernetes.client import ApiClient

from e2e.process import OperatorProcess
from e2e.user import User, execution, run_spec, task

pytestmark = pytest.mark.cluster


@pytest.fixture
def as_operator(operator_kubeconfig: Path) -> Iterator[ApiClient]:
    api = config.new_client_from_config(str(operator_kubeconfig))
    yield api
    api.close()


@pytest.mark.parametrize(
    ("verb", "group", "resource"),
    [
        ("get", "", "secrets"),
        ("get", "", "configmaps"),
        ("update", "taskmill.dev", "tasks"),
        ("patch", "taskmill.dev", "tasks"),
        ("deletecollection", "taskmill.dev", "taskexecutions"),
        ("update", "taskmill.dev", "taskexecutions"),
        ("patch", "taskmill.dev", "taskexecutions"),
        ("update", "batch", "jobs"),
        ("patch", "batch", "jobs/status"),
        ("get", "", "pods"),
        ("create", "", "pods"),
        ("delete", "", "pods"),
        ("create", "", "pods/exec"),
        ("patch", "", "pods/ephemeralcontainers"),
        ("patch", "", "pods/resize"),
        ("get", "", "events"),
        ("watch", "", "events"),
        ("update", "", "events"),
        ("patch", "", "events"),
        ("delete", "", "events"),
        ("create", "events.k8s.io", "events"),
        ("impersonate", "", "serviceaccounts"),
        ("update", "", "pods"),
        ("patch", "", "pods/status"),
        ("deletecollection", "batch", "jobs"),
        ("delete", "coordination.k8s.io", "leases"),
        ("create", "rbac.authorization.k8s.io", "rolebindings"),
        ("*", "*", "*"),
    ],
)
def test_it_has_no_right_to(
    verb: str, group: str, resource: str, as_operator: ApiClient, user: User
) -> None:
    assert not may(as_operator, verb, group, resource, user.namespace)


def test_the_question_is_understood(as_operator: ApiClient, user: User) -> None:
    assert may(as_operator, "create", "batch", "jobs", user.namespace)


def test_it_may_read_events_and_write_new_ones(as_operator: ApiClient, user: User) -> None:
    for verb in ("list", "create"):
        assert may(as_operator, verb, "", "events", user.namespace)


def may(api: ApiClient, verb: str, group: str, resource: str, namespace: str) -> bool:
    plural, _, subresource = resource.partition("/")
    attributes = client.V1ResourceAttributes(
        verb=verb, group=group, resource=plural, subresource=subresource, namespace=namespace
    )
    review = client.V1SelfSubjectAccessReview(
        spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
    )
    answer = client.AuthorizationV1Api(api).create_self_subject_access_review(review)
    return bool(answer.status.allowed)


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ({"spec": {"containers": [{"name": "main", "image": "evil"}]}}, "images"),
        ({"metadata": {"labels": {"a": "b"}}}, "metadata"),
        ({"metadata": {"annotations": {"a": "b"}}}, "metadata"),
        ({"metadata": {"finalizers": ["a.b/c"]}}, "metadata"),
        ({"spec": {"tolerations": [{"key": "a", "operator": "Exists"}]}}, "activeDeadlineSeconds"),
    ],
)
def test_the_guard_refuses_it_every_change_of_a_pod_but_its_deadline(
    patch: dict[str, object], words: str, as_operator: ApiClient, user: User
) -> None:
    user.apply(execution("target", run_spec(command=["sleep", "600"], gracePeriod="1s")))
    pod = user.phase("target", "Running")["status"]["steps"][0]["podName"]
    with pytest.raises(client.ApiException, match="taskmill-pod-guard") as refused:
        client.CoreV1Api(as_operator).patch_namespaced_pod(pod, user.namespace, patch)
    assert words in refused.value.body


def test_the_guard_refuses_it_other_peoples_pods(as_operator: ApiClient, user: User) -> None:
    user.kubectl("run", "other", "--image=busybox", "--restart=Never", "--", "sleep", "600")
    patch = {"spec": {"activeDeadlineSeconds": 1}}
    with pytest.raises(client.ApiException, match="only the pods of its own Jobs"):
        client.CoreV1Api(as_operator).patch_namespaced_pod("other", user.namespace, patch)


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ({"spec": {"suspend": True}}, "activeDeadlineSeconds"),
        ({"spec": {"parallelism": 5}}, "activeDeadlineSeconds"),
        ({"spec": {"backoffLimit": 5}}, "activeDeadlineSeconds"),
        ({"spec": {"ttlSecondsAfterFinished": 5}}, "activeDeadlineSeconds"),
        ({"metadata": {"labels": {"a": "b"}}}, "metadata"),
        ({"metadata": {"annotations": {"a": "b"}}}, "metadata"),
        ({"metadata": {"ownerReferences": None}}, "metadata"),
    ],
)
def test_the_guard_refuses_it_every_change_of_a_job_but_its_deadline(
    patch: dict[str, object], words: str, as_operator: ApiClient, user: User
) -> None:
    user.apply(execution("target", run_spec(command=["sleep", "600"], gracePeriod="1s")))
    job = user.phase("target", "Running")["status"]["steps"][0]["jobName"]
    batch = client.BatchV1Api(as_operator)
    with pytest.raises(client.ApiException, match="taskmill-job-guard") as refused:
        batch.patch_namespaced_job(job, user.namespace, patch)
    assert words in refused.value.body
    batch.patch_namespaced_job(job, user.namespace, {"spec": {"activeDeadlineSeconds": 600}})


def test_the_guard_refuses_it_other_peoples_jobs(as_operator: ApiClient, user: User) -> None:
    user.kubectl("create", "job", "other", "--image=busybox", "--", "sleep", "600")
    patch = {"spec": {"activeDeadlineSeconds": 1}}
    with pytest.raises(client.ApiException, match="only its own Jobs"):
        client.BatchV1Api(as_operator).patch_namespaced_job("other", user.namespace, patch)


def test_it_asks_for_no_right_that_it_does_not_have(operator: OperatorProcess, user: User) -> None:
    # Everything it ever does: create, read and write Events, stop in place, delete, roll up.
    user.apply(task("rights", "sleep 600", timeout="6s"))
    unpullable = {"image": "registry.invalid/a:1", "startTimeout": "8s", "infraRetries": 0}
    user.apply(execution("no-image", unpullable))
    assert user.end_of("rights")["status"]["reason"] == "DeadlineExceeded"
    user.end("no-image")
    user.wait(lambda: not user.jobs())
    # A missing right shows as a refused request in its log.
    assert "is forbidden: User" not in operator.written()
