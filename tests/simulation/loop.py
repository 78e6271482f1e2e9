"""An event loop whose clock jumps to the next timer, and processes in it that freeze and die."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
from collections import deque
from collections.abc import Callable
from typing import Any

TURNS = 2_000_000
"""More than any history needs: beyond it something spins without time passing."""

_PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


class SpinError(AssertionError):
    """The loop turns for ever."""


class Process:
    """What an operating system runs and may stop at any moment: between any two steps of a task.

    All callbacks scheduled in its context are its own. `kill` ends it as SIGKILL does: nothing of
    it runs again, no `finally` and no `except`. `freeze` and `thaw` are SIGSTOP and SIGCONT.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.frozen = False
        self.parked: list[_Step] = []
        """What would have run while it was frozen."""
        self._tasks: list[asyncio.Task[Any]] = []
        """Kept: a task that nobody holds would be collected, and its `finally` run."""
        self._context = contextvars.copy_context()
        self._context.run(_PROCESS.set, self)

    def __str__(self) -> str:
        return self.name

    def start(self, main: Callable[[], Any]) -> None:
        """Run a coroutine function in it."""
        loop = asyncio.get_running_loop()
        self._context.run(lambda: self._tasks.append(loop.create_task(main())))

    def kill(self) -> None:
        self.dead = True
        self.parked.clear()

    def terminate(self) -> None:
        """SIGTERM: it may clean up."""
        for task in self._tasks:
            self._context.run(task.cancel)

    def freeze(self) -> None:
        self.frozen = True

    def thaw(self) -> None:
        self.frozen = False
        parked, self.parked = self.parked, []
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        loop.take_up(parked)

    def stops(self, step: _Step) -> bool:
        """Whether it is stopped; a frozen one takes the step later."""
        if self.frozen and not self.dead:
            self.parked.append(step)
        return self.frozen or self.dead


class _Step(asyncio.TimerHandle):
    """A callback of a process, or of none. As asyncio's own, without what debugging needs."""

    __slots__ = ("process",)

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
        when: float = 0.0,
    ) -> None:
        if context is None:
            context = contextvars.copy_context()
        self.process = context.get(_PROCESS)
        self._when = when
        self._callback = callback
        self._args = args
        self._context = context
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True
        self._callback, self._args = _nothing, ()

    def take(self) -> None:
        """Do it, unless its process is stopped."""
        if self._cancelled or (self.process and self.process.stops(self)):
            return
        try:
            self._context.run(self._callback, *self._args)
        except Exception as error:  # noqa: BLE001 - as asyncio does
            loop = asyncio.get_running_loop()
            loop.call_exception_handler({"message": "Exception in callback", "exception": error})


def _nothing() -> None:
    """What a cancelled step does."""


class Loop(asyncio.BaseEventLoop):
    """Hours pass at once, and exactly; there is no I/O."""

    _ready: deque[_Step]

    def __init__(self) -> None:
        super().__init__()
        self._time = 0.0
        self._turns = 0
        self._order = itertools.count()
        self._timers: list[tuple[float, int, _Step]] = []

    def time(self) -> float:
        return self._time

    def take_up(self, steps: list[_Step]) -> None:
        """Run these next."""
        self._ready.extend(steps)

    def _run_once(self) -> None:
        self._turns += 1
        if self._turns > TURNS:
            raise SpinError(f"{TURNS} turns, at second {self._time:.1f}")
        timers, ready = self._timers, self._ready
        if not ready:
            while timers and timers[0][2].cancelled():
                heapq.heappop(timers)
            if not timers:
                raise RuntimeError("everybody waits, and no timer is set: this would hang")
            self._time = max(self._time, timers[0][0])
        while timers and timers[0][0] <= self._time:
            ready.append(heapq.heappop(timers)[2])
        for _ in range(len(ready)):
            ready.popleft().take()

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Any = None
    ) -> _Step:
        step = _Step(callback, args, context)
        # What a closed loop has left behind is being forgotten.
        if not self.is_closed():
            self._ready.append(step)
        return step

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, context: Any = None
    ) -> _Step:
        return self.call_at(self._time + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> _Step:
        step = _Step(callback, args, context, when)
        heapq.heappush(self._timers, (when, next(self._order), step))
        return step


def run(main: Any) -> Any:
    """Run a coroutine to its end, and forget whatever it leaves behind."""
    loop = Loop()
    loop.set_exception_handler(lambda *_: None)
    task = loop.create_task(main)
    try:
        return loop.run_until_complete(task)
    finally:
        for left in asyncio.all_tasks(loop):
            left._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.close()
