"""Everything about one run on a page."""

from datetime import timedelta

from taskmill.cli.page import Told, page
from taskmill.cli.view import run_of
from unit.cli.runs import NOON, at, lines, raw, step

FAILED = raw(
    "build-x7k2p",
    spec={"taskRef": {"name": "build", "generation": 2}, "plan": [{"id": "build"}]},
    phase="Failed",
    reason="Error",
    failureMessage="step build: exit code 3: no such header; it was attempt 2, the last",
    startedAt=at(2),
    completedAt=at(12),
    steps=[
        step("build", "Failed", reason="Error", exitCode=3, attempt=2, jobName="build-x7k2p-02",
             podName="build-x7k2p-02-abcde", node="node-1", startedAt=at(9), completedAt=at(12),
             failureMessage="exit code 3: no such header"),
    ],
    attempts=[{"step": "build", "attempt": 1, "reason": "Evicted", "message": "node-2 was drained",
               "jobName": "build-x7k2p-01"}],
)  # fmt: skip


def command(word, *arguments):
    return " ".join(["kubectl task", word, *arguments])


def shown(found, told=()):
    return lines(page(run_of(found), told, command, NOON + timedelta(seconds=20)))


def test_a_failure_with_its_attempts_events_and_what_to_do():
    event = Told(at=NOON, about="Job build-x7k2p-02", reason="SuccessfulCreate",
                 words="Created pod: build-x7k2p-02-abcde", warning=False, count=2)  # fmt: skip
    assert shown(FAILED, [event]) == [
        "Name:       build-x7k2p",
        "Namespace:  team",
        "Task:       build (generation 2)",
        "Phase:      Failed Error",
        "Created:    2026-11-24T12:00:00Z (20s ago)",
        "Started:    2026-11-24T12:00:02Z (18s ago)",
        "Ended:      2026-11-24T12:00:12Z (8s ago)",
        "Took:       10s",
        "",
        "What it says:",
        "  step build: exit code 3: no such header; it was attempt 2, the last",
        "  Error: The command ended with an exit code other than 0, or by a signal.",
        "",
        "Steps:",
        "  build  Failed Error 3s",
        "    exit code  3",
        "    job        build-x7k2p-02",
        "    pod        build-x7k2p-02-abcde",
        "    node       node-1",
        "    attempt    2",
        "    attempt 1  Evicted: node-2 was drained (job build-x7k2p-01)",
        "",
        "Events:",
        "     20s  SuccessfulCreate (x2)  Job build-x7k2p-02",
        "          Created pod: build-x7k2p-02-abcde",
        "",
        "What to do next:",
        "  kubectl task logs build-x7k2p  # what it said",
        "  kubectl task run build  # the Task as it is now, once more",
        "  kubectl task rerun build-x7k2p  # the same plan once more",
    ]


def test_events_that_could_not_be_read_say_why():
    told = shown(FAILED, "not shown: jane may not list events in namespace team")
    assert "  not shown: jane may not list events in namespace team" in told


def test_what_waits_says_for_what_and_how_to_end_it():
    waits = raw("build-1", spec={"plan": [{"id": "a"}]}, phase="Pending",
                reason="ImagePullFailed", message="step a: cannot pull x:1: not found")  # fmt: skip
    told = shown(waits)
    assert "What it waits for, or does:" in told
    assert "  step a: cannot pull x:1: not found" in told
    assert told[-2:] == [
        "  kubectl task status build-1 --watch  # what it is waiting for",
        "  kubectl task stop build-1  # end it",
    ]


def test_nobody_is_told_to_rerun_what_would_fail_again():
    wrong = raw("b-1", spec={"taskRef": {"name": "b"}}, phase="Failed", reason="InvalidTask")
    told = "\n".join(shown(wrong))
    assert "kubectl edit tasks.taskmill.dev b" in told
    assert "rerun" not in told
