"""The operator is killed before and after each call it makes, and nobody can tell from the end.

Undisturbed runs tell which calls there are. Then each of them is, in a run of its own, the last
one that the operator made; it is started again, and the run must end as the undisturbed one did.
"""

from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest

from cluster.handle import Handle
from e2e.effort import LONG
from e2e.faults.call import Site
from e2e.faults.lane import TORN, Lane, Moment, Run, Step, lane
from e2e.faults.scenarios import SCENARIOS, Outcome
from e2e.faults.sites import places

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not LONG, reason="takes its time: make faults"),
    TORN,
]

LANES = 3
_BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
_LASTING = "steps"
"""What runs while the operator dies as it starts."""
_FIRST = Site("create", "leases")
"""Made only where there has never been an operator."""
Choice = list[Moment]
"""It is killed at the first of these that comes."""


@dataclass
class Deaths:
    """What was tried, what came of it, and what should have."""

    expected: dict[str, Outcome]
    ended: list[tuple[Moment, Outcome]] = field(default_factory=list)
    never: list[Moment] = field(default_factory=list)

    def table(self) -> str:
        """Each kind of call with its kills, before and after, and how many ended as they should."""
        kills: defaultdict[Site, Counter[bool]] = defaultdict(Counter)
        well: Counter[Site] = Counter()
        for moment, outcome in self.ended:
            kills[moment.site][moment.after] += 1
            well[moment.site] += outcome == self.expected[moment.scenario]
        lines = [f"{'call':42} before after  as undisturbed"]
        for site, sides in sorted(kills.items()):
            of = f"{well[site]} of {sides.total()}"
            lines.append(f"{site!s:42} {sides[False]:6} {sides[True]:5}  {of}")
        lines += [f"never came: {moment}" for moment in self.never]
        return "\n".join(lines)


@pytest.fixture(scope="module")
def deaths(
    alone: None,
    cluster: Handle,
    operator_kubeconfig: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Deaths:
    folder = tmp_path_factory.mktemp("lanes")
    with ExitStack() as stack:
        first, *others = (
            stack.enter_context(lane(cluster, operator_kubeconfig, folder)) for _ in range(LANES)
        )
        recorded, starting = first.record(SCENARIOS)
        told = Deaths({name: outcome for name, (_, outcome) in recorded.items()})
        work: SimpleQueue[Choice] = SimpleQueue()
        for choice in _choices({name: story for name, (story, _) in recorded.items()}):
            work.put(choice)
        with ThreadPoolExecutor(LANES) as pool:
            jobs = [pool.submit(_die_starting, others[0], starting, work, told)]
            jobs += [pool.submit(_die, one, work, told) for one in (first, *others[1:])]
            for job in jobs:
                job.result()
    return told


def _choices(stories: dict[str, list[Step]]) -> list[Choice]:
    """Every moment, once where the stories of several runs are the same so far.

    Those of a kind are for one another: how often it reads what others say is not always the same.
    """
    alike: defaultdict[object, Choice] = defaultdict(list)
    for name, story in stories.items():
        for at, (site, _) in enumerate(story, start=1):
            nth = [one for one, _ in story[:at]].count(site)
            for after in (False, True):
                alike[tuple(story[:at]), after].append(Moment(name, site, nth, after))
    return list(alike.values())


def _die(one: Lane, work: "SimpleQueue[Choice]", told: Deaths) -> None:
    """At every moment that is left."""
    runs: list[tuple[Moment, Run]] = []
    while True:
        try:
            choice = work.get_nowait()
        except Empty:
            break
        for moment in choice:
            if run := one.die(_BY_NAME[moment.scenario], moment):
                runs.append((moment, run))
                break
            told.never.append(moment)
    one.settle()
    told.ended += [(moment, one.outcome(run)) for moment, run in runs]


def _die_starting(
    one: Lane, starting: list[Site], work: "SimpleQueue[Choice]", told: Deaths
) -> None:
    """At the first call of each kind that a start takes, with a run under way; then as others."""
    run = one.begin(_BY_NAME[_LASTING])
    came: list[Moment] = []
    for site, after in product(dict.fromkeys(starting), (False, True)):
        moment = Moment(_LASTING, site, 1, after)
        if site == _FIRST:
            one.free()
        (came if one.die_starting(moment) else told.never).append(moment)
    _die(one, work, told)
    told.ended += [(moment, one.outcome(run)) for moment in came]


def test_it_ends_as_if_nothing_had_happened(deaths: Deaths) -> None:
    print("\n" + deaths.table())
    wrong = [
        f"{moment}\n  expected {expected}\n  but was  {outcome}"
        for moment, outcome in deaths.ended
        if outcome != (expected := deaths.expected[moment.scenario])
    ]
    assert not wrong, "\n".join(wrong)
    assert all(len(said) == 1 for one in deaths.expected.values() for said in one.verdicts)


def test_there_is_no_call_at_which_it_was_not_killed(deaths: Deaths) -> None:
    killed = {(moment.site, moment.after) for moment, _ in deaths.ended}
    missed = {
        (place, when)
        for place in places()
        for when in (False, True)
        if (place.site, when) not in killed
    }
    assert not missed, missed
