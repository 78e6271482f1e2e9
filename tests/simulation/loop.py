"""An event loop whose clock jumps to the next timer, and processes in it that freeze and die."""

from __future__ import annotations

import asyncio
import contextvars
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
        self._parked: list[Callable[[], None]] = []
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
        self._parked.clear()

    def terminate(self) -> None:
        """SIGTERM: it may clean up."""
        for task in self._tasks:
            self._context.run(task.cancel)

    def freeze(self) -> None:
        self.frozen = True

    def thaw(self) -> None:
        self.frozen = False
        parked, self._parked = self._parked, []
        for run in parked:
            asyncio.get_running_loop().call_soon(run, context=self._context)

    def run(self, step: _Step) -> None:
        """Take one step, unless it is stopped."""
        if self.dead:
            return
        if self.frozen:
            context = contextvars.copy_context()
            self._parked.append(lambda: context.run(self.run, step))
        elif not (step.handle and step.handle.cancelled()):
            step.callback(*step.args)


class _Step:
    """A callback that may be cancelled as long as it has not run: also while it is parked."""

    __slots__ = ("args", "callback", "handle")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.callback, self.args = callback, args
        self.handle: asyncio.Handle | None = None


class Loop(asyncio.SelectorEventLoop):
    """Hours pass at once, and exactly; no I/O ever comes."""

    def __init__(self) -> None:
        super().__init__()
        self._time = 0.0
        self._turns = 0
        self._selector.select = self._jump  # type: ignore[attr-defined]

    def time(self) -> float:
        return self._time

    def _jump(self, timeout: float | None = None) -> list[Any]:
        self._turns += 1
        if self._turns > TURNS:
            raise SpinError(f"{TURNS} turns, at second {self._time:.1f}")
        if timeout is None:
            raise RuntimeError("everybody waits, and no timer is set: this would hang")
        self._time += timeout
        return []

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        process = _PROCESS.get() if context is None else context.get(_PROCESS)
        if self.is_closed():
            # What was left behind is being forgotten.
            return asyncio.Handle(callback, args, self, context)
        if process is None:
            return super().call_soon(callback, *args, context=context)
        step = _Step(callback, args)
        step.handle = super().call_soon(process.run, step, context=context)
        return step.handle

    def call_at(
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        process = _PROCESS.get() if context is None else context.get(_PROCESS)
        if process is None:
            return super().call_at(when, callback, *args, context=context)
        step = _Step(callback, args)
        handle = super().call_at(when, process.run, step, context=context)
        step.handle = handle
        return handle


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
