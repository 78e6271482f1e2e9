"""`kubectl task status`: where a run stands, with all the steps of its plan."""

from __future__ import annotations

from typing import Any

import click

from taskmill.cli import completing, options
from taskmill.cli.exits import Exit
from taskmill.cli.session import Session


@click.command(short_help="Show where a run and its steps stand.")
@options.connected
@click.argument("name", shell_complete=completing.executions)
@click.option("-w", "--watch", is_flag=True, help="Go on until it has ended.")
@options.output("wide", "json", "yaml", "name")
def command(session: Session, *, name: str, watch: bool, form: str | None) -> Exit:
    """Show where a run and its steps stand: phases, times, and why something waits or failed.

    A step stands below and to the right of those it depends on.
    """
    from taskmill.cli.find import find_run
    from taskmill.cli.output import print_object

    raw = find_run(session.api, session.namespace, name)
    if form in ("json", "yaml", "name"):
        print_object(raw, form)
    elif watch:
        _watch(session, raw, wide=form == "wide")
    else:
        _show(session, raw, wide=form == "wide")
    return Exit.SUCCEEDED


def _show(session: Session, raw: dict[str, Any], *, wide: bool) -> None:
    from taskmill.cli.output import console, is_plain, show
    from taskmill.cli.show import ASCII, MARKS, status
    from taskmill.cli.view import run_of

    out = console()
    marks = ASCII if is_plain(out) else MARKS
    show(out, status(run_of(raw), session.api.now(), marks=marks, wide=wide))


def _watch(session: Session, raw: dict[str, Any], *, wide: bool) -> None:
    from taskmill.cli.output import console, is_plain
    from taskmill.cli.show import ASCII, MARKS, change, status
    from taskmill.cli.view import Run, run_of
    from taskmill.cli.waiting import changes, going_on, ticking

    out, api, meta = console(), session.api, raw["metadata"]
    found = changes(api, meta["namespace"], meta["name"])
    if not out.is_terminal:
        before: Run | None = None
        for seen in found:
            for line in change(before, run := run_of(seen), api.now()):
                click.echo(line)
            before = run
        return
    from rich.live import Live

    marks = ASCII if is_plain(out) else MARKS
    run = run_of(raw)
    with going_on(session, run.name), Live(console=out, auto_refresh=False) as live:
        for now in ticking(found):
            run = run_of(now) if now else run
            live.update(status(run, api.now(), marks=marks, wide=wide), refresh=True)
        # What was too long for the screen is shown at the end.
        live.vertical_overflow = "visible"
