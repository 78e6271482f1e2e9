"""The API's verbs on any kind: typed errors, honest about outcomes; no retries, no sleeps."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Literal, Self

from taskmill.kube import codec
from taskmill.kube.auth import Credentials
from taskmill.kube.errors import Gone, Unreachable, error_from_status
from taskmill.kube.resources import EVENTS, EXECUTIONS, JOBS, LEASES, PODS, TASKS, Resource
from taskmill.kube.stream import LineSplitter
from taskmill.kube.transport import Call, JsonObject, OnRequest, Transport

__all__ = [
    "EVENTS",
    "EXECUTIONS",
    "JOBS",
    "LEASES",
    "PODS",
    "TASKS",
    "JsonObject",
    "KubeClient",
    "OnRequest",
    "Resource",
]

Objects = list[JsonObject]  # KubeClient.list hides the builtin within the class

# The server sends a bookmark a minute; a watch silent for longer than this is a dead one.
_WATCH_SILENCE = 75.0

PAGE = 100
"""Objects listed at a time: what is read at once is what a list takes of memory, for good."""
_PAGES = 20
_LARGEST_PAGE = 2000
"""A page costs the server as much as there is behind it: of many objects, more come at a time."""


class KubeClient:
    """A thin client over one HTTP session; an async context manager.

    `timeout` bounds each request but watches, in seconds. Every method raises `ApiError` when
    nothing was changed; a write also raises `UnknownOutcome`, when that is not known.
    `on_request` hears of every exchange; it must not raise.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        timeout: float = 10.0,
        watch_silence: float = _WATCH_SILENCE,
        on_request: OnRequest | None = None,
    ) -> None:
        self._transport = Transport(
            credentials, timeout=timeout, silence=watch_silence, on_request=on_request
        )

    async def __aenter__(self) -> Self:
        self._transport.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.close()

    async def get(self, resource: Resource, namespace: str | None, name: str) -> JsonObject:
        """The object as it is now."""
        return await self._transport.json(
            Call("get", "GET", resource, resource.path(namespace, name))
        )

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        resource_version: str | None = None,
        limit: int = PAGE,
    ) -> tuple[Objects, str]:
        """All objects and the resourceVersion they were read at, in pages of `limit`."""
        try:
            return await self._collect(
                resource, namespace, label_selector, field_selector, resource_version, limit
            )
        except Gone:
            # Slower than the server's compaction: start over in one page, which cannot expire.
            return await self._collect(
                resource, namespace, label_selector, field_selector, resource_version, 0
            )

    async def pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        resource_version: str | None = None,
        limit: int = PAGE,
    ) -> AsyncGenerator[tuple[Objects, str], None]:
        """The same page by page, never all in memory; Gone when that took too long to go on.

        `limit` is that of the first pages.
        """
        params = _selectors(label_selector, field_selector)
        place = {} if resource_version is None else {"resourceVersion": resource_version}
        seen = 0
        while True:
            if limit:
                params["limit"] = str(max(limit, min(seen // _PAGES, _LARGEST_PAGE)))
            page = await self._transport.json(
                Call("list", "GET", resource, resource.path(namespace), params | place)
            )
            meta = page.get("metadata") or {}
            items = page.get("items") or []
            seen += len(items)
            yield items, str(meta.get("resourceVersion") or "")
            if not meta.get("continue"):
                return
            place = {"continue": meta["continue"]}

    async def create(
        self, resource: Resource, namespace: str | None, body: JsonObject, *, dry_run: bool = False
    ) -> JsonObject:
        """Create the object, unknown fields refused; a dry run only says what would happen."""
        params = {"fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})
        path = resource.path(namespace)
        call = Call("create", "POST", resource, path, params, body, changes=not dry_run)
        return await self._transport.json(call)

    async def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: JsonObject,
        *,
        subresource: str | None = None,
    ) -> JsonObject:
        """Merge-patch; with `metadata.resourceVersion` in the body only that version (Conflict)."""
        path = resource.path(namespace, name, subresource)
        kind = "application/merge-patch+json"
        call = Call("patch", "PATCH", resource, path, {}, body, kind, changes=True)
        return await self._transport.json(call)

    async def replace(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: JsonObject,
        *,
        subresource: str | None = None,
    ) -> JsonObject:
        """PUT; with `metadata.resourceVersion` in the body only that version (Conflict).

        That Conflict can be with this very write: aiohttp sends an idempotent request again
        when the kept connection it chose turns out to be closed.
        """
        path = resource.path(namespace, name, subresource)
        call = Call("replace", "PUT", resource, path, {}, body, changes=True)
        return await self._transport.json(call)

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
    ) -> None:
        """Delete this very object: another of the same name gives Conflict, none NotFound.

        Returns when the server has accepted it; finalizers may keep the object for longer.
        """
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
            "preconditions": {"uid": uid},
        }
        path = resource.path(namespace, name)
        await self._transport.json(
            Call("delete", "DELETE", resource, path, {}, options, changes=True)
        )

    async def log(
        self, namespace: str, pod: str, container: str, *, lines: int, most_bytes: int
    ) -> str:
        """The last lines of a container's log; of these the first bytes, if they are too many."""
        params = {
            "container": container,
            "tailLines": str(lines),
            "limitBytes": str(most_bytes),
        }
        path = PODS.path(namespace, pod, "log")
        answer = await self._transport.read(Call("get", "GET", PODS, path, params))
        return answer.decode("utf-8", "replace")

    async def watch(
        self,
        resource: Resource,
        *,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        timeout: float = 600.0,  # noqa: ASYNC109 (it is the server that ends the watch)
    ) -> AsyncGenerator[JsonObject, None]:
        """Events (`type`, `object`) after the given version, bookmarks among them.

        Ends when the server ends it, after `timeout` seconds or before. Raises Gone when the
        version is too old, Unreachable when the stream broke or fell silent. To leave early,
        close it (`contextlib.aclosing`).
        """
        params = _selectors(label_selector, field_selector) | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(max(1, int(timeout))),
        }
        call = Call("watch", "GET", resource, resource.path(namespace), params)
        splitter = LineSplitter()
        async with contextlib.aclosing(self._transport.pieces(call)) as pieces:
            async for piece in pieces:
                for line in splitter.feed(piece):
                    yield _event(line, call)

    async def _collect(
        self,
        resource: Resource,
        namespace: str | None,
        label_selector: str | None,
        field_selector: str | None,
        resource_version: str | None,
        limit: int,
    ) -> tuple[Objects, str]:
        items: Objects = []
        version = ""
        async for page, at in self.pages(
            resource,
            namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            resource_version=resource_version,
            limit=limit,
        ):
            items += page
            version = at
        return items, version


def _selectors(label_selector: str | None, field_selector: str | None) -> dict[str, str]:
    pairs = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {key: value for key, value in pairs.items() if value}


def _event(line: bytes, call: Call) -> JsonObject:
    try:
        event = codec.decode(line)
    except ValueError:
        event = None
    if not isinstance(event, dict) or not isinstance(event.get("object"), dict):
        raise Unreachable(f"{call}: a line of the stream is no event")
    if event.get("type") == "ERROR":
        raise error_from_status(event["object"])
    return event
