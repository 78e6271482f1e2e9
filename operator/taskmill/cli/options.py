"""The options that all commands share, spelled as kubectl spells them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from taskmill.cli import completing
from taskmill.cli.connect import Wanted
from taskmill.cli.session import Session

F = TypeVar("F", bound=Callable[..., Any])
AFTER = "taskmill.after-dashes"


def connected(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command its session, from -n, --context, --kubeconfig, --as and --as-group."""

    @click.option(
        "-n",
        "--namespace",
        default="",
        metavar="NAME",
        help="Namespace. Default: the context's.",
        shell_complete=completing.namespaces,
    )
    @click.option(
        "--context",
        default="",
        metavar="NAME",
        help="Context of the kubeconfig. Default: its current one.",
        shell_complete=completing.contexts,
    )
    @click.option(
        "--kubeconfig",
        default="",
        metavar="FILE",
        help="Default: $KUBECONFIG, else ~/.kube/config.",
        type=click.Path(),
    )
    @click.option("--as", "as_user", default="", metavar="USER", help="Impersonate this user.")
    @click.option(
        "--as-group", "as_groups", multiple=True, metavar="GROUP", help="With --as; repeatable."
    )
    @functools.wraps(function)
    def command(
        *,
        namespace: str,
        context: str,
        kubeconfig: str,
        as_user: str,
        as_groups: tuple[str, ...],
        **rest: Any,
    ) -> Any:
        wanted = Wanted(
            namespace=namespace,
            context=context,
            kubeconfig=kubeconfig,
            as_user=as_user,
            as_groups=as_groups,
        )
        return function(Session(wanted), **rest)

    return command


def output(*formats: str) -> Callable[[F], F]:
    """`-o`, with these formats."""
    return click.option(
        "-o",
        "--output",
        "form",
        type=click.Choice(formats),
        help="Instead of a page for people.",
    )


timeout = click.option(
    "--timeout",
    "limit",
    default="",
    metavar="DURATION",
    help="Longest time for the whole run, such as 90m. Default: the Task's, else 24h.",
)
waiting = click.option("--wait", is_flag=True, help="Wait for its end; exit as it ended.")
following = click.option(
    "--follow", is_flag=True, help="Print its log until its end; exit as it ended."
)


class Dashed(click.Command):
    """A command of whose words those behind `--` are another's: click mixes them with its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Puts what is behind the dashes aside."""
        if "--" in args:
            at = args.index("--")
            ctx.meta[AFTER] = tuple(args[at + 1 :])
            args = args[:at]
        return super().parse_args(ctx, args)


def after_dashes() -> tuple[str, ...] | None:
    """What was behind `--`; None when there was no such thing."""
    found: tuple[str, ...] | None = click.get_current_context().meta.get(AFTER)
    return found
