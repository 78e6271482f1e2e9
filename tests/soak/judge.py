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
    usual = statistics.median(s["memory"] for s in warm)
    slope, most = _an_hour(warm, "memory"), max(5.0, 0.05 * usual)
    words = f"memory: {usual:.1f} MiB, {slope:+.2f} an hour, {most:.1f} allowed"
    found = [(words, slope <= most)]
    for name in COUNTS:
        first = statistics.median(s[name] for s in warm if s["at"] < began + third)
        last = statistics.median(s[name] for s in warm if s["at"] > ended - third)
        slope, most = _an_hour(warm, name), first + max(5.0, 0.2 * first)
        words = f"{name}: {first:.0f} in the first third, {last:.0f} in the last"
        found.append((f"{words}, {most:.0f} allowed; {slope:+.1f} an hour", last <= most))
    return found


def _an_hour(samples: list[Sample], name: str) -> float:
    hours = [sample["at"] / 3600 for sample in samples]
    return statistics.linear_regression(hours, [sample[name] for sample in samples]).slope
