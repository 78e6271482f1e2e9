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
    memory: dict[str, Points] = {}
    if "live" in known:
        levels = known["live"]["levels"]
        memory["live, seen coming"] = [(one["live"], one["lived"]["rss"]) for one in levels]
        memory["live, started there"] = [(one["live"], one["fresh"]["rss"]) for one in levels]
        runs = [(one["live"], one["run"]) for one in levels]
        costs: dict[str, Points] = {
            "operator's CPU, ms": [(live, run["cpu ms"][CONTROLLER]) for live, run in runs],
            "writes": [(live, run["own"]["writes"]) for live, run in runs],
            "reads": [(live, run["own"]["reads"]) for live, run in runs],
            "watch events": [(live, sum(run["watch events"].values())) for live, run in runs],
        }
        yield "growth", svg(costs, title="Cost of one run", x="live executions", y="per run")
    if "kept" in known:
        levels = known["kept"]["levels"]
        memory["ended and kept"] = [(one["finished"], one["fresh"]["rss"]) for one in levels]
    if memory:
        title = "Resident memory of the operator"
        yield "memory", svg(memory, title=title, x="executions", y="MiB")
