"""`kubectl task stop`: end runs early."""

from __future__ import annotations

import click

from taskmill.api.reasons import Phase
from taskmill.cli import completing, options
from taskmill.cli.exits import Exit
from taskmill.cli.session import Session, note


@click.command(short_help="Stop runs.")
@options.connected
@click.argument("names", nargs=-1, required=True, metavar="NAME...",
                shell_complete=completing.executions)  # fmt: skip
def command(session: Session, *, names: tuple[str, ...]) -> Exit:
    """Stop runs: their containers get SIGTERM, and SIGKILL after their gracePeriod.

    It does not wait for the end; `kubectl task wait` does. What has ended stays as it is.
    """
    from taskmill.cli.find import find_run
    from taskmill.cli.output import KIND
    from taskmill.cli.view import run_of
    from taskmill.kube.resources import EXECUTIONS

    # All are looked for before one is stopped: a typo stops nothing.
    runs = [run_of(find_run(session.api, session.namespace, name)) for name in names]
    for run in runs:
        if run.final:
            note(f"{run.name} has ended already: {run.phase}")
            continue
        body = {"spec": {"desiredPhase": str(Phase.STOPPED)}}
        session.api.patch(EXECUTIONS, run.namespace, run.name, body)
        click.echo(f"{KIND}/{run.name} stopping")
    return Exit.SUCCEEDED
