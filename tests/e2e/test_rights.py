"""The operator's account can do what it must and nothing else."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config
from kubernetes.client import ApiClient

from cluster.fixtures import namespace_on
from cluster.handle import Handle
from cluster.process import wait_for
from e2e.install import ACCOUNT, ROOT, SYSTEM
from e2e.process import OperatorProcess
from e2e.test_history import age
from e2e.test_replicas import Passed, Way
from e2e.user import User, execution, run_spec, task
from taskmill.kube.auth import Credentials
from taskmill.plan.names import job_name

pytestmark = pytest.mark.cluster


@dataclass(frozen=True)
class Right:
    """One verb on one resource, as RBAC names them."""

    verb: str
    group: str
    resource: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


def rights_of(rules: list[dict[str, Any]]) -> Iterator[Right]:
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                yield from (Right(verb, group, resource) for verb in rule["verbs"])


_RBAC = yaml.safe_load_all((ROOT / "manifests" / "account" / "rbac.yaml").read_text())
ROLES = {one["kind"]: one["rules"] for one in _RBAC if one["kind"].endswith("Role")}
GRANTED = [right for rules in ROLES.values() for right in rights_of(rules)]
_PATH = re.compile(
    r"/apis?(?:/(?P<group>[^/]+\.[^/]+|batch))?/v1[a-z0-9]*(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<resource>[a-z]+)(?:/(?P<name>[^/]+)(?P<sub>/[a-z]+)?)?"
)
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def right_for(request: Passed) -> Right | None:
    """What it takes to send this; None for what is no resource, such as discovery."""
    path, _, query = request.path.partition("?")
    if not (found := _PATH.fullmatch(path)):
        return None
    verb = _VERBS.get(request.method) or ("get" if found["name"] else "list")
    if verb == "list" and "watch=" in query:
        verb = "watch"
    return Right(verb, found["group"] or "", found["resource"] + (found["sub"] or ""))


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
        ({"spec": {"podReplacementPolicy": "Failed"}}, "activeDeadlineSeconds"),
        ({"spec": {"manualSelector": True}}, "activeDeadlineSeconds"),
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
    batch = client.BatchV1Api(as_operator)
    with pytest.raises(client.ApiException, match="only its own Jobs"):
        batch.patch_namespaced_job("other", user.namespace, patch)
    with pytest.raises(client.ApiException, match="only its own Jobs"):
        batch.delete_namespaced_job("other", user.namespace)


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


@pytest.fixture(scope="module")
def seen(
    cluster: Handle,
    operator_process: OperatorProcess,
    operator_kubeconfig: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[Right, Passed]:
    """A request for each right that an operator used, which did everything it ever does."""
    folder = tmp_path_factory.mktemp("rights")
    operator_process.stop()
    with namespace_on(cluster) as namespace, Way(operator_kubeconfig, folder) as way:
        user = User(cluster, namespace)
        before_it_acts(user)
        process = OperatorProcess(way.kubeconfig, folder / "log", TASKMILL_IDENTITY="rights")
        try:
            process.start()
            everything(user)
        finally:
            process.stop()
            operator_process.start()
            user.close()
    assert "is forbidden: User" not in process.written()
    return {right: one for one in way.passed if (right := right_for(one))}


def before_it_acts(user: User) -> None:
    """What an operator finds when it starts."""
    user.kubectl("-n", SYSTEM, "delete", "lease", ACCOUNT, "--ignore-not-found")
    user.apply(task("older", "true"), execution("taken", run_spec("true")))
    uid = user.execution("taken")["metadata"]["uid"]
    name = job_name(execution="taken", uid=uid, step="main", attempt=1)
    user.kubectl("create", "job", name, "--image=busybox", "--", "true")


def everything(user: User) -> None:
    """Runs that take each of its requests."""
    outputs = "echo a=1 > $TASKMILL_OUTPUT; echo why; sleep 1; exit 3"
    unpullable = {"image": "registry.invalid/a:1", "startTimeout": "5s", "infraRetries": 0}
    user.apply(
        execution("fails", run_spec(outputs)),
        execution("limited", run_spec("sleep 600", maxRunTime="5s", gracePeriod="1s")),
        execution("no-image", unpullable),
        execution("for-now", run_spec("true"), ttlSecondsAfterFinished=1),
    )
    job = user.phase("limited", "Running")["status"]["steps"][0]["jobName"]
    user.batch.patch_namespaced_job(
        job, user.namespace, {"spec": {"activeDeadlineSeconds": 500_000}}
    )
    age(user, "for-now")
    for name in ("fails", "limited", "no-image", "taken"):
        user.end(name)
    user.end_of("older")
    user.wait(lambda: "for-now" not in {run["metadata"]["name"] for run in user.executions()})
    user.wait(lambda: job not in {one.metadata.name for one in user.jobs()})


EQUAL, LESSER = "taskmill-equal", "taskmill-lesser"
"""Two users: one with the operator's rights, one with all but one of them."""


@pytest.fixture(scope="module")
def two_users(cluster: Handle) -> Iterator[None]:
    cluster.apply(*bound(EQUAL, ROLES), *bound(LESSER, ROLES))
    yield
    for name in (EQUAL, LESSER):
        cluster.kubectl("delete", "clusterrolebinding,clusterrole", name)
        cluster.kubectl("delete", "rolebinding,role", name, "-n", SYSTEM)


def bound(user: str, roles: dict[str, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """The roles as this user's own."""
    group = "rbac.authorization.k8s.io"
    subject = {"kind": "User", "apiGroup": group, "name": user}
    for kind, rules in roles.items():
        where = {"namespace": SYSTEM} if kind == "Role" else {}
        common = {"apiVersion": f"{group}/v1", "metadata": {"name": user, **where}}
        yield {**common, "kind": kind, "rules": rules}
        reference = {"apiGroup": group, "kind": kind, "name": user}
        yield {**common, "kind": f"{kind}Binding", "roleRef": reference, "subjects": [subject]}


def without(right: Right) -> dict[str, list[dict[str, Any]]]:
    """The roles, but for one verb on one resource."""
    return {
        kind: [
            {
                **rule,
                "apiGroups": [group],
                "resources": [resource],
                "verbs": [v for v in rule["verbs"] if Right(v, group, resource) != right],
            }
            for rule in rules
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            if rule["verbs"] != [right.verb] or Right(right.verb, group, resource) != right
        ]
        for kind, rules in ROLES.items()
    }


@pytest.mark.timeout(180)
@pytest.mark.parametrize("right", GRANTED, ids=str)
def test_each_right_is_used_and_without_it_the_api_server_refuses_that(
    right: Right, seen: dict[Right, Passed], two_users: None, cluster: Handle
) -> None:
    request = seen[right]
    cluster.apply(*bound(LESSER, without(right)))
    wait_for(lambda: is_forbidden(cluster, LESSER, request), f"no right to {right}", timeout=20)
    assert not is_forbidden(cluster, EQUAL, request)


def is_forbidden(cluster: Handle, user: str, sent: Passed) -> bool:
    """Whether this user has no right to that; rights are looked at before anything else."""
    credentials = Credentials.from_kubeconfig(cluster.kubeconfig)
    path, _, query = sent.path.partition("?")
    reads = sent.method == "GET"
    request = urllib.request.Request(
        f"{credentials.server}{path}?{query if reads else 'dryRun=All'}",
        method=sent.method,
        data=None if reads else b"{}",
        headers={
            **credentials.headers(),
            "Impersonate-User": user,
            "Content-Type": f"application/{'merge-patch+' if sent.method == 'PATCH' else ''}json",
        },
    )
    try:
        urllib.request.urlopen(request, context=credentials.ssl_context()).close()
    except urllib.error.HTTPError as refused:
        with refused:
            return f'is forbidden: User "{user}"' in json.loads(refused.read())["message"]
    return False


def test_it_used_no_right_that_it_was_not_given(seen: dict[Right, Passed]) -> None:
    assert seen.keys() <= set(GRANTED)


def test_the_optional_flow_schema_is_the_one_the_operator_gets(
    cluster: Handle, operator_kubeconfig: Path
) -> None:
    """Another one before it would leave it without effect."""
    cluster.kubectl("apply", "-k", str(ROOT / "manifests" / "flowcontrol"))
    try:
        made = cluster.get("flowschema", "taskmill-operator")
        assert made is not None
        uid = made["metadata"]["uid"]
        api = config.new_client_from_config(str(operator_kubeconfig))
        tasks = client.CustomObjectsApi(api).list_cluster_custom_object_with_http_info

        def schema_of_a_request() -> str:
            _, _, headers = tasks("taskmill.dev", "v1alpha1", "tasks")
            return str(headers["X-Kubernetes-PF-FlowSchema-UID"])

        # The server takes a moment to go by it.
        wait_for(lambda: schema_of_a_request() == uid, "the FlowSchema", timeout=60)
    finally:
        cluster.kubectl("delete", "-k", str(ROOT / "manifests" / "flowcontrol"))
