"""`kubectl_complete-task`, which kubectl calls at TAB behind `kubectl task`.

It speaks cobra's protocol: a line for each word, its meaning behind a tab, and last what the shell
is to do.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from click.shell_completion import ShellComplete

from taskmill.cli.main import PROGRAM, cli

NO_FILES = ":4"
FILES = ":0"


def main(argv: Sequence[str] | None = None) -> int:
    """Print what may come next; the last word is the one that is being written."""
    *said, incomplete = list(sys.argv[1:] if argv is None else argv) or [""]
    found = ShellComplete(cli, {}, PROGRAM, "").get_completions(said, incomplete)
    plain = [item for item in found if item.type == "plain"]
    for item in plain:
        print(f"{item.value}\t{item.help}" if item.help else item.value)  # noqa: T201
    print(FILES if len(plain) < len(found) else NO_FILES)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
