"""`kubectl task logs`: what the steps of a run print."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from taskmill.cli import completing, options
from taskmill.cli.exits import CliError, Exit
from taskmill.cli.session import Session, note

if TYPE_CHECKING:
    from taskmill.cli.follow import Line, Logs

COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_red")


@click.command(short_help="Print the log of a run, or of one of its steps.")
@options.connected
@click.argument("name", shell_complete=completing.executions)
@click.argument("step", default="", required=False, shell_complete=completing.steps)
@click.option("-f", "--follow", is_flag=True, help="Go on until it has ended.")
@click.option("-p", "--previous", is_flag=True, help="Of the attempt before the newest.")
@click.option(
    "--attempt", type=click.IntRange(min=1), default=None, help="Of this attempt; the first is 1."
)
def command(
    session: Session, *, name: str, step: str, follow: bool, previous: bool, attempt: int | None
) -> Exit:
    """Print the log of a run, or of one of its steps: of the newest attempt of each.

    Where several steps are shown, each line begins with the step's name. With -f, steps and
    attempts that start later are printed, too; it ends with the run.
    """
    from taskmill.cli.find import find_run
    from taskmill.cli.follow import Logs, Which
    from taskmill.cli.view import run_of

    if previous and attempt:
        raise click.UsageError("--previous and --attempt cannot both be given")
    if follow and (previous or attempt):
        raise click.UsageError("an earlier attempt has ended: there is nothing to follow")
    raw = find_run(session.api, session.namespace, name)
    run = run_of(raw)
    if step and run.steps and step not in {one.id for one in run.steps}:
        steps = ", ".join(one.id for one in run.steps[:20])
        raise CliError(f"{run.name} has no step {step}; it has {steps}")
    which = Which(step=step, attempt=attempt or 0, back=int(previous))
    logs = Logs(session.api, raw, which)
    shown = print_logs(session, raw, logs, follow=follow, prefixed=not step)
    for one in logs.missing():
        note(f"The log of step {one} is gone with its pod.")
    if not shown and not follow and not run.final:
        note(f"Nothing yet: {run.name} is {run.phase}" + f": {run.message}" * bool(run.message))
    return Exit.SUCCEEDED


def print_logs(
    session: Session, raw: dict[str, Any], logs: Logs, *, follow: bool, prefixed: bool
) -> int:
    """Print them on stdout; returns how many lines there were."""
    from taskmill.cli.view import run_of
    from taskmill.cli.waiting import going_on

    run = run_of(raw)
    several = prefixed and (len(run.steps) > 1 or not run.steps)
    places = {step.id: place for place, step in enumerate(run.steps)}
    count = 0
    out = sys.stdout.buffer
    with going_on(session, run.name) if follow and not run.final else _nothing():
        for line in logs.follow() if follow else logs.read():
            out.write(_written(line, places) if several else line.text)
            if follow:
                out.flush()
            count += 1
    out.flush()
    return count


def _nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()


def _written(line: Line, places: dict[str, int]) -> bytes:
    again = f" #{line.attempt}" if line.attempt > 1 else ""
    prefix = f"[{line.step}{again}]"
    if sys.stdout.isatty() and not _no_color():
        prefix = click.style(prefix, fg=COLOURS[places.get(line.step, 0) % len(COLOURS)])
    # Of several steps, the last line of one must not run into the next one's.
    end = b"" if line.text.endswith(b"\n") else b"\n"
    return prefix.encode() + b" " + line.text + end


def _no_color() -> bool:
    import os

    return bool(os.environ.get("NO_COLOR"))
