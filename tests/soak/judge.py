"""Whether figures stay what they are."""

import statistics
from typing import Any

WARM_UP = 300.0
"""Seconds at most; of a short soak, a sixth."""
COUNTS = ("tasks", "threads", "connections", "fds", "cached")

Sample = dict[str, Any]


def growth(samples: list[Sample], began: float, ended: float) -> list[tuple[str, bool]]:
    """A sentence about each figure, and whether it is flat; times in seconds, memory in MiB."""
    third = (ended - began) / 3
    warm = [s for s in samples if began + min(WARM_UP, third / 2) <= s["at"] <= ended]
    early = [s for s in warm if s["at"] < began + third]
    late = [s for s in warm if s["at"] > ended - third]
    found = [_memory(early, late)]
    for name in COUNTS:
        first, last = _median(early, name), _median(late, name)
        slope, most = _an_hour(warm, name), first + max(5.0, 0.2 * first)
        words = f"{name}: {first:.0f} in the first third, {last:.0f} in the last"
        found.append((f"{words}, {most:.0f} allowed; {slope:+.1f} an hour", last <= most))
    return found


def _memory(early: list[Sample], late: list[Sample]) -> tuple[str, bool]:
    """What is listed anew may need more than ever before; but nothing grows with time."""
    first, last = _median(early, "memory"), _median(late, "memory")
    slope, steepest, most = _an_hour(late, "memory"), max(5.0, 0.05 * last), 1.1 * first
    words = f"memory: {first:.1f} MiB in the first third, {last:.1f} in the last"
    words += f", {most:.1f} allowed; {slope:+.1f} an hour in the last, {steepest:.1f} allowed"
    return words, last <= most and slope <= steepest


def _median(samples: list[Sample], name: str) -> float:
    return statistics.median(s[name] for s in samples)


def _an_hour(samples: list[Sample], name: str) -> float:
    hours = [sample["at"] / 3600 for sample in samples]
    return statistics.linear_regression(hours, [sample[name] for sample in samples]).slope
