"""Kopf: it watches Tasks. What is registered with it, and how long it runs.

The handler only records and enqueues. A process that registers nothing but `on.event` writes
nothing to the objects it watches: no annotations, no finalizers.

Executions, Jobs and pods change too often for it (half a millisecond of CPU for each change):
they are watched by `kube/listwatch.py`.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import kopf

from taskmill.api.group import GROUP, VERSION
from taskmill.kube.auth import Credentials
from taskmill.reconcile.cache import Key, Kind
from taskmill.reconcile.feed import Feed


class _NoDiffBase(kopf.DiffBaseStorage):
    """Nothing is compared with what was handled last: saves two deep copies an event."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):
    """No handler of ours has progress to keep."""

    def fetch(self, **_: Any) -> kopf.ProgressRecord | None:
        return None

    def store(self, **_: Any) -> None:
        return None

    def purge(self, **_: Any) -> None:
        return None

    def touch(self, **_: Any) -> None:
        return None

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


class _Backoffs:
    """Delays between tries of a request, without a last one: an outage ends no process."""

    def __iter__(self) -> Iterator[float]:
        delay = 0.5
        while True:
            yield delay
            delay = min(delay * 2, 2.0)


ENDS_IN = 5.0
"""Seconds that what is left of Kopf has to end in."""


async def watch_tasks(
    *,
    feed: Feed,
    credentials: Credentials,
    namespaces: Sequence[str],
    begun: asyncio.Event,
    took_signals: Callable[[], None],
) -> None:
    """Tell `feed` of Tasks in these namespaces (none: in all), until cancelled.

    `begun` is set while that goes on. Kopf looks for the kind once: it must exist by now.
    `took_signals` is called when Kopf has just put its own handlers of SIGTERM and SIGINT in the
    place of all others. Raises what ended Kopf: an answer it takes for fatal, such as 410 or 404
    to a watch.
    """
    registry = kopf.OperatorRegistry()
    _register(registry, feed=feed, credentials=credentials)
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=_settings(),
        clusterwide=not namespaces,
        namespaces=namespaces,
        ready_flag=begun,
    )
    took_signals()
    try:
        # Not `kopf.run_tasks`: at its end it cancels all that began after it, ours too.
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        begun.clear()
        ended = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=ENDS_IN)
    for task in ended:
        if not task.cancelled():
            task.result()


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    # It would kill the process ten minutes after its own end, which is not ours.
    settings.process.ultimate_exiting_timeout = None
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.chunk_size = 500
    # Idle workers pin the last body of their object.
    settings.queueing.idle_timeout = 1.0
    settings.networking.request_timeout = 30
    settings.networking.error_backoffs = _Backoffs()
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()
    return settings


def _register(registry: kopf.OperatorRegistry, *, feed: Feed, credentials: Credentials) -> None:
    @kopf.on.login(registry=registry)
    def login(**_: Any) -> kopf.ConnectionInfo:
        # Not a coroutine: it may read files or run a credential plugin, and Kopf gives it a thread.
        return credentials.connection_info()

    @kopf.on.event(GROUP, VERSION, "tasks", registry=registry)
    async def task(event: kopf.RawEvent, **_: Any) -> None:
        raw: dict[str, Any] = dict(event["object"])
        if event["type"] == "DELETED":
            meta = raw["metadata"]
            feed.gone(Key(Kind.TASK, meta["namespace"], meta["name"]), meta["uid"])
        else:
            feed.task(raw)
