"""What happened in a namespace, seen by an administrator's own watches, which miss nothing."""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp

from e2e.faults.background import Background
from e2e.user import FINAL, GROUP, VERSION
from taskmill.kube.auth import Credentials

JsonObject = dict[str, Any]
_KINDS = {
    "tasks": f"/apis/{GROUP}/{VERSION}",
    "taskexecutions": f"/apis/{GROUP}/{VERSION}",
    "jobs": "/apis/batch/v1",
    "pods": "/api/v1",
}
_EXECUTION, _STEP, _ATTEMPT = (f"{GROUP}/{label}" for label in ("execution", "step", "attempt"))
_AGAIN = 0.2


class Witness(Background):
    """Keeps the last state of every object there ever was, and each change of a verdict."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        super().__init__()
        self._credentials = Credentials.from_kubeconfig(kubeconfig)
        self._namespace = namespace
        self._last: dict[str, dict[str, JsonObject]] = {kind: {} for kind in _KINDS}
        self.ended: dict[str, float] = {}
        """When it was first seen that all containers of a pod have ended, by its uid."""
        self._gone: set[str] = set()
        self._verdicts: defaultdict[str, list[tuple[str, ...]]] = defaultdict(list)

    def all(self, kind: str, *, prefix: str = "") -> list[JsonObject]:
        """Those there are or were, whose name begins so, in the order of their creation."""
        known = tuple(self._last[kind].values())
        return [one for one in known if one["metadata"]["name"].startswith(prefix)]

    def there(self, kind: str, *, prefix: str = "") -> list[JsonObject]:
        """Those there are."""
        known = self.all(kind, prefix=prefix)
        return [one for one in known if one["metadata"]["uid"] not in self._gone]

    def uids(self, prefix: str) -> list[str]:
        """Of all whose name begins so."""
        return [one["metadata"]["uid"] for kind in _KINDS for one in self.all(kind, prefix=prefix)]

    def verdicts(self, execution: JsonObject) -> list[tuple[str, ...]]:
        """Phase, reason and sentence, each time they changed after there was a verdict."""
        return self._verdicts[execution["metadata"]["uid"]]

    def attempts(self, kind: str, prefix: str) -> dict[tuple[str, str], int]:
        """How many Jobs or pods were ever made for each step and attempt of an execution."""
        made: defaultdict[tuple[str, str], int] = defaultdict(int)
        for one in self.all(kind):
            labels = one["metadata"].get("labels", {})
            if labels.get(_EXECUTION, "").startswith(prefix):
                made[labels[_STEP].removeprefix(prefix), labels[_ATTEMPT]] += 1
        return dict(made)

    async def serve(self, up: Callable[[], None]) -> None:
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
            begun = [asyncio.Event() for _ in _KINDS]
            for kind, event in zip(_KINDS, begun, strict=True):
                group.create_task(self._follow(session, kind, event))
            for event in begun:
                await event.wait()
            up()

    async def _follow(
        self, session: aiohttp.ClientSession, kind: str, begun: asyncio.Event
    ) -> None:
        version = ""
        while True:
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                if not version:
                    version = await self._list(session, kind)
                    begun.set()
                version = await self._watch(session, kind, version)
            await asyncio.sleep(_AGAIN)

    async def _list(self, session: aiohttp.ClientSession, kind: str) -> str:
        async with self._get(session, kind, {}) as answer:
            answer.raise_for_status()
            listed = await answer.json()
        present = {item["metadata"]["uid"] for item in listed["items"]}
        self._gone |= self._last[kind].keys() - present
        for item in listed["items"]:
            self._note(kind, item)
        return str(listed["metadata"]["resourceVersion"])

    async def _watch(self, session: aiohttp.ClientSession, kind: str, version: str) -> str:
        """Where to go on from; "" when it has to be listed again."""
        place = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
        left = b""
        with suppress(aiohttp.ClientError, OSError):
            async with self._get(session, kind, place) as answer:
                if answer.status != 200:
                    return "" if answer.status == 410 else version
                async for piece in answer.content.iter_any():
                    *lines, left = (left + piece).split(b"\n")
                    for event in map(json.loads, lines):
                        if event["type"] == "ERROR":
                            return ""
                        version = event["object"]["metadata"]["resourceVersion"]
                        if event["type"] == "DELETED":
                            self._gone.add(event["object"]["metadata"]["uid"])
                        if event["type"] != "BOOKMARK":
                            self._note(kind, event["object"])
        return version

    def _get(self, session: aiohttp.ClientSession, kind: str, query: dict[str, str]) -> Any:
        return session.get(
            f"{self._credentials.server}{_KINDS[kind]}/namespaces/{self._namespace}/{kind}",
            params=query,
            headers=self._credentials.headers(),
            ssl=self._credentials.ssl_context() or True,
        )

    def _note(self, kind: str, thing: JsonObject) -> None:
        uid = thing["metadata"]["uid"]
        self._last[kind][uid] = thing
        if kind == "pods" and _has_ended(thing):
            self.ended.setdefault(uid, time.time())
        if kind != "taskexecutions":
            return
        status, told = thing.get("status", {}), self._verdicts[uid]
        if status.get("phase") not in FINAL and not told:
            return
        now = tuple(str(status.get(key, "")) for key in ("phase", "reason", "failureMessage"))
        if told[-1:] != [now]:
            told.append(now)


def _has_ended(pod: JsonObject) -> bool:
    told = pod.get("status", {}).get("containerStatuses", ())
    return bool(told) and all("terminated" in one["state"] for one in told)
