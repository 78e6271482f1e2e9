"""The lanes: each one on a cluster of its own, by itself, in any order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from bench import idle, scale, turns
from bench.contenders import Contender, Jobs, Taskmill
from bench.lab import DEFAULT, QPS, Lab
from bench.peers import peers
from bench.sizes import Sizes
from bench.tables import DEFAULT_QPS
from cluster.settings import Settings

# With the limits that users have, a turn takes a minute and more.
_TURNS_OF_JOB_CONTROLLER = 3
_QPS = (None, 50, 100, 200, QPS)


def _turns(sizes: Sizes) -> dict[str, Any]:
    with Lab() as lab:
        contenders: list[Contender] = [Jobs(), Taskmill(lab), *peers(lab)]
        played = turns.play(lab, contenders, runs=sizes.runs, turns=sizes.turns)
        told = {contender.name: contender.told for contender in contenders}
        return {"lab": lab.described(), "contenders": told, "turns": asyncio.run(played)}


def _idle(sizes: Sizes) -> dict[str, Any]:
    with Lab(DEFAULT, nodes=0) as lab:
        return {"lab": lab.described(), **asyncio.run(idle.measure(lab, sizes))}


def _live(sizes: Sizes) -> dict[str, Any]:
    with Lab() as lab:
        return {"lab": lab.described(), "levels": asyncio.run(scale.running(lab, sizes))}


def _kept(sizes: Sizes) -> dict[str, Any]:
    with Lab() as lab:
        return {"lab": lab.described(), "levels": asyncio.run(scale.finished(lab, sizes))}


def _job_controller(sizes: Sizes) -> dict[str, Any]:
    told = {}
    for qps in _QPS:
        with Lab(Settings(qps=qps)) as lab:
            played = turns.play(
                lab,
                [Jobs(), Taskmill(lab)],
                runs=sizes.runs,
                turns=min(sizes.turns, _TURNS_OF_JOB_CONTROLLER),
            )
            told[str(qps or DEFAULT_QPS)] = {"lab": lab.described(), "turns": asyncio.run(played)}
    return {"limits": told}


LANES: dict[str, Callable[[Sizes], dict[str, Any]]] = {
    "turns": _turns,
    "idle": _idle,
    "live": _live,
    "kept": _kept,
    "jobcontroller": _job_controller,
}
