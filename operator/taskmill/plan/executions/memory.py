"""Quantities of memory, for an attempt that gets more than the one before."""

from __future__ import annotations

import re
from fractions import Fraction

_SUFFIXES = {
    "": Fraction(1),
    "m": Fraction(1, 1000),
    **{suffix: Fraction(1000**power) for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Fraction(1024**power) for power, suffix in enumerate("KMGTPE", 1)},
}
"""k8s.io/apimachinery/pkg/api/resource; smaller than milli is nothing here."""
_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)(?:([eE][+-]?\d{1,2})|([a-zA-Z]{0,2}))")
_MEBIBYTE = 1024**2


def size(quantity: str) -> Fraction | None:
    """A quantity in bytes; None when it is none."""
    match = _QUANTITY.fullmatch(quantity.strip())
    if match is None or (match[3] or "") not in _SUFFIXES:
        return None
    power = Fraction(10) ** int(match[2][1:]) if match[2] else Fraction(1)
    return Fraction(match[1]) * power * _SUFFIXES[match[3] or ""]


def raised(limit: str, percent: int, most: str) -> str | None:
    """`limit` in `percent`, but no more than `most`; None when it cannot be raised."""
    now, top = size(limit), size(most)
    if now is None or top is None or now >= top or now <= 0:
        return None
    # In whole mebibytes, upwards.
    wanted = -(-now * percent // (100 * _MEBIBYTE))
    return f"{wanted}Mi" if wanted * _MEBIBYTE < top else most
