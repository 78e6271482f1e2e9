"""Moments and lengths of time, as people read them."""

from __future__ import annotations

from datetime import datetime, timedelta

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def moment(text: object) -> datetime | None:
    """The moment that the API server wrote; None when it is none."""
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return at if at and at.tzinfo else None


def length(time: timedelta) -> str:
    """Two units at most, as kubectl tells ages: 7s, 4m12s, 3h5m, 2d4h, 40d."""
    seconds = max(0, int(time.total_seconds()))
    days = seconds // _DAY
    if days >= 10:  # noqa: PLR2004 - hours do not matter any more
        return f"{days}d"
    for unit, size, lower, below in (
        ("d", _DAY, "h", _HOUR),
        ("h", _HOUR, "m", _MINUTE),
        ("m", _MINUTE, "s", 1),
    ):
        if seconds >= size:
            rest = seconds % size // below
            return f"{seconds // size}{unit}" + (f"{rest}{lower}" if rest else "")
    return f"{seconds}s"


def between(since: datetime | None, until: datetime | None) -> str:
    """The length from one moment to another; "" when one is missing."""
    return length(until - since) if since and until else ""
