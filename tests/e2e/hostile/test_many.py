"""Very many that wait: each is told, each gets its verdict, and nobody else waits for them."""

import json
import time
from collections import Counter

import pytest

from e2e.effort import either
from e2e.hostile.judge import Judge, counting
from e2e.user import User, execution, run_spec

MANY = either(300, 1000, "TASKMILL_MANY")

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300 + MANY / 3)]

WITHIN = 60 + MANY / 10
"""Seconds until all are told what was done to them."""
GATED = run_spec("true", podTemplate={"spec": {"schedulingGates": [{"name": "example.com/shut"}]}})
"""Its pod waits for what nobody does."""
JOBS = 10
"""One in so many has a Job: what others do for each of these is slow, and not what is tested."""
APPLIED = 250
REQUESTS_EACH = 8
QUIET = 10
"""Seconds."""


def told(user: User) -> Counter[str]:
    """How many executions say what."""
    path = "{range .items[*]}{.status.phase}{'/'}{.status.reason}{'\\n'}{end}"
    return Counter(user.kubectl("get", "te", "-o", f"jsonpath={path}").split())


def test_many_that_wait_are_told_and_stopped(user: User, judge: Judge) -> None:
    began = time.monotonic()
    never = (
        execution(f"e{n}", GATED) if n % JOBS == 0 else execution(f"e{n}", taskRef={"name": "none"})
        for n in range(MANY)
    )
    with counting(user.cluster) as requests:
        everything = list(never)
        for first in range(0, MANY, APPLIED):
            listed = {"apiVersion": "v1", "kind": "List", "items": everything[first:][:APPLIED]}
            user.kubectl("create", "-f", "-", stdin=json.dumps(listed))
        made = time.monotonic()
        user.wait(
            lambda: sum(n for end, n in told(user).items() if end != "/") == MANY, within=WITHIN
        )
        spoken = time.monotonic()
        waiting, spent = told(user), requests()
        time.sleep(QUIET)
        idle = requests() - spent
        for one in everything:
            stop = {"spec": {"desiredPhase": "Stopped"}}
            user.patch("taskexecutions", one["metadata"]["name"], stop)
        stopping = time.monotonic()
        user.wait(lambda: told(user)["Stopped/Stopped"] == MANY, within=WITHIN)
        ended, all_of_it = time.monotonic(), requests()
    print(f"\n{MANY} made in {made - began:.0f} s, all told {spoken - made:.1f} s later: {waiting}")
    print(f"all stopped {ended - stopping:.1f} s after the last was asked to")
    print(f"{spent} requests until all was told, {idle} in {QUIET} s of rest, {all_of_it} in all")
    assert waiting["Pending/WaitingForTask"] == MANY - (MANY + JOBS - 1) // JOBS
    assert all_of_it <= REQUESTS_EACH * MANY
    assert idle <= MANY / 10
