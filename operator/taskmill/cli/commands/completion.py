"""`kubectl task completion`: what a shell needs to complete names."""

from __future__ import annotations

import click

from taskmill.cli.exits import Exit


@click.command(short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, *, shell: str) -> Exit:
    """Print the script that makes a shell complete `kubectl-task`.

    `kubectl task` itself is completed by kubectl's own completion, which calls
    kubectl_complete-task: that needs to be on PATH, and nothing else.
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    root = ctx.find_root().command
    click.echo(found(root, {}, "kubectl-task", "_KUBECTL_TASK_COMPLETE").source())
    return Exit.SUCCEEDED
