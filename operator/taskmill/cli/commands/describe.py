"""`kubectl task describe`: all about one run on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from taskmill.cli import completing, options
from taskmill.cli.exits import Exit
from taskmill.cli.session import Session

if TYPE_CHECKING:
    from taskmill.cli.page import Told
    from taskmill.cli.view import Run


@click.command(short_help="Tell all about a run: why it failed or waits, and what to do.")
@options.connected
@click.argument("name", shell_complete=completing.executions)
def command(session: Session, *, name: str) -> Exit:
    """Tell all about a run, on a page.

    Why it failed or waits, its steps and attempts, Jobs and pods, Events, and what to do next.
    """
    from taskmill.cli.find import find_run
    from taskmill.cli.output import console, show
    from taskmill.cli.page import page
    from taskmill.cli.view import run_of

    run = run_of(find_run(session.api, session.namespace, name))
    told = _events(session, run)
    show(console(), page(run, told, session.command, session.api.now()))
    return Exit.SUCCEEDED


def _events(session: Session, run: Run) -> list[Told] | str:
    """Those about the run, its Jobs and pods, oldest first; or why there are none to show."""
    from taskmill.cli.page import Told
    from taskmill.cli.words import missing_right
    from taskmill.kube.errors import Forbidden
    from taskmill.kube.resources import EVENTS

    try:
        found = session.api.list(EVENTS, run.namespace)["items"]
    except Forbidden as error:
        return f"not shown: {missing_right(error)}"
    jobs = {step.job for step in run.steps} | {attempt.job for attempt in run.attempts}
    told = [
        Told(
            at=_last(event),
            about=f"{about['kind']} {about['name']}",
            reason=event.get("reason") or "",
            words=" ".join((event.get("message") or "").split()),
            warning=event.get("type") == "Warning",
            count=event.get("count") or (event.get("series") or {}).get("count") or 1,
        )
        for event in found
        if _is_about(about := event["involvedObject"], run, jobs - {""})
    ]
    return sorted(told, key=lambda one: (one.at is not None, one.at))


def _is_about(about: dict[str, Any], run: Run, jobs: set[str]) -> bool:
    name = about.get("name") or ""
    match about.get("kind"):
        case "TaskExecution":
            return about.get("uid") == run.uid or name == run.name
        case "Job":
            return name in jobs
        case "Pod":
            return any(name.startswith(f"{job}-") for job in jobs)
    return False


def _last(event: dict[str, Any]) -> Any:
    from taskmill.cli.moments import moment

    series = (event.get("series") or {}).get("lastObservedTime")
    times = (series, event.get("lastTimestamp"), event.get("eventTime"))
    return moment(next(filter(None, times), event["metadata"].get("creationTimestamp")))
