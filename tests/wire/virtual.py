"""An event loop whose clock jumps to the next timer: hours pass at once, and exactly."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class _Jumping(selectors.DefaultSelector):
    now = 0.0

    def select(self, timeout=None):
        if timeout:
            self.now += timeout
        elif timeout is None:
            raise RuntimeError("everybody waits, and no timer is set: this would hang")
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self._virtual = _Jumping()
        super().__init__(self._virtual)

    def time(self):
        return self._virtual.now


def run_virtually(main: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
