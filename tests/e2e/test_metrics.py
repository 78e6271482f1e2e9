"""What the metrics say is what was done: exact counts, on a real cluster."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import documented_metrics
from e2e.process import OperatorProcess
from e2e.scrape import OPENMETRICS, Scrape, fetched, grown
from e2e.test_replicas import Replica, Way
from e2e.user import User, execution, run_spec, task

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]


@pytest.fixture
def way(operator_kubeconfig: Path, tmp_path: Path) -> Iterator[Way]:
    with Way(operator_kubeconfig, tmp_path) as one:
        yield one


@pytest.fixture
def measured(operator: OperatorProcess, way: Way, tmp_path: Path) -> Iterator[Replica]:
    """It acts, and the session's operator has given way."""
    replica = Replica("measured", way, tmp_path)
    operator.stop()
    yield replica.leads()
    way.heals()
    replica.process.kill()
    operator.start()


def test_what_was_done_is_what_is_told(measured: Replica, user: User) -> None:
    before = Scrape(measured.process)
    assert before.value("taskmill_leader") == 1
    again = {"retry": {"limit": 2, "backoff": {"initial": "1s"}}}
    user.apply(
        *(execution(f"well-{n}", run_spec("sleep 1")) for n in range(3)),
        execution("fails", run_spec("exit 3", **again)),
        execution("stopped", run_spec("sleep 600", gracePeriod="1s")),
        task("made", "sleep 1"),
        task("late", "sleep 600", gracePeriod="1s", timeout="15s"),
    )
    user.phase("stopped", "Running")
    running = Scrape(measured.process)
    assert running.value("taskmill_executions", phase="Running") >= 1
    user.patch("taskexecutions", "stopped", {"spec": {"desiredPhase": "Stopped"}})
    for name in ("well-0", "well-1", "well-2", "fails", "stopped"):
        user.end(name)
    user.end_of("made")
    user.end_of("late")
    after = user.wait(
        lambda: (
            (scrape := Scrape(measured.process))
            and grown(before, scrape, "taskmill_executions_finished_total") == 7
            and scrape
        )
    )

    def counted(name: str, **labels: str) -> float:
        return grown(before, after, name, **labels)

    finished = "taskmill_executions_finished_total"
    assert counted(finished, phase="Succeeded") == 4
    assert counted(finished, phase="Failed", reason="Error") == 1
    assert counted(finished, phase="Failed", reason="DeadlineExceeded") == 1
    assert counted(finished, phase="Stopped") == 1
    assert counted("taskmill_execution_duration_seconds_count") == 7
    assert counted("taskmill_execution_duration_seconds_count", phase="Succeeded") == 4
    assert counted("taskmill_execution_duration_seconds_sum", phase="Succeeded") >= 4
    assert counted("taskmill_execution_queue_seconds_count") == 7
    assert counted("taskmill_execution_start_seconds_count") == 7
    assert counted("taskmill_pod_start_seconds_count") == 9
    assert counted("taskmill_verdict_lag_seconds_count") == 7
    assert counted("taskmill_deadline_lag_seconds_count") == 1
    assert counted("taskmill_retries_total", payer="retry") == 2
    assert counted("taskmill_retries_total", payer="infraRetries") == 0
    requests = "taskmill_api_requests_total"
    made = {"verb": "create", "code": "201"}
    assert counted(requests, resource="jobs.batch", **made) == 9
    assert counted(requests, resource="taskexecutions.taskmill.dev", **made) == 2
    assert counted("taskmill_api_request_duration_seconds_count", verb="create") >= 10
    assert counted("taskmill_pass_duration_seconds_count", kind="TaskExecution") >= 14
    assert counted("taskmill_passes_failed_total", cause="bug") == 0
    assert after.value("taskmill_watch_lists_total", resource="pods") == 1
    assert after.value("taskmill_watch_silence_seconds", resource="jobs.batch") < 75
    assert grown(running, after, "taskmill_executions", phase="Running") <= -1
    assert after.value("taskmill_queue_depth") >= 0

    documented = documented_metrics()
    ours = {name for name in after.families if name.startswith("taskmill_")}
    assert {re.sub("_total$", "", name) for name in documented} == ours


def test_one_that_stands_by_counts_no_execution(
    operator: OperatorProcess, way: Way, tmp_path: Path, user: User
) -> None:
    replica = Replica("waiting", way, tmp_path)
    replica.stands_by()
    try:
        user.apply(execution("elsewhere", run_spec("true")))
        user.end("elsewhere")
        scrape = Scrape(replica.process)
        assert scrape.value("taskmill_leader") == 0
        assert scrape.value("taskmill_executions_finished_total") == 0
        assert "taskmill_executions" not in scrape.names()
    finally:
        assert replica.process.stop() == 0


def test_requests_that_get_no_answer_are_counted(measured: Replica, user: User) -> None:
    def unanswered() -> float:
        try:
            return Scrape(measured.process).value("taskmill_api_requests_total", code="0")
        except KeyError:
            return 0.0

    measured.way.hangs = re.compile(r"^\w+ .*/leases/")
    user.wait(unanswered)


def test_both_formats_are_to_be_had_and_name_no_object(measured: Replica, user: User) -> None:
    user.apply(execution("unspeakable", run_spec("true")))
    user.end("unspeakable")
    for accept, told in ((OPENMETRICS, OPENMETRICS), ("", "text/plain; version=0.0.4")):
        text, content_type = fetched(measured.process, accept)
        assert content_type.startswith(told)
        assert "taskmill_executions_finished_total{" in text
        assert "unspeakable" not in text
        assert user.namespace not in text
        assert "_created" not in text
