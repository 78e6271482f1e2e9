"""Three electors, one store, and a clock that jumps."""

import asyncio
import contextlib
import copy
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskmill.kube.errors import AlreadyExists, Conflict, NotFound, UnknownOutcome, Unreachable
from taskmill.kube.lease import Elector
from wire.virtual import run_virtually


class Store:
    """One Lease, with versions and preconditions as the API server has them."""

    def __init__(self):
        self.lease = None
        self.version = 0

    def read(self):
        if self.lease is None:
            raise NotFound(404, "NotFound", "no Lease")
        return copy.deepcopy(self.lease)

    def write(self, body, *, new):
        if new and self.lease is not None:
            raise AlreadyExists(409, "AlreadyExists", "taken")
        if not new:
            current = self.read()
            if body["metadata"]["resourceVersion"] != current["metadata"]["resourceVersion"]:
                raise Conflict(409, "Conflict", "changed")
        self.version += 1
        self.lease = copy.deepcopy(body)
        self.lease["metadata"]["resourceVersion"] = str(self.version)
        return copy.deepcopy(self.lease)


class Link:
    """One candidate's connection to the store: it delays, loses requests, loses answers."""

    def __init__(self, store, rng=None):
        self.store = store
        self.rng = rng or random.Random(0)
        self.up = True
        self.slowest = 0.01
        self.loss = 0.0
        self.refusing = False

    async def _pass(self, act, *, write):
        if self.refusing:
            raise Unreachable("connection refused")
        await self._travel()
        answer = act()
        try:
            await self._travel()
        except Unreachable as error:
            raise (UnknownOutcome("answer lost") if write else error) from None
        return answer

    async def _travel(self):
        await asyncio.sleep(self.rng.uniform(0, self.slowest))
        if self.rng.random() < self.loss:
            raise Unreachable("lost")
        if not self.up:
            await asyncio.sleep(3600)

    async def get(self, *_):
        return await self._pass(self.store.read, write=False)

    async def create(self, _resource, _namespace, body):
        return await self._pass(lambda: self.store.write(body, new=True), write=True)

    async def replace(self, _resource, _namespace, _name, body):
        return await self._pass(lambda: self.store.write(body, new=False), write=True)


async def until(predicate, step=0.05):
    """Looks again and again: time costs nothing here."""
    while not predicate():  # noqa: ASYNC110 (no event tells what a clock makes true)
        await asyncio.sleep(step)


class World:
    def __init__(self, count=3, seed=0):
        self.store = Store()
        self.links = [Link(self.store, random.Random(seed + i)) for i in range(count)]
        self.told = []
        self.electors = [self.elector(i) for i in range(count)]
        self.tasks = []

    def elector(self, i):
        return Elector(
            self.links[i],
            namespace="ns",
            name="lock",
            identity=f"e{i}",
            on_lead=lambda: self.told.append(f"+{i}"),
            on_lose=lambda: self.told.append(f"-{i}"),
            clock=asyncio.get_running_loop().time,
        )

    def start(self, *which):
        for i in which or range(len(self.electors)):
            self.tasks.append(asyncio.create_task(self.electors[i].run()))
        return self

    def leaders(self):
        return [elector.identity for elector in self.electors if elector.is_leader]

    async def stop(self, i):
        self.tasks[i].cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.tasks[i]

    async def close(self):
        for i in range(len(self.tasks)):
            await self.stop(i)

    async def watch(self, seconds, step=0.1):
        """Time with a leader, and never two."""
        led = 0.0
        for _ in range(int(seconds / step)):
            await asyncio.sleep(step)
            assert len(self.leaders()) < 2, self.told
            led += step * len(self.leaders())
        return led


def virtual(test):
    """Run an async test in virtual time."""

    def wrapper():
        run_virtually(test())

    wrapper.__name__ = test.__name__
    return wrapper


@virtual
async def test_one_of_three_leads_and_keeps_leading():
    world = World().start()
    assert await world.watch(600) > 599
    assert len(world.told) == 1
    spec = world.store.lease["spec"]
    assert spec["holderIdentity"] == world.leaders()[0]
    assert (spec["leaseDurationSeconds"], spec["leaseTransitions"]) == (11, 0)
    await world.close()
    assert world.leaders() == []


@virtual
async def test_a_release_hands_over_within_a_retry():
    world = World()
    world.start(0)
    await asyncio.sleep(1)
    world.start(1, 2)
    await asyncio.sleep(5)
    await world.stop(0)
    assert world.told == ["+0", "-0"]
    assert world.store.lease["spec"] | {"renewTime": ""} == {
        "holderIdentity": "",
        "leaseDurationSeconds": 1,
        "leaseTransitions": 0,
        "acquireTime": world.store.lease["spec"]["acquireTime"],
        "renewTime": "",
    }
    await asyncio.sleep(2.5)
    assert len(world.leaders()) == 1
    assert world.store.lease["spec"]["leaseTransitions"] == 1
    await world.close()


@virtual
async def test_a_crash_hands_over_after_the_duration_and_not_before():
    world = World().start(0)
    await asyncio.sleep(1)
    world.start(1, 2)
    await asyncio.sleep(7)
    world.links[0].up = False  # nothing of it reaches the store any more, nor the release
    crashed = asyncio.get_running_loop().time()
    while world.store.lease["spec"]["holderIdentity"] == "e0":
        await asyncio.sleep(0.1)
        assert len(world.leaders()) < 2
    took = asyncio.get_running_loop().time() - crashed
    # Observed up to one retry after it was written, noticed up to one retry after it expired.
    assert 11 - 1.8 <= took <= 11 + 1.8 + 1.8 + 0.2 < 15
    await world.close()


@virtual
async def test_a_partitioned_leader_knows_it_before_anyone_else_may_lead():
    world = World().start(0)
    await asyncio.sleep(1)
    world.start(1)
    await asyncio.sleep(10)
    world.links[0].up = False
    cut = asyncio.get_running_loop().time()
    await until(lambda: world.leaders() != ["e0"])
    assert asyncio.get_running_loop().time() - cut <= 8.6
    assert world.told == ["+0", "-0"]
    assert world.leaders() == []
    await asyncio.sleep(10)
    assert world.leaders() == ["e1"]
    world.links[0].up = True
    await world.watch(60)
    assert world.told == ["+0", "-0", "+1"]
    await world.close()


# A request that hangs is given up after 2.55 s, and the next one follows within 1.8 s: one that
# began in the outage and one that began after it must both fit between a renewal and its deadline.
@pytest.mark.parametrize(("kind", "seconds"), [("hanging", 3.7), ("refusing", 6.2)])
def test_a_short_outage_does_not_lose_the_lease(kind, seconds):
    async def test():
        world = World(2).start(0)
        await asyncio.sleep(1)
        world.start(1)
        for start in range(20):
            await asyncio.sleep(20 + start / 7)
            link = world.links[0]
            link.up, link.refusing = kind != "hanging", kind == "refusing"
            await asyncio.sleep(seconds)
            link.up, link.refusing = True, False
        assert world.told == ["+0"]
        await world.close()

    run_virtually(test())


@virtual
async def test_the_same_identity_takes_its_lease_back_at_once():
    world = World(2).start(0)
    await asyncio.sleep(1)
    world.links[0].up = False  # killed: no release
    await world.stop(0)
    world.links[0].up = True
    again = asyncio.create_task((successor := world.elector(0)).run())
    await asyncio.sleep(0.1)
    assert successor.is_leader
    assert world.store.lease["spec"]["leaseTransitions"] == 0
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)
    await world.close()


@virtual
async def test_wall_clocks_of_others_do_not_matter():
    for renewed in ("1999-01-01T00:00:00.000000Z", "2099-01-01T00:00:00.000000Z"):
        world = World(1)
        world.store.lease = {
            "metadata": {"name": "lock", "resourceVersion": "0"},
            "spec": {
                "holderIdentity": "stranger",
                "leaseDurationSeconds": 20,
                "renewTime": renewed,
            },
        }
        start = asyncio.get_running_loop().time()
        world.start()
        await until(world.leaders)
        assert 20 <= asyncio.get_running_loop().time() - start < 23
        await world.close()


@virtual
async def test_a_lease_deleted_by_hand_frees_nobody_early():
    world = World().start(0)
    await asyncio.sleep(1)
    world.start(1, 2)
    await asyncio.sleep(10)
    world.store.lease = None
    assert await world.watch(60) > 59
    assert world.told == ["+0"]
    world.links[0].up = False
    world.store.lease = None
    await world.watch(60)
    assert len(world.told) == 3
    await world.close()


@virtual
async def test_a_slow_server_is_no_reason_to_lose():
    world = World(2)
    for link in world.links:
        link.slowest = 1.2
    world.start(0)
    await asyncio.sleep(5)
    world.start(1)
    await world.watch(600)
    assert world.told == ["+0"]
    await world.close()


@pytest.mark.parametrize("who", [0, 1])
def test_who_is_kept_from_the_lease_for_long_says_why(who):
    async def test():
        world = World(2).start(0)
        await asyncio.sleep(1)
        world.start(1)
        await asyncio.sleep(60)
        assert [elector.trouble() for elector in world.electors] == ["", ""]
        world.links[who].refusing = True
        await asyncio.sleep(9)
        assert world.electors[who].trouble() == ""
        await asyncio.sleep(6)
        words = "the Lease could not be read or renewed for 1[5-7] s: .+"
        assert re.fullmatch(words, world.electors[who].trouble())
        assert world.electors[1 - who].trouble() == ""
        world.links[who].refusing = False
        await asyncio.sleep(3)
        assert world.electors[who].trouble() == ""
        await world.close()

    run_virtually(test())


@virtual
async def test_somebody_else_editing_the_lease_costs_nothing():
    world = World(1).start()
    await asyncio.sleep(1)
    for _ in range(50):
        await asyncio.sleep(1.7)
        lease = world.store.read()
        lease["metadata"]["annotations"] = {"a": "b"}
        world.store.write(lease, new=False)
    assert world.told == ["+0"]
    assert world.store.lease["metadata"]["annotations"] == {"a": "b"}
    await world.close()


@pytest.mark.parametrize("bad", [{"duration": 8.0}, {"retry": 11.0}, {"retry": 0.0}])
def test_durations_that_make_no_sense_are_refused(bad):
    with pytest.raises(ValueError, match="retry < renew_deadline < duration"):
        Elector(None, namespace="n", name="l", identity="i", **bad)


EVENTS = st.lists(
    st.tuples(
        st.floats(0.1, 25),
        st.sampled_from(["cut", "heal", "lossy", "slow", "crash", "release", "refuse"]),
        st.integers(0, 2),
    ),
    max_size=25,
)


HEALTHY = {"up": True, "refusing": False, "loss": 0.0, "slowest": 0.01}
WEATHER = {
    "cut": {"up": False},
    "refuse": {"refusing": True},
    "lossy": {"loss": 0.3},
    "slow": {"slowest": 3.0},
    "heal": HEALTHY,
}


def change(link, what):
    for key, value in WEATHER[what].items():
        setattr(link, key, value)


@settings(max_examples=150)
@given(events=EVENTS, seed=st.integers(0, 1000))
def test_never_two_leaders_whatever_happens(events, seed):
    async def test():
        world = World(seed=seed).start()
        for wait, what, who in events:
            await world.watch(wait)
            if what in WEATHER:
                change(world.links[who], what)
            else:
                up = world.links[who].up
                world.links[who].up = up and what == "release"
                await world.stop(who)
                world.links[who].up = up
                world.tasks[who] = asyncio.create_task(world.electors[who].run())
        for link in world.links:
            change(link, "heal")
        await world.watch(60)
        assert len(world.leaders()) == 1
        await world.close()

    run_virtually(test())
