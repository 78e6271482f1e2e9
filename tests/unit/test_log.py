"""What reaches the log, in which form, and what never does. Time is virtual where it passes."""

import asyncio
import io
import json
import logging
from datetime import timedelta

import pytest

from builders import EXECUTION_UID, T0, execution, job, pod, task
from taskmill import log
from taskmill.kube.client import EXECUTIONS, JOBS, PODS, TASKS
from taskmill.kube.errors import (
    Conflict,
    CredentialsError,
    Forbidden,
    Invalid,
    NotFound,
    ServerError,
    Throttled,
    Unauthorized,
    UnknownOutcome,
    Unreachable,
)
from taskmill.plan.world import Limits
from taskmill.reconcile.cache import Cache
from taskmill.reconcile.feed import Feed
from taskmill.reconcile.queue import WorkQueue
from taskmill.reconcile.reconciler import Reconciler
from wire.virtual import run_virtually

MARKER = "tOp-sEcReT"
OURS = logging.getLogger("taskmill.somewhere")


@pytest.fixture(params=["text", "json"])
def written(request):
    """The log at its most talkative, as if it were standard error."""
    reactor = [f"kopf._core.reactor.{name}" for name in ("orchestration", "running")]
    names = ("", "taskmill", "kopf", "kopf._cogs.clients", *reactor)
    before = [(logging.getLogger(name), logging.getLogger(name).level) for name in names]
    handlers = logging.getLogger().handlers
    log.configure("DEBUG", request.param)
    stream = io.StringIO()
    logging.getLogger().handlers[0].setStream(stream)
    yield stream.getvalue
    logging.getLogger().handlers = handlers
    for logger, level in before:
        logger.setLevel(level)


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("written", ["text"], indirect=True)
def test_a_line_of_text(written):
    OURS.info("%s is %d", "one", 1, extra={"fields": {"uid": "u", "reason": ""}})
    stamp, _, rest = written().partition(" ")
    assert rest == "INFO taskmill.somewhere one is 1 uid=u reason=\n"
    assert stamp.endswith("Z")


@pytest.mark.parametrize("written", ["json"], indirect=True)
def test_a_line_of_json(written):
    OURS.warning('"%s"\nis', "one", extra={"fields": {"uid": "u"}})
    (told,) = lines(written())
    assert told.pop("time").endswith("Z")
    assert told == {
        "level": "WARNING",
        "logger": "taskmill.somewhere",
        "message": '"one"\nis',
        "uid": "u",
    }


@pytest.mark.parametrize("written", ["json"], indirect=True)
def test_a_traceback_is_a_part_of_its_line(written):
    OURS.error("a bug", exc_info=raised(KeyError(MARKER)))
    (told,) = lines(written())
    assert told["traceback"].startswith("Traceback (most recent call last):\n")
    assert "in raised" in told["traceback"]
    assert told["traceback"].endswith("\nKeyError: KeyError")


def raised(error, cause=None):
    try:
        raise error from cause
    except type(error) as caught:
        return caught


NO_RIGHT = (
    'jobs.batch is forbidden: User "system:serviceaccount:a:b" cannot create resource "jobs" '
    'in API group "batch" in the namespace "n"'
)
ERRORS = [
    ValueError(MARKER),
    raised(KeyError(1), ValueError(MARKER)),
    ExceptionGroup(MARKER, [ValueError(MARKER), raised(TypeError(MARKER), KeyError(MARKER))]),
    Invalid(422, MARKER, f"spec.template.spec.containers[0].env[0]: Invalid value: {MARKER}"),
    Forbidden(403, "Forbidden", f"admission webhook denied the request: {MARKER}"),
    Forbidden(403, "Forbidden", f'pods "x" is forbidden: User "u" cannot, {MARKER}'),
    UnknownOutcome(MARKER, error=ServerError(500, "InternalError", MARKER)),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("name", ["taskmill.x", "kopf.x", "asyncio", "aiohttp.server"])
def test_no_exception_is_quoted(written, error, name):
    logger = logging.getLogger(name)
    if name.startswith("taskmill"):
        logger.warning("%s: %s; trying again", "key", error)
    logger.error("%s has failed", "it" if name.startswith("taskmill") else error, exc_info=error)
    assert type(error).__name__ in written()
    assert MARKER not in written()


def test_nor_is_what_asyncio_tells_of_a_task_that_failed(written):
    async def main():
        asyncio.create_task(_fails())  # noqa: RUF006 - that nobody looks at it is the point
        await asyncio.sleep(0)

    asyncio.run(main())
    assert "ValueError" in written()
    assert MARKER not in written()


async def _fails():
    raise ValueError(MARKER)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Unreachable("get /api: connection refused"), "get /api: connection refused"),
        (CredentialsError("no kubeconfig"), "no kubeconfig"),
        (UnknownOutcome("create /api: reset"), "create /api: reset"),
        (TimeoutError(), "TimeoutError"),
        (OSError(24, "Too many open files"), "OSError: [Errno 24] Too many open files"),
        (NotFound(404, "NotFound", "namespaces x not found"), "NotFound (404)"),
        (Forbidden(403, "Forbidden", f"{NO_RIGHT}: RBAC: role not found"), f"{NO_RIGHT} (403)"),
    ],
)
def test_what_cannot_quote_an_object_is_told(error, words):
    assert log.words(error) == words


def now():
    return T0 + timedelta(seconds=asyncio.get_running_loop().time())


class Refusing:
    """An API server that stores statuses and answers everything else with the same error."""

    def __init__(self, error, stored):
        self.error = error
        self.stored = stored
        self.calls = []

    async def patch(self, resource, _namespace, _name, body, **_):
        if resource not in self.stored:
            await self._refuse("patch", resource)
        raw = self.stored[resource]
        version = str(int(raw["metadata"]["resourceVersion"]) + 1)
        raw |= {"status": {**raw.get("status", {}), **body["status"]}}
        raw["metadata"]["resourceVersion"] = version
        return raw

    async def _refuse(self, verb, resource):
        self.calls.append((verb, resource))
        raise self.error

    async def create(self, resource, _namespace, _body, *, dry_run=False):
        await self._refuse("try" if dry_run else "create", resource)

    async def get(self, resource, *_):
        return (
            self.stored[resource]
            if resource in self.stored
            else await self._refuse("get", resource)
        )

    async def list(self, resource, *_, **__):
        return ([], "1") if resource is EXECUTIONS else await self._refuse("list", resource)

    async def delete(self, resource, *_, **__):
        await self._refuse("delete", resource)

    async def log(self, *_, **__):
        await self._refuse("log", PODS)


async def passes_over(server, run, ours=None):
    """Some passes over an execution whose container fails, and over its Task."""
    cache, queue = Cache(), WorkQueue()
    feed = Feed(cache=cache, queue=queue)
    passes = Reconciler(
        client=server,
        cache=cache,
        queue=queue,
        limits=Limits(),
        is_leading=lambda: True,
        clock=now,
    )
    worker = asyncio.create_task(passes.work())
    feed.execution(run.raw)
    if ours:
        feed.task(ours.raw)
    await asyncio.sleep(40)
    feed.job(job().raw)
    feed.pod(pod().exited(3, f"{MARKER}\n", end=1).raw)
    await asyncio.sleep(40)
    worker.cancel()


REFUSALS = [
    *ERRORS,
    Conflict(409, "Conflict", MARKER),
    Throttled(429, "TooManyRequests", MARKER, retry_after=1.0),
    Unauthorized(401, MARKER, MARKER),
    NotFound(404, "NotFound", MARKER),
]


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
def test_nothing_of_a_task_reaches_the_log_whatever_the_server_answers(written, error):
    spoken = {
        "script": f"echo {MARKER}",
        "args": [MARKER],
        "env": [{"name": MARKER.replace("-", "_"), "value": MARKER}],
    }
    built = execution().runs(**spoken).version(5)
    ours = task().spec(**spoken).version(5)

    async def main():
        server = Refusing(error, {EXECUTIONS: built.raw, TASKS: ours.raw})
        await passes_over(server, built, ours)
        return set(server.calls)

    tried = run_virtually(main())
    assert {("create", JOBS), ("create", EXECUTIONS)} <= tried
    assert type(error).__name__ in written() or "ServerError" in written()
    assert MARKER not in written()


@pytest.mark.parametrize("written", ["json"], indirect=True)
def test_each_state_of_an_execution_is_a_line(written):
    refusal = Invalid(422, "Invalid", "spec.template: wrong")
    built = execution().version(5)

    async def main():
        server = Refusing(refusal, {EXECUTIONS: built.raw})
        await passes_over(server, built)

    run_virtually(main())
    states = [line for line in lines(written()) if line["message"] == "state changed"]
    assert [line.pop("phase") + " " + line.pop("reason") for line in states] == ["Failed Rejected"]
    for line in states:
        del line["time"]
        assert line == {
            "level": "INFO",
            "logger": "taskmill.reconcile.reconciler",
            "message": "state changed",
            "kind": "TaskExecution",
            "namespace": "team",
            "name": "build-1",
            "uid": EXECUTION_UID,
        }
