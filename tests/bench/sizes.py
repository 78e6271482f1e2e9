"""How much is measured; each number can be given by the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Sizes:
    """TASKMILL_BENCH_<NAME> overrides a field; lists are separated by commas."""

    # Runs submitted at once in one turn of one contender.
    runs: int = 300
    turns: int = 5
    # Runs one after the other, with real containers.
    idle: int = 20
    # Executions that run for as long as the lane lasts; each level adds to the one before.
    live: tuple[int, ...] = (100, 1000, 10_000)
    # Executions that have ended and are kept.
    finished: tuple[int, ...] = (1000, 10_000)
    # Runs on top of the live ones.
    fresh: int = 200
    # Seconds of nothing to do.
    rest: int = 30

    @classmethod
    def from_environment(cls) -> Self:
        return cls(
            runs=_number("RUNS", cls.runs),
            turns=_number("TURNS", cls.turns),
            idle=_number("IDLE", cls.idle),
            live=_numbers("LIVE", cls.live),
            finished=_numbers("FINISHED", cls.finished),
            fresh=_number("FRESH", cls.fresh),
            rest=_number("REST", cls.rest),
        )


def out() -> Path:
    """The folder of the report."""
    return Path(os.environ.get("TASKMILL_BENCH_OUT") or ROOT / "docs")


def _number(name: str, default: int) -> int:
    return int(os.environ.get(f"TASKMILL_BENCH_{name}") or default)


def _numbers(name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    given = os.environ.get(f"TASKMILL_BENCH_{name}")
    return tuple(sorted(int(part) for part in given.split(","))) if given else default
