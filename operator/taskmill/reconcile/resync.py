"""A slow look at everything: the net below the watches.

Kopf tells nothing of objects that vanished while its watch was down, and of none that its own
trouble made it skip.
"""

import asyncio
import logging
from collections.abc import Sequence

from taskmill.kube.client import TASKS, KubeClient
from taskmill.kube.errors import ApiError, NotFound
from taskmill.reconcile.cache import Cache, Key, Kind
from taskmill.reconcile.feed import Feed, look_at_everything
from taskmill.reconcile.queue import WorkQueue

log = logging.getLogger(__name__)

AGAIN = 1.0
"""Seconds between two tries."""
BEGUN = 30.0
"""Seconds that Kopf has to begin in: it tells nothing of what vanished before."""


class Resync:
    """Reads all Tasks, mends the cache, and has every key passed over.

    All Tasks of `namespaces`, where some are named.
    """

    def __init__(
        self,
        client: KubeClient,
        cache: Cache,
        feed: Feed,
        queue: WorkQueue[Key],
        *,
        namespaces: Sequence[str] = (),
    ) -> None:
        self._client = client
        self._namespaces = namespaces
        self._cache = cache
        self._feed = feed
        self._queue = queue
        self._complaint = ""

    async def now(self) -> None:
        """Do it, as soon as the API server lets us."""
        while True:
            if await self._tried():
                return
            await asyncio.sleep(AGAIN)

    async def run(self, *, every: float) -> None:
        """Do it when Kopf has surely begun, and again and again, so many seconds apart."""
        await asyncio.sleep(BEGUN)
        while True:
            await self._tried()
            await asyncio.sleep(every)

    async def _tried(self) -> bool:
        complaint = ""
        try:
            await self.once()
        except NotFound:
            complaint = "the CustomResourceDefinitions are not installed: kubectl apply -f crds/"
        except ApiError as error:
            complaint = f"cannot read Tasks: {error}"
        if complaint and complaint != self._complaint:
            log.warning("%s", complaint)
        self._complaint = complaint
        return not complaint

    async def once(self) -> None:
        """Read all Tasks anew. Raises `ApiError`."""
        before = self._cache.uids(Kind.TASK)
        present = set()
        for namespace in self._namespaces or (None,):
            tasks, _ = await self._client.list(TASKS, namespace)
            for raw in tasks:
                self._feed.task(raw)
            present |= {raw["metadata"]["uid"] for raw in tasks}
        for key, uid in before.items():
            if uid not in present:
                self._feed.gone(key, uid)
        look_at_everything(self._cache, self._queue)
