"""The operator as a process: in which order it starts and stops."""

import asyncio
import contextlib
import gc

import kopf

from taskmill.handlers import register
from taskmill.kube.auth import Credentials
from taskmill.kube.client import KubeClient
from taskmill.reconcile.engine import Engine
from taskmill.settings import Settings


async def run(settings: Settings, credentials: Credentials) -> None:
    """Run the operator until it is told to stop (SIGTERM, SIGINT)."""
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(KubeClient(credentials))
        engine = Engine(
            client,
            await stack.enter_async_context(KubeClient(credentials)),
            namespace=settings.namespace,
            identity=settings.identity,
            limits=settings.limits,
        )
        registry = kopf.OperatorRegistry()
        register(registry, feed=engine.feed, credentials=credentials)
        async with asyncio.TaskGroup() as group:
            # All of them now: at its end Kopf waits for, and cancels, what began after it did.
            tasks = [group.create_task(work) for work in engine.works()]
            # Kopf looks for its kinds once, at its start: they must be there by then.
            await engine.filled.wait()
            # What is loaded by now lives as long as the process: the collector may leave it alone.
            gc.collect()
            gc.freeze()
            await kopf.operator(registry=registry, clusterwide=True)
            for task in tasks:
                task.cancel()
