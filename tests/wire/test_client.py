"""What each kind of answer, or its absence, becomes."""

import asyncio
import socket

import pytest
from aiohttp import web

from taskmill.kube import errors
from taskmill.kube.auth import Credentials
from taskmill.kube.client import EXECUTIONS, JOBS, PODS, KubeClient
from taskmill.kube.errors import UnknownOutcome
from wire.fake import begin, line, status

JOB = {"metadata": {"name": "a"}, "spec": {}}


def answer(code, text, **headers):
    async def handler(request):
        return web.Response(status=code, text=text, headers=headers)

    return handler


def refuse(code, reason, **extra):
    async def handler(request):
        return status(code, reason, **extra)

    return handler


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (404, "NotFound", errors.NotFound),
        (409, "AlreadyExists", errors.AlreadyExists),
        (409, "Conflict", errors.Conflict),
        (422, "Invalid", errors.Invalid),
        (400, "BadRequest", errors.Invalid),
        (403, "Forbidden", errors.Forbidden),
        (410, "Expired", errors.Gone),
        (429, "TooManyRequests", errors.Throttled),
        (405, "MethodNotAllowed", errors.ApiError),
    ],
)
async def test_a_refused_write_says_why_and_changed_nothing(client, server, code, reason, kind):
    server.once("create", refuse(code, reason, message="because", details={"name": "a"}))
    with pytest.raises(errors.ApiError) as caught:
        await client.create(JOBS, "ns", JOB)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.reason) == (code, reason)
    assert caught.value.message == "because"
    assert caught.value.details == {"name": "a"}
    assert str(caught.value) == f"because ({code} {reason})"


async def test_throttled_carries_the_wait_and_does_not_wait(client, server):
    server.once("get", answer(429, "slow down", **{"Retry-After": "7"}))
    with pytest.raises(errors.Throttled) as caught:
        await asyncio.wait_for(client.get(JOBS, "ns", "a"), 0.5)
    assert caught.value.retry_after == 7.0
    server.once("get", refuse(429, "TooManyRequests", details={"retryAfterSeconds": 3}))
    with pytest.raises(errors.Throttled) as caught:
        await client.get(JOBS, "ns", "a")
    assert caught.value.retry_after == 3.0
    server.once("get", answer(429, "", **{"Retry-After": "Sun, 22 Nov 2026 13:00:00 GMT"}))
    with pytest.raises(errors.Throttled) as caught:
        await client.get(JOBS, "ns", "a")
    assert caught.value.retry_after == 1.0


async def test_a_500_after_applying_is_an_unknown_outcome(client, server):
    async def apply_then_fail(request):
        server.put("jobs", "a")
        return status(500, "InternalError", "etcdserver: request timed out")

    server.once("create", apply_then_fail)
    with pytest.raises(UnknownOutcome, match="etcdserver: request timed out") as caught:
        await client.create(JOBS, "ns", JOB)
    assert isinstance(caught.value.error, errors.ServerError)
    assert await client.get(JOBS, "ns", "a")


@pytest.mark.parametrize("code", [408, 500, 502, 503, 504])
async def test_server_errors_to_reads_and_dry_runs_are_just_raised(client, server, code):
    for verb in ("get", "create"):
        server.once(verb, answer(code, "<html>bad gateway</html>"))
    with pytest.raises(errors.ApiError, match="bad gateway") as caught:
        await client.get(JOBS, "ns", "a")
    assert caught.value.status == code
    with pytest.raises(errors.ApiError):
        await client.create(JOBS, "ns", JOB, dry_run=True)


async def test_a_connection_reset_after_sending_is_an_unknown_outcome_only_for_writes(
    client, server
):
    async def cut(request):
        await request.read()
        request.transport.abort()
        return web.Response()

    for call in (
        lambda: client.create(JOBS, "ns", JOB),
        lambda: client.patch(JOBS, "ns", "a", {}),
        lambda: client.replace(JOBS, "ns", "a", {}),
        lambda: client.delete(JOBS, "ns", "a", uid="u"),
    ):
        # Twice: aiohttp itself repeats PUT and DELETE on a kept connection.
        server.script = [(verb, cut) for verb in ("create", "patch", "replace", "delete")] * 2
        with pytest.raises(UnknownOutcome) as caught:
            await call()
        assert caught.value.error is None
    server.script = [("get", cut)] * 2
    with pytest.raises(errors.Unreachable):
        await client.get(JOBS, "ns", "a")


async def test_an_answer_cut_in_its_middle_is_an_unknown_outcome(client, server):
    async def half(request):
        response = web.StreamResponse(status=201, headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"metadata":')
        request.transport.close()
        return response

    server.once("create", half)
    with pytest.raises(UnknownOutcome):
        await client.create(JOBS, "ns", JOB)


async def test_no_answer_in_time(client, server, seen):
    async def sleep(request):
        await asyncio.sleep(60)

    server.script = [("create", sleep), ("get", sleep)]
    with pytest.raises(UnknownOutcome, match=r"(?i)timeout"):
        await client.create(JOBS, "ns", JOB)
    with pytest.raises(errors.Unreachable):
        await client.get(JOBS, "ns", "a")
    assert seen == [("create", "jobs", 0), ("get", "jobs", 0)]


async def test_a_refused_connection_is_no_unknown_outcome(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        path = tmp_path / "kubeconfig"
        path.write_text(
            f"""{{current-context: c, contexts: [{{name: c, context: {{cluster: c}}}}],
            clusters: [{{name: c, cluster:
            {{server: "http://127.0.0.1:{taken.getsockname()[1]}"}}}}]}}"""
        )
        async with KubeClient(Credentials.from_kubeconfig(path)) as client:
            with pytest.raises(errors.Unreachable) as caught:
                await client.create(JOBS, "ns", JOB)
    assert caught.value.status == 0


@pytest.mark.parametrize("text", ["<html>sign in</html>", "", "[]", "null"])
async def test_a_success_that_is_no_object(client, server, text):
    server.script = [("get", answer(200, text)), ("create", answer(200, text))]
    with pytest.raises(errors.Unreachable, match="without a JSON object"):
        await client.get(JOBS, "ns", "a")
    with pytest.raises(UnknownOutcome):
        await client.create(JOBS, "ns", JOB)


@pytest.mark.parametrize("text", ["", "<html>", "[1]", '"x"', '{"details": 3}', "\xff"])
async def test_an_error_that_is_no_status(client, server, text):
    server.once("get", answer(404, text))
    with pytest.raises(errors.NotFound) as caught:
        await client.get(JOBS, "ns", "a")
    assert caught.value.message
    assert caught.value.details == {}


async def test_a_redirect_is_not_followed(client, server):
    server.once("get", answer(302, "", Location="/elsewhere"))
    with pytest.raises(errors.ApiError) as caught:
        await client.get(JOBS, "ns", "a")
    assert caught.value.status == 302
    assert len(server.requests) == 1


async def test_401_refreshes_the_credentials_once(client, server, token_file, seen):
    async def rotate(request):
        token_file.write_text("second")
        return status(401, "Unauthorized")

    server.put("jobs", "a")
    server.once("get", rotate)
    assert (await client.get(JOBS, "ns", "a"))["metadata"]["name"] == "a"
    assert [r.headers["Authorization"] for r in server.requests] == [
        "Bearer first",
        "Bearer second",
    ]
    assert seen == [("get", "jobs", 401), ("get", "jobs", 200)]
    server.script = [("get", refuse(401, "Unauthorized"))] * 3
    with pytest.raises(errors.Unauthorized):
        await client.get(JOBS, "ns", "a")
    assert len(server.script) == 1


async def test_many_refused_at_once_refresh_once(client, server, credentials):
    server.put("jobs", "a")
    server.script = [("get", refuse(401, "Unauthorized"))] * 20
    before = credentials.generation
    results = await asyncio.gather(
        *(client.get(JOBS, "ns", "a") for _ in range(20)), return_exceptions=True
    )
    assert credentials.generation <= before + 2
    assert any(isinstance(result, dict) for result in results)


async def test_what_goes_over_the_wire(client, server):
    bodies = []

    async def note(request):
        bodies.append(await request.json())
        return web.json_response({})

    server.script = [(verb, note) for verb in ("create", "create", "patch", "replace", "delete")]
    await client.create(JOBS, "ns", JOB)
    await client.create(JOBS, "ns", JOB, dry_run=True)
    await client.patch(EXECUTIONS, "ns", "a", {"status": {}}, subresource="status")
    await client.replace(PODS, "ns", "a", {"x": 1})
    assert await client.delete(JOBS, "ns", "a", uid="u1") is None
    assert [(r.method, r.path_qs) for r in server.requests] == [
        ("POST", "/apis/batch/v1/namespaces/ns/jobs?fieldValidation=Strict"),
        ("POST", "/apis/batch/v1/namespaces/ns/jobs?fieldValidation=Strict&dryRun=All"),
        ("PATCH", "/apis/taskmill.dev/v1alpha1/namespaces/ns/taskexecutions/a/status"),
        ("PUT", "/api/v1/namespaces/ns/pods/a"),
        ("DELETE", "/apis/batch/v1/namespaces/ns/jobs/a"),
    ]
    assert server.requests[2].content_type == "application/merge-patch+json"
    assert server.requests[0].headers["User-Agent"].startswith("taskmill/")
    assert bodies[4]["preconditions"] == {"uid": "u1"}
    assert bodies[4]["propagationPolicy"] == "Background"


async def read_log(client):
    return await client.log("ns", "a", "main", lines=20, most_bytes=99)


async def test_a_log_is_text_whatever_its_bytes_are(client, server):
    async def log(request):
        return web.Response(body=b"one\n{}\n\xff\xfe caf\xc3\xa9\n", content_type="text/plain")

    server.once("get", log)
    assert await read_log(client) == "one\n{}\n\ufffd\ufffd café\n"
    (request,) = server.requests
    assert (request.method, request.path) == ("GET", "/api/v1/namespaces/ns/pods/a/log")
    assert request.query == {"container": "main", "tailLines": "20", "limitBytes": "99"}
    server.once("get", answer(200, ""))
    assert await read_log(client) == ""


async def test_a_log_that_cannot_be_read_says_why(client, server):
    waits = "container main in pod a is waiting to start"
    server.once("get", refuse(400, "BadRequest", message=waits))
    with pytest.raises(errors.Invalid, match=waits):
        await read_log(client)
    server.once("get", refuse(403, "Forbidden"))
    with pytest.raises(errors.Forbidden):
        await read_log(client)


async def test_a_log_on_a_node_that_hangs_is_unreachable_in_time(client, server):
    async def dribble(request):
        response = await begin(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.1)

    server.once("get", dribble)
    with pytest.raises(errors.Unreachable, match=r"(?i)timeout"):
        await asyncio.wait_for(read_log(client), 5)


async def test_a_list_comes_in_pages_and_starts_over_when_its_place_expires(client, server):
    for name in "abcde":
        server.put("jobs", name)
    items, version = await client.list(JOBS, "ns", limit=2, label_selector="x=y")
    assert [item["metadata"]["name"] for item in items] == list("abcde")
    assert version == str(server.version)
    assert [r.query.get("continue") for r in server.requests] == [None, "2", "4"]
    assert all(r.query["labelSelector"] == "x=y" for r in server.requests)

    async def first(request):
        server.once("list", refuse(410, "Expired"))
        return await server._list(request, {"kind": "jobs"})

    server.requests.clear()
    server.once("list", first)
    items, _ = await client.list(JOBS, "ns", limit=2)
    assert [item["metadata"]["name"] for item in items] == list("abcde")
    assert [r.query.get("limit") for r in server.requests] == ["2", "2", None]


async def test_of_many_objects_more_come_in_a_page(client, server):
    """A page costs the server as much as there is behind it."""
    for name in range(400):
        server.put("jobs", f"j{name:03}")
    items, _ = await client.list(JOBS, "ns", limit=4)
    assert len({item["metadata"]["name"] for item in items}) == 400
    limits = [int(request.query["limit"]) for request in server.requests]
    assert limits == sorted(limits)
    assert (limits[0], limits[-1]) == (4, 19)


async def test_an_expired_version_to_list_at_is_gone(client, server):
    server.script = [("list", refuse(410, "Expired"))] * 2
    with pytest.raises(errors.Gone):
        await client.list(JOBS, resource_version="5")


async def watched(client):
    return [event async for event in client.watch(JOBS, namespace="ns", resource_version="1")]


async def test_a_watch_takes_lines_in_any_pieces(client, server):
    huge = {"metadata": {"resourceVersion": "2"}, "text": "ü" * 3_000_000}

    async def dribble(request):
        response = await begin(request)
        text = line("ADDED", {"n": 1}) + line("ADDED", {"n": 2})
        for start in range(0, len(text), 7):
            await response.write(text[start : start + 7])
            await asyncio.sleep(0.001)
        await response.write(b"\n\n" + line("MODIFIED", huge) + line("BOOKMARK", {"n": 3}))
        await response.write(line("ADDED", {"n": 4})[:-5])  # cut off: must not count
        return response

    server.once("watch", dribble)
    events = await watched(client)
    assert [event["type"] for event in events] == ["ADDED", "ADDED", "MODIFIED", "BOOKMARK"]
    assert events[2]["object"] == huge
    query = server.requests[0].query
    assert (query["allowWatchBookmarks"], query["resourceVersion"]) == ("true", "1")


@pytest.mark.parametrize(
    ("thing", "kind"),
    [
        ({"kind": "Status", "code": 410, "reason": "Expired"}, errors.Gone),
        ({"kind": "Status", "code": 410, "reason": "Gone"}, errors.Gone),
        ({"kind": "Status", "code": 500, "reason": "InternalError"}, errors.ServerError),
        ({"kind": "Status", "code": 429}, errors.Throttled),
        ({}, errors.ApiError),
    ],
)
async def test_an_error_in_the_stream_is_raised(client, server, thing, kind):
    async def fail(request):
        response = await begin(request)
        await response.write(line("ADDED", {"n": 1}) + line("ERROR", thing))
        return response

    server.once("watch", fail)
    with pytest.raises(errors.ApiError) as caught:
        await watched(client)
    assert type(caught.value) is kind


async def test_a_silent_a_broken_and_a_senseless_watch_are_unreachable(client, server):
    async def silent(request):
        await begin(request)
        await asyncio.sleep(60)

    async def broken(request):
        response = await begin(request)
        await response.write(line("ADDED", {"n": 1}))
        request.transport.abort()
        return response

    async def senseless(request):
        response = await begin(request)
        await response.write(b"<html>\n")
        return response

    for handler in (silent, broken, senseless):
        server.once("watch", handler)
        with pytest.raises(errors.Unreachable):
            await asyncio.wait_for(watched(client), 5)


async def test_leaving_a_watch_early_closes_its_connection(client, server):
    left = asyncio.Event()

    async def endless(request):
        response = await begin(request)
        try:
            while True:
                await response.write(line("ADDED", {"n": 1}))
                await asyncio.sleep(0.01)
        finally:
            left.set()

    server.once("watch", endless)
    stream = client.watch(JOBS, resource_version="1")
    await anext(stream)
    await stream.aclose()
    await asyncio.wait_for(left.wait(), 5)


async def test_the_connections_of_a_burst_are_not_kept_in_use(client, server):
    together, seen = asyncio.Barrier(5), []

    def handler(wait):
        async def answers(request):
            seen.append(id(request.transport))
            if wait:
                await together.wait()
            return web.json_response(JOB)

        return answers

    for _ in range(5):
        server.once("get", handler(wait=True))
    await asyncio.gather(*(client.get(JOBS, "ns", "a") for _ in range(5)))
    assert len(set(seen)) == 5
    seen.clear()
    for _ in range(10):
        server.once("get", handler(wait=False))
        await client.get(JOBS, "ns", "a")
    # The others grow idle, and are closed.
    assert len(set(seen)) == 1
