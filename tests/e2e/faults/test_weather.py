"""Many runs of every kind while the way to the API server is bad: all end once, and rightly."""

import random
import time
from pathlib import Path

import pytest

from cluster.handle import Handle
from cluster.local import LocalCluster
from e2e.effort import SEED, either
from e2e.faults.campaign import Campaign
from e2e.faults.lane import TORN, lane
from e2e.faults.proxy import fair
from e2e.faults.weather import Weather, restart_forgetful

RUNS = either(40, 150, "TASKMILL_RUNS")

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300 + 6 * RUNS), TORN]

SLACK = 45.0
"""Seconds, generous: several requests in a row may hang for 10 s each."""


class Outside:
    """What happens to the API server itself: it is away for a while, or forgets the past."""

    def __init__(self, campaign: Campaign, local: LocalCluster | None, dice: random.Random) -> None:
        self._campaign = campaign
        self._local = local
        self._dice = dice
        self._forgets = [RUNS // 3, 2 * RUNS // 3] if local else []
        self._refused_at = time.monotonic() + 10

    def __call__(self, begun: int) -> None:
        if self._local and self._forgets and begun >= self._forgets[0]:
            self._forgets.pop(0)
            with self._campaign.outages.one():
                restart_forgetful(self._local)
        if time.monotonic() >= self._refused_at:
            self._refuse()
            self._refused_at = time.monotonic() + self._dice.uniform(8, 20)

    def _refuse(self) -> None:
        proxy = self._campaign.lane.proxy
        with self._campaign.outages.one():
            proxy.refuse()
            time.sleep(self._dice.uniform(0.5, 4.0))
            proxy.listen()


def test_every_run_ends_once_and_rightly(
    alone: None,
    cluster: Handle,
    running_cluster: Handle | LocalCluster,
    operator_kubeconfig: Path,
    tmp_path: Path,
) -> None:
    print(f"\n{RUNS} runs; TASKMILL_SEED={SEED}")
    local = running_cluster if isinstance(running_cluster, LocalCluster) else None
    if local:
        local.kwok(1)
    weather, dice = Weather(SEED), random.Random(SEED)
    with lane(cluster, operator_kubeconfig, tmp_path) as one:
        one.process.start()
        one.proxy.policy = weather
        campaign, began = Campaign(one, dice, RUNS, fake_nodes=local is not None), time.monotonic()
        campaign.run(Outside(campaign, local, dice))
        print(f"{time.monotonic() - began:.0f} s; {dict(sorted(weather.seen.items()))}")
        print(f"outages: {[round(one.ended - one.began, 1) for one in campaign.outages.been]}")
        # What is left to be done is done when the weather is fair.
        one.proxy.policy = fair
        wrong = campaign.settle()
        print(f"ends: {campaign.ends()}; worst delay of a deadline: {campaign.worst():.1f} s")
        assert "a bug in taskmill" not in one.process.written()
    assert not wrong, "\n".join(wrong)
    assert campaign.worst() < SLACK
