"""An API server of a hundred lines: it stores and watches, and misbehaves on demand."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.test_utils import TestServer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PATH = re.compile(r"/apis?/.*?(?:/namespaces/(?P<ns>[^/]+))?/(?P<kind>[a-z]+)(?:/(?P<name>[^/]+))?")


def status(code: int, reason: str, message: str = "no", **extra) -> web.Response:
    body = {"kind": "Status", "code": code, "reason": reason, "message": message} | extra
    return web.json_response(body, status=code)


def line(kind: str, thing: dict) -> bytes:
    return json.dumps({"type": kind, "object": thing}).encode() + b"\n"


class FakeServer:
    """Faults are handlers put in `script`: each takes one request, the first that matches."""

    def __init__(self) -> None:
        self.version = 100
        self.things: dict[tuple[str, str], dict] = {}
        self.events: list[tuple[int, str, dict]] = []
        self.changed = asyncio.Event()
        self.requests: list[web.Request] = []
        self.script: list[tuple[str, Handler]] = []
        self.failures: list[BaseException] = []
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._serve)
        self.http = TestServer(app)

    @property
    def url(self) -> str:
        return str(self.http.make_url("")).rstrip("/")

    def once(self, verb: str, handler: Handler) -> None:
        """verb: get, list, watch, create, patch, replace, delete."""
        self.script.append((verb, handler))

    def count(self, verb: str) -> int:
        return sum(_verb(request) == verb for request in self.requests)

    def put(self, kind: str, name: str, *, event: str | None = None, **body) -> dict:
        known = self.things.get((kind, name))
        self.version += 1
        uid = known["metadata"]["uid"] if known else f"uid-{name}-{self.version}"
        meta = {"name": name, "namespace": "ns", "uid": uid, "resourceVersion": str(self.version)}
        thing = {"metadata": meta} | body
        self.things[kind, name] = thing
        self._tell(event or ("MODIFIED" if known else "ADDED"), thing)
        return thing

    async def lists(self, request: web.Request) -> web.StreamResponse:
        """As it would without a fault."""
        return await self._list(request, PATH.fullmatch(request.path))

    def drop(self, kind: str, name: str) -> None:
        self.version += 1
        thing = self.things.pop((kind, name))
        meta = thing["metadata"] | {"resourceVersion": str(self.version)}
        self._tell("DELETED", thing | {"metadata": meta})

    def _tell(self, kind: str, thing: dict) -> None:
        self.events.append((self.version, kind, thing))
        self.changed.set()
        self.changed = asyncio.Event()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        verb = _verb(request)
        for entry in self.script:
            if entry[0] == verb:
                self.script.remove(entry)
                return await entry[1](request)
        return await getattr(self, f"_{verb}")(request, PATH.fullmatch(request.path))

    async def _get(self, _, path):
        thing = self.things.get((path["kind"], path["name"]))
        return web.json_response(thing) if thing else status(404, "NotFound")

    async def _list(self, request, path):
        items = [t for (kind, _), t in sorted(self.things.items()) if kind == path["kind"]]
        start, limit = int(request.query.get("continue", 0)), int(request.query.get("limit", 0))
        meta = {"resourceVersion": str(self.version)}
        if limit and start + limit < len(items):
            meta["continue"] = str(start + limit)
        items = items[start : start + limit] if limit else items
        return web.json_response({"metadata": meta, "items": items})

    async def _create(self, request, path):
        body = await request.json()
        name = body["metadata"]["name"]
        if (path["kind"], name) in self.things:
            return status(409, "AlreadyExists")
        return web.json_response(self.put(path["kind"], name, spec=body.get("spec")), status=201)

    async def _watch(self, request, _):
        response = await begin(request)
        seen = int(request.query["resourceVersion"])
        while True:
            changed = self.changed
            for version, kind, thing in self.events:
                if version > seen:
                    await response.write(line(kind, thing))
                    seen = version
            await changed.wait()


async def begin(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    return response


def _verb(request: web.Request) -> str:
    if "watch" in request.query:
        return "watch"
    named = PATH.fullmatch(request.path.removesuffix("/status"))["name"]
    plain = {"POST": "create", "PATCH": "patch", "PUT": "replace", "DELETE": "delete"}
    return plain.get(request.method) or ("get" if named else "list")
