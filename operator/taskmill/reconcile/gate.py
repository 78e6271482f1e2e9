"""So many at a time, and the others in the order in which they came."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from taskmill.reconcile.cache import Key


class NoPlaceError(Exception):
    """All places are taken; the key is queued when one becomes free."""


class Gate:
    """Keeps what may hang (a creation that waits for a webhook) from taking all workers.

    `again` queues a key that found no place. Whoever runs passes says when one is over.
    """

    def __init__(self, places: int, again: Callable[[Key], None]) -> None:
        self._free = places
        self._again = again
        self._waiting: dict[Key, None] = {}
        self._called: set[Key] = set()
        """Those for whom a place is kept until their pass is over."""

    def lines_up(self, key: Key) -> bool:
        """Whether there is no place, and the key, not known to wait, waits for one from now on."""
        if self._has_place(key) or key in self._waiting:
            return False
        self._waiting[key] = None
        return True

    @contextmanager
    def place(self, key: Key) -> Iterator[None]:
        """A place for as long as this lasts. Raises `NoPlaceError`."""
        if not self._has_place(key):
            self._waiting.setdefault(key)
            raise NoPlaceError
        self._waiting.pop(key, None)
        self._called.discard(key)
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1
            self._call()

    def passed(self, key: Key) -> None:
        """The key's pass is over: if it was called and took no place, that is another's."""
        if key in self._called:
            self._called.discard(key)
            self._call()

    def _has_place(self, key: Key) -> bool:
        """Whether a place is free that is not kept for somebody else."""
        return self._free > len(self._called - {key})

    def _call(self) -> None:
        while self._waiting and len(self._called) < self._free:
            first = next(iter(self._waiting))
            del self._waiting[first]
            self._called.add(first)
            self._again(first)
