"""Executions that stay: some that run for ever, and some that have ended."""

from __future__ import annotations

import asyncio
from typing import Any

from bench.contenders import Taskmill
from bench.lab import LIVE, ON_KWOK, Lab, say
from bench.observe import Observer, submit
from e2e.user import execution, run_spec
from taskmill.kube.client import EXECUTIONS, KubeClient

NAMESPACE = "stays"
_PORTION = 1000  # what an operator does under a heap of work is measured elsewhere
_AT_ONCE = 16


class Running(Taskmill):
    """Its runs never end; they have their verdict, as it were, when they run."""

    def __init__(self, lab: Lab) -> None:
        pod = {"metadata": {"labels": LIVE}, "spec": ON_KWOK}
        super().__init__(lab, run_spec(command=["true"], podTemplate=pod))

    def ended(self, raw: dict[str, Any]) -> bool:
        return bool(raw.get("status", {}).get("phase") == "Running")


async def grow(client: KubeClient, observer: Observer, running: Running, level: int) -> None:
    """Start more, until so many run. `observer` has watched from the first one on."""
    say(f"letting {level} executions run, {len(observer.runs)} do already")
    while (have := len(observer.runs)) < level:
        more = min(level, have + _PORTION)
        bodies = [running.manifest(f"live-{number}") for number in range(have, more)]
        await submit(client, EXECUTIONS, NAMESPACE, bodies)
        await observer.until(more, lambda run: run.verdict, "executions run", within=1200)


async def keep(client: KubeClient, status: dict[str, Any], first: int, beyond: int) -> None:
    """Make executions that have ended, with this status; nobody ever ran them."""
    say(f"writing {beyond - first} executions that have ended")
    body = execution("", run_spec(command=["true"], podTemplate={"spec": ON_KWOK}))
    numbers = iter(range(first, beyond))

    async def work() -> None:
        for number in numbers:
            name = f"ended-{number}"
            named = body | {"metadata": {"name": name}}
            await client.create(EXECUTIONS, NAMESPACE, named)
            await client.patch(
                EXECUTIONS, NAMESPACE, name, {"status": status}, subresource="status"
            )
            if number % 5000 == 0:
                say(f"  at {number}")

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(work())
