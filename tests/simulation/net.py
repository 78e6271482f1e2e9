"""The network between a process and the API server: slow, lossy, and silent at times."""

from __future__ import annotations

import asyncio
import contextvars
import json
import random
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

from simulation.api import Api, Change, Json, refusal, selector
from simulation.loop import Process
from taskmill.kube.client import KubeClient
from taskmill.kube.errors import ApiError, ServerError, UnknownOutcome, Unreachable
from taskmill.kube.resources import LEASES, Resource
from taskmill.kube.transport import Call

PATIENCE = 10.0
"""Seconds that the client waits for an answer; as `KubeClient`."""
SILENCE = 75.0
BOOKMARK = 30.0
BEAT = 10.0
"""Seconds after which a watch without events looks whether it is silent, at most."""
HALF = 0.5
LATEST = 12.0
"""Seconds for which a request may be under way before it is applied."""


@dataclass
class Weather:
    """How likely each mishap is, for a request; the times are in seconds."""

    latency: float = 0.004
    lag: float = 0.02
    """Of watches."""
    refused: float = 0.0
    """The connection is: nothing was sent."""
    throttled: float = 0.0
    failed: float = 0.0
    """500, half of them after the request was applied."""
    cut: float = 0.0
    """Applied, and the connection closed in place of an answer."""
    silent: float = 0.0
    """Applied, maybe late, and never answered."""
    broken: float = 0.0
    """A watch ends, for each event."""


@dataclass
class Place:
    """Where things happen: the server, the clock's timers outside of all processes, the dice."""

    api: Api
    dice: random.Random
    weather: Weather = field(default_factory=Weather)
    down: bool = False
    """Whether the API server does not answer at all."""
    on_send: Callable[[Process, Call], None] = lambda *_: None

    def __post_init__(self) -> None:
        self._outside = contextvars.copy_context()
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[Resource, list[asyncio.Future[None]]] = {}
        self.api.listeners.append(lambda change: self.stir(change.resource))
        self.beat()

    def stir(self, *resources: Resource) -> None:
        """Wake the watches of these kinds, or all."""
        for resource in resources or tuple(self._waiting):
            for one in self._waiting.pop(resource, ()):
                if not one.done():
                    one.set_result(None)

    async def stirring(self, resource: Resource) -> None:
        """Wait for a change of this kind, or a while."""
        stirred: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(resource, []).append(stirred)
        await stirred

    def beat(self) -> None:
        """Now and then: one timer for all watches."""
        self.stir()
        self.later(BEAT, self.beat)

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Do it then, whatever becomes of the process that asks for it."""
        self._loop.call_later(seconds, what, context=self._outside)


class Link:
    """One process' way to the server."""

    def __init__(self, place: Place, process: Process) -> None:
        self.place = place
        self.process = process
        self.parted = False
        """Whether nothing gets through, either way, and nothing says so."""
        self.lag = 0.0
        """Seconds by which its watches are behind, beyond what the weather adds."""
        self.on_next_write: Callable[[], None] | None = None
        """Done once, as soon as it has sent its next write."""

    async def json(self, call: Call) -> Json:
        answer = await self._exchange(call)
        assert isinstance(answer, dict)
        return answer

    async def read(self, call: Call) -> bytes:
        answer = await self._exchange(call)
        assert isinstance(answer, bytes)
        return answer

    async def _exchange(self, call: Call) -> Json | bytes:
        place = self.place
        place.on_send(self.process, call)
        if self.on_next_write and call.changes and call.resource is not LEASES:
            strike, self.on_next_write = self.on_next_write, None
            # Outside: the process itself may be what is struck.
            place.later(0.0, strike)
        return await _Exchange(self, call).answer

    def apply(  # noqa: PLR0911 - a verb each
        self, call: Call, at: float
    ) -> Json | bytes:
        """What the server does with it."""
        api, author = self.place.api, self.process.name
        namespace, name, sub = _place(call)
        if call.verb == "get":
            return b"the last line\n" if sub == "log" else api.get(call.resource, namespace, name)
        if call.verb == "list":
            items, version = api.list(call.resource, _selector(call)), str(api.version)
            return {"items": items, "metadata": {"resourceVersion": version}}
        body = call.body
        assert body is not None
        if "dryRun" in call.params:
            api.demand_namespace(call.resource, namespace, body["metadata"]["name"])
            return body
        if call.verb == "create":
            return api.create(call.resource, namespace, body, author, at)
        if call.verb == "patch":
            return api.patch(call.resource, namespace, name, body, author, at, subresource=sub)
        if call.verb == "replace":
            return api.replace(call.resource, namespace, name, body, author, at)
        assert call.verb == "delete", f"the simulation knows no {call.verb}"
        uid = body["preconditions"]["uid"]
        api.delete(call.resource, namespace, name, author, at, uid=uid)
        return {"kind": "Status"}

    async def pieces(self, call: Call) -> AsyncGenerator[bytes, None]:
        """A watch: what happened since, each after the lag of the hour, in order."""
        place, loop = self.place, asyncio.get_running_loop()
        position = int(call.params["resourceVersion"])
        until = loop.time() + int(call.params["timeoutSeconds"])
        place.on_send(self.process, call)
        await asyncio.sleep(place.dice.expovariate(1 / place.weather.latency))
        if self._is_cut():
            await asyncio.sleep(PATIENCE / 2 if self.parted else 0)
            raise Unreachable(f"{call}: refused")
        if position < place.api.compacted:
            yield _line("ERROR", {"code": 410, "reason": "Expired", "message": "too old"})
            return
        log, selects = place.api.log(call.resource), _selector(call)
        index, heard_at = _first_after(log, position), loop.time()
        while loop.time() < until:
            if place.down or loop.time() - heard_at > SILENCE:
                raise Unreachable(f"{call}: cut, or silent")
            if self.parted or index == len(log):
                if not self.parted and loop.time() - heard_at >= BOOKMARK:
                    heard_at, version = loop.time(), str(place.api.version)
                    yield _line("BOOKMARK", {"metadata": {"resourceVersion": version}})
                await place.stirring(call.resource)
                continue
            await self._due(log[index], call)
            if self._is_cut():
                continue
            heard_at, index = loop.time(), index + 1
            if selects(log[index - 1].new):
                yield log[index - 1].line

    def _is_cut(self) -> bool:
        return self.parted or self.place.down

    async def _due(self, change: Change, call: Call) -> None:
        """Wait until a watch may tell of it."""
        dice, weather = self.place.dice, self.place.weather
        if dice.random() < weather.broken:
            raise Unreachable(f"{call}: cut")
        # What is made of an object that is gone is excused for as long.
        due = change.at + self.lag + min(dice.expovariate(1 / weather.lag), LATEST - 1)
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))


class _Exchange:
    """One request on its way, and its answer; what befalls it is decided at its start."""

    def __init__(self, link: Link, call: Call) -> None:
        self._link, self._place, self._call = link, link.place, call
        self._now = asyncio.get_running_loop().time
        self._sent_at = self._now()
        self._fate = self._mishap()
        self.answer: asyncio.Future[Json | bytes] = asyncio.get_running_loop().create_future()
        self._begin()

    def _mishap(self) -> str:
        weather, left = self._place.weather, self._place.dice.random()
        for kind in ("refused", "throttled", "failed", "cut", "silent"):
            left -= getattr(weather, kind)
            if left < 0:
                return kind
        return ""

    def _begin(self) -> None:
        place, call = self._place, self._call
        way, late = self._way(), 0.0
        if self._link.parted:
            self._give_up()
            return
        if place.down or self._fate == "refused":
            self._settle_in(way, Unreachable(f"{call}: refused"))
            return
        if self._fate == "throttled":
            words = "the server has received too many requests"
            self._settle_in(way, refusal(429, "TooManyRequests", words))
            return
        if self._fate == "failed" and place.dice.random() < HALF:
            self._settle_in(way, self._server_error())
            return
        if self._fate == "silent":
            late = place.dice.uniform(0, LATEST)
            self._give_up()
        place.later(way + late, self._arrive)

    def _arrive(self) -> None:
        if self._place.down:
            self._settle_in(self._way(), _lost(self._call))
            return
        answer: Json | bytes | Exception
        try:
            answer = self._link.apply(self._call, self._sent_at)
        except ApiError as refused:
            answer = refused
        if self._fate == "failed":
            answer = self._server_error()
        if self._fate == "cut":
            answer = _lost(self._call)
        if self._fate != "silent":
            self._settle_in(self._way(), answer)

    def _settle_in(self, seconds: float, answer: Json | bytes | Exception) -> None:
        if self._now() + seconds > self._sent_at + PATIENCE:
            self._give_up()
        else:
            self._place.later(seconds, lambda: self._settle(answer))

    def _settle(self, answer: Json | bytes | Exception) -> None:
        if self._link.parted:
            self._give_up()
        elif self.answer.done():
            return
        elif isinstance(answer, Exception):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)

    def _give_up(self) -> None:
        """The client waits for an answer in vain."""
        left = self._sent_at + PATIENCE - self._now()
        self._place.later(left, self._lose)

    def _lose(self) -> None:
        if not self.answer.done():
            self.answer.set_exception(_lost(self._call))

    def _way(self) -> float:
        return self._place.dice.expovariate(1 / self._place.weather.latency)

    def _server_error(self) -> Exception:
        error = ServerError(500, "InternalError", "etcdserver: request timed out")
        return (
            UnknownOutcome(f"{self._call}: {error}", error=error) if self._call.changes else error
        )


class SimulatedClient(KubeClient):
    """The real client on a simulated network."""

    def __init__(self, link: Link) -> None:
        self._transport = link  # type: ignore[assignment]


def _lost(call: Call) -> Exception:
    message = f"{call}: no answer"
    return UnknownOutcome(message) if call.changes else Unreachable(message)


def _place(call: Call) -> tuple[str, str, str | None]:
    """Namespace, name and subresource."""
    parts = call.path.removeprefix(call.resource.path().rpartition("/")[0] + "/").split("/")
    if parts[0] != "namespaces":
        return "", "", None
    name = parts[3] if len(parts) > 3 else ""
    return parts[1], name, parts[4] if len(parts) > 4 else None


def _selector(call: Call) -> Callable[[Json], bool]:
    labels, fields = call.params.get("labelSelector"), call.params.get("fieldSelector")
    selects = selector(labels, fields)
    inside = call.path.removeprefix(call.resource.path().rpartition("/")[0] + "/")
    if not inside.startswith("namespaces/"):
        return selects
    namespace = inside.split("/")[1]
    return lambda thing: thing["metadata"]["namespace"] == namespace and selects(thing)


def _first_after(history: list[Change], version: int) -> int:
    low, high = 0, len(history)
    while low < high:
        middle = (low + high) // 2
        if history[middle].version <= version:
            low = middle + 1
        else:
            high = middle
    return low


def _line(kind: str, thing: Any) -> bytes:
    return json.dumps({"type": kind, "object": thing}).encode() + b"\n"
