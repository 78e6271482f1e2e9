"""The little statistics that the report needs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

# Student's t at 97.5 %, by degrees of freedom from 1 on.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
_T_MANY = 2.2  # a little too much for more of them


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of all does not exceed; NaN for none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def percentiles(values: Sequence[float]) -> dict[str, float]:
    return {f"p{round(100 * share)}": percentile(values, share) for share in (0.5, 0.9, 0.99)}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Of values measured in pairs: the geometric mean and its 95 % confidence interval."""
    logs = [math.log(a / b) for a, b in zip(ours, theirs, strict=True)]
    mean = statistics.fmean(logs)
    found = {"mean": math.exp(mean)}
    if len(logs) > 1:
        t = _T[len(logs) - 2] if len(logs) - 2 < len(_T) else _T_MANY
        half = t * statistics.stdev(logs) / math.sqrt(len(logs))
        found |= {"low": math.exp(mean - half), "high": math.exp(mean + half)}
    return found
