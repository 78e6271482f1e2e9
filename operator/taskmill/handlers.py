"""What is registered with Kopf: settings, login, and the two kinds' events.

Handlers only record and enqueue. A process that registers nothing but `on.event` writes nothing
to the objects it watches: no annotations, no finalizers.
"""

from collections.abc import Iterator
from typing import Any

import kopf

from taskmill.api.meta import GROUP, VERSION
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


def register(registry: kopf.OperatorRegistry, *, feed: Feed, credentials: Credentials) -> None:
    """Register everything; `feed` hears of all changes."""

    @kopf.on.startup(registry=registry)
    async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
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

    @kopf.on.login(registry=registry)
    def login(**_: Any) -> kopf.ConnectionInfo:
        # Not a coroutine: it may read files or run a credential plugin, and Kopf gives it a thread.
        return credentials.connection_info()

    @kopf.on.event(GROUP, VERSION, "tasks", registry=registry)
    async def task(event: kopf.RawEvent, **_: Any) -> None:
        raw: dict[str, Any] = dict(event["object"])
        if event["type"] == "DELETED":
            feed.gone(*_identity(Kind.TASK, raw))
        else:
            feed.task(raw)

    @kopf.on.event(GROUP, VERSION, "taskexecutions", registry=registry)
    async def execution(event: kopf.RawEvent, **_: Any) -> None:
        raw: dict[str, Any] = dict(event["object"])
        if event["type"] == "DELETED":
            feed.gone(*_identity(Kind.EXECUTION, raw))
        else:
            feed.execution(raw)


def _identity(kind: Kind, raw: dict[str, Any]) -> tuple[Key, str]:
    meta = raw["metadata"]
    return Key(kind, meta["namespace"], meta["name"]), meta["uid"]
