"""What one run costs while others live."""

from __future__ import annotations

import asyncio
from typing import Any

from bench import turns
from bench.contenders import Taskmill
from bench.lab import Lab, say
from bench.live import NAMESPACE, Running, grow
from bench.metrics import separate
from bench.observe import Observer
from bench.sizes import Sizes

_SETTLE = 20.0  # seconds


async def measure(lab: Lab, sizes: Sizes) -> list[dict[str, Any]]:
    """For each level of live executions, so many fresh runs on top."""
    running = Running(lab)
    running.install()
    separate(lab.handle, running.account)
    lab.make_namespace(NAMESPACE)
    levels = []
    async with lab.client() as client, Observer(client, NAMESPACE, running) as observer:
        try:
            for level in sizes.live:
                await running.start()
                await grow(client, observer, running, level)
                running.stop()
                await asyncio.sleep(_SETTLE)
                # One of its own for the runs on top, started after all that lives already.
                told = await turns.take(lab, client, Taskmill(lab), level, sizes.fresh)
                say(f"{level} live: {told['cpu ms']['controller']:.2f} ms of the operator's CPU")
                levels.append({"live": level, **told})
        finally:
            running.stop()
    return levels
