"""The operator below Kopf as a process of the simulation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from simulation.api import Json
from simulation.loop import Process
from simulation.net import Link, Place, SimulatedClient
from taskmill.kube.client import KubeClient
from taskmill.kube.errors import ApiError, Gone
from taskmill.kube.resources import EXECUTIONS, TASKS, Resource
from taskmill.plan.world import Limits
from taskmill.reconcile.cache import Key, Kind
from taskmill.reconcile.engine import Engine

SYSTEM = "taskmill-system"
LIMITS = Limits(timeout=timedelta(seconds=90), job_retention=timedelta(minutes=2))


class Replica:
    """One operator that is started, killed, started again."""

    def __init__(self, place: Place, identity: str) -> None:
        self._place = place
        self._identity = identity
        self._starts = 0
        self.process: Process | None = None
        self._past: list[Process] = []
        """Kept: what is collected runs its `finally`."""
        self.link: Link | None = None

    def start(self) -> None:
        self._starts += 1
        self.process = Process(f"{self._identity}#{self._starts}")
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
            identity=self._identity,
            limits=LIMITS,
            clock=self._place.api.now,
        )
        async with asyncio.TaskGroup() as group:
            for work in works.works():
                group.create_task(work)
            await works.filled.wait()
            feed = works.feed
            group.create_task(_kopf(client, TASKS, feed.task, _gone(Kind.TASK, feed.gone)))
            group.create_task(
                _kopf(client, EXECUTIONS, feed.execution, _gone(Kind.EXECUTION, feed.gone))
            )


def _gone(kind: Kind, tell: Callable[[Key, str], None]) -> Callable[[Json], None]:
    def gone(raw: Json) -> None:
        meta = raw["metadata"]
        tell(Key(kind, meta["namespace"], meta["name"]), meta["uid"])

    return gone


async def _kopf(
    client: KubeClient,
    resource: Resource,
    tell: Callable[[Json], Any],
    gone: Callable[[Json], None],
) -> None:
    """A watch as Kopf's: what vanished between two of its lists is told to nobody."""
    version = ""
    while True:
        try:
            if not version:
                items, version = await client.list(resource)
                for item in items:
                    tell(item)
            async for event in client.watch(resource, resource_version=version):
                thing = event["object"]
                version = thing["metadata"]["resourceVersion"]
                if event["type"] == "DELETED":
                    gone(thing)
                elif event["type"] != "BOOKMARK":
                    tell(thing)
        except Gone:
            version = ""
        except ApiError:
            await asyncio.sleep(0.5)
