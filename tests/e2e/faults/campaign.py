"""Many runs of every kind through one operator, and whether each ended once and rightly."""

import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from e2e.faults.lane import Lane
from e2e.faults.scenarios import is_final, running
from e2e.faults.weather import Outages
from e2e.test_endings import at
from e2e.test_plans import ON_KWOK
from e2e.test_retries import SOON
from e2e.user import condition, execution, run_spec, task

REAL, PLAYED = 16, 16
"""Most runs at a time, with real containers and with played ones."""
PATIENCE = 180.0
SETTLES = 30.0
AGAIN = [
    {
        "name": "ATTEMPT",
        "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['taskmill.dev/attempt']"}},
    }
]

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """What to run, with what else a spec needs, and how it must end."""

    make: Callable[[str, JsonObject], JsonObject]
    ends: tuple[str, str]
    """Phase and reason."""
    jobs: dict[str, int]
    """How many attempts each step has; of one that is stopped, at most."""
    by_hand: bool = False
    """It is stopped, and its Job deleted."""
    played: bool = False
    """Its containers only have to succeed."""


def _plan(name: str, where: JsonObject) -> JsonObject:
    first = {"id": "first", "task": run_spec("true", **where)}
    then = {"id": "then", "dependsOn": ["first"], "task": run_spec("true", **where)}
    return execution(name, plan=[first, then])


def _again(name: str, _: JsonObject) -> JsonObject:
    script, retry = 'test "$ATTEMPT" = 2 || exit 7', {"limit": 3, **SOON}
    return execution(name, run_spec(script, env=AGAIN, retry=retry))


def _long(name: str, **spec: Any) -> JsonObject:
    return execution(name, run_spec("sleep 600", gracePeriod="5s"), **spec)


KINDS: Mapping[str, Kind] = {
    "plain": Kind(
        lambda n, where: execution(n, run_spec("true", **where)),
        ("Succeeded", ""),
        {"main": 1},
        played=True,
    ),
    "fails": Kind(lambda n, _: execution(n, run_spec("exit 3")), ("Failed", "Error"), {"main": 1}),
    "again": Kind(_again, ("Succeeded", ""), {"main": 2}),
    "steps": Kind(_plan, ("Succeeded", ""), {"first": 1, "then": 1}, played=True),
    "stop": Kind(lambda n, _: _long(n), ("Stopped", "Stopped"), {"main": 1}, by_hand=True),
    "late": Kind(
        lambda n, _: _long(n, deadline=at(12)),
        ("Failed", "DeadlineExceeded"),
        {"main": 1},
        by_hand=True,
    ),
    "change": Kind(
        lambda n, where: task(n, "true", **where), ("Succeeded", ""), {"": 1}, played=True
    ),
}


class Campaign:
    """All runs, through one operator, in one namespace; with fake nodes, some are played there."""

    def __init__(
        self,
        lane: Lane,
        dice: random.Random,
        runs: int,
        *,
        kinds: Mapping[str, Kind] = KINDS,
        fake_nodes: bool,
    ) -> None:
        self.lane = lane
        self.outages = Outages()
        self._dice = dice
        self._kinds = kinds
        self._fake_nodes = fake_nodes
        row = list(kinds) * (runs // len(kinds) + 1)
        dice.shuffle(row)
        self.names = [f"{kind}{number:05d}" for number, kind in enumerate(row[:runs])]

    def run(self, meanwhile: Callable[[int], None] = lambda _: None) -> None:
        """Begin them few by few, until the last has ended; `meanwhile` hears how many began."""
        waiting, live = list(self.names), set[str]()
        moved_at = time.monotonic()
        while waiting or live:
            ended = {name for name in live if self.executions(name) and self._is_over(name)}
            live -= ended
            new = self._next(waiting, live)
            live |= set(new)
            if new:
                where = ON_KWOK if self._fake_nodes else {}
                self.lane.user.apply(*(self.kind_of(name).make(name, where) for name in new))
            if ended or new:
                moved_at = time.monotonic()
            assert not self._has_ended(), self.lane.process.written()[-2000:]
            assert time.monotonic() < moved_at + PATIENCE, f"not over: {live}"
            self._stop(live)
            meanwhile(len(self.names) - len(waiting))
            time.sleep(0.2)

    def kind_of(self, name: str) -> Kind:
        """What a run is."""
        return self._kinds[name[:-5]]

    def executions(self, name: str) -> list[JsonObject]:
        """All there ever were of one run."""
        return self.lane.witness.all("taskexecutions", prefix=name)

    def settle(self, excused: Collection[str] = ()) -> list[str]:
        """Wait for what is left to be done; what is not as it must be then.

        Those that are excused may have another verdict than their kind, and fewer Jobs.
        """
        with suppress(AssertionError):  # told below, with all else
            self.lane.user.wait(lambda: not self._left_over(), within=SETTLES)
        wrong = [f"{name} is left over" for name in self._left_over()]
        return wrong + [words for name in self.names for words in self._wrong(name, excused)]

    def ends(self) -> dict[str, int]:
        """How many ended how."""
        found = (one for name in self.names for one in self.executions(name))
        return dict(sorted(Counter(one["status"]["phase"] for one in found).items()))

    def worst(self) -> float:
        """Seconds, without outages, from a deadline until it was told that it has passed."""
        delays = [0.0]
        for one in self.executions("late"):
            due = seconds(one["status"]["deadline"])
            told = condition(one, "FailureTarget") or condition(one, "Finished")
            said = seconds(told["lastTransitionTime"])
            delays.append(said - due - self.outages.during(due, said))
        return max(delays)

    def _next(self, waiting: list[str], live: set[str]) -> list[str]:
        played = {name for name in live if self._is_played(name)}
        room = {True: PLAYED - len(played), False: REAL - len(live - played)}
        new = []
        for name in tuple(waiting):
            where = self._is_played(name)
            if room[where] > 0:
                room[where] -= 1
                waiting.remove(name)
                new.append(name)
        return new

    def _is_played(self, name: str) -> bool:
        return self._fake_nodes and self.kind_of(name).played

    def _has_ended(self) -> bool:
        running = self.lane.process._process
        return running is None or running.poll() is not None

    def _is_over(self, name: str) -> bool:
        return all(map(is_final, self.executions(name)))

    def _stop(self, live: set[str]) -> None:
        for name in live:
            if name.startswith("stop") and (found := self.executions(name)):
                asked = "desiredPhase" in found[0]["spec"]
                # Most run by then; some have only just been made.
                if not asked and (running(self.lane.witness, name) or self._dice.random() < 0.01):
                    stopped = {"spec": {"desiredPhase": "Stopped"}}
                    self.lane.user.patch("taskexecutions", name, stopped)

    def _wrong(self, name: str, excused: Collection[str]) -> Iterator[str]:
        """What is not as it must be of one run."""
        kind, witness, found = self.kind_of(name), self.lane.witness, self.executions(name)
        if len(found) != 1:
            yield f"{name}: {len(found)} executions"
            return
        verdicts = witness.verdicts(found[0])
        if len(verdicts) != 1 or not (name in excused or verdicts[0][:2] == kind.ends):
            yield f"{name}: {verdicts}"
        jobs, pods = witness.attempts("jobs", name), witness.attempts("pods", name)
        wanted = {
            (step, str(attempt))
            for step, count in kind.jobs.items()
            for attempt in range(1, count + 1)
        }
        fewer = kind.by_hand or name in excused
        right = jobs.keys() <= wanted if fewer else jobs.keys() == wanted
        if not right or set(jobs.values()) - {1} or set(pods.values()) - {1}:
            yield f"{name}: Jobs {jobs}, pods {pods}"

    def _left_over(self) -> list[str]:
        """Jobs that should be gone, of runs that were stopped."""
        jobs = (job["metadata"]["name"] for job in self.lane.witness.there("jobs"))
        return [name for name in jobs if name.startswith(("stop", "late"))]


def seconds(moment: str) -> float:
    """Of the clock."""
    return datetime.fromisoformat(moment).timestamp()
