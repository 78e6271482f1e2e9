"""One run at a time per key, none lost, none too early; time is virtual."""

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskmill.reconcile.queue import WorkQueue
from wire.virtual import run_virtually


def virtual(test):
    def wrapper():
        run_virtually(test())

    wrapper.__name__ = test.__name__
    return wrapper


def now():
    return asyncio.get_running_loop().time()


def is_empty(queue):
    return queue.depth == 0


@virtual
async def test_keys_come_in_order_and_once():
    queue = WorkQueue()
    for key in "abacab":
        queue.add(key)
    assert (len(queue), queue.depth) == (3, 3)
    assert [await queue.get() for _ in range(3)] == ["a", "b", "c"]
    assert (len(queue), queue.depth) == (0, 0)


@virtual
async def test_a_key_added_with_a_delay_becomes_ready_after_it_and_never_later():
    queue = WorkQueue()
    queue.add_in("a", 5.0)
    queue.add_in("a", 3.0)
    queue.add_in("a", 9.0)
    assert (await queue.get(), now()) == ("a", 3.0)
    assert len(queue) == 0


@virtual
async def test_told_while_it_runs_it_runs_exactly_once_more():
    queue = WorkQueue()
    queue.add("a")
    assert await queue.get() == "a"
    for _ in range(5):
        queue.add("a")
    queue.add_at("a", now() + 1)
    assert is_empty(queue)
    assert len(queue) == 1
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    await asyncio.sleep(10)
    assert len(queue) == 0


@virtual
async def test_the_earliest_time_wins_exactly():
    queue = WorkQueue()
    queue.add_at("a", 5.0)
    queue.add_at("a", 3.0)
    queue.add_at("a", 9.0)
    queue.add_at("b", 4.0)
    assert [(await queue.get(), now()), (await queue.get(), now())] == [("a", 3.0), ("b", 4.0)]
    queue.done("a")
    await asyncio.sleep(20)
    assert is_empty(queue)


@virtual
async def test_an_add_now_overrides_a_later_time():
    queue = WorkQueue()
    queue.add_at("a", 5.0)
    queue.add("a")
    queue.add_at("a", 2.0)
    assert await queue.get() == "a"
    queue.done("a")
    await asyncio.sleep(20)
    assert (len(queue), now()) == (0, 20.0)


@virtual
async def test_a_time_that_comes_while_the_key_runs_waits_for_its_end():
    queue = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add_at("a", 1.0)
    await asyncio.sleep(5)
    assert is_empty(queue)
    queue.done("a")
    assert (await queue.get(), now()) == ("a", 5.0)
    queue.add_at("a", 7.0)
    queue.done("a")
    assert (await queue.get(), now()) == ("a", 7.0)


@virtual
async def test_a_past_time_is_now():
    queue = WorkQueue()
    await asyncio.sleep(3)
    queue.add_at("a", 1.0)
    assert queue.depth == 1


@virtual
async def test_retries_double_up_to_a_minute_and_never_end():
    queue = WorkQueue(jitter=lambda: 1.0)
    waits = []
    queue.add("a")
    for _ in range(1200):
        started = now()
        key = await queue.get()
        waits.append(round(now() - started, 6))
        queue.retry(key)
        queue.done(key)
    assert waits[:11] == [0, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60]
    assert set(waits[11:]) == {60}
    queue.forget("a")
    await queue.get()
    started = now()
    queue.retry("a")
    queue.done("a")
    await queue.get()
    assert round(now() - started, 6) == 0.2


@virtual
async def test_jitter_spreads_retries():
    queue = WorkQueue()
    for key in range(100):
        queue.retry(key)
    times = set()
    for _ in range(100):
        await queue.get()
        times.add(now())
    assert len(times) > 50
    assert min(times) >= 0.1
    assert max(times) <= 0.2001


@virtual
async def test_a_cancelled_worker_takes_no_key_with_it():
    queue = WorkQueue()
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.add("a")
    for worker in workers:  # one of them has been woken for the key
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    assert queue.depth == 1
    assert await queue.get() == "a"


@virtual
async def test_done_without_get_is_a_bug():
    queue = WorkQueue()
    queue.add("a")
    with pytest.raises(ValueError, match="'a' is not being worked on"):
        queue.done("a")


@virtual
async def test_superseded_times_do_not_pile_up():
    queue = WorkQueue()
    for turn in range(10_000):
        queue.add_at("a", 1e6 - turn)  # each earlier than the one before
    for key in range(100):
        for turn in range(100):
            queue.add_at(key, 1e6 + turn)
            queue.add(key)
            await queue.get()
            queue.done(key)
    assert len(queue) == 1
    assert len(queue._heap) < 100


@virtual
async def test_keys_need_not_compare():
    queue = WorkQueue()
    keys = [frozenset({1}), ("a", 1), "a", 3]
    for key in keys:
        queue.add_at(key, 1.0)
    assert [await queue.get() for _ in keys] == keys


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add_at", "retry", "forget", "sleep"]),
        st.integers(0, 3),
        st.floats(0, 10, allow_subnormal=False),
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(
    operations=OPERATIONS, workers=st.integers(1, 4), takes=st.lists(st.floats(0, 3), min_size=1)
)
def test_against_a_model(operations, workers, takes):
    """For each key: what was asked for at t is followed by a run that starts in time."""
    running, runs, asked = set(), [], []
    durations = itertools.cycle(takes)

    async def work(queue):
        while True:
            key = await queue.get()
            assert key not in running
            running.add(key)
            runs.append((key, now()))
            await asyncio.sleep(next(durations))
            running.discard(key)
            queue.done(key)

    async def test():
        queue = WorkQueue(jitter=lambda: 1.0)
        tasks = [asyncio.create_task(work(queue)) for _ in range(workers)]
        for what, key, seconds in operations:
            if what == "sleep":
                await asyncio.sleep(seconds)
            elif what == "add_at":
                queue.add_at(key, now() + seconds)
                asked.append((key, len(runs), now(), now() + seconds))
            elif what in {"add", "retry"}:
                getattr(queue, what)(key)
                asked.append((key, len(runs), now(), now() + (60 if what == "retry" else 0)))
            else:
                queue.forget(key)
        await asyncio.sleep(1000)
        assert len(queue) == 0
        assert not running
        assert queue._failures.keys() <= {key for key, *_ in asked}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run_virtually(test())
    for key, index, at, latest in asked:
        later = [start for k, start in runs[index:] if k == key]
        assert later, "an add was lost"
        assert later[0] >= at
        # Every worker may be busy with all the other runs first; nothing else may delay it.
        assert later[0] <= latest + max(takes) * (len(runs) + 1) + 0.001
    assert len(runs) <= len(asked)
