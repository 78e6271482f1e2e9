"""One execution in good weather: what the simulation says becomes of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from simulation import loop
from simulation.api import Api, Json
from simulation.cluster import Cluster
from simulation.net import Place
from simulation.operator import Replica
from simulation.oracle import FINAL
from taskmill.api.meta import API_VERSION
from taskmill.kube.resources import EXECUTIONS, JOBS
from taskmill.plan import names

NAMESPACE, NAME = "ns", "run"
LONGEST = 300.0
GOODBYE = 30.0
"""Seconds in which everything ends by itself."""


@dataclass(frozen=True)
class Told:
    """What can be compared with what a real cluster does: no times, no names."""

    phase: str
    reason: str | None
    steps: list[tuple[object, ...]]
    """Id, phase, reason, attempt and exit code."""
    attempts: list[tuple[object, ...]]
    """The earlier ones: step, number, reason and exit code."""
    jobs: list[tuple[str, int]]
    """Step and attempt, in the order in which they were made."""


def told(status: Json, jobs: list[Json]) -> Told:
    """What is to be compared, of a final status and all Jobs that ever were, in their order."""
    labels = [job["metadata"]["labels"] for job in jobs]
    return Told(
        status["phase"],
        status.get("reason"),
        [
            (s["id"], s["phase"], s.get("reason"), s["attempt"], s.get("exitCode"))
            for s in status.get("steps") or ()
        ],
        [
            (a["step"], a["attempt"], a["reason"], a.get("exitCode"))
            for a in status.get("attempts") or ()
        ],
        [(one[names.LABEL_STEP], int(one[names.LABEL_ATTEMPT])) for one in labels],
    )


def play(spec: Json, then: Callable[[Api], bool]) -> Told:
    """Run an execution; `then` is done as soon as it can be: it says so."""
    return loop.run(_play(spec, then))  # type: ignore[no-any-return]


async def _play(spec: Json, then: Callable[[Api], bool]) -> Told:
    running = asyncio.get_running_loop()
    api = Api(running.time)
    place = Place(api, random.Random(0))
    Cluster(place, random.Random(1))
    replica = Replica(place, "a", crowded=False)
    replica.start()
    await asyncio.sleep(1)
    body = {"apiVersion": API_VERSION, "kind": "TaskExecution", "metadata": {"name": NAME}}
    api.create(EXECUTIONS, NAMESPACE, body | {"spec": spec}, "person", running.time())
    done = False
    while running.time() < LONGEST:
        await asyncio.sleep(0.1)
        done = done or then(api)
        status = api.get(EXECUTIONS, NAMESPACE, NAME).get("status") or {}
        if done and status.get("phase") in FINAL:
            replica.stop()
            await asyncio.sleep(GOODBYE)
            made = [change.new for change in api.log(JOBS) if change.kind == "ADDED"]
            return told(status, made)
    raise AssertionError(f"no verdict: {status}")
