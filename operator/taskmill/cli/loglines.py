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

    @property
    def query(self) -> dict[str, str]:
        """What to ask the API server for."""
        since = {"sinceTime": self.stamp.decode()} if self.stamp else {}
        return {"timestamps": "true", **since}

    def reopen(self) -> None:
        """A new stream begins."""
        self._again = 0

    def take(self, line: bytes) -> bytes | None:
        """The line without its timestamp; None when it was there before."""
        found = _STAMP.match(line)
        if not found:
            return line  # the kubelet's own words
        stamp = found[1]
        if stamp < self.stamp:
            return None
        if stamp == self.stamp:
            self._again += 1
            if self._again <= self.count:
                return None
            self.count += 1
        else:
            self.stamp, self.count, self._again = stamp, 1, 1
        return line[found.end() :]
