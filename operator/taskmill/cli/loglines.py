"""Lines of a log that is read with timestamps, so that a cut stream is taken up where it was cut.

Pure. The API server can begin at a moment, but gives what has that moment again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) ?")


@dataclass(slots=True)
class Position:
    """How far a log was read."""

    stamp: bytes = b""
    """Of the last line."""
    count: int = 0
    """Lines with that stamp so far."""
    _again: int = 0
    """Those of them that this stream has given again."""
    _replays: bool = False
    """Whether this stream may still give what was there before."""

    @property
    def query(self) -> dict[str, str]:
        """What to ask the API server for."""
        since = {"sinceTime": self.stamp.decode()} if self.stamp else {}
        return {"timestamps": "true", **since}

    def reopen(self) -> None:
        """A new stream begins."""
        self._again, self._replays = 0, bool(self.stamp)

    def take(self, line: bytes) -> bytes | None:
        """The line without its timestamp; None when it was there before."""
        found = _STAMP.match(line)
        if not found:
            return line  # the kubelet's own words
        stamp, text = found[1], line[found.end() :]
        if self._replays and self._was_there(stamp):
            return None
        # From here on all is new, although a node's clock may be set back.
        self._replays = False
        self.count = self.count + 1 if stamp == self.stamp else 1
        self.stamp = stamp
        return text

    def _was_there(self, stamp: bytes) -> bool:
        """Of one width, stamps are ordered as text is."""
        self._again += stamp == self.stamp
        return stamp < self.stamp or (stamp == self.stamp and self._again <= self.count)
