"""Something asynchronous in a thread of its own, for as long as its `with` lasts."""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

T = TypeVar("T")
_PATIENCE = 30.0


class Background(ABC):
    """Entered it is up; left it has ended, and raises what went wrong there."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._serving: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(_PATIENCE)
        if self._error:
            raise self._error
        return self

    def __exit__(self, *_: object) -> None:
        if self._serving:
            self._loop.call_soon_threadsafe(self._serving.cancel)
        self._thread.join(_PATIENCE)
        assert not self._thread.is_alive()
        self._loop.close()
        if self._error:
            raise self._error

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Its result, from there; for other threads."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_PATIENCE)

    @abstractmethod
    async def serve(self, up: Callable[[], None]) -> None:
        """Until cancelled; calls `up` once it is of use."""

    def _run(self) -> None:
        try:
            self._serving = self._loop.create_task(self.serve(self._up.set))
            self._loop.run_until_complete(self._serving)
        except asyncio.CancelledError:
            pass
        except Exception as error:  # noqa: BLE001 (raised where it is left)
            self._error = error
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            # What was encrypted takes a moment to be closed.
            self._loop.run_until_complete(asyncio.sleep(0.25))
            self._up.set()
