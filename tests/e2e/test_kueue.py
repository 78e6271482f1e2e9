"""A real Kueue lets Jobs in as there is room in their queue, and takes it from them again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from e2e.user import User, execution, run_spec

pytestmark = pytest.mark.cluster

QUEUE = "kueue.x-k8s.io/queue-name"
PRIORITY = "kueue.x-k8s.io/priority-class"
API = {"apiVersion": "kueue.x-k8s.io/v1beta1"}
AFTER_DEADLINE = 30 + 30  # seconds: the gracePeriod that is usual, and taskmill's own margin
INEXACT = 6  # seconds by which Kubernetes' clock may differ before taskmill sets it


@pytest.fixture
def queue(kueue: None, user: User) -> None:
    """The queue `team`, with room for one at a time, the urgent ones first."""
    name = user.namespace
    quota = {"name": "usual", "resources": [{"name": "cpu", "nominalQuota": "100m"}]}
    user.cluster.apply(
        {**API, "kind": "ResourceFlavor", "metadata": {"name": "usual"}},
        {
            **API,
            "kind": "WorkloadPriorityClass",
            "metadata": {"name": "urgent"},
            "value": 1000,
        },
        {
            **API,
            "kind": "ClusterQueue",
            "metadata": {"name": name},
            "spec": {
                "namespaceSelector": {},
                "preemption": {"withinClusterQueue": "LowerPriority"},
                "resourceGroups": [{"coveredResources": ["cpu"], "flavors": [quota]}],
            },
        },
    )
    team = {**API, "kind": "LocalQueue", "metadata": {"name": "team"}}
    user.apply({**team, "spec": {"clusterQueue": name}})


def queued(
    name: str, script: str, deadline: datetime, labels: dict[str, str] | None = None
) -> dict[str, Any]:
    """An execution that takes all the room there is in the queue `team`."""
    runs = run_spec(
        script,
        resources={"requests": {"cpu": "100m"}},
        podTemplate={"metadata": {"labels": {QUEUE: "team", **(labels or {})}}},
    )
    return execution(name, runs, deadline=deadline.isoformat(timespec="milliseconds"))


def in_seconds(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def job(user: User, name: str) -> Any:
    """The Job of an execution's only attempt."""
    (step,) = user.execution(name)["status"]["steps"]
    assert step["attempt"] == 1
    return user.batch.read_namespaced_job(step["jobName"], user.namespace)


def waits_its_turn(user: User, name: str) -> str:
    """Once it waits in its queue: the sentence that says so."""
    status = user.wait(
        lambda: (s := user.execution(name).get("status", {})).get("reason") == "Queued" and s
    )
    (step,) = status["steps"]
    assert (status["phase"], step["phase"], step["reason"]) == ("Pending", "Pending", "Queued")
    assert job(user, name).spec.suspend is True
    return str(status["message"])


def ends_at(job: Any) -> datetime:
    """When Kubernetes itself would end the Job."""
    seconds = timedelta(seconds=job.spec.active_deadline_seconds)
    return (job.status.start_time or job.metadata.creation_timestamp) + seconds


def is_set_to(job: Any, deadline: datetime) -> bool:
    late = ends_at(job) - deadline - timedelta(seconds=AFTER_DEADLINE)
    return abs(late.total_seconds()) <= INEXACT


def test_it_waits_in_its_queue_until_there_is_room(user: User, queue: None) -> None:
    deadline = in_seconds(300)
    user.apply(queued("first", "sleep 12", deadline))
    user.phase("first", "Running")
    user.apply(queued("second", "true", deadline))
    told = waits_its_turn(user, "second")
    held = job(user, "second").metadata.name
    assert told == f"step main: Job {held} is suspended: waiting its turn"
    assert user.end("first")["status"]["phase"] == "Succeeded"
    (step,) = user.end("second")["status"]["steps"]
    assert (step["phase"], step["attempt"]) == ("Succeeded", 1)


def test_one_that_gives_way_to_another_goes_on_in_the_same_attempt(user: User, queue: None) -> None:
    deadline = in_seconds(300)
    user.apply(queued("patient", "sleep 10", deadline))
    user.phase("patient", "Running")
    before = job(user, "patient")
    (pod,) = user.pods()
    assert is_set_to(before, deadline)

    user.apply(queued("urgent", "sleep 15", deadline, {PRIORITY: "urgent"}))
    waits_its_turn(user, "patient")
    user.wait(lambda: pod.metadata.uid not in {p.metadata.uid for p in user.pods()})
    user.phase("urgent", "Running")
    assert user.execution("patient")["status"]["phase"] == "Pending"
    assert user.end("urgent")["status"]["phase"] == "Succeeded"

    user.phase("patient", "Running")
    resumed = user.wait(lambda: is_set_to(job(user, "patient"), deadline) and job(user, "patient"))
    assert resumed.metadata.uid == before.metadata.uid
    assert resumed.spec.active_deadline_seconds < before.spec.active_deadline_seconds
    (step,) = user.end("patient")["status"]["steps"]
    assert (step["phase"], step["attempt"]) == ("Succeeded", 1)
    assert "infraRetries" not in step
    assert step["podName"] != pod.metadata.name
