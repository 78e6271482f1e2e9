"""What the pages of the report have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from bench.stats import ratio

Told = dict[str, Any]
DEFAULT_QPS = 20
"""Requests a second that Kubernetes' controllers may make, if nobody says otherwise."""
BASE = "Jobs"
"""Whom the others are compared with."""
JOB_CREATED = "created -> Job created"
VERDICT = "container's end visible -> verdict"


def names(played: Iterable[Told]) -> list[str]:
    return list(dict.fromkeys(turn["contender"] for turn in played))


def turns_of(played: Iterable[Told], name: str) -> list[Told]:
    return [turn for turn in played if turn["contender"] == name]


def middle(mine: Sequence[Told]) -> Told:
    """The turn whose rate is the median."""
    wanted = median(turn["rate"] for turn in mine)
    return min(mine, key=lambda turn: abs(float(turn["rate"]) - wanted))


def against(ours: Sequence[Told], theirs: Sequence[Told]) -> dict[str, float]:
    return ratio([turn["rate"] for turn in ours], [turn["rate"] for turn in theirs])


def interval(found: dict[str, float]) -> str:
    if "low" not in found:
        return f"{found['mean']:.2f}"
    return f"{found['mean']:.2f} ({found['low']:.2f} to {found['high']:.2f})"


def listed(values: dict[str, float]) -> str:
    return ", ".join(f"{value:.2f} {name}" for name, value in values.items() if value)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
