"""Two API servers on one store, one of which hears late: nothing is lost, and nothing run twice.

Each request goes to either of them, for some seconds mostly to the one, then to the other. So the
operator is told of what it did itself seconds later, of one kind of object before the other, and
after each broken watch from a server that knows less, or more.
"""

import json
import math
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from cluster.local import LocalCluster
from e2e.effort import LONG, SEED
from e2e.faults.call import Call
from e2e.faults.campaign import KINDS, Campaign, JsonObject, Kind, seconds
from e2e.faults.lane import TORN, Lane, lane
from e2e.faults.proxy import Fault, Pass, Stream
from e2e.faults.second import late_server
from e2e.test_endings import at
from e2e.user import execution, run_spec

RUNS = 60

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(660),
    pytest.mark.skipif(not LONG, reason="takes its time: make faults"),
    TORN,
]

LEAST, MOST = 3.0, 10.0
"""Seconds that the second server's watches lag."""
SHARES = 0.1, 0.9
"""Of the requests, which it gets for some seconds."""
SLACK = 15.0
"""Seconds that a deadline may be told late: a server that lags lists after 3 s, and is asked."""
IN_TIME = 0.5
"""Seconds before a deadline at which an end was surely stored before it."""
TIGHT = "tight"


def _tight(name: str, code: int) -> JsonObject:
    """Its deadline comes when a late watch has not told its end yet."""
    ends = int(time.time()) + 14
    script = f"while test $(date +%s) -lt {ends}; do sleep 0.2; done; exit {code}"
    return execution(name, run_spec(script), deadline=at(18))


LAGGING = {
    **KINDS,
    TIGHT: Kind(lambda name, _: _tight(name, 0), ("Succeeded", ""), {"main": 1}),
    f"{TIGHT}fail": Kind(lambda name, _: _tight(name, 3), ("Failed", "Error"), {"main": 1}),
}


class Sway:
    """Between two servers, by dice; a watch lasts some seconds, and the next one is elsewhere."""

    def __init__(self, seed: int, early: str, late: str) -> None:
        self.asked: Counter[str] = Counter()
        self._servers = early, late
        self._dice = random.Random(seed)
        self._share = self._until = 0.0

    def server(self, call: Call) -> str:
        """Which of them is asked."""
        if time.monotonic() > self._until:
            self._share = self._dice.choice(SHARES)
            self._until = time.monotonic() + self._dice.uniform(2, 10)
        late = self._dice.random() < self._share
        self.asked[f"{'watch' if call.watches else 'other'} {'late' if late else 'early'}"] += 1
        return self._servers[late]

    def __call__(self, call: Call) -> Fault:
        return Stream(ends_in=self._dice.uniform(4, 20)) if call.watches else Pass()


def test_every_run_ends_once_and_rightly(
    alone: None, local_cluster: LocalCluster, operator_kubeconfig: Path, tmp_path: Path
) -> None:
    print(f"\n{RUNS} runs; TASKMILL_SEED={SEED}")
    local_cluster.kwok(1)
    handle = local_cluster.handle
    [early] = json.loads(handle.kubectl("config", "view", "-o", "json").stdout)["clusters"]
    with (
        late_server(local_cluster, LEAST, MOST) as late,
        lane(handle, operator_kubeconfig, tmp_path) as one,
    ):
        sway = Sway(SEED, early["cluster"]["server"], late)
        one.proxy.policy, one.proxy.server = sway, sway.server
        one.process.start()
        campaign = Campaign(one, random.Random(SEED), RUNS, kinds=LAGGING, fake_nodes=True)
        began = time.monotonic()
        campaign.run()
        print(f"{time.monotonic() - began:.0f} s; {dict(sorted(sway.asked.items()))}")
        excused = {name for name in campaign.names if name.startswith(TIGHT) and is_late(one, name)}
        wrong = campaign.settle(excused)
        print(f"ends: {campaign.ends()}, {len(excused)} too late by their own clock; ", end="")
        print(f"worst delay of a deadline: {campaign.worst():.1f} s")
        assert "a bug in taskmill" not in one.process.written()
    assert not wrong, "\n".join(wrong)
    assert campaign.worst() < SLACK


def is_late(one: Lane, name: str) -> bool:
    """Whether its end was stored so late, or never, that nobody can tell which verdict is right."""
    [found] = one.witness.all("taskexecutions", prefix=name)
    pods = [pod["metadata"]["uid"] for pod in one.witness.all("pods", prefix=name)]
    ends = [one.witness.ended.get(uid, math.inf) for uid in pods]
    return not ends or max(ends) > seconds(found["status"]["deadline"]) - IN_TIME
