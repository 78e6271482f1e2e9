"""Durations of the Gateway API's form (GEP-2257): `10m`, `1h30m`, `500ms`.

Models keep them as written, so that what is dumped is what was read; `parse_duration` gives the
value. The form is a subset of Go's, hence readable by CEL's `duration()` and by `kubectl`'s users.
"""

import re
from datetime import datetime, timedelta
from typing import Annotated, Final

from taskmill.api.schema import Cel, Keywords

PATTERN: Final = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"

_FORM: Final = re.compile(PATTERN.removeprefix("^").removesuffix("$"))
_PART: Final = re.compile(r"([0-9]+)(ms|h|m|s)")
_UNITS: Final = {
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_MAX_LENGTH: Final = Keywords({"maxLength": 28})  # four parts of five digits and two letters


def parse_duration(text: str) -> timedelta:
    """Reads a duration such as `1h30m`. ValueError when it is not of that form."""
    if not _FORM.fullmatch(text):
        raise ValueError(f"not a duration such as 30s, 10m or 1h30m: {text!r}")
    return sum((int(n) * _UNITS[unit] for n, unit in _PART.findall(text)), timedelta())


def format_duration(value: timedelta) -> str:
    """Writes a duration in its shortest form: `1h30m`, `0s`. ValueError when it has none.

    Sums of several may have more hours than can be read back: this is for sentences, too.
    """
    if value % _UNITS["ms"] or value < timedelta():
        raise ValueError(f"no duration in milliseconds from 0 on: {value!r}")
    parts: list[str] = []
    rest = value
    for unit, size in _UNITS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def later(moment: datetime, length: timedelta) -> datetime:
    """The moment so much later; the last one there is, when it would be beyond that."""
    try:
        return moment + length
    except OverflowError:
        return datetime.max.replace(tzinfo=moment.tzinfo)


Duration = Annotated[
    str,
    _MAX_LENGTH,
    Cel(
        rule=f"self.matches('{PATTERN}') && duration(self) > duration('0s')",
        message=(
            "must be a duration of more than zero, such as 30s, 10m or 1h30m"
            " (units h, m, s and ms; write two days as 48h)"
        ),
    ),
]
"""A duration of more than zero, as written."""

DurationOrZero = Annotated[
    str,
    _MAX_LENGTH,
    Cel(
        rule=f"self.matches('{PATTERN}')",
        message="must be a duration such as 0s, 30s or 1m30s (units h, m, s and ms)",
    ),
]
"""A duration that may be zero, as written."""
