"""Objects at random from the schemas of both kinds: what is accepted ends, or says why it waits."""

import random
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from e2e.effort import SEED, either
from e2e.hostile.forge import PLURALS, Forge, shown
from e2e.hostile.judge import Judge, all_ended, counting, unsettled
from e2e.user import GROUP, VERSION, User

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

ROUNDS = either(2, 7)
"""Objects of each kind of input."""
REQUESTS_EACH = 60
"""Most requests for one accepted object; a run that fails and is told costs some 10."""
QUIET = 5
"""Seconds that are looked at when all is over."""


@dataclass
class Sent:
    """One object that was sent, and what became of it."""

    kind: str
    way: str
    name: str
    spec: dict[str, Any]
    refused: str = ""


def send(user: User, kind: str, way: str, name: str, spec: dict[str, Any]) -> Sent:
    body = {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind, "metadata": {"name": name}}
    sent = Sent(kind, way, name, spec)
    try:
        user.custom.create_namespaced_custom_object(
            GROUP,
            VERSION,
            user.namespace,
            PLURALS[kind],
            {**body, "spec": spec},
            # A warning is a header, and Python reads a hundred of them.
            field_validation="Ignore",
        )
    except ApiException as error:
        sent.refused = str(error.status)
    return sent


def unobserved(user: User) -> list[str]:
    """Tasks whose present state the operator has not told to have seen."""
    listed: Any = user.custom.list_namespaced_custom_object(GROUP, VERSION, user.namespace, "tasks")
    return [
        one["metadata"]["name"]
        for one in listed["items"]
        if one.get("status", {}).get("observedGeneration") != one["metadata"]["generation"]
    ]


def test_whatever_is_accepted_ends_or_says_why_it_waits(user: User, judge: Judge) -> None:
    print(f"\nTASKMILL_SEED={SEED}")
    chance = random.Random(SEED)
    forges = [Forge(kind, chance) for kind in PLURALS]
    with counting(user.cluster) as requests:
        sent = [
            send(user, forge.kind, way, f"{forge.kind.lower()}-{number}-{turn}", make())
            for turn in range(ROUNDS)
            for forge in forges
            for number, (way, make) in enumerate(forge.ways.items())
        ]
        ended = all_ended(user, within=45)
        user.wait(lambda: not unobserved(user), within=20)
        spent = requests()
        time.sleep(QUIET)
        later = requests() - spent
    outcomes = {one["metadata"]["name"]: one.get("status", {}) for one in ended}
    tell(sent, outcomes, spent, later)
    specs = {one.name: shown(one.spec) for one in sent}
    wrong = {
        name: (why, specs.get(name))
        for one in ended
        if (why := unsettled(one)) and (name := one["metadata"]["name"])
    }
    # What may not end keeps its namespace otherwise.
    user.kubectl("delete", "pods", "--all", "--force", "--grace-period=0", "--wait=false")
    assert not judge.bugs(), f"seed {SEED}: {judge.bugs()}"
    assert not wrong, f"seed {SEED}: {wrong}"
    refusals = {one.refused for one in sent} - {""}
    assert not refusals - {"400", "413", "422"}, f"seed {SEED}: {refusals}"
    accepted = len(ended) + sum(one.kind == "Task" and not one.refused for one in sent)
    assert spent <= REQUESTS_EACH * accepted, f"seed {SEED}: {spent} requests for {accepted}"
    waiting = sum(one.get("status", {}).get("phase") in ("Pending", "Running") for one in ended)
    assert later <= 10 + 10 * waiting, f"seed {SEED}: {later} requests while nothing happens"


def tell(sent: list[Sent], outcomes: dict[str, dict[str, Any]], spent: int, later: int) -> None:
    """A table for who wants to know: kinds of input and what became of them."""
    for kind in PLURALS:
        for way in dict.fromkeys(one.way for one in sent):
            mine = [one for one in sent if (one.kind, one.way) == (kind, way)]
            ends = Counter(_outcome(one, outcomes) for one in mine)
            told = ", ".join(f"{count} {end}" for end, count in ends.most_common())
            print(f"{kind:14}{way:20}{len(mine):4}: {told}")
    own = Counter(_end(s) for name, s in outcomes.items() if not name.startswith("taskexecution-"))
    print(f"runs of Tasks: {dict(own)}")
    print(f"{spent} requests of the operator, {later} in {QUIET} s afterwards")


def _outcome(one: Sent, outcomes: dict[str, dict[str, Any]]) -> str:
    if one.refused:
        return f"refused ({one.refused})"
    return "accepted" if one.kind == "Task" else _end(outcomes.get(one.name, {}))


def _end(status: dict[str, Any]) -> str:
    return str(status.get("reason") or status.get("phase") or "nothing told")
