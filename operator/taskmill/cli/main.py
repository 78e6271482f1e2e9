"""The command `kubectl-task`, which kubectl finds on PATH and calls for `kubectl task`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from taskmill.cli.exits import Exit
from taskmill.cli.words import of_error
from taskmill.kube.errors import ApiError

PROGRAM = "kubectl task"
COMMANDS = (
    "run",
    "list",
    "status",
    "logs",
    "describe",
    "wait",
    "stop",
    "rerun",
    "completion",
)


class Words(click.Group):
    """Imports the module of the word that was said, and no other."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which people need them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = import_module(f"taskmill.cli.commands.{cmd_name}").command
        return found


@click.group(
    cls=Words,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
NAME is an execution; task/NAME is the newest execution of a Task.
Exit codes: 0 succeeded, 1 failed, 2 wrong usage, not found, not allowed or no
connection, 3 stopped, 4 timed out.""",
)
def cli() -> None:
    """Run Tasks, and see what becomes of them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    try:
        code = cli.main(args=argv, prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Abort:
        return Exit.INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Who reads us has seen enough, and Python would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.SUCCEEDED
    except ApiError as error:
        click.echo(f"Error: {of_error(error)}", err=True)
        return Exit.USAGE
    return code if isinstance(code, int) else Exit.SUCCEEDED


if __name__ == "__main__":
    sys.exit(main())
