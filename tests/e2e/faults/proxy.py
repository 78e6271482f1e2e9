"""A way to the API server on which a test decides what happens to each request.

Plain HTTP to here, as whoever asks from here on. Watches are passed on line by line as they come.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

from e2e.faults.background import Background
from e2e.faults.call import Call, whole
from taskmill.kube.auth import Credentials

_HOPS = {"host", "connection", "transfer-encoding", "content-length", "keep-alive"}
_OURS = {"tasks", "taskexecutions", "jobs", "pods"}
_REASONS = {410: "Expired", 429: "TooManyRequests", 503: "ServiceUnavailable"}
_LONG = 3600.0
_TICK = 0.1


@dataclass(frozen=True, slots=True)
class Pass:
    """Hand it on, after so many seconds."""

    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer with an error, and hand nothing on."""

    status: int
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """Tear down the connection and hand nothing on; `then` is called first."""

    then: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Lose:
    """Hand it on and lose the answer: cut, or never sent. `then` is called when it is there."""

    then: Callable[[], None] | None = None
    hangs: bool = False


@dataclass(frozen=True, slots=True)
class Hang:
    """Neither hand it on nor answer."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A watch that lags so many seconds, and ends badly after so many seconds."""

    lag: float = 0.0
    ends_in: float = _LONG
    half: bool = False
    """It ends in the middle of the next line."""
    gone: bool = False
    """Its last line says 410."""
    silent: float = 0.0
    """Seconds before its end in which nothing is told."""


Fault = Pass | Answer | Cut | Lose | Hang | Stream
Policy = Callable[[Call], Fault]


@dataclass(frozen=True, slots=True)
class Passed:
    """A request, what was done to it, and the API server's status code (0: it got none)."""

    at: float
    call: Call
    fault: Fault
    status: int


def fair(_: Call) -> Fault:
    """Nothing happens to anything."""
    return Pass()


class Proxy(Background):
    """The way, for who uses its `kubeconfig`.

    With a namespace, what asks for everything is shown that namespace only: so several operators
    can act at the same time, each in a world of its own.
    """

    def __init__(self, kubeconfig: Path, folder: Path, *, namespace: str | None = None) -> None:
        super().__init__()
        self.kubeconfig = folder / "kubeconfig"
        self.policy: Policy = fair
        """Asked for each request, in the thread of this proxy; must be quick."""
        self.server: Callable[[Call], str] = lambda _: self._credentials.server
        """Which API server a request is handed on to; as `policy`."""
        self.holds: Callable[[bytes], bool] = lambda _: False
        """Which lines of watches are kept back, while others pass; asked again and again."""
        self.passed: list[Passed] = []
        self._credentials = Credentials.from_kubeconfig(kubeconfig)
        self._config = json.loads(kubeconfig.read_text())
        self._namespace = namespace

    def refuse(self) -> None:
        """Listen no more, and tear down every connection."""
        self.call(self._refuse())

    def listen(self) -> None:
        """Be there again, at the same port."""
        self.call(self._listen())

    async def serve(self, up: Callable[[], None]) -> None:
        runner = web.ServerRunner(
            web.Server(self._serve, handler_cancellation=True), shutdown_timeout=0.1
        )
        await runner.setup()
        self._runner = runner
        self._site = web.TCPSite(runner, "127.0.0.1", 0)
        await self._site.start()
        self._port = runner.addresses[0][1]
        self._config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{self._port}"}
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(json.dumps(self._config))
        timeout = aiohttp.ClientTimeout(total=None)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            auto_decompress=False, timeout=timeout, connector=connector
        ) as self._session:
            try:
                up()
                await asyncio.Event().wait()
            finally:
                await runner.cleanup()

    async def _refuse(self) -> None:
        await self._site.stop()
        assert self._runner.server
        for connection in self._runner.server.connections:
            if connection.transport:
                connection.transport.abort()

    async def _listen(self) -> None:
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await self._site.start()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        call = Call.of(request.method, request.path, request.query, await request.read())
        try:
            return await self._meet(request, call)
        except (aiohttp.ClientError, OSError):
            # Whichever side is gone: the other one sees a connection that is cut.
            return _cut(request)

    async def _meet(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        fault = self.policy(call)
        match fault:
            case Answer(status, retry_after):
                self._note(call, fault, 0)
                return _error(status, retry_after)
            case Cut(then):
                self._note(call, fault, 0)
                if then:
                    then()
                return _cut(request)
            case Hang():
                self._note(call, fault, 0)
                await asyncio.sleep(_LONG)
            case Pass(delay):
                await asyncio.sleep(delay)
        return await self._forward(request, call, fault)

    async def _forward(
        self, request: web.BaseRequest, call: Call, fault: Fault
    ) -> web.StreamResponse:
        async with self._session.request(
            call.method,
            self.server(call) + self._seen(request, call),
            data=call.body or None,
            headers={k: v for k, v in request.headers.items() if k.lower() not in _HOPS},
            ssl=self._credentials.ssl_context() or True,
        ) as answer:
            self._note(call, fault, answer.status)
            if isinstance(fault, Lose):
                if not call.watches:
                    await answer.read()
                if fault.then:
                    fault.then()
                if fault.hangs:
                    await asyncio.sleep(_LONG)
                return _cut(request)
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOPS}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            if call.watches and answer.status == 200:
                stream = fault if isinstance(fault, Stream) else Stream()
                await _Pouring(answer, response, stream, self._keeps).run()
                if stream.ends_in < _LONG and not stream.gone:
                    return _cut(request)
            else:
                async for piece in answer.content.iter_any():
                    await response.write(piece)
            await response.write_eof()
        return response

    def _keeps(self, line: bytes) -> bool:
        # What holds may be another one by now.
        return self.holds(line)

    def _seen(self, request: web.BaseRequest, call: Call) -> str:
        """Where it is to go: to everything, or to what may be seen of it."""
        found = whole(call.path)
        if self._namespace is None or found is None or found[1] not in _OURS:
            return request.path_qs
        root, plural = found
        query = request.path_qs.partition("?")[2]
        return f"{root}/namespaces/{self._namespace}/{plural}?{query}"

    def _note(self, call: Call, fault: Fault, status: int) -> None:
        self.passed.append(Passed(time.time(), call, fault, status))


class _Pouring:
    """A watch that is passed on line by line, until it ends on either side or as it is to end."""

    def __init__(
        self,
        answer: aiohttp.ClientResponse,
        response: web.StreamResponse,
        stream: Stream,
        holds: Callable[[bytes], bool],
    ) -> None:
        self._answer = answer
        self._response = response
        self._stream = stream
        self._holds = holds
        self._held: list[bytes] = []
        self._lines: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
        self._silent_at = time.monotonic() + stream.ends_in - stream.silent

    async def run(self) -> None:
        reading = asyncio.create_task(self._read())
        try:
            async with asyncio.timeout(self._stream.ends_in):
                await self._tell()
        except TimeoutError:
            if self._stream.gone:
                status = json.dumps({"type": "ERROR", "object": _status(410)})
                await self._response.write(status.encode() + b"\n")
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, aiohttp.ClientError, OSError):
                await reading

    async def _read(self) -> None:
        try:
            async for line in _lines(self._answer):
                self._lines.put_nowait((time.monotonic(), line))
        finally:
            self._lines.put_nowait(None)

    async def _tell(self) -> None:
        while True:
            await self._release()
            try:
                one = await asyncio.wait_for(self._lines.get(), _TICK if self._held else None)
            except TimeoutError:
                continue
            if one is None:
                return
            came_at, line = one
            await asyncio.sleep(came_at + self._stream.lag - time.monotonic())
            await self._release()
            if self._holds(line):
                self._held.append(line)
            else:
                await self._write(line)

    async def _release(self) -> None:
        while self._held and not self._holds(self._held[0]):
            await self._response.write(self._held.pop(0))

    async def _write(self, line: bytes) -> None:
        if time.monotonic() < self._silent_at:
            await self._response.write(line)
            return
        if self._stream.half:
            await self._response.write(line[: len(line) // 2])
        await asyncio.sleep(_LONG)


async def _lines(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Whole lines, with their ends; they may be longer than aiohttp's own may."""
    left = b""
    async for piece in answer.content.iter_any():
        *lines, left = (left + piece).split(b"\n")
        for line in lines:
            yield line + b"\n"


def _cut(request: web.BaseRequest) -> web.Response:
    """An answer that never gets there."""
    if request.transport:
        request.transport.abort()
    return web.Response()


def _error(status: int, retry_after: int | None) -> web.Response:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return web.json_response(_status(status), status=status, headers=headers)


def _status(code: int) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": code,
        "reason": _REASONS.get(code, "InternalError"),
        "message": f"the weather says {code}",
    }
