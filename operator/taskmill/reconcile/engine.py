"""All of the operator below Kopf, put together: caches, watches, queue, workers, election."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from taskmill.kube.client import EXECUTIONS, JOBS, PODS, KubeClient
from taskmill.kube.lease import Elector
from taskmill.kube.listwatch import ListWatch
from taskmill.metrics import Metrics, Sight, Watch
from taskmill.plan.names import LABEL_EXECUTION_UID
from taskmill.plan.world import Limits
from taskmill.reconcile.cache import Cache, Key
from taskmill.reconcile.feed import Feed
from taskmill.reconcile.queue import WorkQueue
from taskmill.reconcile.reconciler import Reconciler
from taskmill.reconcile.resync import Resync

log = logging.getLogger(__name__)

WORKERS = 32
RESYNC_EVERY = 600.0
"""Seconds between two looks at everything, for what no watch told."""
LONGEST_SILENCE = 150.0
"""Seconds without a word on a watch until it counts as dead: a bookmark comes every minute, and one
that is late ends the watch after 75."""
LEASE = "taskmill-operator"


class Engine:
    """Belongs to the running event loop. Whoever watches Tasks tells `feed`.

    It looks at `namespaces`, or at all where none is named; its Lease is in `namespace`.
    `lease_client` is one of its own: renewals must not wait behind anybody's request.
    """

    def __init__(  # noqa: PLR0913 (what it is put together from)
        self,
        client: KubeClient,
        lease_client: KubeClient,
        *,
        namespace: str,
        namespaces: Sequence[str] = (),
        identity: str,
        limits: Limits,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        metrics: Metrics | None = None,
    ) -> None:
        metrics = metrics or Metrics()
        self._cache = cache = Cache(metrics)
        self._queue = queue = WorkQueue[Key]()
        self.feed = Feed(cache=cache, queue=queue)
        self.filled = asyncio.Event()
        """Everything there is has been read once."""
        self._elector = Elector(
            lease_client,
            namespace=namespace,
            name=LEASE,
            identity=identity,
            on_lead=self._lead,
            on_lose=lambda: log.info("this replica acts no longer"),
            clock=asyncio.get_running_loop().time,
        )
        self._reconciler = Reconciler(
            client=client,
            cache=cache,
            queue=queue,
            limits=limits,
            is_leading=lambda: self._elector.is_leader,
            clock=clock,
        )
        self._sync = Resync(client, cache, self.feed, queue, namespaces=namespaces)
        self._watches = tuple(
            watch
            for watched in namespaces or (None,)
            for watch in _watches(client, self.feed, watched)
        )

        metrics.attach(look=self.sight, leads=lambda: self._elector.is_leader, clock=clock)

    def sight(self) -> Sight:
        """How things stand, for the metrics."""
        now = asyncio.get_running_loop().time()
        by_kind: dict[str, list[ListWatch]] = {}
        for watch in self._watches:
            by_kind.setdefault(str(watch.resource), []).append(watch)
        return Sight(
            leader=self._elector.is_leader,
            executions=self._cache.states(),
            queued=self._queue.depth,
            oldest=self._queue.oldest,
            watches=tuple(
                Watch(
                    kind,
                    # Of several namespaces, that of the watch that does worst.
                    max(now - (now if one.seen_at is None else one.seen_at) for one in watches),
                    sum(one.lists for one in watches),
                )
                for kind, watches in by_kind.items()
            ),
        )

    def works(self) -> list[Coroutine[None, None, None]]:
        """What must run at the same time, each for ever; cancelled, it gives the Lease back."""
        return [
            *(watch.run() for watch in self._watches),
            self._fill_and_stand(),
            self._once_filled(lambda: self._sync.run(every=RESYNC_EVERY)),
            *(self._reconciler.work() for _ in range(WORKERS)),
        ]

    async def read_tasks(self) -> None:
        """Read all Tasks anew, as soon as the API server lets us."""
        await self._sync.now()

    async def drain(self, *, within: float) -> None:
        """Begin no more passes, and give those under way so many seconds to end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._queue.close(), within)

    def trouble(self) -> str:
        """Why this replica could not act, or take over; "" when it could."""
        if not self.filled.is_set():
            return "not everything there is has been read yet"
        now = asyncio.get_running_loop().time()
        for watch in self._watches:
            silence = 0.0 if watch.seen_at is None else now - watch.seen_at
            if silence > LONGEST_SILENCE:
                where = f" in {watch.namespace}" if watch.namespace else ""
                return f"the watch of {watch.resource}{where} has been silent for {silence:.0f} s"
        return self._elector.trouble()

    async def _fill_and_stand(self) -> None:
        """Read everything there is, before anything is decided; then stand for election."""
        await self.read_tasks()
        for watch in self._watches:
            await watch.synced.wait()
        # Of what vanished meanwhile Kopf will tell nothing.
        await self.read_tasks()
        log.info("caches are filled; standing for election")
        self.filled.set()
        await self._elector.run()

    async def _once_filled(self, start: Callable[[], Awaitable[None]]) -> None:
        await self.filled.wait()
        await start()

    def _lead(self) -> None:
        log.info("ready: this replica acts")
        self._reconciler.take_over()


def _watches(client: KubeClient, feed: Feed, namespace: str | None) -> Iterator[ListWatch]:
    """Of all but Tasks, in one namespace or in all."""
    yield ListWatch(
        client,
        EXECUTIONS,
        on_change=feed.execution,
        on_gone=feed.execution_gone,
        namespace=namespace,
    )
    yield ListWatch(
        client,
        JOBS,
        label_selector=LABEL_EXECUTION_UID,
        on_change=feed.job,
        on_gone=feed.job_gone,
        namespace=namespace,
    )
    yield ListWatch(
        client,
        PODS,
        label_selector=LABEL_EXECUTION_UID,
        on_change=feed.pod,
        on_gone=feed.pod_gone,
        namespace=namespace,
    )
