"""`kubectl task rerun`: the same plan once more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click

from taskmill.cli import completing, options
from taskmill.cli.exits import Exit
from taskmill.cli.session import Session, note

Raw = dict[str, Any]


@click.command(short_help="Run the same frozen plan once more.")
@options.connected
@click.argument("name", shell_complete=completing.executions)
@options.timeout
@options.waiting
@options.following
@options.output("json", "yaml", "name")
def command(
    session: Session, *, name: str, limit: str, wait: bool, follow: bool, form: str | None
) -> Exit:
    """Run exactly what a run was made of once more, with its env and args.

    Whatever its Task says now: `kubectl task run TASK` runs that. It gets as much time as the
    run before had.
    """
    from taskmill.cli.asking import create, seconds, see_through, whoami
    from taskmill.cli.find import find_run
    from taskmill.cli.make import Asked, again

    old = find_run(session.api, session.namespace, name)
    meta = old["metadata"]
    asked = Asked(
        namespace=meta["namespace"],
        started_by=f"{whoami(session)}, rerun of {meta['name']}",
        limit=timedelta(seconds=seconds(limit)) if limit else None,
    )
    _tell_if_older(session, old)
    made = create(session, again(old, asked, session.api.now()), dry_run="", form=form)
    return see_through(session, made or {}, wait=wait, follow=follow, form=form)


def _tell_if_older(session: Session, old: Raw) -> None:
    """The Task may have been mended since."""
    from taskmill.kube.errors import ApiError
    from taskmill.kube.resources import TASKS

    reference = old["spec"].get("taskRef") or {}
    if not (generation := reference.get("generation")):
        return
    try:
        task = session.api.get(TASKS, old["metadata"]["namespace"], reference["name"])
    except ApiError:
        return
    if task["metadata"]["generation"] != generation:
        now = session.command("run", reference["name"])
        note(f"note: Task {reference['name']} was changed since; as it is now: {now}")
