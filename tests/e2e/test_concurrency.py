"""What happens when a run is due while another one of the same Task has not ended."""

import itertools
from typing import Any

import pytest

from e2e.user import User, condition, execution, task

pytestmark = pytest.mark.cluster


def works(script: str, **fields: Any) -> dict[str, Any]:
    return task("work", script, gracePeriod="1s", **fields)


def running(user: User) -> dict[str, Any]:
    """The first run, once it runs."""
    user.wait(lambda: user.executions("work"))
    name = user.executions("work")[0]["metadata"]["name"]
    return user.phase(name, "Running")


def waiting(user: User) -> dict[str, Any]:
    """The Task, once it says that a change waits for its turn."""

    def held() -> dict[str, Any] | None:
        told = user.tasks("work")
        return told if condition(told, "Reconciling").get("reason") == "WaitingForSlot" else None

    return user.wait(held) or {}


def test_allow_runs_both_at_the_same_time(user: User) -> None:
    user.apply(works("sleep 8"))
    first = running(user)["metadata"]["name"]
    user.apply(works("true"))
    assert user.end_of("work", runs=2)["metadata"]["name"] != first
    assert user.execution(first)["status"]["phase"] == "Running"


def test_forbid_lets_a_change_wait_and_runs_the_latest(user: User) -> None:
    user.apply(works("sleep 8", concurrencyPolicy="Forbid"))
    first = running(user)["metadata"]["name"]
    user.apply(works("exit 3", concurrencyPolicy="Forbid"))
    told = condition(waiting(user), "Reconciling")
    assert told["message"] == f"waiting for {first} to end"
    user.apply(works("true", concurrencyPolicy="Forbid"))
    ended = user.end_of("work", runs=2)
    assert ended["status"]["phase"] == "Succeeded"
    assert ended["spec"]["plan"][0]["task"]["script"] == "true"
    assert ended["status"]["startedAt"] >= user.end(first)["status"]["completedAt"]
    assert len(user.executions("work")) == 2


def test_replace_stops_the_older_run_and_starts_when_it_has_ended(user: User) -> None:
    user.apply(works("sleep 600", concurrencyPolicy="Replace"))
    first = running(user)["metadata"]["name"]
    user.apply(works("true", concurrencyPolicy="Replace"))
    second = user.end_of("work", runs=2)
    assert second["status"]["phase"] == "Succeeded"
    replaced = user.end(first)["status"]
    assert (replaced["phase"], replaced["reason"]) == ("Stopped", "Replaced")
    assert replaced["failureMessage"].startswith(f"replaced by {second['metadata']['name']}; ")
    assert second["status"]["startedAt"] >= replaced["completedAt"]


def test_queue_runs_one_after_the_other_and_as_they_were_when_queued(user: User) -> None:
    queued = {"concurrencyPolicy": "Queue", "maxQueued": 1}
    user.apply(works("sleep 8", **queued))
    first = running(user)["metadata"]["name"]
    user.apply(works("sleep 2; true second", **queued))
    second = user.wait(lambda: len(e := user.executions("work")) == 2 and e)[-1]
    held = user.phase(second["metadata"]["name"], "Pending")["status"]
    assert held["reason"] == "WaitingForSlot"
    assert held["message"] == f"waiting for {first} to end"
    # No room for a third: of the changes after it the latest is run.
    user.apply(works("exit 3", **queued))
    waiting(user)
    user.apply(works("true third", **queued))
    ended = user.end_of("work", runs=3)
    scripts = [e["spec"]["plan"][0]["task"]["script"] for e in user.executions("work")]
    assert scripts == ["sleep 8", "sleep 2; true second", "true third"]
    runs = [user.end(e["metadata"]["name"])["status"] for e in user.executions("work")]
    for earlier, later in itertools.pairwise(runs):
        assert later["startedAt"] >= earlier["completedAt"]
    assert ended["status"]["phase"] == "Succeeded"


def test_runs_that_people_make_are_not_counted_nor_stopped(user: User) -> None:
    user.apply(execution("mine", taskRef={"name": "work"}))
    user.apply(works("sleep 8", concurrencyPolicy="Replace", trigger="Manual"))
    user.phase("mine", "Running")
    user.apply(works("true", concurrencyPolicy="Replace"))
    automatic = user.wait(lambda: [e for e in user.executions("work") if _is_automatic(e)])[0]
    assert user.end(automatic["metadata"]["name"])["status"]["phase"] == "Succeeded"
    assert user.end("mine")["status"]["phase"] == "Succeeded"


def test_suspend_stops_what_starts_by_itself_and_nothing_that_runs(user: User) -> None:
    user.apply(works("sleep 6"))
    first = running(user)["metadata"]["name"]
    user.apply(works("exit 3", suspend=True))
    told = user.wait(
        lambda: (c := condition(user.tasks("work"), "Ready")).get("reason") == "Suspended" and c
    )
    assert told["message"] == "suspended: the latest change has not run"
    assert user.end(first)["status"]["phase"] == "Succeeded"
    user.apply(works("true", suspend=True))
    # What a person asks for is no automatic start.
    user.apply(execution("asked", taskRef={"name": "work"}))
    assert user.end("asked")["status"]["phase"] == "Succeeded"
    assert len([e for e in user.executions("work") if _is_automatic(e)]) == 1
    user.apply(works("true"))
    user.wait(lambda: len([e for e in user.executions("work") if _is_automatic(e)]) == 2)
    newest = [e for e in user.executions("work") if _is_automatic(e)][-1]
    assert user.end(newest["metadata"]["name"])["status"]["phase"] == "Succeeded"


def _is_automatic(run: dict[str, Any]) -> bool:
    return "ownerReferences" in run["metadata"]
