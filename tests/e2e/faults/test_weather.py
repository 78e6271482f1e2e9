"""Many runs of every kind while the way to the API server is bad: all end once, and rightly."""

import os
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cluster.handle import Handle
from cluster.local import LocalCluster
from e2e.effort import number
from e2e.faults.lane import Lane, lane
from e2e.faults.proxy import fair
from e2e.faults.scenarios import is_final, running
from e2e.faults.weather import Outages, Weather, restart_forgetful
from e2e.test_endings import at
from e2e.test_plans import ON_KWOK
from e2e.test_retries import SOON
from e2e.user import condition, execution, run_spec, task

RUNS = number("TASKMILL_WEATHER_RUNS", short=40, long=150)
SEED = int(os.environ.get("TASKMILL_WEATHER_SEED", secrets.randbelow(10**6)))

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300 + 6 * RUNS)]

REAL, PLAYED = 16, 16
"""Most runs at a time, with real containers and with played ones."""
PATIENCE = 180.0
SETTLES = 30.0
SLACK = 45.0
"""Seconds, generous: several requests in a row may hang for 10 s each."""
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


KINDS = {
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


@dataclass
class Campaign:
    """All runs, through one operator, in one namespace."""

    lane: Lane
    local: LocalCluster | None
    dice: random.Random

    def __post_init__(self) -> None:
        self.outages = Outages()
        self._where = ON_KWOK if self.local else {}
        kinds = list(KINDS) * (RUNS // len(KINDS) + 1)
        self.dice.shuffle(kinds)
        self.names = [f"{kind}{number:05d}" for number, kind in enumerate(kinds[:RUNS])]
        self._refused_at = time.monotonic() + 10

    def run(self) -> None:
        """Begin them few by few, until the last one has ended."""
        waiting, live = list(self.names), set[str]()
        forgets = [RUNS // 3, 2 * RUNS // 3] if self.local else []
        moved_at = time.monotonic()
        while waiting or live:
            ended = {name for name in live if self.executions(name) and self._is_over(name)}
            live -= ended
            new = self._next(waiting, live)
            live |= set(new)
            if new:
                make = (kind_of(name).make(name, self._where) for name in new)
                self.lane.user.apply(*make)
            if ended or new:
                moved_at = time.monotonic()
            assert not self._has_ended(), self.lane.process.written()[-2000:]
            assert time.monotonic() < moved_at + PATIENCE, f"not over: {live}"
            self._stop(live)
            if forgets and RUNS - len(waiting) >= forgets[0]:
                forgets.pop(0)
                self._forget()
            self._refuse()
            time.sleep(0.2)

    def executions(self, name: str) -> list[JsonObject]:
        """All there ever were of one run."""
        return self.lane.witness.all("taskexecutions", prefix=name)

    def _next(self, waiting: list[str], live: set[str]) -> list[str]:
        played = {name for name in live if self.local and kind_of(name).played}
        room = {True: PLAYED - len(played), False: REAL - len(live - played)}
        new = []
        for name in tuple(waiting):
            where = bool(self.local and kind_of(name).played)
            if room[where] > 0:
                room[where] -= 1
                waiting.remove(name)
                new.append(name)
        return new

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
                if not asked and (running(self.lane.witness, name) or self.dice.random() < 0.01):
                    stopped = {"spec": {"desiredPhase": "Stopped"}}
                    self.lane.user.patch("taskexecutions", name, stopped)

    def _forget(self) -> None:
        assert self.local
        with self.outages.one():
            restart_forgetful(self.local)

    def _refuse(self) -> None:
        if time.monotonic() < self._refused_at:
            return
        with self.outages.one():
            self.lane.proxy.refuse()
            time.sleep(self.dice.uniform(0.5, 4.0))
            self.lane.proxy.listen()
        self._refused_at = time.monotonic() + self.dice.uniform(8, 20)


def kind_of(name: str) -> Kind:
    return KINDS[name[:-5]]


def test_every_run_ends_once_and_rightly(
    alone: None,
    cluster: Handle,
    running_cluster: Handle | LocalCluster,
    operator_kubeconfig: Path,
    tmp_path: Path,
) -> None:
    print(f"\n{RUNS} runs; TASKMILL_WEATHER_SEED={SEED}")
    local = running_cluster if isinstance(running_cluster, LocalCluster) else None
    if local:
        local.kwok(1)
    weather = Weather(SEED)
    with lane(cluster, operator_kubeconfig, tmp_path) as one:
        one.process.start()
        one.proxy.policy = weather
        campaign, began = Campaign(one, local, random.Random(SEED)), time.monotonic()
        campaign.run()
        print(f"{time.monotonic() - began:.0f} s; {dict(sorted(weather.seen.items()))}")
        print(f"outages: {[round(one.ended - one.began, 1) for one in campaign.outages.been]}")
        # What is left to be done is done when the weather is fair.
        one.proxy.policy = fair
        with suppress(AssertionError):  # told below, with all else
            one.user.wait(lambda: not _left_over(campaign), within=SETTLES)
        wrong = [f"{name} is left over" for name in _left_over(campaign)]
        wrong += [words for name in campaign.names for words in _wrong(campaign, name)]
        print(f"ends: {_ends(campaign)}; worst delay of a deadline: {_worst(campaign):.1f} s")
        assert "a bug in taskmill" not in one.process.written()
    assert not wrong, "\n".join(wrong)
    assert _worst(campaign) < SLACK


def _wrong(campaign: Campaign, name: str) -> Iterator[str]:
    """What is not as it must be of one run."""
    kind, witness, found = kind_of(name), campaign.lane.witness, campaign.executions(name)
    if len(found) != 1:
        yield f"{name}: {len(found)} executions"
        return
    verdicts = witness.verdicts(found[0])
    if len(verdicts) != 1 or verdicts[0][:2] != kind.ends:
        yield f"{name}: {verdicts}"
    jobs, pods = witness.attempts("jobs", name), witness.attempts("pods", name)
    wanted = {
        (step, str(attempt)) for step, count in kind.jobs.items() for attempt in range(1, count + 1)
    }
    right = jobs.keys() <= wanted if kind.by_hand else jobs.keys() == wanted
    if not right or set(jobs.values()) - {1} or set(pods.values()) - {1}:
        yield f"{name}: Jobs {jobs}, pods {pods}"


def _left_over(campaign: Campaign) -> list[str]:
    """Jobs that should be gone, of runs that were stopped."""
    jobs = (job["metadata"]["name"] for job in campaign.lane.witness.there("jobs"))
    return [name for name in jobs if name.startswith(("stop", "late"))]


def _ends(campaign: Campaign) -> dict[str, int]:
    found = (one for name in campaign.names for one in campaign.executions(name))
    return dict(sorted(Counter(one["status"]["phase"] for one in found).items()))


def _worst(campaign: Campaign) -> float:
    """Seconds, without outages, from a deadline until it was told that it has passed."""
    delays = [0.0]
    for one in campaign.executions("late"):
        due = _seconds(one["status"]["deadline"])
        told = condition(one, "FailureTarget") or condition(one, "Finished")
        said = _seconds(told["lastTransitionTime"])
        delays.append(said - due - campaign.outages.during(due, said))
    return max(delays)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
