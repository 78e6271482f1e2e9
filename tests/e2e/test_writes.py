"""How often a run writes to the API server: exact numbers, whatever the machine's speed."""

import json
import time
from collections import Counter
from datetime import datetime

import pytest

from cluster.handle import Handle
from e2e.process import OperatorProcess
from e2e.user import User, execution, run_spec, task
from e2e.writes import counted, others, quiet, separate

pytestmark = pytest.mark.cluster

# Long enough to be seen running before it ends.
SECONDS = "sleep 3"


@pytest.fixture
def before(user: User, cluster: Handle, operator: OperatorProcess) -> Counter[str]:
    """The counts before the test, once other tests' namespaces write nothing any more."""
    separate(cluster)
    # What is made in its first seconds, one that takes over reads before it creates anything.
    user.wait(lambda: time.monotonic() > operator.acts_since + 6)
    # Other tests' namespaces are still being emptied, and what is told of them are writes too.
    user.wait(lambda: others(user) == [], within=100)
    user.apply(execution("warm", run_spec("true")))
    user.end("warm")
    # The server knows the FlowSchema once it has counted by it.
    user.wait(lambda: counted(cluster)["all"])
    return quiet(cluster)


def test_a_plain_run_takes_three_writes_and_no_read(
    user: User, cluster: Handle, before: Counter[str]
) -> None:
    user.kubectl("create", "-f", "-", stdin=json.dumps(execution("plain", run_spec(SECONDS))))
    ended = user.end("plain")
    assert ended["status"]["statusVersion"] == 2
    asked = quiet(cluster) - before
    # Of what takes its time to start the Events are read, sooner and then less often.
    created = datetime.fromisoformat(ended["metadata"]["creationTimestamp"])
    started = datetime.fromisoformat(ended["status"]["startedAt"])
    if (slow := (started - created).total_seconds()) > 1:
        assert asked.pop("asks", 0) <= 1 + slow / 2
    assert asked == {
        "all": 3,
        "POST jobs": 1,
        "PATCH taskexecutions/status": 2,  # Running, verdict
        "POST taskexecutions": 1,  # the user's
    }


def test_a_run_that_fails_takes_an_event_more(
    user: User, cluster: Handle, before: Counter[str]
) -> None:
    fails = run_spec(f"{SECONDS}; exit 3")
    user.kubectl("create", "-f", "-", stdin=json.dumps(execution("fails", fails)))
    assert user.end("fails")["status"]["statusVersion"] == 2
    wrote = quiet(cluster) - before
    assert (wrote["all"], wrote["PATCH taskexecutions/status"]) == (4, 2)


def test_a_tasks_run_adds_its_creation_and_the_roll_up(
    user: User, cluster: Handle, before: Counter[str]
) -> None:
    user.apply(task("rolled", SECONDS))
    user.end_of("rolled")
    wrote = quiet(cluster) - before
    wrote.pop("asks", None)
    roll_ups = wrote.pop("PATCH tasks/status")
    assert 2 <= roll_ups <= 3  # triggered, (Running,) verdict
    assert wrote == {
        "all": 4 + roll_ups,
        "POST taskexecutions": 1,
        "POST jobs": 1,
        "PATCH taskexecutions/status": 2,
    }


def test_one_that_waits_writes_when_its_cause_changes_only(
    user: User, cluster: Handle, before: Counter[str]
) -> None:
    runs = {
        "image": "registry.invalid/nothing:1",
        "command": ["true"],
        "startTimeout": "30s",
        "infraRetries": 0,
    }
    user.kubectl("create", "-f", "-", stdin=json.dumps(execution("stuck", runs)))
    user.end("stuck")
    wrote = quiet(cluster) - before
    # The kubelet alternates between ErrImagePull and ImagePullBackOff: the same cause to us.
    assert 2 <= wrote["PATCH taskexecutions/status"] <= 3  # (starting,) cannot pull, verdict
    assert wrote["all"] == wrote["PATCH taskexecutions/status"] + 3  # the Job, its DELETE, an Event
