"""Deadlines, clocks and stops, with the operator on duty and away."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from e2e.process import OperatorProcess
from e2e.user import User, condition, execution, run_spec, task

pytestmark = pytest.mark.cluster

SLEEP = ["sleep", "600"]


def at(seconds: float) -> str:
    """A moment from now, as the API writes it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def test_a_task_that_overruns_is_stopped_marked_and_its_job_deleted(user: User) -> None:
    user.apply(task("overruns", "echo working; sleep 600", timeout="6s"))
    ended = user.end_of("overruns")
    status = ended["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")
    assert status["failureMessage"].startswith(
        f"deadline {status['deadline']} passed; step overruns was running since "
    )
    assert status["failureMessage"].endswith("exit code 143 (SIGTERM): working")
    assert condition(ended, "FailureTarget")["reason"] == "DeadlineExceeded"
    user.wait(lambda: not user.jobs(), within=10)


def test_a_deadline_in_the_past_starts_nothing(user: User) -> None:
    user.apply(execution("restored", run_spec("true"), deadline="2026-01-01T00:00:00Z"))
    ended = user.end("restored")
    assert ended["status"]["reason"] == "DeadlineExceeded"
    assert ended["status"]["failureMessage"] == (
        "deadline 2026-01-01T00:00:00Z passed; step main had not started"
    )
    assert not user.jobs()


def test_what_still_waits_at_its_deadline_says_for_what(user: User) -> None:
    runs = run_spec(command=SLEEP, resources={"requests": {"cpu": "4000"}})
    user.apply(execution("big", runs, deadline=at(18)))
    waiting = user.wait(
        lambda: (e := user.execution("big")).get("status", {}).get("reason") and e, within=20
    )
    assert waiting["status"]["reason"] == "Unschedulable"
    assert "Insufficient cpu" in waiting["status"]["message"]
    ended = user.end("big", within=20)
    assert ended["status"]["reason"] == "DeadlineExceeded"
    assert "was still waiting: Unschedulable: " in ended["status"]["failureMessage"]
    user.wait(lambda: not user.jobs(), within=10)


def test_max_run_time_counts_from_the_containers_start(user: User) -> None:
    user.apply(execution("long", run_spec(command=SLEEP, maxRunTime="3s", gracePeriod="1s")))
    ended = user.end("long")
    assert ended["status"]["reason"] == "MaxRunTimeExceeded"
    assert ended["status"]["failureMessage"].startswith(
        "step main: ran longer than maxRunTime 3s; it did not end within 1s and was killed"
    )
    user.wait(lambda: not user.jobs(), within=10)


def test_start_timeout_names_the_cause(user: User) -> None:
    runs = {
        "image": "registry.invalid/nothing:1",
        "command": ["true"],
        "startTimeout": "12s",
        "infraRetries": 0,
    }
    user.apply(execution("unpullable", runs))
    waiting = user.wait(
        lambda: (e := user.execution("unpullable")).get("status", {}).get("reason") and e
    )
    assert waiting["status"]["phase"] == "Pending"
    assert "registry.invalid" in waiting["status"]["message"]
    ended = user.end("unpullable")
    assert ended["status"]["reason"] == "ImagePullFailed"
    assert ended["status"]["failureMessage"].startswith(
        "step main: did not start within startTimeout 12s: cannot pull registry.invalid/nothing:1"
    )
    user.wait(lambda: not user.jobs() and not user.pods(), within=20)


def test_queue_timeout_bounds_the_wait_for_room(user: User) -> None:
    runs = run_spec(command=SLEEP, resources={"requests": {"cpu": "4000"}}, queueTimeout="5s")
    user.apply(execution("no-room", runs))
    ended = user.end("no-room")
    assert ended["status"]["reason"] == "Unschedulable"
    assert "waited for room longer than queueTimeout 5s" in ended["status"]["failureMessage"]


def test_a_stop_while_it_waits_ends_it_at_once(user: User) -> None:
    runs = run_spec(command=SLEEP, resources={"requests": {"cpu": "4000"}})
    user.apply(execution("queued", runs))
    user.phase("queued", "Pending")
    user.patch("taskexecutions", "queued", {"spec": {"desiredPhase": "Stopped"}})
    ended = user.end("queued", within=5)
    assert (ended["status"]["phase"], ended["status"]["reason"]) == ("Stopped", "Stopped")
    assert condition(ended, "Failed")["status"] == "True"
    user.wait(lambda: not user.jobs(), within=10)


def test_a_stop_that_needs_a_kill_says_so(user: User) -> None:
    stubborn = run_spec("trap '' TERM; while true; do sleep 1; done", gracePeriod="3s")
    user.apply(execution("stubborn", stubborn))
    user.phase("stubborn", "Running")
    user.patch("taskexecutions", "stubborn", {"spec": {"desiredPhase": "Stopped"}})
    target = user.wait(lambda: condition(user.execution("stubborn"), "FailureTarget"))
    assert target["reason"] == "Stopped"
    ended = user.end("stubborn", within=20)
    assert (ended["status"]["phase"], ended["status"]["reason"]) == ("Stopped", "Killed")
    assert "did not end within 3s and was killed" in ended["status"]["failureMessage"]


def test_a_deadline_that_passed_while_we_were_away_is_enforced_at_once(
    user: User, operator: OperatorProcess
) -> None:
    user.apply(execution("unwatched", run_spec("sleep 600"), deadline=at(5)))
    user.phase("unwatched", "Running")
    operator.kill()
    time.sleep(5)  # the outage itself
    assert user.execution("unwatched")["status"]["phase"] == "Running"
    operator.start()
    ended = user.end("unwatched", within=20)
    assert ended["status"]["reason"] == "DeadlineExceeded"
    user.wait(lambda: not user.jobs(), within=10)


def test_an_end_before_the_deadline_counts_although_it_is_seen_after_it(
    user: User, operator: OperatorProcess
) -> None:
    user.apply(
        execution("in-time", run_spec("sleep 2"), deadline=at(9)),
        execution("too-late", run_spec("sleep 12"), deadline=at(9)),
    )
    user.phase("in-time", "Running")
    user.phase("too-late", "Running")
    operator.kill()
    user.wait(lambda: all(pod.status.phase == "Succeeded" for pod in user.pods()), within=30)
    operator.start()
    assert user.end("in-time")["status"]["phase"] == "Succeeded"
    late = user.end("too-late")["status"]
    assert (late["phase"], late["reason"]) == ("Failed", "DeadlineExceeded")


def test_an_operator_killed_while_stopping_goes_on_with_the_same_verdict(
    user: User, operator: OperatorProcess
) -> None:
    stubborn = run_spec("trap '' TERM; while true; do sleep 1; done", gracePeriod="6s")
    user.apply(execution("half-stopped", stubborn))
    user.phase("half-stopped", "Running")
    user.patch("taskexecutions", "half-stopped", {"spec": {"desiredPhase": "Stopped"}})
    user.wait(lambda: condition(user.execution("half-stopped"), "FailureTarget"))
    operator.kill()
    operator.start()
    ended = user.end("half-stopped", within=30)
    assert (ended["status"]["phase"], ended["status"]["reason"]) == ("Stopped", "Killed")
    user.wait(lambda: not user.jobs(), within=10)


def test_a_deadline_that_means_never_is_taken_as_such(user: User) -> None:
    user.apply(execution("never", run_spec("true"), deadline="9999-12-31T23:59:59Z"))
    assert user.end("never")["status"]["phase"] == "Succeeded"


def test_waiting_for_its_task_is_no_wait_for_room(user: User) -> None:
    user.apply(execution("patient", taskRef={"name": "late"}))
    user.phase("patient", "Pending")
    time.sleep(4)  # longer than the queueTimeout to come
    user.apply(task("late", "true", queueTimeout="3s", trigger="Manual"))
    assert user.end("patient")["status"]["phase"] == "Succeeded"


def test_an_execution_held_by_a_finalizer_is_still_ended_in_time(user: User) -> None:
    held = execution("held", run_spec("sleep 600"), deadline=at(6))
    held["metadata"]["finalizers"] = ["example.com/hold"]
    user.apply(held)
    user.phase("held", "Running")
    user.kubectl("delete", "te", "held", "--wait=false")
    try:
        assert user.end("held")["status"]["reason"] == "DeadlineExceeded"
        user.wait(lambda: not user.jobs(), within=10)
    finally:
        user.patch("taskexecutions", "held", {"metadata": {"finalizers": None}})
