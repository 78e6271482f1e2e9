"""The report's pictures."""

from __future__ import annotations

from collections.abc import Iterator

from bench.cost import CONTROLLER
from bench.plot import Points, svg
from bench.tables import Told, middle, names, turns_of


def drawn(known: Told) -> Iterator[tuple[str, str]]:
    if "turns" in known:
        played = known["turns"]["turns"]
        lines = {
            # Where each begins is part of it.
            name: [(0.0, 0.0), *map(tuple, middle(turns_of(played, name))["curve"])]
            for name in names(played)
        }
        yield "throughput", svg(lines, title="Runs that have ended", x="seconds", y="runs")
    if "scale" in known:
        running, finished = known["scale"]["running"], known["scale"]["finished"]
        memory: dict[str, Points] = {
            "live, seen coming": [(one["live"], one["lived"]["rss"]) for one in running],
            "live, started there": [(one["live"], one["fresh"]["rss"]) for one in running],
            "ended and kept": [(one["finished"], one["fresh"]["rss"]) for one in finished],
        }
        yield (
            "memory",
            svg(memory, title="Resident memory of the operator", x="executions", y="MiB"),
        )
    if "growth" in known:
        levels = known["growth"]["levels"]
        costs: dict[str, Points] = {
            "operator's CPU, ms": [(one["live"], one["cpu ms"][CONTROLLER]) for one in levels],
            "writes": [(one["live"], one["own"]["writes"]) for one in levels],
            "reads": [(one["live"], one["own"]["reads"]) for one in levels],
            "watch events": [(one["live"], sum(one["watch events"].values())) for one in levels],
        }
        yield "growth", svg(costs, title="Cost of one run", x="live executions", y="per run")
