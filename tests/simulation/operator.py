"""The operator below Kopf as a process of the simulation."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from simulation.loop import Process
from simulation.net import Link, Place, SimulatedClient
from taskmill.kube.client import KubeClient
from taskmill.kube.errors import ApiError, Gone
from taskmill.kube.resources import TASKS
from taskmill.plan.world import Limits
from taskmill.reconcile.cache import Key, Kind
from taskmill.reconcile.engine import Engine
from taskmill.reconcile.feed import Feed
from taskmill.reconcile.pace import Pace

SYSTEM = "taskmill-system"
LIMITS = Limits(timeout=timedelta(seconds=90), job_retention=timedelta(minutes=2))


class Crowd(Pace):
    """As if hundreds of others had something to tell: what may wait waits as long as it may."""

    def allows(self, now: float) -> bool:
        del now
        return False

    def turn(self, now: float) -> float:
        return now + 2.0


class Replica:
    """One operator that is started, killed, started again."""

    def __init__(self, place: Place, identity: str, *, crowded: bool) -> None:
        self._place = place
        self.identity = identity
        self._crowded = crowded
        self._starts = 0
        self.process: Process | None = None
        self._past: list[Process] = []
        """Kept: what is collected runs its `finally`."""
        self.link: Link | None = None

    def start(self) -> None:
        self._starts += 1
        self.process = Process(f"{self.identity}#{self._starts}")
        self.link = Link(self._place, self.process)
        self.process.start(self._run_or_say)

    def stop(self) -> None:
        """As a rollout does: it gives the Lease back."""
        if self.process:
            self.process.terminate()
            self._past.append(self.process)
        self.process = None

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self._past.append(self.process)
        self.process = None

    async def _run_or_say(self) -> None:
        try:
            await self._run()
        except Exception:
            logging.getLogger("taskmill").exception("the operator ended")

    async def _run(self) -> None:
        assert self.link is not None
        client = SimulatedClient(self.link)
        works = Engine(
            client,
            SimulatedClient(self.link),
            namespace=SYSTEM,
            identity=self.identity,
            limits=LIMITS,
            clock=self._place.api.now,
        )
        if self._crowded:
            works._reconciler._words = works._reconciler._questions = Crowd()
        async with asyncio.TaskGroup() as group:
            for work in works.works():
                group.create_task(work)
            await works.filled.wait()
            group.create_task(_kopf(client, works.feed))


async def _kopf(client: KubeClient, feed: Feed) -> None:
    """A watch as Kopf's: what vanished between two of its lists is told to nobody."""
    version = ""
    while True:
        try:
            if not version:
                items, version = await client.list(TASKS)
                for item in items:
                    feed.task(item)
            async for event in client.watch(TASKS, resource_version=version):
                thing = event["object"]
                meta = thing["metadata"]
                version = meta["resourceVersion"]
                if event["type"] == "DELETED":
                    feed.gone(Key(Kind.TASK, meta["namespace"], meta["name"]), meta["uid"])
                elif event["type"] != "BOOKMARK":
                    feed.task(thing)
        except Gone:
            version = ""
        except ApiError:
            await asyncio.sleep(0.5)
