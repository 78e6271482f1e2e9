"""The operator put together: what is built, in which order it starts and stops."""

import asyncio
import contextlib
import gc
import logging
from collections.abc import Awaitable, Callable

import kopf

from taskmill.handlers import register
from taskmill.kube.auth import Credentials
from taskmill.kube.client import JOBS, PODS, KubeClient
from taskmill.kube.lease import Elector
from taskmill.kube.listwatch import ListWatch
from taskmill.plan.names import LABEL_EXECUTION_UID
from taskmill.reconcile.cache import Cache, Key
from taskmill.reconcile.feed import Feed
from taskmill.reconcile.queue import WorkQueue
from taskmill.reconcile.reconciler import Reconciler
from taskmill.reconcile.resync import Resync
from taskmill.settings import Settings

log = logging.getLogger(__name__)

WORKERS = 32
FIRST_SYNC_EVERY = 1.0
"""Seconds between two tries to read everything before the first pass."""
RESYNC_EVERY = 600.0
"""Seconds between two looks at everything, for what no watch told."""
LEASE = "taskmill-operator"


async def run(settings: Settings, credentials: Credentials) -> None:
    """Run the operator until it is told to stop (SIGTERM, SIGINT)."""
    cache = Cache()
    queue: WorkQueue[Key] = WorkQueue()
    feed = Feed(cache=cache, queue=queue)
    registry = kopf.OperatorRegistry()
    register(registry, feed=feed, credentials=credentials)
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(KubeClient(credentials))
        # Renewals must not wait behind anybody's request.
        lease_client = await stack.enter_async_context(KubeClient(credentials))
        elector = Elector(
            lease_client,
            namespace=settings.namespace,
            name=LEASE,
            identity=settings.identity,
            on_lead=lambda: _lead(reconciler),
            on_lose=lambda: log.info("this replica acts no longer"),
        )
        reconciler = Reconciler(
            client=client,
            cache=cache,
            queue=queue,
            limits=settings.limits,
            is_leading=lambda: elector.is_leader,
        )
        jobs = ListWatch(
            client,
            JOBS,
            label_selector=LABEL_EXECUTION_UID,
            on_change=feed.job,
            on_gone=feed.job_gone,
        )
        pods = ListWatch(
            client,
            PODS,
            label_selector=LABEL_EXECUTION_UID,
            on_change=feed.pod,
            on_gone=feed.pod_gone,
        )
        sync = Resync(client, cache, feed, queue)
        filled = asyncio.Event()
        works = [
            jobs.run(),
            pods.run(),
            _fill(sync, (jobs, pods), filled),
            _once(filled, elector.run),
            _once(filled, lambda: sync.run(every=RESYNC_EVERY)),
            *(reconciler.work() for _ in range(WORKERS)),
        ]
        async with asyncio.TaskGroup() as group:
            # All of them now: at its end Kopf waits for, and cancels, what began after it did.
            tasks = [group.create_task(work) for work in works]
            # Kopf looks for its kinds once, at its start: they must be there by then.
            await filled.wait()
            await kopf.operator(registry=registry, clusterwide=True)
            for task in tasks:
                task.cancel()


def _lead(reconciler: Reconciler) -> None:
    log.info("ready: this replica acts")
    reconciler.take_over()


async def _fill(sync: Resync, watches: tuple[ListWatch, ...], filled: asyncio.Event) -> None:
    """Read everything there is, before anything is decided."""
    for watch in watches:
        await watch.synced.wait()
    await sync.run(every=FIRST_SYNC_EVERY, until_done=True)
    # What is loaded by now lives as long as the process: the collector may leave it alone.
    gc.collect()
    gc.freeze()
    log.info("caches are filled; standing for election")
    filled.set()


async def _once(event: asyncio.Event, start: Callable[[], Awaitable[None]]) -> None:
    await event.wait()
    await start()
