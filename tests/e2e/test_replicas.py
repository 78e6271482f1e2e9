"""Two operators at work: one acts, the other takes over when it must, and nothing runs twice.

Each has its own way to the API server, which records what passes and can be blocked.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest
from aiohttp import web

from cluster.handle import Handle
from e2e.install import SYSTEM
from e2e.process import READY, WITHIN, OperatorProcess
from e2e.user import User, execution, run_spec
from taskmill.kube.auth import Credentials

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

STANDS_BY = "caches are filled; standing for election"
LOSES = "this replica acts no longer"
TAKEOVER = 60.0
"""Seconds: the Lease's 15, and generous slack for a busy machine."""
_HOPS = {"host", "connection", "transfer-encoding", "content-length", "keep-alive"}
_LEASES = "/leases"


@dataclass(frozen=True)
class Passed:
    """A request that went to the API server, and its answer's status code."""

    at: float
    method: str
    path: str
    status: int

    @property
    def wants(self) -> bool:
        """Whether it was to change anything but a Lease, whatever came of it."""
        return self.method != "GET" and _LEASES not in self.path

    @property
    def writes(self) -> bool:
        """Whether it has."""
        return self.wants and self.status < 300 and "dryRun" not in self.path


class Way:
    """One replica's way to the API server: plain HTTP to here, as the operator from here on."""

    def __init__(self, operator_kubeconfig: Path, folder: Path) -> None:
        self.passed: list[Passed] = []
        self.hangs: re.Pattern[str] | None = None
        """Requests (`POST /path`) that get no answer for as long as this says so."""
        self.gone: re.Pattern[str] | None = None
        """Requests that are answered with 410."""
        self.slow: re.Pattern[str] | None = None
        """Requests that wait for half a second first."""
        self.held = 0
        """Requests that had to wait for as long as that."""
        self.interrupted: list[str] = []
        """Writes whose answer nobody waited for."""
        self.kubeconfig = folder / "kubeconfig"
        self._credentials = Credentials.from_kubeconfig(operator_kubeconfig)
        self._config = json.loads(operator_kubeconfig.read_text())
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._up = threading.Event()
        self._is_cut = False
        self._under_way: dict[int, web.Request] = {}
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._run()])

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._loop.close()

    def writes(self, *, since: float = 0.0) -> list[Passed]:
        """What changed something but a Lease."""
        return [one for one in self.passed if one.writes and one.at >= since]

    def tries(self, *, since: float) -> list[Passed]:
        """The same and what was refused: a conflict shows who should not have tried."""
        return [one for one in self.passed if one.wants and one.at >= since]

    def cut(self) -> None:
        """Every connection is torn down, now and later."""
        self._is_cut = True
        self.drop()

    def drop(self) -> None:
        """Every connection is torn down, now."""
        for request in tuple(self._under_way.values()):
            self._loop.call_soon_threadsafe(_abort, request)

    def heals(self) -> None:
        """It is a way again."""
        self.hangs, self.gone, self.slow, self._is_cut = None, None, None, False

    async def _run(self) -> None:
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{tail:.*}", self._pass)
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        await runner.setup()
        timeout = aiohttp.ClientTimeout(total=None)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            auto_decompress=False, timeout=timeout, connector=connector
        ) as self._session:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            server = f"http://127.0.0.1:{runner.addresses[0][1]}"
            self._config["clusters"][0]["cluster"] = {"server": server}
            self.kubeconfig.write_text(json.dumps(self._config))
            self._up.set()
            await self._stop.wait()
            await runner.cleanup()

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        self._under_way[id(request)] = request
        try:
            return await self._forward(request)
        except asyncio.CancelledError:
            if request.method != "GET":
                self.interrupted.append(f"{request.method} {request.path}")
            raise
        finally:
            del self._under_way[id(request)]

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        what = f"{request.method} {request.path_qs}"
        await self._blocked(request, what)
        if self.gone and self.gone.search(what):
            return web.json_response({"kind": "Status", "code": 410, "reason": "Gone"}, status=410)
        if self.slow and self.slow.search(what):
            await asyncio.sleep(0.5)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOPS}
        async with self._session.request(
            request.method,
            self._credentials.server + request.path_qs,
            data=body or None,
            headers=headers,
            ssl=self._credentials.ssl_context() or True,
        ) as answer:
            one = Passed(time.monotonic(), request.method, request.path_qs, answer.status)
            self.passed.append(one)
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOPS}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await self._blocked(request, what)
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await self._blocked(request, what)
                await response.write(piece)
            await response.write_eof()
        return response

    async def _blocked(self, request: web.Request, what: str) -> None:
        """Wait while such requests hang; tear down the connection while all are cut."""
        if self.hangs and self.hangs.search(what):
            self.held += 1
            while self.hangs and self.hangs.search(what):  # noqa: ASYNC110 (another thread's)
                await asyncio.sleep(0.05)
        if self._is_cut:
            _abort(request)
            raise ConnectionResetError


def _abort(request: web.Request) -> None:
    if request.transport:
        request.transport.abort()


class Replica:
    """An operator of its own identity, on its own way."""

    def __init__(self, name: str, way: Way, folder: Path) -> None:
        self.way = way
        self.process = OperatorProcess(
            way.kubeconfig,
            folder / f"{name}.log",
            TASKMILL_IDENTITY=name,
            TASKMILL_HEALTH_ADDRESS="127.0.0.1:0",
        )

    @property
    def runs(self) -> bool:
        return self.process._process is not None

    def leads(self) -> "Replica":
        self.process.start()
        return self

    def stands_by(self) -> "Replica":
        self.process.spawn()
        self.says(STANDS_BY)
        return self

    def says(self, words: str, times: int = 1, within: float = WITHIN) -> float:
        """Seconds until its log has had these words so often."""
        began = time.monotonic()
        while self.process.written().count(words) < times:
            assert time.monotonic() < began + within, self.process.written()
            time.sleep(0.05)
        return time.monotonic() - began

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)


@pytest.fixture(scope="module")
def alone(operator_process: OperatorProcess) -> Iterator[None]:
    """The session's operator gives way."""
    operator_process.stop()
    yield
    operator_process.start()


@pytest.fixture
def ways(alone: None, operator_kubeconfig: Path, tmp_path: Path) -> Iterator[tuple[Way, Way]]:
    with contextlib.ExitStack() as stack:
        folders = [tmp_path / name for name in ("one", "other")]
        for folder in folders:
            folder.mkdir()
        one, other = (stack.enter_context(Way(operator_kubeconfig, f)) for f in folders)
        yield one, other


@pytest.fixture
def replicas(ways: tuple[Way, Way], tmp_path: Path) -> Iterator[tuple[Replica, Replica]]:
    """The first acts, the second stands by."""
    made = Replica("one", ways[0], tmp_path), Replica("other", ways[1], tmp_path)
    try:
        yield made[0].leads(), made[1].stands_by()
    finally:
        for replica in made:
            replica.way.heals()
            if replica.runs:
                replica.signal(signal.SIGCONT)
                assert replica.process.stop() == 0, replica.process.written()
    for replica in made:
        assert "Traceback" not in replica.process.written()


def runs(user: User) -> None:
    """Some that are in flight for a while: plain, with a second step, tried again, overdue."""
    first = {"id": "first", "task": run_spec("sleep 8")}
    then = {"id": "then", "dependsOn": ["first"], "task": run_spec("sleep 1")}
    again = run_spec("sleep 8; exit 3", retry={"limit": 1, "backoff": {"initial": "1s"}})
    user.apply(
        execution("plain", run_spec("sleep 8")),
        execution("two", plan=[first, then]),
        execution("again", again),
        execution("overdue", run_spec("sleep 600", maxRunTime="8s", gracePeriod="1s")),
    )
    for name in ENDS.keys() - {"meanwhile"}:
        user.phase(name, "Running")


ENDS = {
    "plain": "",
    "two": "",
    "again": "Error",
    "overdue": "MaxRunTimeExceeded",
    "meanwhile": "",
}
JOBS = {"plain": 1, "two": 2, "again": 2, "overdue": 1, "meanwhile": 1}


def meanwhile(user: User) -> None:
    """One more, while nobody acts."""
    user.apply(execution("meanwhile", run_spec("true")))


def all_end_once(user: User, *ways: Way) -> None:
    """Every run has its verdict, and each of its Jobs was created once, whoever did it."""
    for name, reason in ENDS.items():
        assert user.end(name, within=90)["status"].get("reason", "") == reason
    created = Counter(
        one.path.partition("?")[0]
        for way in ways
        for one in way.writes()
        if one.method == "POST" and f"/namespaces/{user.namespace}/jobs" in one.path
    )
    assert created.total() == sum(JOBS.values()), created
    labels = [pod.metadata.labels for pod in user.pods()]
    pods = Counter(label["batch.kubernetes.io/job-name"] for label in labels)
    assert set(pods.values()) == {1}, pods


def holder(cluster: Handle) -> dict[str, Any]:
    lease = cluster.get("lease", "taskmill-operator", SYSTEM)
    assert lease
    spec: dict[str, Any] = lease["spec"]
    return spec


def report(record: Any, what: str, seconds: float) -> None:
    record(what, round(seconds, 1))
    print(f"{what}: {seconds:.1f} s")


def test_another_takes_over_from_one_that_was_killed(
    user: User,
    replicas: tuple[Replica, Replica],
    record_property: Any,
) -> None:
    one, other = replicas
    runs(user)
    one.process.kill()
    meanwhile(user)
    report(record_property, "takeover after SIGKILL", other.says(READY, within=TAKEOVER))
    all_end_once(user, one.way, other.way)


def test_another_takes_over_at_once_from_one_that_was_told_to_stop(
    user: User,
    cluster: Handle,
    replicas: tuple[Replica, Replica],
    record_property: Any,
) -> None:
    one, other = replicas
    runs(user)
    transitions = holder(cluster)["leaseTransitions"]
    began = time.monotonic()
    assert one.process.stop() == 0
    report(record_property, "end after SIGTERM", time.monotonic() - began)
    meanwhile(user)
    report(record_property, "takeover after SIGTERM", other.says(READY, within=TAKEOVER))
    assert holder(cluster)["leaseTransitions"] == transitions + 1
    all_end_once(user, one.way, other.way)


def test_one_that_was_frozen_writes_nothing_when_it_thaws(
    user: User,
    replicas: tuple[Replica, Replica],
    record_property: Any,
) -> None:
    one, other = replicas
    runs(user)
    one.signal(signal.SIGSTOP)
    meanwhile(user)
    report(record_property, "takeover after SIGSTOP", other.says(READY, within=TAKEOVER))
    all_end_once(user, one.way, other.way)
    thawed = time.monotonic()
    one.signal(signal.SIGCONT)
    one.says(LOSES)
    # The clocks of all that ran when it froze have rung by now.
    time.sleep(5)
    assert one.way.tries(since=thawed) == []
    # It is of use still.
    assert other.process.stop() == 0
    one.says(READY, times=2, within=TAKEOVER)
    user.apply(execution("after", run_spec("true")))
    user.end("after")


@pytest.mark.parametrize("how", ["hangs", "cut"])
def test_one_that_cannot_reach_the_api_server_stops_acting(
    how: str,
    user: User,
    replicas: tuple[Replica, Replica],
    record_property: Any,
) -> None:
    one, other = replicas
    runs(user)
    if how == "cut":
        one.way.cut()
    else:
        one.way.hangs = re.compile("")
    parted = time.monotonic()
    meanwhile(user)
    lost = one.says(LOSES, within=TAKEOVER)
    took = time.monotonic() - parted + other.says(READY, within=TAKEOVER)
    report(record_property, f"it stops acting when its way {how}", lost)
    report(record_property, f"takeover when its way {how}", took)
    assert lost < took
    all_end_once(user, one.way, other.way)
    assert one.way.tries(since=parted + 1) == []
    one.way.heals()
    healed = time.monotonic()
    user.apply(execution("after", run_spec("true")))
    user.end("after")
    time.sleep(5)
    assert one.way.tries(since=healed) == []
    assert READY not in one.process.written().partition(LOSES)[2]
