"""Requests to the API server, one at a time, with the user's own rights.

Blocking, by urllib3: it imports in a tenth of the operator's client and can read a stream.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from math import ceil
from typing import Any
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import HTTPError

from taskmill.cli.connect import Access
from taskmill.kube.errors import Gone, Unreachable, error_from, error_from_status
from taskmill.kube.resources import PODS, Resource

Raw = dict[str, Any]
Query = Mapping[str, str]

MERGE_PATCH = "application/merge-patch+json"
PAGE = 500
"""Objects in one answer, as kubectl asks for."""
WATCH_SECONDS = 240
_CONNECT, _READ, _ERRORS = 10.0, 60.0, 400


class KubeApi:
    """One API server, as one user."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.skew = timedelta()
        """How much later the server's clock is than ours."""
        self._headers = urllib3.HTTPHeaderDict(access.headers)
        self._headers["User-Agent"] = "kubectl-task"
        self._headers["Accept"] = "application/json"
        options: dict[str, Any] = {"ssl_context": access.tls, "retries": False, "maxsize": 16}
        if access.server_name:
            options["server_hostname"] = access.server_name
        self._http: urllib3.PoolManager = (
            urllib3.ProxyManager(access.proxy, **options)
            if access.proxy
            else urllib3.PoolManager(**options)
        )

    def now(self) -> datetime:
        """The time by the server's clock, as far as it has answered: ours may be wrong."""
        return datetime.now(UTC) + self.skew

    # ---- objects ----

    def get(self, kind: Resource, namespace: str | None, name: str) -> Raw:
        """One object."""
        return self._json("GET", kind.path(namespace, name))

    def list(self, kind: Resource, namespace: str | None, query: Query | None = None) -> Raw:
        """All that match, as one list; `namespace` None is all of them."""
        answer = self._json("GET", kind.path(namespace), {"limit": str(PAGE), **(query or {})})
        items = answer.get("items") or []
        while token := answer.get("metadata", {}).get("continue"):
            more = {"limit": str(PAGE), **(query or {}), "continue": token}
            try:
                answer = self._json("GET", kind.path(namespace), more)
            except Gone:  # it took too long to be one picture
                return self.list(kind, namespace, query)
            items.extend(answer.get("items") or [])
        return {**answer, "items": items}

    def create(self, kind: Resource, namespace: str | None, body: Raw, *, dry: bool = False) -> Raw:
        """Create an object; `dry`: only have it checked."""
        query = {"fieldValidation": "Strict", **({"dryRun": "All"} if dry else {})}
        return self._json("POST", kind.path(namespace), query, body)

    def patch(self, kind: Resource, namespace: str, name: str, body: Raw) -> Raw:
        """Merge into an object."""
        return self._json("PATCH", kind.path(namespace, name), None, body)

    def watch(
        self, kind: Resource, namespace: str | None, query: Query, seconds: float = WATCH_SECONDS
    ) -> Iterator[tuple[str, Raw]]:
        """What happens to those that match, for so long at most. Raises Gone when to list anew."""
        whole = max(1, ceil(seconds))
        asked = {**query, "watch": "1", "timeoutSeconds": str(whole), "allowWatchBookmarks": "true"}
        with self._stream(kind.path(namespace), asked, read=whole + 15) as answer:
            for line in _lines(answer):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise error_from_status(event["object"])
                yield event["type"], event["object"]

    # ---- logs ----

    def log(self, namespace: str, pod: str, query: Query) -> Iterator[bytes]:
        """Lines of a pod's log, each with its end as it was written."""
        path = PODS.path(namespace, pod, "log")
        # Silence is no error: a task may have nothing to say for hours.
        with self._stream(path, query, read=None) as answer:
            yield from _lines(answer)

    # ---- requests ----

    def _json(
        self, verb: str, path: str, query: Query | None = None, body: Raw | None = None
    ) -> Raw:
        headers = self._headers.copy()
        data = None
        if body is not None:
            headers["Content-Type"] = MERGE_PATCH if verb == "PATCH" else "application/json"
            data = json.dumps(body).encode()
        with self._trouble():
            answer = self._http.request(
                verb,
                self._url(path, query),
                body=data,
                headers=headers,
                timeout=urllib3.Timeout(connect=_CONNECT, read=_READ),
            )
        self._take_time(answer.headers.get("Date"))
        if answer.status >= _ERRORS:
            raise error_from(answer.status, answer.data)
        found: Raw = json.loads(answer.data)
        return found

    @contextmanager
    def _stream(
        self, path: str, query: Query, *, read: float | None
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        with self._trouble():
            answer = self._http.request(
                "GET",
                self._url(path, query),
                headers=self._headers,
                preload_content=False,
                timeout=urllib3.Timeout(connect=_CONNECT, read=read),
            )
            try:
                if answer.status >= _ERRORS:
                    raise error_from(answer.status, answer.data)
                yield answer
            finally:
                answer.close()

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except (HTTPError, OSError) as error:
            raise Unreachable(f"cannot reach {self.access.server}: {_cause(error)}") from None

    def _url(self, path: str, query: Query | None) -> str:
        return f"{self.access.server}{path}" + (f"?{urlencode(query)}" if query else "")

    def _take_time(self, date: str | None) -> None:
        with suppress(ValueError, TypeError):
            skew = parsedate_to_datetime(date or "") - datetime.now(UTC)
            # It tells whole seconds only; what is less is no error of ours.
            self.skew = skew if abs(skew) > timedelta(seconds=2) else timedelta()


def _lines(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Lines as they come, with their ends; the last one may have none."""
    rest = b""
    for piece in answer.stream():
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line + b"\n" for line in whole)
    if rest:
        yield rest


def _cause(error: BaseException) -> str:
    """The words of the innermost cause: urllib3 wraps them in objects' names."""
    inner: Any = getattr(error, "reason", None) or error.__cause__ or error.__context__
    if isinstance(inner, BaseException):
        return _cause(inner)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    words = str(error)
    return words.rsplit("object at 0x", 1)[-1].partition(": ")[2] or words
