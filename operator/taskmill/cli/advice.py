"""What to do next about a run, as lines to enter. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from taskmill.api.reasons import Phase, Reason
from taskmill.cli.view import Run

Command = Callable[..., str]
"""Writes a line to enter: the word after `kubectl task`, and its arguments."""

_WITHOUT_LOG = frozenset(
    {
        Reason.START_FAILED,
        Reason.INVALID_IMAGE_NAME,
        Reason.IMAGE_PULL_FAILED,
        Reason.CONFIG_ERROR,
        Reason.MOUNT_FAILED,
        Reason.UNSCHEDULABLE,
        Reason.QUOTA_EXCEEDED,
        Reason.QUEUED,
        Reason.REJECTED,
        Reason.INVALID_TASK,
        Reason.WAITING_FOR_TASK,
        Reason.WAITING_FOR_SLOT,
    }
)
_OF_THE_SPEC = frozenset(
    {
        Reason.INVALID_TASK,
        Reason.INVALID_IMAGE_NAME,
        Reason.IMAGE_PULL_FAILED,
        Reason.REJECTED,
        Reason.OOM_KILLED,
        Reason.DEADLINE_EXCEEDED,
        Reason.MAX_RUN_TIME_EXCEEDED,
        Reason.START_FAILED,
    }
)
"""What the same plan would only end in again."""


def next_steps(run: Run, command: Command) -> Iterator[tuple[str, str]]:
    """What to enter, and what it is for."""
    if not run.final:
        if any(step.started for step in run.steps):
            yield command("logs", "-f", run.name), "its log, until it ends"
        else:
            yield command("status", run.name, "--watch"), "what it is waiting for"
        if not run.stopping:
            yield command("stop", run.name), "end it"
        return
    if run.phase == Phase.SUCCEEDED:
        yield command("logs", run.name), "its log"
        return
    failed = next((step for step in run.steps if step.phase == Phase.FAILED), None)
    if failed and failed.started and run.reason not in _WITHOUT_LOG:
        step = (failed.id,) if len(run.steps) > 1 else ()
        yield command("logs", run.name, *step), "what it said"
    if run.task and run.reason in _OF_THE_SPEC:
        yield f"kubectl edit tasks.taskmill.dev {run.task}", "mend it; a change runs by itself"
    if run.task:
        yield command("run", run.task), "the Task as it is now, once more"
    if run.reason not in _OF_THE_SPEC:
        yield command("rerun", run.name), "the same plan once more"
