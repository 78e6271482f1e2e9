"""Which keys need a pass, and when.

One key is handed out to one worker at a time. A key told again while it is out runs exactly
once more afterwards, however often it was told. Times are the event loop's own (`loop.time()`),
in seconds; the queue belongs to one loop and to no thread but its own.
"""

import asyncio
import heapq
import itertools
import random
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_FIRST_RETRY = 0.2
_LAST_RETRY = 60.0
_SLACK = 64  # superseded heap entries tolerated before a rebuild is considered


class WorkQueue(Generic[K]):
    """Keys that are ready, keys that become ready at a time, and keys that are out.

    `jitter` gives the share of a retry's delay to really wait, in (0, 1].
    """

    def __init__(self, *, jitter: Callable[[], float] | None = None) -> None:
        self._jitter = jitter or (lambda: random.uniform(0.5, 1.0))  # noqa: S311 (no secret)
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._queued: dict[K, float] = {}  # what is in _ready, in that order, and since when
        self._busy: set[K] = set()
        self._again: set[K] = set()  # busy, and due for one more run
        self._due: dict[K, float] = {}  # the truth; the heap may hold more than it
        self._heap: list[tuple[float, int, K]] = []
        self._order = itertools.count()  # keys need not compare
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0
        self._failures: dict[K, int] = {}
        self._closed = False
        self._returned = asyncio.Event()

    def __len__(self) -> int:
        """Keys that will run: ready, scheduled, or due again after the run they are in."""
        return len(self._queued) + len(self._due) + len(self._again)

    @property
    def depth(self) -> int:
        """Keys that could run now if there were workers."""
        return len(self._queued)

    @property
    def oldest(self) -> float:
        """For how many seconds the first of them has waited; 0 when there is none."""
        since = next(iter(self._queued.values()), None)
        return 0.0 if since is None else asyncio.get_running_loop().time() - since

    def add(self, key: K) -> None:
        """Run the key as soon as possible; a later time it was scheduled for is dropped."""
        self._due.pop(key, None)
        if key in self._busy:
            self._again.add(key)
        elif key not in self._queued:
            self._queued[key] = asyncio.get_running_loop().time()
            self._ready.put_nowait(key)

    def add_at(self, key: K, when: float) -> None:
        """Run the key at this loop time, unless it runs earlier anyway."""
        if when <= asyncio.get_running_loop().time():
            self.add(key)
            return
        if key in self._queued or key in self._again:
            return
        known = self._due.get(key)
        if known is not None and known <= when:
            return
        self._due[key] = when
        heapq.heappush(self._heap, (when, next(self._order), key))
        if len(self._heap) > 2 * len(self._due) + _SLACK:
            self._compact()
        self._set_alarm()

    def add_in(self, key: K, seconds: float) -> None:
        """Run the key after so many seconds, unless it runs earlier anyway."""
        self.add_at(key, asyncio.get_running_loop().time() + seconds)

    def retry(self, key: K) -> None:
        """Run the key after a delay that doubles with each call until `forget`; no last one."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        # The exponent is bounded: 2.0**1100 raises, and a key may fail for weeks.
        delay = min(_LAST_RETRY, _FIRST_RETRY * 2.0 ** min(failures, 32)) * self._jitter()
        self.add_in(key, delay)

    def forget(self, key: K) -> None:
        """The key did well: its next retry is a first one."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The next ready key, first come first served; it is out until `done`.

        To stop a waiting worker, cancel its task; nothing is lost by that.
        """
        key = await self._ready.get()
        if self._closed:
            await asyncio.Event().wait()  # until the worker is cancelled
        self._queued.pop(key, None)
        self._busy.add(key)
        return key

    def done(self, key: K) -> None:
        """The run of the key has ended; ValueError when it was not out."""
        if key not in self._busy:
            raise ValueError(f"{key!r} is not being worked on")
        self._busy.discard(key)
        self._returned.set()
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    async def close(self) -> None:
        """Hand out nothing more, and wait until all that is out has come back."""
        self._closed = True
        while self._busy:
            self._returned.clear()
            await self._returned.wait()

    def _ring(self) -> None:
        """Make ready what is due."""
        self._alarm = None
        now = asyncio.get_running_loop().time()
        while self._heap and self._heap[0][0] <= now:
            when, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == when:
                self.add(key)
        self._set_alarm()

    def _set_alarm(self) -> None:
        """One timer for the whole queue, at the earliest time that still counts."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        if self._alarm is not None:
            if self._heap and self._alarm_at <= self._heap[0][0]:
                return  # it rings early at worst, and then sets itself anew
            self._alarm.cancel()
            self._alarm = None
        if self._heap:
            self._alarm_at = self._heap[0][0]
            self._alarm = asyncio.get_running_loop().call_at(self._alarm_at, self._ring)

    def _compact(self) -> None:
        """Drop superseded entries: what is left has one entry per scheduled key."""
        self._heap = [(when, next(self._order), key) for key, when in self._due.items()]
        heapq.heapify(self._heap)
