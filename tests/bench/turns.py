"""Turns: each contender is given so many runs at once, one contender after the other, again and
again, on the same cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from bench import cost
from bench.contenders import Contender
from bench.lab import Lab, say
from bench.metrics import separate
from bench.observe import Observer, Seen, submit
from bench.stats import percentiles
from taskmill.kube.client import KubeClient

_WARM = 5  # runs before it counts
_CALM = 8.0  # seconds after them, in which nothing of a controller's start is left
_SETTLE = 3.0  # seconds, for what is still written after the last verdict
_POINTS = 60


async def play(
    lab: Lab, contenders: Sequence[Contender], *, runs: int, turns: int
) -> list[dict[str, Any]]:
    """All turns, in the order in which they were taken."""
    for contender in contenders:
        contender.install()
        separate(lab.handle, contender.account)
    played = []
    async with lab.client() as client:
        for turn in range(turns):
            for contender in contenders:
                told = await take(lab, client, contender, turn, runs)
                say(f"turn {turn + 1} of {turns}: {contender.name} {told['rate']:.1f} runs/s")
                played.append(told)
    return played


async def take(
    lab: Lab,
    client: KubeClient,
    contender: Contender,
    turn: int,
    runs: int,
    calm: float = _CALM,
) -> dict[str, Any]:
    namespace = f"{contender.name.lower()}-{turn}"
    lab.make_namespace(namespace)
    await contender.start()
    try:
        async with Observer(client, namespace, contender) as observer:
            await _run(client, observer, contender, namespace, "warm", _WARM)
            await asyncio.sleep(calm)
            observer.forget()
            before = cost.picture(lab, contender)
            began = asyncio.get_running_loop().time()
            await _run(client, observer, contender, namespace, "run", runs)
            await asyncio.sleep(_SETTLE)
            after = cost.picture(lab, contender)
    finally:
        contender.stop()
    lab.empty_namespace(namespace)
    seen = list(observer.runs.values())
    ends = sorted(run.verdict - began for run in seen)
    return {
        "contender": contender.name,
        "turn": turn,
        "runs": runs,
        "seconds": ends[-1],
        "rate": runs / ends[-1],
        "rate with Jobs": _rate_of_jobs(seen, began),
        **cost.between(before, after, contender, runs),
        "watch events": {what: count / runs for what, count in observer.events.items()},
        "latency": latencies(seen),
        "curve": [(ends[n - 1], n) for n in _marks(runs)],
    }


async def _run(
    client: KubeClient, observer: Observer, who: Contender, namespace: str, name: str, runs: int
) -> None:
    bodies = [who.manifest(f"{name}-{number}") for number in range(runs)]
    await submit(client, who.resource, namespace, bodies)
    await observer.until(runs, lambda run: run.verdict, f"{who.name} have ended", within=1800)
    jobs = sum(1 for run in observer.runs.values() if run.job)
    await observer.until(jobs, lambda run: run.job_condition, "Jobs are complete", within=600)


def _rate_of_jobs(seen: Sequence[Seen], began: float) -> float | None:
    """Runs a second until the last Job said that it is complete; None where there are none."""
    ends = [run.job_condition - began for run in seen if run.job_condition]
    return len(ends) / max(ends) if ends else None


def latencies(seen: Sequence[Seen]) -> dict[str, dict[str, float]]:
    """In milliseconds; what was never seen of a run is left out."""
    spans = {
        "created -> Job created": [(run.created, run.job) for run in seen],
        "container's end visible -> verdict": [(run.container_ended, run.verdict) for run in seen],
        "container's end visible -> Job's own condition": [
            (run.container_ended, run.job_condition) for run in seen
        ],
        "created -> verdict": [(run.created, run.verdict) for run in seen],
    }
    found = {
        name: [1000 * (to - since) for since, to in pairs if since and to]
        for name, pairs in spans.items()
    }
    return {name: percentiles(values) for name, values in found.items() if values}


def _marks(runs: int) -> list[int]:
    step = max(1, runs // _POINTS)
    return [*range(1, runs, step), runs]
