"""One HTTP exchange with the API server: credentials, timeouts, and what failures mean.

The one thing ever done twice is a request refused with 401: once more with fresh credentials.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import aiohttp

from taskmill.kube import codec
from taskmill.kube.auth import Credentials
from taskmill.kube.errors import (
    ApiError,
    UnknownOutcome,
    Unreachable,
    error_from,
    has_unknown_outcome,
)
from taskmill.kube.resources import Resource

JsonObject = dict[str, Any]
# verb, kind, status code (0: no answer), seconds until the answer began
OnRequest = Callable[[str, Resource, int, float], None]

_CONNECT_TIMEOUT = 5.0
_UNAUTHORIZED = 401
_FIRST_ERROR = 300  # a redirect is no answer of an API server


@dataclass(frozen=True, slots=True)
class Call:
    """One request: enough to send it again and to name it in an error."""

    verb: str
    method: str
    resource: Resource
    path: str
    params: dict[str, str] = field(default_factory=dict)
    body: JsonObject | None = None
    content_type: str = "application/json"
    changes: bool = False  # whether it may have an effect on the server

    def __str__(self) -> str:
        return f"{self.verb} {self.path}"


class _Connector(aiohttp.TCPConnector):
    """Takes the connection that was used last: those of a burst grow idle, and are closed.

    aiohttp takes the one unused for longest, and so keeps all of them in use for ever.
    """

    async def _get(self, key: Any, traces: Any) -> Any:
        if known := self._conns.get(key):
            known.rotate(1)
        return await super()._get(key, traces)


class Transport:
    """An HTTP session to the server of these credentials; open it, and close it."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        timeout: float,
        silence: float,
        on_request: OnRequest | None,
    ) -> None:
        connect = min(timeout, _CONNECT_TIMEOUT)
        self._credentials = credentials
        self._exchange = aiohttp.ClientTimeout(total=timeout, sock_connect=connect)
        self._stream = aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=silence)
        self._on_request = on_request
        self._session: aiohttp.ClientSession | None = None

    def open(self) -> None:
        """Needs a running event loop; requests come after this."""
        self._session = aiohttp.ClientSession(
            connector=_Connector(limit=0),  # a watch must never queue behind writes
            headers={"User-Agent": f"taskmill/{metadata.version('taskmill')}"},
        )

    async def close(self) -> None:
        """Requests under way fail."""
        if self._session is not None:
            await self._session.close()

    async def json(self, call: Call) -> JsonObject:
        """The object the server answers with."""
        with _translated(call):
            async with await self._send(call, self._exchange) as response:
                try:
                    answer = codec.decode(await response.read())
                except ValueError:
                    answer = None
        if isinstance(answer, dict):
            return answer
        message = f"{call}: HTTP {response.status} without a JSON object"
        raise UnknownOutcome(message) if call.changes else Unreachable(message)

    async def read(self, call: Call) -> bytes:
        """All of an answer that is no object."""
        with _translated(call):
            async with await self._send(call, self._exchange) as response:
                return await response.read()

    async def pieces(self, call: Call) -> AsyncGenerator[bytes, None]:
        """The answer's bytes as they come; Unreachable after a silence or a break."""
        with _translated(call):
            async with await self._send(call, self._stream) as response:
                async for piece in response.content.iter_any():
                    yield piece

    async def _send(self, call: Call, patience: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """An answer that is not an error; whoever gets it closes it."""
        if self._credentials.is_stale:
            await asyncio.to_thread(self._credentials.refresh, self._credentials.generation)
        generation = self._credentials.generation
        response = await self._send_once(call, patience)
        if response.status == _UNAUTHORIZED:
            response.close()
            await asyncio.to_thread(self._credentials.refresh, generation)
            response = await self._send_once(call, patience)
        if response.status < _FIRST_ERROR:
            return response
        async with response:
            body = await response.read()
        error = error_from(response.status, body, retry_after=response.headers.get("Retry-After"))
        if call.changes and has_unknown_outcome(response.status):
            raise UnknownOutcome(f"{call}: {error}", error=error)
        raise error

    async def _send_once(
        self, call: Call, patience: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError("the client is used outside of its `async with`")
        headers = self._credentials.headers()
        data = None
        if call.body is not None:
            data = codec.encode(call.body)
            headers["Content-Type"] = call.content_type
        started, code = time.monotonic(), 0
        try:
            response = await self._session.request(
                call.method,
                self._credentials.server + call.path,
                params=call.params,
                data=data,
                headers=headers,
                timeout=patience,
                ssl=self._credentials.ssl_context() or True,
                proxy=self._credentials.proxy,
                allow_redirects=False,
            )
            code = response.status
        finally:
            if self._on_request is not None:
                seconds = time.monotonic() - started
                self._on_request(call.verb, call.resource, code, seconds)
        return response


@contextlib.contextmanager
def _translated(call: Call) -> Iterator[None]:
    """Raise ours for aiohttp's exceptions: what matters is whether the request may have arrived."""
    try:
        yield
    except (ApiError, UnknownOutcome):
        raise
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise Unreachable(f"{call}: {_words(error)}") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        message = f"{call}: {_words(error)}"
        raise (UnknownOutcome(message) if call.changes else Unreachable(message)) from error


def _words(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"{error.host}:{error.port}: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        # Its own words show an SSL context's address in memory.
        return f"{error.host}:{error.port}: {error.os_error}"
    return str(error) or type(error).__name__
