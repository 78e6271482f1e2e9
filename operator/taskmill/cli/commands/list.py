"""`kubectl task list`: the runs, in a line each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from taskmill.api.reasons import Phase
from taskmill.cli import completing, options
from taskmill.cli.exits import Exit
from taskmill.cli.session import Session, note

if TYPE_CHECKING:
    from rich.console import Console

Raw = dict[str, Any]
PHASES = [str(phase) for phase in Phase]
_WATCH_ROWS = 1
"""Rows of a changed run that are printed: itself, below the head that is there."""


@click.command("list", short_help="List runs, the newest last.")
@options.connected
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="Of all namespaces.")
@click.option("-l", "--selector", default="", metavar="LABELS", help="Such as team=web,tier!=db.")
@click.option(
    "--task", default="", metavar="NAME", help="Of this Task.", shell_complete=completing.tasks
)
@click.option(
    "--phase",
    "phases",
    multiple=True,
    type=click.Choice(PHASES),
    help="In this phase; repeatable.",
)
@click.option("-w", "--watch", is_flag=True, help="Go on, with a line for each change.")
@options.output("wide", "json", "yaml", "name")
def command(  # noqa: PLR0913 - one for each option
    session: Session,
    *,
    everywhere: bool,
    selector: str,
    task: str,
    phases: tuple[str, ...],
    watch: bool,
    form: str | None,
) -> Exit:
    """List runs, the newest last.

    On a terminal a message is cut at its edge; `status` and `describe` tell all of it.
    """
    from taskmill.cli.find import age
    from taskmill.cli.output import console, print_object
    from taskmill.kube.resources import EXECUTIONS

    namespace = None if everywhere else session.namespace
    query = _query(selector, task, phases)
    listed = session.api.list(EXECUTIONS, namespace, query)
    listed["items"].sort(key=age)
    if form in ("json", "yaml", "name"):
        print_object(listed, form)
        return Exit.SUCCEEDED
    out = console()
    if listed["items"] or watch:
        _print(out, session, listed["items"], wide=form == "wide", namespaces=everywhere)
    else:
        where = "in any namespace" if everywhere else f"in namespace {namespace}"
        note(f"No runs {where}" + (" that match." if query else "."))
    if watch:
        version = listed["metadata"]["resourceVersion"]
        for raw in _changed(session, namespace, query, version):
            _print(out, session, [raw], wide=form == "wide", namespaces=everywhere, head=False)
    return Exit.SUCCEEDED


def _query(selector: str, task: str, phases: tuple[str, ...]) -> dict[str, str]:
    fields = [f"spec.taskRef.name={task}"] if task else []
    if phases:
        # A run that nobody has looked at yet has no phase, and is pending.
        fields += [f"status.phase!={phase}" for phase in PHASES if phase not in phases]
    query = {"labelSelector": selector, "fieldSelector": ",".join(fields)}
    return {key: value for key, value in query.items() if value}


def _changed(
    session: Session, namespace: str | None, query: dict[str, str], version: str
) -> Iterator[Raw]:
    from taskmill.kube.errors import Gone
    from taskmill.kube.resources import EXECUTIONS

    while True:
        asked = {**query, "resourceVersion": version}
        try:
            for event, raw in session.api.watch(EXECUTIONS, namespace, asked):
                version = raw["metadata"]["resourceVersion"]
                if event in ("ADDED", "MODIFIED"):
                    yield raw
        except Gone:
            version = session.api.list(EXECUTIONS, namespace, query)["metadata"]["resourceVersion"]


def _print(
    out: Console,
    session: Session,
    items: list[Raw],
    *,
    wide: bool,
    namespaces: bool,
    head: bool = True,
) -> None:
    from taskmill.cli.show import columns, run_rows
    from taskmill.cli.view import run_of

    rows = run_rows(map(run_of, items), session.api.now(), wide=wide, namespaces=namespaces)
    for line in columns(rows)[0 if head else _WATCH_ROWS :]:
        # Only people need it to fit.
        out.print(line, no_wrap=True, overflow="ignore" if wide else "ellipsis", crop=not wide)
