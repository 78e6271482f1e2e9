"""Keys that met an API server that does not answer.

One of them asks every second; when it is answered, all others follow at once. So an outage costs
hardly anything while it lasts, and nothing is late when it is over.
"""

from collections.abc import Callable

from taskmill.reconcile.cache import Key

ASK_EVERY = 1.0
"""Seconds."""


class Outage:
    """The keys that wait for the API server; `again` queues one after so many seconds."""

    def __init__(self, again: Callable[[Key, float], None]) -> None:
        self._again = again
        self._waiting: set[Key] = set()
        self._asking: Key | None = None

    def met(self, key: Key) -> None:
        """The key's pass got no answer."""
        self._waiting.add(key)
        if self._asking is None:
            self._asking = key
        if key == self._asking:
            self._again(key, ASK_EVERY)

    def unsure(self, key: Key) -> None:
        """The key's pass ended early and tells nothing."""
        if key == self._asking:
            self._again(key, ASK_EVERY)

    def over(self, key: Key) -> None:
        """The key's pass ended, whatever it was told."""
        if key != self._asking:
            return
        waiting, self._waiting, self._asking = self._waiting, set(), None
        for other in waiting - {key}:
            self._again(other, 0.0)
