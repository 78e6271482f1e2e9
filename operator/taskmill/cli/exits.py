"""Exit codes that scripts can rely on, and errors that end a command with one."""

from __future__ import annotations

from enum import IntEnum

import click

from taskmill.api.reasons import Phase, Reason


class Exit(IntEnum):
    """How a command ended."""

    SUCCEEDED = 0
    FAILED = 1
    USAGE = 2
    """Nothing can be said of a run: wrong usage, not found, not allowed, no connection."""
    STOPPED = 3
    TIMED_OUT = 4
    """The time given to `wait` is over, or a clock of the run itself."""
    INTERRUPTED = 130
    """Ctrl-C, as shells count it."""


_CLOCKS = frozenset({Reason.DEADLINE_EXCEEDED, Reason.MAX_RUN_TIME_EXCEEDED})
_WORST_FIRST = (Exit.FAILED, Exit.TIMED_OUT, Exit.STOPPED)


def of_run(phase: str, reason: str) -> Exit:
    """What a run that has ended means for a script."""
    if phase == Phase.SUCCEEDED:
        return Exit.SUCCEEDED
    if phase == Phase.STOPPED:
        return Exit.STOPPED
    return Exit.TIMED_OUT if reason in _CLOCKS else Exit.FAILED


def worst(exits: list[Exit]) -> Exit:
    """The one of several that a script should hear of."""
    return next((code for code in _WORST_FIRST if code in exits), Exit.SUCCEEDED)


class CliError(click.ClickException):
    """Nothing more can be done; the message says why, and what to do."""

    exit_code = int(Exit.USAGE)
