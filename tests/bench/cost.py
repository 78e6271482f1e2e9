"""What something cost: a picture before, a picture after, and the difference."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from bench.contenders import Contender
from bench.lab import Lab
from bench.metrics import Requests, requests
from bench.procs import Usage, usage

CONTROLLER = "controller"
_RARE = 0.05  # requests per run, below which it is the background
_KINDS = ("writes", "events", "reads", "leases")


@dataclass(frozen=True)
class Picture:
    at: float
    usage: dict[str, Usage]
    requests: Requests


def picture(lab: Lab, contender: Contender) -> Picture:
    pids = lab.pids()
    own = contender.pid()
    pids[CONTROLLER] = pids["controller-manager"] if own is None else own
    # Reading the metrics costs the server something, too: before, the processes come last.
    counted = requests(lab.handle)
    return Picture(time.monotonic(), {name: usage(pid) for name, pid in pids.items()}, counted)


def between(before: Picture, after: Picture, contender: Contender, runs: int) -> dict[str, Any]:
    """The cost of each of so many runs."""
    made = after.requests - before.requests
    account = contender.account.name
    return {
        "cpu ms": {
            name: 1000 * (now.cpu - before.usage[name].cpu) / runs
            for name, now in after.usage.items()
        },
        "rss": {name: now.rss for name, now in after.usage.items()},
        "peak": {name: now.peak for name, now in after.usage.items()},
        "own": {kind: made.own[f"{account} {kind}"] / runs for kind in _KINDS},
        "all": {
            what: count / runs for what, count in sorted(made.all.items()) if count / runs >= _RARE
        },
    }


def at_rest(before: Picture, after: Picture, contender: Contender) -> dict[str, Any]:
    """What the controller did while there was nothing to do."""
    made = (after.requests - before.requests).own
    account = contender.account.name
    cpu = after.usage[CONTROLLER].cpu - before.usage[CONTROLLER].cpu
    return {
        "seconds": after.at - before.at,
        "cpu s": cpu,
        **{kind: made[f"{account} {kind}"] for kind in _KINDS},
    }
