"""Bad weather between the operator and its API server, from a seed."""

import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cluster.local import LocalCluster
from e2e.faults.call import Call
from e2e.faults.proxy import Answer, Cut, Fault, Hang, Lose, Pass, Stream

_SILENCE = 8.0
"""Seconds at most: the operator gives a silent watch up after 75, and there is no setting."""
_FAULTS: tuple[tuple[float, Fault], ...] = (
    (0.03, Answer(429, retry_after=1)),
    (0.03, Answer(500)),
    (0.03, Answer(503)),
    (0.04, Lose()),
    (0.005, Lose(hangs=True)),
    (0.03, Cut()),
    (0.005, Hang()),
)
_WATCH_FAULTS: tuple[tuple[float, Fault], ...] = (
    (0.05, Answer(410)),
    (0.05, Answer(503)),
    (0.05, Cut()),
)
_COMPACT = """
import json, urllib.request
def ask(what, **body):
    url = "http://127.0.0.1:2379/v3/kv/" + what
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode())) as answer:
        return json.load(answer)
ask("compaction", revision=ask("range", key="AA==")["header"]["revision"])
"""


class Weather:
    """Decides by dice what happens to each request, and counts it."""

    def __init__(self, seed: int) -> None:
        self.seen: Counter[str] = Counter()
        self._dice = random.Random(seed)

    def __call__(self, call: Call) -> Fault:
        fault = self._throw(_WATCH_FAULTS if call.watches else _FAULTS)
        if fault is None:
            fault = self._stream() if call.watches else Pass(self._delay())
        self.seen[_kind(fault)] += 1
        return fault

    def _throw(self, faults: tuple[tuple[float, Fault], ...]) -> Fault | None:
        thrown = self._dice.random()
        for share, fault in faults:
            thrown -= share
            if thrown < 0:
                return fault
        return None

    def _delay(self) -> float:
        return self._dice.uniform(0.05, 2.0) if self._dice.random() < 0.15 else 0.0

    def _stream(self) -> Stream:
        how = self._dice.choice(["cut", "half", "gone", "silent"])
        return Stream(
            lag=self._dice.choice([0.0, 0.0, 0.5, 2.0]),
            ends_in=self._dice.uniform(_SILENCE, 4 * _SILENCE),
            half=how == "half",
            gone=how == "gone",
            # The line that is cut in half is one that would come now.
            silent=1.0 if how == "half" else _SILENCE * (how == "silent"),
        )


@dataclass(frozen=True)
class Outage:
    """A time in which nothing gets through, by the clock."""

    began: float
    ended: float


class Outages:
    """Those there were."""

    def __init__(self) -> None:
        self.been: list[Outage] = []

    @contextmanager
    def one(self) -> Iterator[None]:
        """For as long as this lasts."""
        began = time.time()
        yield
        self.been.append(Outage(began, time.time()))

    def during(self, began: float, ended: float) -> float:
        """How many seconds of that time were outages."""
        shared = (min(one.ended, ended) - max(one.began, began) for one in self.been)
        return sum(max(0.0, seconds) for seconds in shared)


def restart_forgetful(local: LocalCluster) -> None:
    """The API server is new and its store has forgotten the past: every watch starts over."""
    local.sandbox.run(sys.executable, "-c", _COMPACT)
    local.restart("apiserver")


def _kind(fault: Fault) -> str:
    match fault:
        case Pass(delay):
            return "delayed" if delay else "passed"
        case Answer(status):
            return str(status)
        case Lose(hangs=hangs):
            return "applied, hung" if hangs else "applied, cut"
        case Stream(half=half, gone=gone, silent=silent):
            ends = "cut in a line" if half else "410" if gone else "silent" if silent else "cut"
            return f"watch {ends}"
        case _:
            return type(fault).__name__.lower()
