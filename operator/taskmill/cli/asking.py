"""Making an execution, and what comes of it as `--wait`, `--follow` and `-o` want to know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from taskmill.cli.exits import CliError, Exit
from taskmill.cli.session import Session, note
from taskmill.kube.errors import ApiError
from taskmill.kube.resources import EXECUTIONS, Resource

Raw = dict[str, Any]

_WHO_AM_I = Resource("authentication.k8s.io", "v1", "selfsubjectreviews")


def seconds(text: str) -> float:
    """A duration as it is written in a Task; CliError when it is none."""
    from taskmill.api.duration import parse_duration

    try:
        return parse_duration(text).total_seconds()
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def whoami(session: Session) -> str:
    """The user's name as the API server knows it."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = session.api.create(_WHO_AM_I, None, body)
    except ApiError:
        return "kubectl task"
    return str(answer.get("status", {}).get("userInfo", {}).get("username") or "kubectl task")


def create(
    session: Session,
    manifest: Raw,
    *,
    dry_run: str,
    form: str | None,
    instead: Callable[[ApiError], Raw | None] = lambda _: None,
) -> Raw | None:
    """Create it, and print what was; None after a dry run.

    `instead` makes another manifest of a refusal, where there is one.
    """
    from taskmill.cli.output import print_object

    if dry_run == "client":
        print_object(manifest, form or "name")
        return None
    namespace, dry = manifest["metadata"]["namespace"], dry_run == "server"
    try:
        made = session.api.create(EXECUTIONS, namespace, manifest, dry=dry)
    except ApiError as error:
        if (other := instead(error)) is None:
            raise
        made = session.api.create(EXECUTIONS, namespace, other, dry=dry)
    if dry:
        print_object(made, form or "name")
        return None
    return made


def see_through(session: Session, made: Raw, *, wait: bool, follow: bool, form: str | None) -> Exit:
    """Print the name, the log or the object, and exit as the run ended where that is awaited."""
    from taskmill.cli.output import print_object
    from taskmill.cli.show import in_a_line
    from taskmill.cli.view import run_of
    from taskmill.cli.waiting import await_end, exit_of

    name = made["metadata"]["name"]
    if follow:
        # stdout belongs to the log.
        note(name)
        _follow(session, made)
    elif form is None:
        click.echo(name)
    elif not wait:
        print_object(made, form)
    if not (wait or follow):
        return Exit.SUCCEEDED
    ended = await_end(session, made, quiet=follow)
    if ended is None:
        raise CliError(f"{name} was lost sight of")
    if form and not follow:
        print_object(ended, form)
    note(f"{name} {in_a_line(run_of(ended), session.api.now())}")
    return exit_of(ended)


def _follow(session: Session, made: Raw) -> None:
    from taskmill.cli.commands.logs import print_logs
    from taskmill.cli.follow import Logs, Which
    from taskmill.cli.words import missing_right
    from taskmill.kube.errors import Forbidden

    try:
        print_logs(session, made, Logs(session.api, made, Which()), follow=True, prefixed=True)
    except Forbidden as error:
        note(f"note: its log cannot be shown: {missing_right(error)}")
