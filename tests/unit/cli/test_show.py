"""Runs as text, on 80 columns."""

from datetime import timedelta

import pytest

from taskmill.cli.show import ASCII, change, columns, run_rows, status
from taskmill.cli.view import run_of
from unit.cli.runs import NOON, at, lines, raw, release, step

GOING = release(
    phase="Running",
    message="1 of 4 steps done; running: package, test",
    startedAt=at(2),
    deadline=at(3600),
    steps=[
        step("build", "Succeeded", startedAt=at(2), completedAt=at(5), attempt=1),
        step("test", "Running", startedAt=at(6), attempt=1),
        step("package", "Pending", attempt=3, nextAttemptAt=at(18), reason="OOMKilled"),
    ],
    attempts=[
        {"step": "package", "attempt": 1, "reason": "OOMKilled", "message": "memory limit 64Mi"},
        {
            "step": "package",
            "attempt": 2,
            "reason": "OOMKilled",
            "message": "memory limit 128Mi reached (exit code 137); the next attempt gets 256Mi",
        },
    ],
)


def shown(found, seconds=10, **options):
    return lines(status(run_of(found), NOON + timedelta(seconds=seconds), **options))


def test_a_plan_stands_level_by_level_with_what_each_step_does():
    assert shown(GOING) == [
        "release-0b1e6a2c5d  Running  8s",
        "1 of 4 steps done; running: package, test",
        "",
        "✓ build        Succeeded  3s",
        "  ● test       Running    4s",
        "  ◌ package    Pending        OOMKilled, attempt 3, starts in 8s",
        "    attempt 1: OOMKilled: memory limit 64Mi",
        "    attempt 2: OOMKilled: memory limit 128Mi reached (exit code 137); the next",
        "    attempt gets 256Mi",
        "    ○ release                 after package and test",
        "",
        "Deadline in 59m50s.",
    ]


def test_what_failed_says_so_once_and_what_did_not_start_says_that():
    told = "step build: exit code 3: cc: error: foo.c: No such file or directory"
    failed = release(
        phase="Failed",
        reason="Error",
        failureMessage=f"{told}; not started: test, package, release",
        startedAt=at(2),
        completedAt=at(65),
        steps=[step("build", "Failed", reason="Error", failureMessage=told,
                    startedAt=at(2), completedAt=at(65))],
    )  # fmt: skip
    assert shown(failed, 900) == [
        "release-0b1e6a2c5d  Failed Error  1m3s",
        "step build: exit code 3: cc: error: foo.c: No such file or directory; not",
        "started: test, package, release",
        "",
        "✗ build        Failed  1m3s  Error",
        "  ○ test                     not started",
        "  ○ package                  not started",
        "    ○ release                not started",
    ]


def test_one_that_nobody_has_looked_at_yet():
    assert shown(raw("fresh", spec={"taskRef": {"name": "build"}})) == [
        "fresh  Pending  10s since it was made"
    ]


def test_marks_are_ascii_where_nothing_else_can_be_shown():
    assert all(line.isascii() for line in shown(GOING, marks=ASCII))
    assert shown(GOING, marks=ASCII)[3].startswith("+ build")


def test_a_stop_that_was_asked_for_is_told():
    going = raw("long", spec={"desiredPhase": "Stopped"}, phase="Running", startedAt=at(0))
    assert shown(going) == ["long  Running  10s  (stopping)"]


@pytest.mark.parametrize("width", [40, 80])
def test_no_line_is_wider_than_the_terminal(width):
    chain = [{"id": f"step-{n}", "dependsOn": [f"step-{n - 1}"] * (n > 0)} for n in range(40)]
    deep = raw("deep", spec={"plan": chain}, phase="Running", message="word " * 60)
    assert max(map(len, lines(status(run_of(deep), NOON), width))) <= width


def test_the_list_has_a_line_for_each_run():
    runs = [run_of(GOING), run_of(raw("fresh"))]
    now = NOON + timedelta(seconds=10)
    assert [line.plain for line in columns(run_rows(runs, now))] == [
        "NAME                PHASE    REASON  AGE  TOOK  MESSAGE",
        "release-0b1e6a2c5d  Running          10s  8s    1 of 4 steps done; running: package, test",
        "fresh               Pending          10s",
    ]
    wide = [line.plain for line in columns(run_rows(runs, now, wide=True, namespaces=True))]
    assert wide[1].split()[:8] == [
        "team", "release-0b1e6a2c5d", "Running", "10s", "8s", "release", "1/4", "jane",
    ]  # fmt: skip


def test_what_changed_is_told_a_line_each_and_what_did_not_is_not():
    now = NOON + timedelta(seconds=10)
    first = run_of(raw("pair", phase="Running", steps=[step("a", "Running", startedAt=at(2))]))
    assert list(change(None, first, now)) == ["pair: step a: Running 8s", "pair: Running"]
    assert list(change(first, first, now)) == []
    later = raw(
        "pair",
        phase="Failed",
        reason="Error",
        failureMessage="step a: exit code 1",
        steps=[step("a", "Failed", reason="Error", startedAt=at(2), completedAt=at(4))],
    )
    assert list(change(first, run_of(later), now)) == [
        "pair: step a: Failed Error 2s",
        "pair: Failed Error: step a: exit code 1",
    ]
