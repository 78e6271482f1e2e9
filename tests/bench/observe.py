"""One observer of runs: when it saw what of each, on one clock, through watches of its own."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from bench.contenders import Contender
from bench.lab import say
from taskmill.kube.client import JOBS, PODS, KubeClient, Resource
from taskmill.kube.listwatch import ListWatch

_TELL_EVERY = 10.0  # seconds
_AT_ONCE = 16  # connections of the one who submits


@dataclass(slots=True)
class Seen:
    """Moments of one run, in seconds of the event loop; 0: not yet."""

    created: float = 0.0
    job: float = 0.0
    container_ended: float = 0.0
    verdict: float = 0.0
    job_condition: float = 0.0


class Observer:
    """Watches a namespace for as long as its `async with` lasts."""

    def __init__(self, client: KubeClient, namespace: str, contender: Contender) -> None:
        self.runs: dict[str, Seen] = {}
        self.events: Counter[str] = Counter()
        """What a controller with the same watches is told."""
        self._contender = contender
        self._forgotten: set[str] = set()
        watched: dict[Resource, Callable[[dict[str, Any]], None]] = {JOBS: self._job}
        watched |= {PODS: self._pod, contender.resource: self._submitted}
        self._watches = [
            ListWatch(
                client,
                resource,
                namespace=namespace,
                on_change=self._counting(resource, tell),
                on_gone=lambda _: None,
            )
            for resource, tell in watched.items()
        ]
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(watch.run()) for watch in self._watches]
        for watch in self._watches:
            await watch.synced.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def forget(self) -> None:
        """The runs so far are not to count, whatever else is heard of them."""
        self._forgotten |= self.runs.keys()
        self.runs.clear()
        self.events.clear()

    async def until(
        self, count: int, done: Callable[[Seen], float], what: str, *, within: float
    ) -> None:
        """Wait until so many runs are done; TimeoutError when they are not in time."""
        began = told = time.monotonic()
        while (number := sum(1 for run in self.runs.values() if done(run))) < count:
            now = time.monotonic()
            if now - began > within:
                raise TimeoutError(f"{number} of {count} {what} after {within:.0f} s")
            if now - told > _TELL_EVERY:
                told = now
                say(f"  {number} of {count} {what}")
            # Looking through ten thousand is not for free.
            await asyncio.sleep(0.05 + count / 20_000)

    def _counting(
        self, resource: Resource, tell: Callable[[dict[str, Any]], None]
    ) -> Callable[[dict[str, Any]], None]:
        def on_change(raw: dict[str, Any]) -> None:
            self.events[resource.plural] += 1
            tell(raw)

        return on_change

    def _run(self, name: str) -> Seen:
        if name in self._forgotten:
            return Seen()
        return self.runs.setdefault(name, Seen())

    def _submitted(self, raw: dict[str, Any]) -> None:
        now, run = _now(), self._run(raw["metadata"]["name"])
        run.created = run.created or now
        if self._contender.ended(raw):
            run.verdict = run.verdict or now
        if self._contender.resource == JOBS:
            self._job(raw)

    def _job(self, raw: dict[str, Any]) -> None:
        now, run = _now(), self._run(self._contender.run_of(raw))
        run.job = run.job or now
        conditions = raw.get("status", {}).get("conditions") or ()
        if any(c["type"] in ("Complete", "Failed") for c in conditions):
            run.job_condition = run.job_condition or now

    def _pod(self, raw: dict[str, Any]) -> None:
        now, run = _now(), self._run(self._contender.run_of(raw))
        for status in raw.get("status", {}).get("containerStatuses") or ():
            if status["name"] == self._contender.container and "terminated" in status["state"]:
                run.container_ended = run.container_ended or now


def _now() -> float:
    return asyncio.get_running_loop().time()


async def submit(
    client: KubeClient, resource: Resource, namespace: str, bodies: list[dict[str, Any]]
) -> None:
    """Create all, as fast as the server takes them."""
    todo = iter(bodies)

    async def work() -> None:
        for body in todo:
            await client.create(resource, namespace, body)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(work())
