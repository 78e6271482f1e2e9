"""What many executions cost that just are: memory, a start among them, and doing nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from bench import cost, turns
from bench.contenders import Taskmill
from bench.lab import Lab, say
from bench.live import NAMESPACE, Running, grow, keep
from bench.metrics import separate
from bench.observe import Observer, submit
from bench.procs import usage
from bench.sizes import Sizes
from taskmill.kube.client import EXECUTIONS, KubeClient

_SETTLE = 20.0  # seconds, for what a start or the last creation still makes to do
# A fresh operator looks at everything once more, half a minute after its start.
_SECOND_LOOK = 45.0


async def running(lab: Lab, sizes: Sizes) -> list[dict[str, Any]]:
    """For each level of live executions: an operator that saw them come, a fresh one, and what
    runs on top of them cost another fresh one."""
    operator = Running(lab)
    _install(lab, operator)
    levels = []
    async with lab.client() as client, Observer(client, NAMESPACE, operator) as observer:
        try:
            for level in sizes.live:
                await operator.start()
                await grow(client, observer, operator, level)
                lived = await _rest(lab, operator, sizes)
                operator.stop()
                fresh = await _start(lab, operator, sizes)
                operator.stop()
                run = await turns.take(
                    lab, client, Taskmill(lab), level, sizes.fresh, calm=_SECOND_LOOK
                )
                say(f"{level} live: {run['cpu ms'][cost.CONTROLLER]:.2f} ms of the operator a run")
                levels.append({"live": level, "lived": lived, "fresh": fresh, "run": run})
        finally:
            operator.stop()
    return levels


async def finished(lab: Lab, sizes: Sizes) -> list[dict[str, Any]]:
    """For each level of executions kept after their end: a fresh operator."""
    operator = Taskmill(lab)
    _install(lab, operator)
    levels, have = [], 0
    async with lab.client() as client:
        status = await _status_of_one(client, operator)
        for level in sizes.finished:
            await keep(client, status, have, level)
            have = level
            try:
                fresh = await _start(lab, operator, sizes)
            finally:
                operator.stop()
            levels.append({"finished": level, "fresh": fresh})
    return levels


def _install(lab: Lab, operator: Taskmill) -> None:
    operator.install()
    separate(lab.handle, operator.account)
    lab.make_namespace(NAMESPACE)


async def _status_of_one(client: KubeClient, operator: Taskmill) -> dict[str, Any]:
    """What the operator itself writes of a run that succeeded."""
    await operator.start()
    try:
        async with Observer(client, NAMESPACE, operator) as observer:
            await submit(client, EXECUTIONS, NAMESPACE, [operator.manifest("pattern")])
            await observer.until(1, lambda run: run.job_condition, "run has ended", within=60)
    finally:
        operator.stop()
    status: dict[str, Any] = (await client.get(EXECUTIONS, NAMESPACE, "pattern"))["status"]
    return status


async def _start(lab: Lab, operator: Taskmill, sizes: Sizes) -> dict[str, Any]:
    seconds = await operator.start()
    pid = operator.pid()
    assert pid is not None
    ready = usage(pid)
    say(f"  a fresh operator acts after {seconds:.1f} s")
    return {
        "ready s": seconds,
        "cpu s until ready": ready.cpu,
        **await _rest(lab, operator, sizes),
    }


async def _rest(lab: Lab, operator: Taskmill, sizes: Sizes) -> dict[str, Any]:
    await asyncio.sleep(_SETTLE)
    before = cost.picture(lab, operator)
    await asyncio.sleep(sizes.rest)
    after = cost.picture(lab, operator)
    used = after.usage
    say(f"  resident {used[cost.CONTROLLER].rss:.0f} MiB, at most {used[cost.CONTROLLER].peak:.0f}")
    return {
        "rss": used[cost.CONTROLLER].rss,
        "peak": used[cost.CONTROLLER].peak,
        "apiserver rss": used["apiserver"].rss,
        "rest": cost.at_rest(before, after, operator),
    }
