"""The operator as a process: in which order it starts and stops.

    SIGTERM -> no new passes, those under way end -> the Lease is given back -> Kopf ends -> exit

Each part has its seconds, so that the whole ends in time whoever hangs: the API server, a webhook.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import threading
from collections.abc import Collection, Sequence
from importlib import metadata
from typing import Any

from taskmill import health
from taskmill.handlers import watch_tasks
from taskmill.kube.auth import Credentials
from taskmill.kube.client import KubeClient
from taskmill.log import words
from taskmill.metrics import Metrics
from taskmill.reconcile.engine import Engine
from taskmill.settings import Settings

log = logging.getLogger(__name__)

DRAIN = 4.0
"""Seconds for passes under way."""
RELEASE = 3.5
"""Seconds for giving back the Lease: one request that hangs takes 3."""
PART = 1.0
"""Seconds for Kopf: it has nothing to finish."""
AGAIN = 1.0
"""Seconds until Kopf is started again."""
AT_LATEST = 9.5
"""Seconds from the signal to the end of the process; a thread may hang, too."""


async def run(settings: Settings, credentials: Credentials) -> None:
    """Run the operator until it is told to stop (SIGTERM, SIGINT).

    Raises what ended an essential part of it, or SettingsError for an address it cannot have.
    """
    # What is read and dropped is freed by reference counts: looking often finds nothing.
    gc.set_threshold(10_000, 20, 20)
    told = asyncio.Event()
    _listen(told)
    log.info("taskmill %s starts as %s", metadata.version("taskmill"), settings.identity)
    async with contextlib.AsyncExitStack() as stack:
        metrics = Metrics()
        client, lease_client = [
            await stack.enter_async_context(KubeClient(credentials, on_request=metrics.requested))
            for _ in range(2)
        ]
        engine = Engine(
            client,
            lease_client,
            namespace=settings.namespace,
            namespaces=settings.namespaces,
            identity=settings.identity,
            limits=settings.limits,
            metrics=metrics,
        )
        watched = asyncio.Event()
        if settings.health_address is not None:
            checks = (
                lambda: "it is ending" if told.is_set() else "",
                engine.trouble,
                lambda: "" if watched.is_set() else "Tasks are not watched yet",
            )
            port = await stack.enter_async_context(
                health.serve(settings.health_address, metrics, *checks)
            )
            log.info("health is told on port %d", port)
        works = [asyncio.create_task(work) for work in engine.works()]
        watching = asyncio.create_task(
            _keep_watching(engine, credentials, settings.namespaces, told, watched)
        )
        ended = await _first_ended(told, *works, watching)
        told.set()
        _end_at_latest(1 if ended else 0)
        log.info("ending: what is under way may finish")
        await engine.drain(within=DRAIN)
        await _end(works, within=RELEASE)
        # Kopf's streams are torn down in the middle of a line, and asyncio tells of it at length.
        asyncio.get_running_loop().set_exception_handler(_whisper)
        await _end([watching], within=PART)
        for task in ended:
            task.result()


def _listen(told: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)


async def _keep_watching(
    engine: Engine,
    credentials: Credentials,
    namespaces: Sequence[str],
    told: asyncio.Event,
    begun: asyncio.Event,
) -> None:
    """Have Tasks watched; `begun` is set while they are."""
    await engine.filled.wait()
    # What is loaded by now lives as long as the process: the collector may leave it alone.
    gc.collect()
    gc.freeze()
    while True:
        try:
            await watch_tasks(
                feed=engine.feed,
                credentials=credentials,
                namespaces=namespaces,
                begun=begun,
                took_signals=lambda: _listen(told),
            )
        except Exception as error:  # noqa: BLE001 - whatever it was, the rest goes on
            log.warning("Kopf has ended, and watches Tasks anew: %s", words(error))
        await asyncio.sleep(AGAIN)
        # It needs the kind to be there, and will tell nothing of what vanished meanwhile.
        await engine.read_tasks()


async def _first_ended(told: asyncio.Event, *tasks: asyncio.Task[None]) -> list[asyncio.Task[None]]:
    """What should last for ever and has ended; nothing when we are told to stop."""
    telling = asyncio.create_task(told.wait())
    await asyncio.wait((telling, *tasks), return_when=asyncio.FIRST_COMPLETED)
    telling.cancel()
    return [task for task in tasks if task.done()]


async def _end(tasks: Collection[asyncio.Task[None]], *, within: float) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=within)


def _whisper(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    log.debug("while Kopf ends: %s", context.get("message"))


def _end_at_latest(code: int) -> None:
    """Should anything hang beyond that, a thread in a credential plugin say, leave it hanging."""
    timer = threading.Timer(AT_LATEST, os._exit, (code,))
    timer.daemon = True
    timer.start()
