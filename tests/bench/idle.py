"""Latencies when there is nothing else to do: real containers, one run after the other."""

from __future__ import annotations

from typing import Any

from bench import cost
from bench.contenders import Taskmill
from bench.lab import Lab
from bench.metrics import separate
from bench.observe import Observer, submit
from bench.sizes import Sizes
from bench.turns import latencies
from e2e.user import run_spec

_NAMESPACE = "idle"


async def measure(lab: Lab, sizes: Sizes) -> dict[str, Any]:
    # Long enough to be seen running before it ends.
    operator = Taskmill(lab, run_spec("sleep 2"))
    operator.install()
    separate(lab.handle, operator.account)
    lab.make_namespace(_NAMESPACE)
    await operator.start()
    try:
        async with lab.client() as client, Observer(client, _NAMESPACE, operator) as observer:

            async def run(name: str, number: int) -> None:
                await submit(client, operator.resource, _NAMESPACE, [operator.manifest(name)])
                await observer.until(
                    number, lambda run: run.job_condition, "runs have ended", within=60
                )

            await run("warm", 1)
            observer.forget()
            before = cost.picture(lab, operator)
            for number in range(sizes.idle):
                await run(f"run-{number}", number + 1)
            after = cost.picture(lab, operator)
    finally:
        operator.stop()
    return {
        "runs": sizes.idle,
        "latency": latencies(list(observer.runs.values())),
        **cost.between(before, after, operator, sizes.idle),
    }
