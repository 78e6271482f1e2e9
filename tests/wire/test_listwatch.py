"""What a list-watch tells, whatever happens to the connection."""

import asyncio
import contextlib
import logging

import pytest
from aiohttp import web

from taskmill.kube.client import JOBS, PAGE
from taskmill.kube.listwatch import ListWatch
from wire.fake import begin, line, status


async def until(predicate):
    async with asyncio.timeout(10):
        while not predicate():  # noqa: ASYNC110 (what is awaited sets no event)
            await asyncio.sleep(0.005)


class Told:
    def __init__(self, client, **options):
        self.log = []
        self.watch = ListWatch(
            client, JOBS, namespace="ns", on_change=self.change, on_gone=self.gone, **options
        )

    def change(self, thing):
        meta = thing["metadata"]
        self.log.append((meta["name"], int(meta["resourceVersion"])))

    def gone(self, vanished):
        self.log.append((vanished.name, "gone" if vanished.last is None else "deleted"))

    async def until(self, *wanted):
        await until(lambda: self.log[-len(wanted) :] == list(wanted))


@contextlib.asynccontextmanager
async def running(client, **options):
    told = Told(client, **options)
    task = asyncio.create_task(told.watch.run())
    try:
        yield told
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def gone(request):
    response = await begin(request)
    await response.write(line("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"}))
    return response


async def fail(request):
    return status(500, "InternalError")


async def test_it_lists_then_watches(client, server):
    server.put("jobs", "a")
    async with running(client) as told:
        assert not told.watch.synced.is_set()
        await asyncio.wait_for(told.watch.synced.wait(), 5)
        assert told.log == [("a", 101)]
        server.put("jobs", "b")
        server.put("jobs", "a")
        server.drop("jobs", "b")
        await told.until(("b", 102), ("a", 103), ("b", "deleted"))
        assert len(told.watch) == 1
    assert server.count("list") == 1


async def test_a_closed_stream_is_taken_up_where_it_stopped(client, server):
    server.put("jobs", "a")

    async def bookmark_then_close(request):
        response = await begin(request)
        await response.write(line("BOOKMARK", {"metadata": {"resourceVersion": "140"}}))
        return response

    async def cut(request):
        response = await begin(request)
        request.transport.abort()
        return response

    server.script = [("watch", bookmark_then_close), ("watch", cut), ("watch", fail)]
    async with running(client) as told:
        await told.until(("a", 101))
        server.version = 150
        server.put("jobs", "b")
        await told.until(("a", 101), ("b", 151))
    assert server.count("list") == 1
    versions = [r.query["resourceVersion"] for r in server.requests if "watch" in r.query]
    assert versions[:4] == ["101", "140", "140", "140"]


async def test_a_silent_stream_is_taken_up_where_it_stopped(client, server):
    async def silent(request):
        await begin(request)
        await asyncio.sleep(60)

    server.once("watch", silent)
    async with running(client) as told:
        await told.watch.synced.wait()
        server.put("jobs", "a")
        await told.until(("a", 101))
    assert server.count("list") == 1


@pytest.mark.parametrize("how", ["in the stream", "as the answer"])
async def test_after_410_it_lists_again_and_tells_what_vanished(client, server, how):
    for name in "abc":
        server.put("jobs", name)

    async def away(request):
        server.events.clear()  # forgotten by the server, and never told as events
        server.drop("jobs", "a")
        server.put("jobs", "b")
        server.drop("jobs", "c")
        server.put("jobs", "c")  # a namesake
        server.events.clear()
        return await gone(request) if how == "in the stream" else status(410, "Expired")

    server.once("watch", away)
    async with running(client) as told:
        await told.watch.synced.wait()
        before = list(told.log)
        assert before == [("a", 101), ("b", 102), ("c", 103)]
        await until(lambda: len(told.log) == len(before) + 4)
        after = told.log[len(before) :]
        assert after[:2] == [("b", 105), ("c", 107)]
        assert sorted(after[2:]) == [("a", "gone"), ("c", "gone")]
        server.put("jobs", "d")
        await told.until(("d", 108))
    assert server.count("list") == 2


async def test_it_never_delivers_an_older_state(client, server):
    server.version = 998
    server.put("jobs", "a")

    async def stale(request):
        response = await begin(request)
        older = server.things["jobs", "a"]["metadata"]
        for version in ("997", "999", "1000", "999"):
            thing = {"metadata": older | {"resourceVersion": version}}
            await response.write(line("MODIFIED", thing))
        return response

    server.once("watch", stale)
    async with running(client) as told:
        await told.until(("a", 999), ("a", 1000))
        server.version = 1001
        server.put("jobs", "b")
        await told.until(("b", 1002))
        assert told.log == [("a", 999), ("a", 1000), ("b", 1002)]


async def test_a_store_restored_from_a_backup_is_told_anew(client, server):
    server.version = 500
    server.put("jobs", "a")
    server.put("jobs", "b")

    async def restore(request):
        server.version = 200
        server.things["jobs", "a"]["metadata"]["resourceVersion"] = "190"
        del server.things["jobs", "b"]
        server.events.clear()
        return await gone(request)

    server.once("watch", restore)
    async with running(client) as told:
        await told.until(("a", 501), ("b", 502), ("a", 190), ("b", "gone"))
        server.put("jobs", "a")
        await told.until(("a", 201))


async def test_it_never_dies_and_logs_a_change_of_state_once(client, server, caplog):
    async def garbage(request):
        return web.Response(text="<html>")

    async def ends_at_once(request):
        return await begin(request)

    server.script = [
        ("list", fail),
        ("list", garbage),
        ("list", fail),
        ("watch", ends_at_once),
        ("watch", fail),
    ]
    server.put("jobs", "a")
    with caplog.at_level(logging.INFO, "taskmill.kube.listwatch"):
        async with running(client) as told:
            await told.until(("a", 101))
            await asyncio.sleep(0)
            server.put("jobs", "a")
            await told.until(("a", 102))
    messages = [record.message for record in caplog.records]
    assert len(messages) == 2
    assert "interrupted" in messages[0]
    assert "is back" in messages[1]


async def test_a_malformed_object_or_callback_stops_nothing(client, server, caplog):
    async def malformed(request):
        response = await begin(request)
        await response.write(line("ADDED", {"metadata": {}}))
        return response

    server.put("jobs", "a")
    server.once("watch", malformed)
    async with running(client) as told:
        await told.until(("a", 101))
        told.watch.on_change = None  # calling it raises
        server.put("jobs", "b")
        await until(lambda: len(told.watch) == 2)
        told.watch.on_change = told.change
        server.put("jobs", "c")
        await told.until(("c", 103))
    assert {record.levelname for record in caplog.records} >= {"ERROR"}


async def test_keep_is_a_selector(client, server):
    server.put("jobs", "a", spec="done")
    server.put("jobs", "b", spec="live")
    async with running(client, keep=lambda thing: thing["spec"] == "live") as told:
        await told.until(("b", 102))
        server.put("jobs", "b", spec="done")
        server.put("jobs", "a", spec="done")
        server.put("jobs", "a", spec="live")
        await told.until(("b", "deleted"), ("a", 105))
        assert told.log[0] == ("b", 102)
        assert len(told.watch) == 1


async def test_a_listing_whose_place_expires_starts_over(client, server):
    for number in range(3):
        server.put("jobs", f"j{number}")

    async def short_page(request):
        server.once("list", lambda _: asyncio.sleep(0, status(410, "Expired")))
        things = [server.things["jobs", "j0"]]
        return web.json_response(
            {"metadata": {"resourceVersion": "103", "continue": "x"}, "items": things}
        )

    server.once("list", short_page)
    async with running(client) as told:
        await asyncio.wait_for(told.watch.synced.wait(), 5)
        assert told.log == [("j0", 101), ("j1", 102), ("j2", 103)]


async def test_a_listing_that_takes_longer_than_its_place_is_remembered_takes_larger_pages(
    client, server
):
    for number in range(2 * PAGE):
        server.put("jobs", f"j{number}")

    async def forgetful(request):
        server.once("list", forgetful)
        if "continue" in request.query:
            return status(410, "Expired")
        return await server.lists(request)

    server.once("list", forgetful)
    async with running(client) as told:
        await asyncio.wait_for(told.watch.synced.wait(), 5)
        assert len(told.watch) == 2 * PAGE
