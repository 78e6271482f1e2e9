"""Probes are answered, and the process ends in time whoever hangs. Without a cluster."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import aiohttp
import pytest

from taskmill import health
from taskmill.metrics import Metrics
from taskmill.plan.world import Limits
from taskmill.reconcile import engine
from taskmill.reconcile.cache import Key, Kind
from taskmill.reconcile.engine import Engine
from taskmill.settings import Address, SettingsError
from wire.virtual import run_virtually

ANYWHERE = Address("127.0.0.1", 0)
RUN, OTHER = (Key(Kind.EXECUTION, "team", name) for name in ("run", "other"))


async def ask(port, path):
    url = f"http://127.0.0.1:{port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def test_it_is_ready_when_nothing_speaks_against_it():
    async with health.serve(ANYWHERE, Metrics(), lambda: "", lambda: "") as port:
        assert await ask(port, "/readyz") == (200, "ok\n")


async def test_it_says_the_first_reason_why_it_is_not_ready_and_is_healthy_all_the_same():
    async with health.serve(ANYWHERE, Metrics(), lambda: "", lambda: "one", lambda: "two") as port:
        assert await ask(port, "/readyz") == (503, "one\n")
        assert await ask(port, "/healthz") == (200, "ok\n")


async def test_there_is_nothing_else_to_be_had():
    async with health.serve(ANYWHERE, Metrics()) as port:
        assert (await ask(port, "/"))[0] == 404


async def test_a_port_in_use_is_a_wrong_setting():
    async with health.serve(ANYWHERE, Metrics()) as port:
        words = f"^TASKMILL_HEALTH_ADDRESS 127.0.0.1:{port}: .*in use"
        with pytest.raises(SettingsError, match=words):
            async with health.serve(Address("127.0.0.1", port), Metrics()):
                pass


class Silent:
    """An API server with nothing in it, whose watches never say a word."""

    async def pages(self, *_, **__):
        yield [], "1"

    async def list(self, *_, **__):
        return [], "1"

    async def watch(self, *_, **__):
        await asyncio.Event().wait()
        yield

    async def get(self, *_):
        return {
            "metadata": {},
            "spec": {"holderIdentity": "another", "renewTime": str(time.time())},
        }


def engine_of(client, *namespaces):
    return Engine(
        client,
        client,
        namespace="system",
        namespaces=namespaces,
        identity="me",
        limits=Limits(),
    )


def test_a_replica_that_stands_by_is_ready_until_a_watch_falls_silent():
    async def main():
        made = engine_of(Silent())
        assert made.trouble() == "not everything there is has been read yet"
        works = [asyncio.create_task(work) for work in made.works()]
        await asyncio.sleep(1)
        assert made.trouble() == ""
        await asyncio.sleep(engine.LONGEST_SILENCE)
        assert (
            made.trouble() == "the watch of taskexecutions.taskmill.dev has been silent for 151 s"
        )
        for work in works:
            work.cancel()
        await asyncio.wait(works)

    run_virtually(main())


class Noting(Silent):
    """Notes where it was asked for what."""

    def __init__(self):
        self.asked = set()

    async def pages(self, resource, namespace=None, **_):
        self.asked.add((resource.plural, namespace))
        yield [], "1"

    async def list(self, resource, namespace=None, **_):
        self.asked.add((resource.plural, namespace))
        return [], "1"


@pytest.mark.parametrize("namespaces", [(), ("team-a", "team-b")])
def test_it_looks_into_the_namespaces_it_was_given_or_into_all_at_once(namespaces):
    async def main():
        client = Noting()
        made = engine_of(client, *namespaces)
        works = [asyncio.create_task(work) for work in made.works()]
        await asyncio.sleep(1)
        assert made.filled.is_set()
        kinds = ("tasks", "taskexecutions", "jobs", "pods")
        assert client.asked == {(kind, one) for kind in kinds for one in namespaces or (None,)}
        for work in works:
            work.cancel()
        await asyncio.wait(works)

    run_virtually(main())


def test_at_its_end_no_pass_begins_and_those_under_way_may_end():
    async def main():
        made = engine_of(Silent())
        queue = made._queue
        queue.add(RUN)
        assert await queue.get() == RUN
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        draining = asyncio.create_task(made.drain(within=4))
        await asyncio.sleep(1)
        queue.add(OTHER)
        await asyncio.sleep(1)
        assert not draining.done()
        queue.done(RUN)
        await asyncio.sleep(0.1)
        assert draining.done()
        assert not waiting.done()
        waiting.cancel()

    run_virtually(main())


def test_a_pass_that_hangs_is_waited_for_so_long_and_no_longer():
    async def main():
        made = engine_of(Silent())
        made._queue.add(RUN)
        await made._queue.get()
        loop = asyncio.get_running_loop()
        began = loop.time()
        await made.drain(within=4)
        assert loop.time() - began == pytest.approx(4)

    run_virtually(main())


@pytest.fixture
def hanging_server():
    """The port of a server that accepts every connection and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = []

        def accept():
            while True:
                try:
                    kept.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for one in kept:
            one.close()


@contextmanager
def operator(port, tmp_path, *program, **settings):
    """An operator's process that is sent to this port, and its log."""
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    log = tmp_path / "log"
    env = os.environ | {"KUBECONFIG": str(tmp_path / "kubeconfig"), **settings}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *(program or ("-m", "taskmill")), "operator"], env=env, stderr=out
        )
    try:
        yield process, log
    finally:
        process.kill()
        process.wait()


def once_logged(log, pattern):
    deadline = time.monotonic() + 60
    while not (found := re.search(pattern, log.read_text())):
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    return found


def answer(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.status, refused.read().decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_is_healthy_and_ends_well_though_the_api_server_hangs(number, hanging_server, tmp_path):
    with operator(hanging_server, tmp_path, TASKMILL_HEALTH_ADDRESS=str(ANYWHERE)) as (
        process,
        log,
    ):
        port = once_logged(log, r"health is told on port (\d+)")[1]
        assert answer(port, "/healthz") == (200, "ok\n")
        assert answer(port, "/readyz") == (503, "not everything there is has been read yet\n")
        process.send_signal(number)
        assert process.wait(timeout=20) == 0
        assert "Traceback" not in log.read_text()


def test_a_port_in_use_ends_the_process_with_a_sentence(hanging_server, tmp_path):
    given = f"127.0.0.1:{hanging_server}"
    with operator(hanging_server, tmp_path, TASKMILL_HEALTH_ADDRESS=given) as (process, log):
        assert process.wait(timeout=60) == 2
        assert f"taskmill: TASKMILL_HEALTH_ADDRESS {given}: " in log.read_text()


HANGING = """
import asyncio, sys, time
from taskmill import app
from taskmill.__main__ import main
from taskmill.reconcile.engine import Engine
app.AT_LATEST = 2
works = Engine.works
Engine.works = lambda self: [asyncio.to_thread(time.sleep, 40), *works(self)]
sys.exit(main())
"""
FAILING = """
import sys
from taskmill.__main__ import main
from taskmill.reconcile.engine import Engine
async def fails():
    raise KeyError("MARKER")
works = Engine.works
Engine.works = lambda self: [fails(), *works(self)]
sys.exit(main())
"""


def test_a_thread_that_hangs_is_left_behind(hanging_server, tmp_path):
    with operator(hanging_server, tmp_path, "-c", HANGING) as (process, log):
        once_logged(log, "taskmill .* starts as")
        process.terminate()
        assert process.wait(timeout=25) == 0


def test_when_an_essential_part_ends_the_process_ends(hanging_server, tmp_path):
    with operator(hanging_server, tmp_path, "-c", FAILING) as (process, log):
        assert process.wait(timeout=60) == 1
        assert log.read_text().endswith("taskmill: ended: KeyError\n")
