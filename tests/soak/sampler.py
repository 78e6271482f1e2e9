"""The operator as it is, in a process that writes down how big it is.

`python -m soak.sampler operator` runs taskmill's own `main`. Every `EVERY` seconds its event loop
appends one JSON line to the file that `FIGURES` names.
"""

import asyncio
import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from taskmill import __main__, app
from taskmill.reconcile.engine import Engine

EVERY = 10.0
FIGURES = "TASKMILL_SOAK_FIGURES"


class Sampled(Engine):
    """Made where the loop runs: no patch of asyncio, no thread that would count itself."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sample()

    def _sample(self) -> None:
        asyncio.get_running_loop().call_later(EVERY, self._sample)
        parts = {"cache": self.feed._cache, **{str(w.resource): w for w in self._watches}}
        held = {
            f"{part}{name}": len(content)
            for part, holder in parts.items()
            for name, content in vars(holder).items()
            if isinstance(content, dict | set | list)
        }
        sample = {"at": time.time(), **_figures(), "cached": sum(held.values()), "held": held}
        with Path(os.environ[FIGURES]).open("a") as file:
            file.write(f"{json.dumps(sample)}\n")


def _figures() -> dict[str, float]:
    """Of this process; memory in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    told = dict(line.split(":", 1) for line in lines)
    open_files = []
    for fd in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one this folder was read with
            open_files.append(str(fd.readlink()))
    return {
        "memory": int(told["VmRSS"].split()[0]) / 1024,
        "tasks": len(asyncio.all_tasks()),
        "threads": int(told["Threads"]),
        "connections": sum(target.startswith("socket:") for target in open_files),
        "fds": len(open_files),
    }


if __name__ == "__main__":
    app.Engine = Sampled
    sys.exit(__main__.main())
