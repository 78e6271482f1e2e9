"""`kubectl task wait`: until runs have ended."""

from __future__ import annotations

import time

import click

from taskmill.cli import completing, options
from taskmill.cli.exits import Exit, worst
from taskmill.cli.session import Session, note


@click.command(short_help="Wait until runs have ended; exit as they ended.")
@options.connected
@click.argument("names", nargs=-1, required=True, metavar="NAME...",
                shell_complete=completing.executions)  # fmt: skip
@click.option(
    "--timeout", "limit", default="", metavar="DURATION", help="Such as 90s. Default: none."
)
def command(session: Session, *, names: tuple[str, ...], limit: str) -> Exit:
    """Wait until runs have ended, and exit as they did.

    0 succeeded, 1 failed, 3 stopped, 4 timed out, or still going on when --timeout passed. Of
    several, 1 wins over 4, and 4 over 3.
    """
    from taskmill.cli.asking import seconds
    from taskmill.cli.find import find_run
    from taskmill.cli.show import in_a_line
    from taskmill.cli.view import run_of
    from taskmill.cli.waiting import await_end, exit_of

    ends = time.monotonic() + seconds(limit) if limit else None
    exits: list[Exit] = []
    for raw in [find_run(session.api, session.namespace, name) for name in names]:
        left = None if ends is None else max(0.0, ends - time.monotonic())
        ended = await_end(session, raw, within=left)
        if ended is None:
            note(f"{raw['metadata']['name']} has not ended within {limit}, and goes on.")
            exits.append(Exit.TIMED_OUT)
            continue
        run = run_of(ended)
        click.echo(f"{run.name} {in_a_line(run, session.api.now())}")
        exits.append(exit_of(ended))
    return worst(exits)
