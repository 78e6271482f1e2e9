"""Thousands of histories of an operator whose world misbehaves; none may break a promise.

A bug that a history ever found stays in `mutations.py`, with the seed that finds it, or here where
that is the only one known. Histories are played in processes of their own: the order of sets must
not depend on who runs the tests.
"""

import json
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from simulation.mutations import MUTATIONS

TESTS = Path(__file__).parents[1]
KNOWN = (
    *range(1, 1501),
    915597644,  # the deadline was told over an attempt that another process had made, and ended
    170604389,  # a node was lost while it still pulled the image
    3006718,  # what depends on a step began, though its success was taken away
    91079752,  # a new leader with an old status deleted the Job of the attempt it had not heard of
    3005647,  # a step succeeded as its Job was suspended, which ran it again beyond the deadline
)
FRESH = 200
WORKERS = 2
WITHIN = 1500
"""Histories for each mutation, from the seed that found it last: a change of the operator's own
requests changes what a seed does."""


def _played(*arguments: object) -> list[dict[str, object]]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "simulation.worker", *map(str, arguments)],
        cwd=TESTS,
        env=os.environ | {"PYTHONHASHSEED": "0"},
        check=True,
        capture_output=True,
        text=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def _all(seeds: list[int]) -> list[dict[str, object]]:
    parts = [seeds[n::WORKERS] for n in range(WORKERS)]
    with ThreadPoolExecutor(WORKERS) as pool:
        return [told for part in pool.map(lambda some: _played("-", *some), parts) for told in part]


@pytest.mark.timeout(900)
def test_no_history_breaks_a_promise(capsys: pytest.CaptureFixture[str]) -> None:
    fresh = random.randrange(10**6, 10**9)
    with capsys.disabled():
        print(f"\nfresh seeds: {fresh} to {fresh + FRESH - 1}")
    told = _all([*KNOWN, *range(fresh, fresh + FRESH)])
    assert len(told) == len(KNOWN) + FRESH
    broken = {one["seed"]: one["broken"] for one in told if one["broken"]}
    assert not broken, "`python -m simulation SEED` in tests/ tells the story"


def test_a_seed_is_one_history() -> None:
    (one,), (again,) = _played("-", 3), _played("-", 3)
    assert one == again
    assert one["story"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(len(MUTATIONS)), ids=[str(m) for m in MUTATIONS])
def test_what_is_broken_on_purpose_is_found(number: int) -> None:
    mutation = MUTATIONS[number]
    *_, told = _played(number, *range(mutation.seed, mutation.seed + WITHIN))
    assert told["broken"], "no history finds it: has the simulation gone blind?"
