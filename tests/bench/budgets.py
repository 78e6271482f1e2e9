"""The budgets of the design, and whether they are kept."""

from __future__ import annotations

from statistics import fmean

from bench.cost import CONTROLLER
from bench.tables import (
    BASE,
    DEFAULT_QPS,
    JOB_CREATED,
    VERDICT,
    Told,
    against,
    interval,
    table,
    turns_of,
)


def section(known: Told) -> str:
    rows = [row for find in _BUDGETS if (row := find(known))]
    return "## Budgets\n\n" + table(("what", "budget", "measured", "met?"), rows)


Row = tuple[str, str, str, str] | None


def _writes_budget(known: Told) -> Row:
    if not (ours := _of(known, "taskmill")):
        return None
    found = fmean(t["own"]["writes"] + t["own"]["events"] for t in ours)
    idle = known.get("idle", {}).get("own")
    beside = f", {idle['writes'] + idle['events']:.2f} idle" if idle else ""
    return (
        "writes of a plain run until its verdict, Events included",
        "≤ 3",
        f"{found:.2f} in turns{beside}",
        _met(round(found, 2) <= 3),
    )


def _cpu_budget(known: Told) -> Row:
    if not (ours := _of(known, "taskmill")):
        return None
    found = fmean(t["cpu ms"][CONTROLLER] for t in ours)
    return "operator CPU per plain run", "≤ 4 ms", f"{found:.1f} ms", _met(found <= 4)


def _rate_budget(known: Told) -> Row:
    limits = known.get("jobcontroller", {}).get("limits", {})
    if str(DEFAULT_QPS) not in limits:
        return None
    played = limits[str(DEFAULT_QPS)]["turns"]
    found = against(turns_of(played, "taskmill"), turns_of(played, BASE))
    what = "runs/s against bare Jobs, paired turns, the Job controller as it comes"
    return what, "≥ 0.95", interval(found), _met(found["mean"] >= 0.95)


def _raised_rate_budget(known: Told) -> Row:
    ours, theirs = _of(known, "taskmill"), _of(known, BASE)
    if not ours or not theirs:
        return None
    found = against(ours, theirs)
    what = "the same with its limits raised until both cores are busy"
    return what, "≥ 0.95", interval(found), _met(found["mean"] >= 0.95)


def _verdict_budget(known: Told) -> Row:
    return _idle_budget(known, VERDICT, "verdict after the container's end is visible", 100)


def _job_budget(known: Told) -> Row:
    return _idle_budget(known, JOB_CREATED, "execution created → Job created", 30)


def _idle_budget(known: Told, name: str, what: str, most: float) -> Row:
    if "idle" not in known:
        return None
    found = known["idle"]["latency"][name]["p50"]
    return what, f"≤ {most} ms median, idle", f"{found:.0f} ms", _met(found <= most)


def _memory_budget(known: Told) -> Row:
    levels = known.get("live", {}).get("levels", [])
    if not (levels := [level for level in levels if level["live"] >= 10_000]):
        return None
    lived, fresh = levels[0]["lived"]["rss"], levels[0]["fresh"]["rss"]
    return (
        f"resident memory at {levels[0]['live']:,} live executions",
        "≤ 300 MiB",
        f"{lived:.0f} MiB, {fresh:.0f} MiB when started there",
        _met(max(lived, fresh) <= 300),
    )


_BUDGETS = (
    _writes_budget,
    _cpu_budget,
    _rate_budget,
    _raised_rate_budget,
    _verdict_budget,
    _memory_budget,
    _job_budget,
)


def _met(yes: bool) -> str:  # noqa: FBT001 (what else would one ask it)
    return "yes" if yes else "**no**"


def _of(known: Told, name: str) -> list[Told]:
    return turns_of(known.get("turns", {}).get("turns", []), name)
