"""The report, lane by lane."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
    listed,
    middle,
    names,
    table,
    turns_of,
)


def _turns(told: Told) -> str:
    played = told["turns"]
    runs, who = played[0]["runs"], names(played)
    text = (
        f"## Turns\n\n{runs} runs submitted at once, one contender after the other, "
        f"{len(turns_of(played, BASE))} times. A run of bare Jobs has ended when its Job says "
        "Complete, any other when its own object has the verdict; *until the Jobs* counts to the "
        "last Complete of the Jobs below. The interval is Student's, 95 %, on the logarithms of "
        "the ratios within each turn.\n\n"
    )
    text += "".join(f"- {name}: {how}\n" for name, how in told["contenders"].items())
    text += "\n![Runs that have ended, over time](bench-throughput.svg)\n\n"
    text += _rates(played)
    text += "\n" + table(
        ("per run", *who),
        [
            *_per_run(played, who, "cpu ms", "CPU of {}, ms"),
            *_per_run(played, who, "own", "its own {}"),
            *_per_run(played, who, "watch events", "watch events of {}"),
        ],
    )
    text += "\n" + table(
        ("resident, MiB, after the last turn", *who),
        [
            (part, *(f"{turns_of(played, n)[-1]['rss'].get(part, 0):.0f}" for n in who))
            for part in played[0]["rss"]
        ],
    )
    text += "\nEverybody's requests per run, but those rarer than one in twenty runs:\n\n"
    text += _requests(played, who)
    text += "\nLatencies under this load, in ms, over all runs of the middle turn:\n\n"
    return text + _latencies({name: middle(turns_of(played, name)) for name in who})


def _rates(played: Sequence[Told]) -> str:
    rows = []
    for name in names(played):
        mine, base = turns_of(played, name), turns_of(played, BASE)
        jobs = [t["rate with Jobs"] for t in mine if t["rate with Jobs"]]
        rows.append(
            (
                name,
                f"{fmean(t['rate'] for t in mine):.1f}",
                " ".join(f"{t['rate']:.1f}" for t in mine),
                "" if name == BASE else interval(against(mine, base)),
                f"{fmean(jobs):.1f}" if jobs else "",
            )
        )
    return table(("", "runs/s", "each turn", "against Jobs", "until the Jobs"), rows)


def _per_run(
    played: Sequence[Told], who: Sequence[str], what: str, title: str
) -> Iterator[Sequence[str]]:
    for part in dict.fromkeys(part for turn in played for part in turn[what]):
        means = (fmean(t[what].get(part, 0) for t in turns_of(played, n)) for n in who)
        yield title.format(part), *(f"{mean:.2f}" for mean in means)


def _requests(played: Sequence[Told], who: Sequence[str]) -> str:
    rows = _per_run(played, who, "all", "{}")
    return table(("", *who), sorted(rows, key=lambda row: row[0].split()[::-1]))


def _latencies(of: dict[str, Told]) -> str:
    rows = [
        (name, what, *(f"{found[p]:.0f}" for p in ("p50", "p90", "p99")))
        for name, told in of.items()
        for what, found in told["latency"].items()
        # Its Job is what is submitted.
        if not (name == BASE and what in (JOB_CREATED, VERDICT))
    ]
    return table(("", "", "p50", "p90", "p99"), rows)


def _idle(told: Told) -> str:
    return (
        f"## Idle\n\n{told['runs']} runs of `sleep 2`, one after the other, in real containers, "
        "with the limits that controllers have by default; milliseconds, both moments seen by one "
        "observer's watches.\n\n"
        + _latencies({"taskmill": told})
        + f"\nThe operator's own requests per run: {listed(told['own'])}; "
        f"its CPU: {told['cpu ms'][CONTROLLER]:.1f} ms a run of "
        "some seconds, keeping the Lease included.\n"
    )


def _live(told: Told) -> str:
    rows = []
    for level in told["levels"]:
        rows.append((f"{level['live']:,}, seen coming", *_held(level["lived"])))
        rows.append((f"{level['live']:,}, started there", *_held(level["fresh"])))
    return (
        "## Live executions\n\nTheir pods run for ever. At rest: what the operator does in "
        f"{told['sizes']['rest']} s in which nothing happens.\n\n"
        "![Resident memory against executions](bench-memory.svg)\n\n"
        + table(_HELD, rows)
        + _growth(told)
    )


def _kept(told: Told) -> str:
    rows = [(f"{level['finished']:,}", *_held(level["fresh"])) for level in told["levels"]]
    return "## Kept executions\n\nThey have ended; the operator starts there.\n\n" + table(
        _HELD, rows
    )


_HELD = (
    "",
    "resident, MiB",
    "at most",
    "acts after, s",
    "CPU until then, s",
    "CPU at rest, s",
    "writes",
    "reads",
    "of the Lease",
)


def _held(told: Told) -> Sequence[str]:
    rest = told["rest"]
    ready, cpu = told.get("ready s"), told.get("cpu s until ready")
    return (
        f"{told['rss']:.0f}",
        f"{told['peak']:.0f}",
        "" if ready is None else f"{ready:.1f}",
        "" if cpu is None else f"{cpu:.1f}",
        f"{rest['cpu s']:.2f}",
        f"{rest['writes'] + rest['events']}",
        f"{rest['reads']}",
        f"{rest['leases']}",
    )


def _growth(told: Told) -> str:
    levels = [(level["live"], level["run"]) for level in told["levels"]]
    rows = [
        (
            f"{live:,}",
            f"{run['cpu ms'][CONTROLLER]:.2f}",
            f"{run['cpu ms']['apiserver']:.1f}",
            f"{run['own']['writes'] + run['own']['events']:.2f}",
            f"{run['own']['reads']:.2f}",
            f"{sum(run['watch events'].values()):.1f}",
            f"{run['rate']:.1f}",
        )
        for live, run in levels
    ]
    head = ("live", "operator's CPU, ms", "API server's CPU, ms", "writes", "reads", "watch events")
    return (
        f"\n### Growth\n\n{levels[0][1]['runs']} runs at once on top of those that live; per "
        "run:\n\n![Cost of a run against live executions](bench-growth.svg)\n\n"
        + table((*head, "runs/s"), rows)
    )


def _job_controller(told: Told) -> str:
    rows = []
    for qps, lane in told["limits"].items():
        mine, base = (turns_of(lane["turns"], name) for name in ("taskmill", BASE))
        jobs = [t["rate with Jobs"] for t in mine]
        rows.append(
            (
                f"{qps} (as it comes)" if int(qps) == DEFAULT_QPS else qps,
                f"{fmean(t['rate'] for t in base):.1f}",
                f"{fmean(t['rate'] for t in mine):.1f}",
                interval(against(mine, base)),
                f"{fmean(jobs):.1f}",
                f"{middle(mine)['latency'][VERDICT]['p50']:.0f}",
                f"{fmean(t['cpu ms'][CONTROLLER] for t in mine):.1f}",
                f"{fmean(_busy(t) for t in base):.1f}",
                f"{fmean(_busy(t) for t in mine):.1f}",
            )
        )
    head = (
        "its requests a second",
        "Jobs, runs/s",
        "taskmill, runs/s",
        "ratio",
        "taskmill until the Jobs",
        "end visible -> verdict, ms",
        "operator's CPU, ms per run",
        "cores busy with Jobs",
        "with taskmill",
    )
    runs = told["sizes"]["runs"]
    return (
        f"## What the Job controller allows\n\n{runs} runs at once, {len(base)} turns for each "
        "limit: `--kube-api-qps`, `--kube-api-burst` of twice as much and "
        "`--concurrent-job-syncs=40`; as it comes, 20 requests a second, 30 at once and 5 Jobs at "
        "a time. A run of bare Jobs has ended when its Job says Complete, one of taskmill when it "
        "has its verdict. *Cores busy*: the CPU of all that takes part, the bench included, until "
        "the last Job is complete.\n\n" + table(head, rows)
    )


def _busy(turn: Told) -> float:
    """Cores that were busy on average, until the last Job was complete."""
    parts = [ms for part, ms in turn["cpu ms"].items() if part != CONTROLLER]
    own = 0.0 if turn["contender"] == BASE else turn["cpu ms"][CONTROLLER]
    return float((sum(parts) + own) / 1000 * turn["rate with Jobs"])


SECTIONS: dict[str, Callable[[Told], str]] = {
    "turns": _turns,
    "idle": _idle,
    "live": _live,
    "kept": _kept,
    "jobcontroller": _job_controller,
}


def about(told: Told) -> str:
    machine = told["machine"]
    flags = told.get("lab", {}).get("flags of the controller manager")
    return (
        f"\nOn {told['date']} at {told['commit']}, in {told['minutes']:.0f} min: "
        f"{machine['cores']} cores of {machine['processor']}, {machine['memory GiB']} GiB, "
        f"Linux {machine['kernel']}, Python {machine['Python']}, Kubernetes "
        f"{machine['Kubernetes']}, kwok {machine['kwok']}, load before {machine['load before']:.1f}"
        + (f"; controller manager: `{' '.join(flags)}`" if flags else "")
        + ".\n"
    )
