"""Ends by taskmill's own hand: deadlines, clocks and stops of what runs."""

from e2e.user import run_spec
from e2e.verdicts.case import Case, Scene

STUBBORN = "trap '' TERM; echo 'not listening'; while true; do sleep 1; done"


def _stop(scene: Scene) -> None:
    scene.running()
    scene.stop()


RESTING = {"retry": {"limit": 3, "backoff": {"initial": "60s"}}}


def _stop_between(scene: Scene) -> None:
    scene.wait(lambda: scene.status().get("attempts"))
    scene.stop()


CASES = (
    Case(
        title="deadline between retries",
        runs=run_spec("echo flaky; sleep 1; exit 3", **RESTING),
        deadline=30,
        reason="Error",
        sentence="step main: exit code 3: flaky; the deadline * leaves no time for another attempt",
    ),
    Case(
        title="retries used up",
        runs=run_spec(
            "echo flaky; sleep 1; exit 3", retry={"limit": 1, "backoff": {"initial": "1s"}}
        ),
        reason="Error",
        sentence="step main: exit code 3: flaky; it was attempt 2, the last",
    ),
    Case(
        title="stopped between retries",
        runs=run_spec("echo flaky; sleep 1; exit 3", **RESTING),
        then=_stop_between,
        phase="Stopped",
        reason="Stopped",
        sentence="stopped on request; step main was waiting for attempt 2: exit code 3: flaky",
    ),
    Case(
        title="maxRunTime",
        runs=run_spec("echo halfway; sleep 600", maxRunTime="3s", gracePeriod="5s"),
        reason="MaxRunTimeExceeded",
        sentence="step main: ran longer than maxRunTime 3s;"
        " it ended with exit code 143 (SIGTERM): halfway",
    ),
    Case(
        title="maxRunTime and no ear for SIGTERM",
        runs=run_spec(STUBBORN, maxRunTime="2s", gracePeriod="2s"),
        reason="MaxRunTimeExceeded",
        sentence="step main: ran longer than maxRunTime 2s;"
        " it did not end within 2s and was killed: not listening",
    ),
    Case(
        title="deadline while it runs",
        runs=run_spec("echo halfway; sleep 600", gracePeriod="5s"),
        deadline=10,
        reason="DeadlineExceeded",
        sentence="deadline * passed; step main was running since *;"
        " it ended with exit code 143 (SIGTERM): halfway",
    ),
    Case(
        title="deadline that is over",
        runs=run_spec("true"),
        deadline=-3600,
        reason="DeadlineExceeded",
        sentence="deadline * passed; step main had not started",
    ),
    Case(
        title="stopped in grace",
        runs=run_spec("trap 'echo cleaning up; exit 0' TERM; while true; do sleep 1; done"),
        then=_stop,
        phase="Stopped",
        reason="Stopped",
        sentence="stopped on request; step main was running since *; it ended with exit code 0",
    ),
    Case(
        title="stopped and killed",
        runs=run_spec(STUBBORN, gracePeriod="3s"),
        then=_stop,
        phase="Stopped",
        reason="Killed",
        sentence="stopped on request; step main was running since *;"
        " it did not end within 3s and was killed: not listening",
    ),
    Case(
        title="maxRunTime longer than the deadline allows",
        runs=run_spec("true", maxRunTime="25h"),
        reason="InvalidTask",
        sentence="step main: maxRunTime 25h is longer than the whole execution may take (24h);"
        " give spec.deadline, or timeout in its Task",
    ),
)
