"""What exists on the server, told as it changes, for as long as we live.

It lists once, then watches from there; a watch that ends is taken up where it stopped. Only
when the server has forgotten that place (410) does it list again, and then what vanished in
between is told too. It keeps a line per object, never a body.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import NamedTuple

from taskmill.kube.client import PAGE, KubeClient
from taskmill.kube.errors import ApiError, Gone, NotFound, Unreachable
from taskmill.kube.resources import Resource
from taskmill.kube.transport import JsonObject

logger = logging.getLogger(__name__)
_FIRST_DELAY, _LONGEST_DELAY = 0.2, 2.0  # what has been waited for is not to be told late
_SHORT = 1.0  # a watch that ends sooner than this, without an event, counts as a failure
_LARGEST = 10_000
_LARGER = 10  # times as much in a page, when a list took longer than its place is remembered
_TOLD_AFTER = 2  # failures in a row; a single one is any load balancer's habit


@dataclass(frozen=True, slots=True)
class Vanished:
    """An object that is no more, or is selected no more; `last` is its last state if known."""

    uid: str
    namespace: str
    name: str
    last: JsonObject | None = None


class _Known(NamedTuple):
    namespace: str
    name: str
    version: int


@dataclass(eq=False)
class ListWatch:
    """Calls `on_change` for each object that is new or newer, and `on_gone` when it is gone.

    Never delivers an object's older state after a newer one. Compare uids: after a time away,
    an object's namesake may be told before the object itself is told gone. `keep` is a selector
    for what the server cannot select. Objects of a list lack `kind` and `apiVersion`, as the
    server sends them. A callback that raises is logged, and the event counts as delivered.
    """

    client: KubeClient
    resource: Resource
    _: KW_ONLY
    on_change: Callable[[JsonObject], None]
    on_gone: Callable[[Vanished], None]
    namespace: str | None = None
    label_selector: str | None = None
    field_selector: str | None = None
    keep: Callable[[JsonObject], bool] | None = None
    synced: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Set once everything that existed at the start has been delivered."""
    seen_at: float | None = field(default=None, init=False)
    """When the server last said anything (`loop.time()`); a bookmark comes every minute."""
    lists: int = field(default=0, init=False)
    """How often everything was listed."""

    def __post_init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._place: str | None = None  # the version to watch from; None: list first
        self._page = PAGE
        self._newest = 0
        self._failures = 0

    def __len__(self) -> int:
        """Objects known to exist."""
        return len(self._known)

    async def run(self) -> None:
        """Until cancelled; whatever goes wrong is tried again, after 0.2 to 2 seconds."""
        while True:
            try:
                if self._place is None:
                    await self._list()
                await self._watch(self._place or "")
            except ApiError as error:
                if isinstance(error, Gone) and self._place is None:
                    self._page = min(self._page * _LARGER, _LARGEST)
                if isinstance(error, Gone | NotFound):
                    # The place is forgotten; or the kind was, and all of it with it.
                    self._place = None
                await asyncio.sleep(self._delay_after(error))
            except Exception as error:
                logger.exception(
                    "list-watch of %s: a bug; everything is listed again", self.resource
                )
                self._place = None
                await asyncio.sleep(self._delay_after(error))

    async def _list(self) -> None:
        self.lists += 1
        present: set[str] = set()
        place = ""
        pages = self.client.pages(
            self.resource,
            self.namespace,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
            limit=self._page,
        )
        async for items, version in pages:
            if not place:
                self._notice_restore(int(version))
            place = version
            self.seen_at = _now()
            for item in items:
                present.add(item["metadata"]["uid"])
                self._change(item)
        for uid in self._known.keys() - present:
            self._vanish(uid, None)
        self._move(place)
        self._page = PAGE
        self.synced.set()

    async def _watch(self, place: str) -> None:
        started = _now()
        events = self.client.watch(
            self.resource,
            resource_version=place,
            namespace=self.namespace,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
            timeout=random.uniform(300, 600),  # noqa: S311 (spreads reconnects, hides nothing)
        )
        async with contextlib.aclosing(events):
            async for event in events:
                self._recover()
                thing = event["object"]
                if event["type"] in {"ADDED", "MODIFIED"}:
                    self._change(thing)
                elif event["type"] == "DELETED":
                    self._vanish(thing["metadata"]["uid"], thing)
                self._move(thing["metadata"]["resourceVersion"])
        if _now() - started < _SHORT and (self.seen_at or 0.0) < started:
            raise Unreachable(f"watch of {self.resource} ended as soon as it began")

    def _change(self, thing: JsonObject) -> None:
        meta = thing["metadata"]
        uid, version = meta["uid"], int(meta["resourceVersion"])
        if self.keep is not None and not self.keep(thing):
            self._vanish(uid, thing)
            return
        known = self._known.get(uid)
        if known is not None and version <= known.version:
            return
        self._known[uid] = _Known(meta.get("namespace", ""), meta["name"], version)
        try:
            self.on_change(thing)
        except Exception:
            logger.exception("telling a change of %s %s failed", self.resource, meta["name"])

    def _vanish(self, uid: str, last: JsonObject | None) -> None:
        known = self._known.pop(uid, None)
        if known is None:
            return
        try:
            self.on_gone(Vanished(uid, known.namespace, known.name, last))
        except Exception:
            logger.exception("telling the end of %s %s failed", self.resource, known.name)

    def _move(self, version: str) -> None:
        self._place = version
        self._newest = max(self._newest, int(version))

    def _notice_restore(self, version: int) -> None:
        """A list older than what we have seen is a store restored from a backup: start over."""
        if version >= self._newest:
            return
        logger.warning("%s went back in time (%d to %d)", self.resource, self._newest, version)
        self._newest = version
        self._known = {uid: known._replace(version=-1) for uid, known in self._known.items()}

    def _recover(self) -> None:
        self.seen_at = _now()
        if self._failures >= _TOLD_AFTER:
            logger.info("watch of %s is back", self.resource)
        self._failures = 0

    def _delay_after(self, error: Exception) -> float:
        self._failures += 1
        if self._failures == _TOLD_AFTER:
            logger.warning("watch of %s is interrupted, trying on: %s", self.resource, error)
        delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(self._failures - 1, 16))
        asked = error.retry_after if isinstance(error, ApiError) else None
        return max(delay * random.uniform(0.5, 1.0), asked or 0.0)  # noqa: S311 (no secret)


def _now() -> float:
    return asyncio.get_running_loop().time()
