"""Passes against a server that fails: nothing is lost, nothing is done twice. Time is virtual."""

import asyncio
import copy
import functools
import json
import logging
import re
from collections import Counter
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from builders import (
    EXECUTION_UID,
    JOB,
    POD_UID,
    T0,
    event,
    execution,
    job,
    pod,
    pod_of,
    stamp,
    step,
    task,
)
from taskmill.api.meta import rfc3339
from taskmill.kube.client import EVENTS, EXECUTIONS, JOBS, PODS, TASKS
from taskmill.kube.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    Throttled,
    Unauthorized,
    UnknownOutcome,
    Unreachable,
    error_from,
)
from taskmill.plan.executions.decide import START_PATIENCE, WAIT_PATIENCE
from taskmill.plan.names import LABEL_EXECUTION, LABEL_STEP
from taskmill.plan.world import Limits
from taskmill.reconcile.cache import Cache, Key, Kind
from taskmill.reconcile.feed import Feed
from taskmill.reconcile.pace import APART, BURST
from taskmill.reconcile.queue import WorkQueue
from taskmill.reconcile.reconciler import (
    CREATIONS,
    LOG_BYTES,
    LOG_LINES,
    PassOverError,
    Reconciler,
)
from wire.virtual import run_virtually

RUN = Key(Kind.EXECUTION, "team", "build-1")
TASK = Key(Kind.TASK, "team", "build")
RECORDED = Path(__file__).parents[2] / "e2e" / "verdicts" / "recorded"
STAMP = r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)"


def virtual(test):
    @functools.wraps(test)
    def wrapper(*args, **kwargs):
        run_virtually(test(*args, **kwargs))

    return wrapper


def now():
    return T0 + timedelta(seconds=asyncio.get_running_loop().time())


class Server:
    """The API server in memory: versions, uids, merge patches, preconditions, and faults.

    A fault is raised by the next request it is for; one with `applied` after doing what was asked.
    """

    def __init__(self):
        self.objects = {}
        self.version = 100
        self.requests = []
        self.faults = []
        self.before = {}
        self.down = False
        self.hangs = None
        self.logs = {}

    def fault(self, verb, resource, error, *, applied=False):
        self.faults.append((verb, resource, error, applied))

    def meets(self, verb, resource, callback):
        """`callback` is called while the next such request is on its way."""
        self.before[verb, resource] = callback

    def of(self, *verbs):
        """Requests, but for the Events that it writes."""
        return [
            (verb, name)
            for verb, resource, name in self.requests
            if verb in verbs and (verb, resource) != ("create", EVENTS)
        ]

    def told(self):
        """The Events that it wrote."""
        written = (raw for (resource, _), raw in self.objects.items() if resource == EVENTS)
        return [raw for raw in written if "involvedObject" in raw]

    def tries_to_tell(self):
        return len([r for r in self.requests if r[:2] == ("create", EVENTS)])

    def put(self, resource, raw):
        self.version += 1
        raw = copy.deepcopy(raw)
        raw["metadata"]["resourceVersion"] = str(self.version)
        self.objects[resource, raw["metadata"]["name"]] = raw
        return copy.deepcopy(raw)

    def find(self, resource, name):
        try:
            return self.objects[resource, name]
        except KeyError:
            raise NotFound(404, "NotFound", f"{resource} {name} not found") from None

    async def _request(self, verb, resource, name, apply):
        await asyncio.sleep(0)
        self.requests.append((verb, resource, name))
        if self.down:
            raise Unreachable("connection refused")
        if self.hangs and self.hangs(verb, name):
            await asyncio.sleep(30)
            raise UnknownOutcome("no answer")
        if callback := self.before.pop((verb, resource), None):
            callback()
        for fault in self.faults:
            if fault[:2] == (verb, resource):
                self.faults.remove(fault)
                if fault[3]:
                    apply()
                raise fault[2]
        return copy.deepcopy(apply())

    async def get(self, resource, _namespace, name):
        return await self._request("get", resource, name, lambda: self.find(resource, name))

    async def list(self, resource, _namespace=None, **_):
        found = [raw for (kind, _), raw in self.objects.items() if kind == resource]
        return await self._request(
            "list", resource, str(resource), lambda: (found, str(self.version))
        )

    async def log(self, _namespace, pod, container, *, lines, most_bytes):
        assert (container, lines, most_bytes) == ("main", LOG_LINES, LOG_BYTES)
        return await self._request("log", PODS, pod, lambda: self.logs[pod])

    async def create(self, resource, _namespace, body, *, dry_run=False):
        name = body["metadata"]["name"]

        def apply():
            if (resource, name) in self.objects:
                raise AlreadyExists(409, "AlreadyExists", f'{resource} "{name}" already exists')
            made = copy.deepcopy(body)
            made["metadata"] |= {
                "uid": f"uid-{self.version}",
                "creationTimestamp": rfc3339(now()),
                "generation": 1,
            }
            return made if dry_run else self.put(resource, made)

        return await self._request("try" if dry_run else "create", resource, name, apply)

    async def patch(self, resource, _namespace, name, body, *, subresource=None):
        # Of ours nothing but the status is ever written.
        assert (subresource == "status") is (resource in (EXECUTIONS, TASKS))

        def apply():
            known = self.find(resource, name)
            wanted = body["metadata"]
            for key in ("resourceVersion", "uid"):
                if key in wanted and wanted[key] != known["metadata"][key]:
                    raise Conflict(
                        409, "Conflict", f"Precondition failed: UID in precondition ({key})"
                    )
            changed = {key: value for key, value in body.items() if key != "metadata"}
            return self.put(resource, merged(known, changed))

        return await self._request("patch", resource, name, apply)

    async def delete(self, resource, _namespace, name, *, uid):
        def apply():
            if self.find(resource, name)["metadata"]["uid"] != uid:
                raise Conflict(409, "Conflict", NOT_THAT)
            return self.objects.pop((resource, name))

        await self._request("delete", resource, name, apply)


def merged(old, patch):
    result = dict(old)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key) or {}, value) if isinstance(value, dict) else value
    return result


class Operator:
    """One replica: everything between the queue and the server."""

    def __init__(self, server):
        self.server = server
        self.cache = Cache()
        self.queue = WorkQueue(jitter=lambda: 1.0)
        self.feed = Feed(cache=self.cache, queue=self.queue)
        self.leading = True
        began = timedelta(minutes=-1)
        self.reconciler = Reconciler(
            client=server,
            cache=self.cache,
            queue=self.queue,
            limits=Limits(),
            is_leading=lambda: self.leading,
            clock=lambda: now() + began,
        )
        self.reconciler.take_over()  # long before anything happens
        began = timedelta()
        self.workers = []

    def status(self, name="build-1"):
        return self.server.find(EXECUTIONS, name).get("status") or {}

    def applies(self, built):
        """Somebody writes one of our objects, and the watch tells."""
        kind = built.raw["kind"]
        raw = self.server.put(EXECUTIONS if kind == "TaskExecution" else TASKS, built.raw)
        (self.feed.execution if kind == "TaskExecution" else self.feed.task)(raw)

    def kubelet(self, built):
        """A pod of the only Job is told."""
        ((_, name),) = [key for key in self.server.objects if key[0] == JOBS]
        built.of(self.server.find(JOBS, name)["metadata"]["uid"])
        self.feed.pod(self.server.put(PODS, built.raw))

    def alive(self):
        return not any(worker.done() for worker in self.workers)


@asynccontextmanager
async def operator(server=None, *, workers=1):
    made = Operator(server or Server())
    made.workers = [asyncio.create_task(made.reconciler.work()) for _ in range(workers)]
    try:
        yield made
        assert made.alive(), "a worker has died"
    finally:
        for worker in made.workers:
            worker.cancel()
        await asyncio.gather(*made.workers, return_exceptions=True)


async def soon(seconds=0.1):
    await asyncio.sleep(seconds)


# -- without faults -------------------------------------------------------------------------------


@virtual
async def test_a_run_costs_three_writes():
    async with operator() as op:
        op.applies(execution())
        await soon()
        op.kubelet(pod().running(1))
        await soon()
        op.kubelet(pod().exited(0, start=1, end=2))
        await soon()
        assert op.status()["phase"] == "Succeeded"
        writes = op.server.of("create", "patch", "delete")
        assert [verb for verb, _ in writes] == ["create", "patch", "patch"]
        assert op.server.of("get", "list") == []


def recorded(name):
    """What the watches told of a real run, as if in the second T0 and on a machine twice as fast.

    That one was busy, and what does not start within two seconds has its Events read.
    """
    text = (RECORDED / f"{name}.json").read_text()
    first = datetime.fromisoformat(json.loads(text)["moments"][0]["at"]).replace(microsecond=0)

    def shifted(found):
        moved = (datetime.fromisoformat(found[0]) - first) / 2 + T0
        return rfc3339(moved) if found[0].endswith("Z") else moved.isoformat()

    return json.loads(re.sub(STAMP, shifted, text))["moments"]


@virtual
async def test_a_real_run_costs_exactly_so_many_events_passes_and_requests():
    """They do not depend on a machine's speed: who adds one has to say so here."""
    told = Counter()
    async with operator() as op:
        reconcile = op.reconciler.reconcile

        async def counted(key):
            told["passes"] += 1
            await reconcile(key)

        op.reconciler.reconcile = counted
        known = {}
        for moment in recorded("success"):
            await soon((datetime.fromisoformat(moment["at"]) - now()).total_seconds())
            resource = {"TaskExecution": EXECUTIONS, "Job": JOBS, "Pod": PODS}.get(moment["kind"])
            if resource is None:
                continue  # Events are not watched
            raw = merged(known.get(moment["uid"], {}), moment["patch"])
            known[moment["uid"]] = raw
            if resource == JOBS:
                raw["metadata"]["uid"] = made = op.server.find(JOBS, raw["metadata"]["name"])[
                    "metadata"
                ]["uid"]
            if resource == PODS:
                raw["metadata"]["ownerReferences"][0]["uid"] = made
            tell = {EXECUTIONS: op.feed.execution, JOBS: op.feed.job, PODS: op.feed.pod}[resource]
            tell(op.server.put(resource, raw))
            told[resource.plural] += 1
        await soon(10)
    assert op.status("run")["phase"] == "Succeeded"
    assert told == {"taskexecutions": 1, "jobs": 4, "pods": 8, "passes": 5}
    assert [verb for verb, _, _ in op.server.requests] == ["create", "patch", "patch"]


def crowd(op, number):
    """So many executions; each has its Job, and the pod of each can be told of."""
    names = [f"run-{n}" for n in range(number)]
    for name in names:
        op.applies(execution(name, uid=f"uid-of-{name}"))
    return names


def tells(op, name, built):
    """A pod of the Job of one of a crowd."""
    owned = [
        raw
        for (resource, _), raw in op.server.objects.items()
        if resource == JOBS and raw["metadata"]["labels"][LABEL_EXECUTION] == name
    ]
    [found] = owned
    built.raw["metadata"] |= {
        "name": f"{name}-pod",
        "uid": f"pod-of-{name}",
        "labels": found["metadata"]["labels"],
    }
    built.of(found["metadata"]["uid"])
    op.feed.pod(op.server.put(PODS, built.raw))


@virtual
async def test_of_a_crowd_that_starts_and_ends_within_seconds_verdicts_are_written_alone():
    """But for as many as are told at once, and one every 200 ms."""
    async with operator(workers=32) as op:
        names = crowd(op, 200)
        await soon(1)
        for name in names:
            tells(op, name, pod().running(1))
        await soon(3)
        early = len(op.server.of("patch"))
        assert BURST <= early <= BURST + 4 / APART
        for name in names:
            tells(op, name, pod().exited(0, start=1, end=4))
        await soon(1)
        assert {op.status(name)["phase"] for name in names} == {"Succeeded"}
        assert len(op.server.of("patch")) <= early + 200 + 1 / APART


@virtual
async def test_in_a_crowd_each_start_is_told_within_seconds():
    async with operator(workers=32) as op:
        names = crowd(op, 200)
        await soon(1)
        for name in names:
            tells(op, name, pod().running(1))
        await soon(START_PATIENCE.total_seconds() + 0.5)
        assert {op.status(name)["phase"] for name in names} == {"Running"}
        assert len(op.server.of("patch")) == 200


@virtual
async def test_in_a_crowd_it_is_told_later_that_something_merely_waits():
    async with operator(workers=32) as op:
        names = crowd(op, 400)
        await soon(10)
        assert len(op.server.of("patch")) <= BURST + 10 / APART
        await soon(WAIT_PATIENCE.total_seconds())
        assert {op.status(name)["phase"] for name in names} == {"Pending"}
        assert len(op.server.of("patch")) == 400


def _counted(op):
    """Each pass from now on."""
    passes, reconcile = [], op.reconciler.reconcile

    async def counting(key):
        passes.append(key)
        await reconcile(key)

    op.reconciler.reconcile = counting
    return passes


@virtual
async def test_a_crowd_asks_for_events_a_few_at_a_time_and_for_all_of_them_in_the_end():
    async with operator(workers=32) as op:
        names = crowd(op, 100)
        await soon(1)
        for name in names:
            tells(op, name, pod().on().waiting("ContainerCreating"))
        await soon(4)
        assert len(op.server.of("list")) <= BURST + 5 / APART
        passes = _counted(op)
        await soon(20)
        # Each waits for its turn, and comes back when it has it.
        assert len(passes) < 3 * len(names)
        await soon(40)
        memories = [op.cache.memory(Key(Kind.EXECUTION, "team", name)) for name in names]
        assert all(memory.heard for memory in memories)


@virtual
async def test_a_heap_of_passes_leaves_the_loop_to_others():
    """To whoever renews the Lease, above all."""
    async with operator(workers=32) as op:
        names = crowd(op, 1000)
        await soon(60)
        turns = 0

        async def other():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        somebody = asyncio.create_task(other())
        passes, all_of_them = len(names), asyncio.Event()
        reconcile = op.reconciler.reconcile

        async def counted(key):
            nonlocal passes
            passes -= 1
            await reconcile(key)
            if not passes:
                all_of_them.set()

        op.reconciler.reconcile = counted
        for name in names:
            op.queue.add(Key(Kind.EXECUTION, "team", name))
        await all_of_them.wait()
        somebody.cancel()
        assert turns >= len(names) / 32


@virtual
async def test_what_has_ended_keeps_nobody_waiting_when_everything_is_looked_at():
    async with operator() as op:
        for n in range(2000):
            op.applies(execution(f"old-{n}", uid=f"old-{n}").ended())
        await soon(1)
        seen = []
        reconcile = op.reconciler.reconcile

        async def counted(key):
            seen.append(key)
            await reconcile(key)

        op.reconciler.reconcile = counted
        op.applies(execution())
        await soon(1)
        seen.clear()
        op.reconciler.take_over()
        await soon(0.5)
        assert RUN in seen
        assert len(seen) <= 600
        await soon(2)
        assert len(set(seen)) == 2001


@virtual
async def test_who_waits_for_a_place_costs_no_passes():
    """A crowd that is made over a minute costs no more for each than one made at once."""
    async with operator(workers=2 * CREATIONS) as op:
        passes = Counter()
        reconcile = op.reconciler.reconcile

        async def counted(key):
            passes[key] += 1
            await reconcile(key)

        async def slow(*args, **more):
            await asyncio.sleep(2)
            return await create(*args, **more)

        op.reconciler.reconcile = counted
        create, op.server.create = op.server.create, slow
        names = crowd(op, 30 * CREATIONS)
        await soon(61)
        assert {r for r, _ in op.server.objects} >= {JOBS}
        assert len([1 for r, _ in op.server.objects if r == JOBS]) == len(names)
        last = passes[Key(Kind.EXECUTION, "team", names[-1])]
        assert last <= 3  # one that finds no place, one that does, one after that


@virtual
async def test_who_waits_for_a_place_is_not_forgotten_when_those_before_vanish():
    async with operator(workers=2 * CREATIONS) as op:
        op.server.hangs = lambda verb, _: verb == "create"
        names = crowd(op, 5 * CREATIONS)
        await soon(3)
        op.server.hangs = None
        for name in names[CREATIONS : 4 * CREATIONS]:
            del op.server.objects[EXECUTIONS, name]
            op.feed.gone(Key(Kind.EXECUTION, "team", name), f"uid-of-{name}")
        await soon(40)
        jobs = [r for r, _ in op.server.objects if r == JOBS]
        assert len(jobs) == 2 * CREATIONS


@virtual
async def test_a_finished_job_is_deleted_after_its_retention():
    async with operator() as op:
        op.applies(execution())
        await soon()
        op.kubelet(pod().exited(3, end=0))
        await soon(3598)
        assert op.server.of("delete") == []
        await soon(3)
        assert len(op.server.of("delete")) == 1


@virtual
async def test_a_task_starts_its_run_and_is_told_what_became_of_it():
    async with operator() as op:
        op.applies(task())
        await soon(2)
        ((_, name),) = [key for key in op.server.objects if key[0] == EXECUTIONS]
        op.feed.pod(
            pod("p", execution=name)
            .exited(3, "no such file", end=2)
            .of(next(o["metadata"]["uid"] for (r, _), o in op.server.objects.items() if r == JOBS))
            .version(9)
            .raw
        )
        await soon(3)
        told = op.server.find(TASKS, "build")["status"]
        assert (told["phase"], told["lastExecution"]["name"]) == ("Failed", name)
        assert told["lastExecution"]["failureMessage"] == "step build: exit code 3: no such file"
        assert len([key for key in op.server.objects if key[0] == EXECUTIONS]) == 1


@virtual
async def test_a_deadline_is_met_to_the_second():
    async with operator() as op:
        op.applies(execution().deadline(60))
        await soon()
        op.kubelet(pod().running(1))
        await asyncio.sleep(59.8)
        assert "FailureTarget" not in str(op.status())
        await asyncio.sleep(0.2)
        assert op.status()["reason"] == "DeadlineExceeded"
        assert op.server.find(PODS, "build-1-x7k2p")["spec"]["activeDeadlineSeconds"] == 1


@virtual
async def test_events_are_read_oldest_first_and_only_the_newest_are_kept():
    async with operator() as op:
        op.applies(execution())
        await soon()
        for n in range(30):
            raw = event("FailedMount", f"words {n}", 30 - n)
            op.server.objects[EVENTS, str(n)] = raw
        op.kubelet(pod().on())
        await soon(5)
        events = op.cache.memory(RUN).heard[POD_UID].events
        assert len(events) == 20
        assert events[-1].message == "words 0"
        await soon(10)
        assert op.status()["message"] == "step build: words 0"


@virtual
async def test_last_words_that_outputs_have_displaced_are_read_from_the_log_once():
    async with operator() as op:
        op.applies(execution())
        await soon()
        op.server.logs["build-1-x7k2p"] = "compiling\ncc: error\n"
        op.kubelet(pod().exited(3, "version=1.2", end=0))
        await soon(0.3)
        assert op.status()["failureMessage"] == "step build: exit code 3: cc: error"
        assert op.server.of("log") == [("log", "build-1-x7k2p")]
        assert op.cache.memory(RUN).logs == {}


@pytest.mark.parametrize(
    "error",
    [
        Forbidden(403, "Forbidden", "no"),
        NotFound(404, "NotFound", "gone"),
        Unreachable("timeout"),
        error_from(500, "dial tcp 10.0.0.1:10250: i/o timeout"),
    ],
    ids=["forbidden", "gone", "the node hangs", "the node is away"],
)
@virtual
async def test_a_log_that_cannot_be_read_keeps_no_verdict_waiting(error):
    async with operator() as op:
        op.applies(execution())
        await soon()
        op.server.fault("log", PODS, error)
        op.kubelet(pod().exited(3, "version=1.2", end=0))
        await soon(0.3)
        assert op.status()["failureMessage"] == "step build: exit code 3"


@virtual
async def test_the_clock_of_a_job_that_is_resumed_is_set_anew_and_once():
    async with operator() as op:
        op.applies(execution().deadline(600))
        await soon(300)
        name = op.server.of("create")[0][1]
        known = op.server.find(JOBS, name)
        assert known["spec"]["activeDeadlineSeconds"] == 660
        op.feed.job(op.server.put(JOBS, {**known, "status": {"startTime": stamp(300)}}))
        await soon(200)
        assert op.server.find(JOBS, name)["spec"]["activeDeadlineSeconds"] == 360
        assert len([r for r in op.server.requests if r[:2] == ("patch", JOBS)]) == 1


# -- conflicts and outages ------------------------------------------------------------------------


@virtual
async def test_a_conflict_is_read_anew_and_decided_again():
    async with operator() as op:
        op.applies(execution())
        await soon()
        op.server.put(EXECUTIONS, execution().stopped().raw)  # the watch is late
        op.kubelet(pod().running(1))
        await soon()
        assert op.server.of("get") == [("get", "build-1")]
        assert op.status()["reason"] == "Stopped"


@virtual
async def test_a_conflict_and_then_an_outage_is_tried_again():
    async with operator() as op:
        op.applies(execution())
        await soon()
        op.server.fault("patch", EXECUTIONS, Conflict(409, "Conflict", "stale"))
        op.server.fault("get", EXECUTIONS, Unreachable("connection refused"))
        op.kubelet(pod().running(1))
        await soon(5)
        assert op.alive()
        assert op.status()["phase"] == "Running"


@pytest.mark.parametrize(
    "error",
    [
        Unreachable("connection refused"),
        Unauthorized(401, "Unauthorized", "who are you"),
        Throttled(429, "TooManyRequests", "later", retry_after=2.0),
        Gone(410, "Gone", "too old"),
        ApiError(418, "Teapot", "no"),
        UnknownOutcome("the connection broke"),
        ValueError("a bug"),
    ],
    ids=lambda error: type(error).__name__,
)
@virtual
async def test_whatever_a_status_write_meets_it_is_written_in_the_end(error):
    async with operator() as op:
        op.applies(execution())
        await soon()
        op.server.fault("patch", EXECUTIONS, error)
        op.kubelet(pod().running(1))
        await soon(5)
        assert op.status()["phase"] == "Running"


@virtual
async def test_a_throttled_pass_waits_as_long_as_it_is_told():
    async with operator() as op:
        op.server.fault("create", JOBS, Throttled(429, "TooManyRequests", "", retry_after=5.0))
        op.applies(execution())
        await soon(4.8)
        assert len(op.server.of("create")) == 1
        await soon(0.4)
        assert len(op.server.of("create")) == 2


@virtual
async def test_a_status_write_with_an_unknown_outcome_is_not_lost_not_doubled_and_logged(caplog):
    caplog.set_level("INFO")
    async with operator() as op:
        op.applies(execution())
        await soon()
        op.server.fault("patch", EXECUTIONS, UnknownOutcome("broken"), applied=True)
        op.kubelet(pod().running(0))
        await soon(5)
        assert op.status()["phase"] == "Running"
        assert op.status()["statusVersion"] == 1
        told = [r for r in caplog.records if r.getMessage() == "state changed"]
        assert [record.fields["phase"] for record in told] == ["Running"]


@virtual
async def test_an_execution_that_is_gone_is_forgotten():
    async with operator() as op:
        op.applies(execution())
        await soon()
        del op.server.objects[EXECUTIONS, "build-1"]
        op.kubelet(pod().running(1))
        await soon(30)
        assert op.cache.uid(RUN) is None
        assert len(op.server.of("patch")) == 1


@virtual
async def test_an_execution_that_vanishes_while_its_status_is_written_stays_gone():
    async with operator() as op:
        op.applies(execution())
        await soon()
        op.server.meets("patch", EXECUTIONS, lambda: op.feed.gone(RUN, EXECUTION_UID))
        op.kubelet(pod().running(1))
        await soon(5)
        assert op.cache.uid(RUN) is None
        assert RUN not in op.cache._memories


# -- creating the Job -----------------------------------------------------------------------------


@virtual
async def test_after_an_unknown_outcome_the_execution_is_read_before_the_job_is_created_again():
    async with operator() as op:
        op.server.fault("create", JOBS, UnknownOutcome("broken"))
        op.applies(execution())
        await soon(9.8)
        assert [verb for verb, _ in op.server.of("create", "get")] == ["create"]
        assert op.status()["message"] == "step build: the API server refused its Job: broken"
        await soon(0.5)
        assert [verb for verb, _ in op.server.of("create", "get")] == ["create", "get", "create"]


@virtual
async def test_a_creation_without_an_answer_is_waited_for_once_nobody_listens_any_more():
    """It may come through later than its sender gave it up, beside what was made instead."""
    async with operator() as op:
        op.server.hangs = lambda verb, _: verb == "create"
        op.applies(task())
        await soon(1)
        op.server.hangs = None
        op.applies(task().spec(script="b").generation(2))
        await soon(30 - 1 + 9)
        assert len(op.server.of("create")) == 1
        await soon(2)
        runs = [raw for (resource, _), raw in op.server.objects.items() if resource == EXECUTIONS]
        assert [run["spec"]["taskRef"]["generation"] for run in runs] == [2]


@virtual
async def test_a_job_whose_creation_was_applied_after_all_is_adopted():
    async with operator() as op:
        op.server.fault("create", JOBS, UnknownOutcome("broken"), applied=True)
        op.applies(execution())
        await soon(11)
        assert len(op.cache.execution_world(RUN, Limits()).jobs) == 1
        assert len(op.server.of("create")) == 2
        assert op.status()["phase"] == "Pending"


@virtual
async def test_a_verdict_of_another_replica_is_read_before_a_job_is_created_again():
    async with operator() as op:
        op.server.fault("create", JOBS, UnknownOutcome("broken"))
        op.applies(execution())
        await soon()
        ended = execution().status(phase="Stopped", completedAt=stamp(0))
        op.server.put(EXECUTIONS, ended.raw)
        await soon(30)
        assert len(op.server.of("create")) == 1


@virtual
async def test_after_a_takeover_the_execution_is_read_before_its_first_job_is_created():
    async with operator() as op:
        op.leading = False
        op.applies(execution())
        await soon()
        op.leading = True
        op.reconciler.take_over()
        await soon(0.3)
        assert [verb for verb, _ in op.server.of("create", "get")] == ["get", "create"]


@pytest.mark.parametrize(("created", "verbs"), [(4, ["get", "create"]), (5, ["create"])])
@virtual
async def test_an_execution_made_after_the_takeover_is_not_read_first(created, verbs):
    """By the API server's clock, which may be some seconds ahead."""
    async with operator() as op:
        op.reconciler.take_over()
        await soon(created)
        op.applies(execution().created(created))
        await soon(0.3)
        assert [verb for verb, _ in op.server.of("create", "get")] == verbs


@virtual
async def test_after_a_takeover_an_execution_is_read_once():
    async with operator() as op:
        op.applies(execution())
        op.reconciler.take_over()
        op.server.fault("create", JOBS, Forbidden(403, "Forbidden", "exceeded quota: small"))
        await soon(11)
        assert [verb for verb, _ in op.server.of("create", "get")] == ["get", "create", "create"]


@virtual
async def test_a_takeover_looks_at_everything():
    async with operator() as op:
        op.leading = False
        op.applies(execution())
        op.applies(task().spec(trigger="Manual"))
        await soon()
        assert op.server.requests == []
        op.leading = True
        op.reconciler.take_over()
        await soon()
        assert op.server.find(TASKS, "build")["status"]
        assert RUN in [Key(Kind.EXECUTION, "team", name) for _, name in op.server.of("get")]


@virtual
async def test_a_job_of_ours_that_exists_already_is_adopted():
    server = Server()
    async with operator(server) as first:
        first.applies(execution())
        await soon()
    async with operator(server) as second:
        second.feed.execution(server.find(EXECUTIONS, "build-1"))
        await soon()
        assert len(second.cache.execution_world(RUN, Limits()).jobs) == 1
        assert len([key for key in server.objects if key[0] == JOBS]) == 1


@pytest.mark.parametrize(
    "theirs",
    [
        {"ownerReferences": [{"uid": "somebody", "controller": True}]},
        {"ownerReferences": None},
        {"ownerReferences": [{"uid": EXECUTION_UID}]},
        {"labels": {}},
    ],
    ids=["another owner", "no owner", "no controller", "no labels"],
)
@virtual
async def test_a_job_of_somebody_else_that_has_our_name_rejects_the_execution(theirs):
    server = Server()
    async with operator(server) as first:
        first.applies(execution())
        await soon()
    ((_, name),) = [key for key in server.objects if key[0] == JOBS]
    server.find(JOBS, name)["metadata"].update(theirs)
    async with operator(server) as second:
        second.feed.execution(server.find(EXECUTIONS, "build-1"))
        await soon(0.3)
        assert (second.status()["phase"], second.status()["reason"]) == ("Failed", "Rejected")
        assert "already exists and is not ours" in second.status()["failureMessage"]
        assert server.of("delete") == []


@pytest.mark.parametrize(
    ("error", "phase", "reason"),
    [
        (Invalid(422, "Invalid", "spec.x: no"), "Failed", "Rejected"),
        (Forbidden(403, "Forbidden", "exceeded quota: small"), "Pending", "QuotaExceeded"),
        (Conflict(409, "Conflict", "quota was written"), "Pending", "Queued"),
    ],
    ids=["final", "quota", "passing"],
)
@virtual
async def test_a_refused_job_is_told_in_the_servers_words(error, phase, reason):
    async with operator() as op:
        op.server.fault("create", JOBS, error)
        op.applies(execution())
        await soon(3.1)
        told = op.status()
        assert (told["phase"], told["reason"]) == (phase, reason)
        words = told.get("failureMessage") or told["message"]
        assert words.startswith(f"step build: the API server refused its Job: {error.message}")
        (written,) = op.server.told()
        assert (written["reason"], written["message"]) == (reason, words)
        await soon(11)
        assert len(op.server.of("create")) == (1 if phase == "Failed" else 2)


@virtual
async def test_a_server_that_fails_to_create_the_job_is_told_in_its_own_words():
    async with operator() as op:
        broken = error_from(500, '{"message": "failed calling webhook", "code": 500}')
        for _ in range(10):
            op.server.fault("create", JOBS, UnknownOutcome("500", error=broken))
        op.applies(execution())
        await soon(5)
        told = op.status()
        assert (told["phase"], told["reason"]) == ("Pending", "Queued")
        assert told["message"].endswith("refused its Job: failed calling webhook")
        assert 1 <= len(op.server.of("create")) <= 5


@virtual
async def test_a_pass_over_what_is_gone_does_nothing():
    async with operator() as op:
        for key in (RUN, TASK):
            op.queue.add(key)
        await soon()
        assert op.server.requests == []
        assert len(op.queue) == 0


@virtual
async def test_a_refusal_is_forgotten_once_the_job_exists():
    async with operator() as op:
        op.server.fault("create", JOBS, Forbidden(403, "Forbidden", "exceeded quota: small"))
        op.applies(execution())
        await soon(25)
        assert op.cache.memory(RUN).refused == {}
        assert "refused" not in op.status()["message"]


@virtual
async def test_in_a_namespace_that_goes_away_creation_is_tried_every_half_minute():
    async with operator() as op:
        leaving = Forbidden(403, "Forbidden", "unable to create: it is being terminated")
        for _ in range(10):
            op.server.fault("create", JOBS, leaving)
        op.applies(execution())
        await soon(29)
        assert op.server.of("create", "patch") == [("create", JOB), ("patch", "build-1")]
        assert (op.status()["phase"], op.status()["reason"]) == ("Pending", "Queued")
        assert op.status()["message"].endswith("refused its Job: " + leaving.message)
        await soon(2)
        assert len(op.server.of("create")) == 2
        await soon(60)
        assert len(op.server.of("create")) == 4
        assert len(op.server.of("patch")) == 1


@virtual
async def test_creations_that_hang_leave_workers_for_the_deadlines_of_others():
    async with operator(workers=2 * CREATIONS) as op:
        op.applies(execution().deadline(10))
        await soon()
        op.kubelet(pod().running(1))
        await soon()
        op.server.hangs = lambda verb, _: verb == "create"
        for n in range(5 * CREATIONS):
            op.applies(execution(f"run-{n}", uid=f"run-{n}"))
        await asyncio.sleep(9)
        assert len(op.server.of("create")) == 1 + CREATIONS
        assert "FailureTarget" not in str(op.status())
        await asyncio.sleep(1)
        assert op.status()["reason"] == "DeadlineExceeded"
        assert op.server.find(PODS, "build-1-x7k2p")["spec"]["activeDeadlineSeconds"] == 1
        op.server.hangs = None
        await soon(60)
        jobs = {name for resource, name in op.server.objects if resource == JOBS}
        assert len(jobs - {JOB}) == 5 * CREATIONS


def many(steps):
    """An execution of steps that may all start at once."""
    task_of = execution().raw["spec"]["plan"][0]["task"]
    return execution().spec(plan=[{"id": f"s{n}", "task": task_of} for n in range(steps)])


@virtual
async def test_the_jobs_of_steps_that_may_start_are_created_together():
    async with operator() as op:
        op.server.hangs = lambda verb, name: verb == "create" and "-s3-" in name
        op.applies(many(6))
        await soon(1)
        jobs = [name for resource, name in op.server.objects if resource == JOBS]
        assert len(jobs) == 5
        op.server.hangs = None
        await soon(29.5)
        assert op.status()["message"].startswith("step s3: the API server refused its Job")
        await soon(1)
        jobs = [name for resource, name in op.server.objects if resource == JOBS]
        assert (len(jobs), len(op.server.of("create"))) == (6, 7)


@virtual
async def test_steps_whose_jobs_are_refused_are_told_and_tried_each_for_itself():
    async with operator() as op:
        op.server.fault("create", JOBS, Forbidden(403, "Forbidden", "exceeded quota: small"))
        op.server.fault("create", JOBS, Conflict(409, "Conflict", "quota was written"))
        op.applies(many(3))
        await soon(5)
        assert len(op.cache.memory(RUN).refused) == 2
        assert sorted(told["reason"] for told in op.server.told()) == ["Queued", "QuotaExceeded"]
        await soon(8)
        assert op.cache.memory(RUN).refused == {}
        assert len(op.server.of("create")) == 5


@virtual
async def test_creations_that_hang_keep_no_execution_from_its_stop():
    async with operator() as op:
        op.server.hangs = lambda verb, _: verb == "create"
        op.applies(many(50))
        await soon()
        op.applies(many(50).stopped())
        await soon(30)
        op.server.hangs = None
        await soon(1)
        assert (op.status()["phase"], len(op.server.of("create"))) == ("Stopped", 8)


@virtual
async def test_an_outage_costs_hardly_a_request_and_delays_nobody_when_it_is_over():
    async with operator(workers=32) as op:
        op.server.down = True
        for n in range(500):
            op.applies(execution(f"run-{n}", uid=f"run-{n}"))
        await soon(30)
        assert len(op.server.requests) <= 500 + 30
        op.server.requests.clear()
        await soon(600)
        assert 590 <= len(op.server.requests) <= 600
        op.server.down = False
        await soon(2)
        jobs = [name for resource, name in op.server.objects if resource == JOBS]
        assert len(jobs) == 500


@virtual
async def test_an_outage_in_which_the_lease_was_lost_strands_nobody():
    """Who was to ask is gone when this replica leads again."""
    async with operator() as op:
        op.server.down = True
        op.applies(execution("first", uid="first"))
        await soon()
        op.leading = False
        await soon(5)
        op.feed.gone(Key(Kind.EXECUTION, "team", "first"), "first")
        op.leading = True
        op.reconciler.take_over()
        op.applies(execution())
        await soon()
        op.server.down = False
        await soon(5)
        assert [name for resource, name in op.server.objects if resource == JOBS] == [JOB]


@virtual
async def test_events_that_cannot_be_read_keep_nobody_waiting():
    async with operator() as op:
        op.server.fault("list", EVENTS, Forbidden(403, "Forbidden", "no"))
        op.applies(execution())
        await soon()
        op.kubelet(pod().on())
        await soon(3)
        assert op.cache.memory(RUN).heard[POD_UID].events == ()
        assert op.status()["phase"] == "Pending"
        assert len(op.server.of("list")) == 1
        await soon(57)
        assert len(op.server.of("list")) == 5


NO_MOUNT = 'MountVolume.SetUp failed for volume "x" : secret "nope" not found'


async def _waits_for_a_secret(op, *, until):
    op.applies(execution().runs(startTimeout="2m"))
    await soon(1)
    op.server.objects[EVENTS, "e"] = event("FailedMount", NO_MOUNT, 2)
    op.kubelet(pod().on(seconds=1))
    await soon(until)


@virtual
async def test_what_was_heard_is_kept_while_events_cannot_be_read():
    async with operator() as op:
        await _waits_for_a_secret(op, until=61)
        op.server.fault("list", EVENTS, Unreachable("connection reset"))
        await soon(70)
        assert op.server.faults == []
        assert op.status()["reason"] == "MountFailed"


@virtual
async def test_a_verdict_waits_for_events_that_cannot_be_read_for_seconds():
    """Another process has heard why it does not start."""
    async with operator() as op:
        await _waits_for_a_secret(op, until=119)
        op.cache.memory(RUN).heard.clear()
        op.server.fault("list", EVENTS, Unreachable("connection reset"))
        op.server.fault("list", EVENTS, Unreachable("connection reset"))
        await soon(4)
        assert op.status()["reason"] == "MountFailed"
        assert op.server.faults == []


@virtual
async def test_a_verdict_does_without_events_that_are_away():
    async with operator() as op:
        await _waits_for_a_secret(op, until=119)
        op.cache.memory(RUN).heard.clear()
        for _ in range(100):
            op.server.fault("list", EVENTS, Unreachable("connection reset"))
        await soon(3)
        assert "reason" not in op.status() or op.status()["phase"] != "Failed"
        await soon(5)
        assert op.status()["reason"] == "StartFailed"


@virtual
async def test_events_of_another_namespace_that_hang_change_no_verdict():
    async with operator(workers=4) as op:
        await _waits_for_a_secret(op, until=118)
        op.cache.memory(RUN).heard.clear()
        op.reconciler._deaf_until.clear()
        real = op.server.list

        async def lists(resource, namespace=None, **options):
            if namespace == "noisy":
                await asyncio.sleep(3)
            return await real(resource, namespace, **options)

        op.server.list = lists
        assert await op.reconciler._list_events(Key(Kind.EXECUTION, "noisy", "x"), "u") is None
        await soon(4)
        assert op.status()["reason"] == "MountFailed"


@virtual
async def test_a_slow_write_makes_no_deadline_late():
    async with operator() as op:
        op.applies(execution().deadline(6))
        await soon(2)
        real = op.server.patch

        async def slowly(*args, **options):
            await asyncio.sleep(3)
            return await real(*args, **options)

        op.server.patch = slowly
        op.kubelet(pod().running(1))
        await soon(3.2)
        op.server.patch = real
        assert op.status()["phase"] == "Running"
        await soon(1)
        assert op.status()["reason"] == "DeadlineExceeded"


@virtual
async def test_a_clock_that_is_set_back_holds_no_word():
    async with operator(workers=32) as op:
        names = crowd(op, 100)
        await soon(1)
        clock = op.reconciler._clock
        for name in names:
            tells(op, name, pod().running(1))
        await soon(0.1)
        op.reconciler._clock = lambda: clock() - timedelta(hours=1)
        await soon(START_PATIENCE.total_seconds() + 0.5)
        assert {op.status(name)["phase"] for name in names} == {"Running"}


@virtual
async def test_in_a_crowd_too_a_run_that_waited_does_not_start_once_its_task_is_suspended():
    async with operator() as op:
        for _ in range(BURST + 1):
            op.reconciler._words.allows(asyncio.get_running_loop().time())
        queued = task().spec(concurrencyPolicy="Queue", trigger="Manual")
        op.applies(queued)
        op.applies(execution("first", uid="e1").scheduled(0).created(0))
        await soon(0.5)
        op.applies(execution("second", uid="e2").scheduled(60).created(1))
        await soon(0.5)
        op.applies(queued.spec(suspend=True).generation(2))
        await soon(0.5)
        op.kubelet(pod("p1", uid="p1", execution="first").exited(0, start=1, end=2))
        await soon(10)
        assert op.status("first")["phase"] == "Succeeded"
        assert op.status("second")["message"] == "it is its turn, but its Task is suspended"
        assert len(op.server.of("create")) == 1


@virtual
async def test_events_that_hang_hold_up_no_plan():
    """One that waits for each of its steps in turn would not see that it is to stop."""
    async with operator() as op:
        op.server.hangs = lambda verb, name: (verb, name) == ("list", "events")
        op.applies(execution().plan(*[step(f"s{n}") for n in range(50)]))
        await soon(3)
        for raw in [raw for (kind, _), raw in op.server.objects.items() if kind == JOBS]:
            silent = pod(uid=f"pod-{raw['metadata']['uid']}").on(seconds=3)
            silent.raw["metadata"]["labels"] = raw["metadata"]["labels"]
            op.feed.pod(op.server.put(PODS, silent.of(raw["metadata"]["uid"]).raw))
        await soon(5)
        assert op.server.of("list")
        raw = copy.deepcopy(op.server.find(EXECUTIONS, "build-1"))
        raw["spec"]["desiredPhase"], raw["metadata"]["generation"] = "Stopped", 2
        op.feed.execution(op.server.put(EXECUTIONS, raw))
        await soon(3)
        assert op.status()["phase"] == "Stopped"


@virtual
async def test_a_list_that_goes_wrong_leaves_no_other_behind():
    async with operator() as op:
        op.applies(execution())
        await soon()
        op.server.hangs = lambda verb, name: (verb, name) == ("list", "pods")
        op.server.fault("list", JOBS, Throttled(429, "TooManyRequests", "busy", None, 1.0))
        ((_, name),) = [key for key in op.server.objects if key[0] == JOBS]
        raw = copy.deepcopy(op.server.find(JOBS, name))
        raw["status"] = job().failed(seconds=3).raw["status"]
        op.feed.job(op.server.put(JOBS, raw))
        await soon(1)
        lists = [task for task in asyncio.all_tasks() if "Server.list" in repr(task)]
        assert (op.server.faults, lists) == ([], [])


@virtual
async def test_a_pass_that_acts_without_effect_is_no_hot_loop():
    async with operator() as op:
        op.applies(execution().deadline(60))
        await soon()
        op.kubelet(pod().running(1))
        op.feed._cache.observe_pod = lambda _: None  # it never comes to see what it did
        await soon(62)
        assert 1 <= len([r for r in op.server.requests if r[:2] == ("patch", PODS)]) <= 25


@virtual
async def test_an_execution_of_somebody_else_that_has_our_name_is_told_by_the_task():
    server = Server()
    async with operator(server) as first:
        first.applies(task())
        await soon()
    ((_, name),) = [key for key in server.objects if key[0] == EXECUTIONS]
    server.find(EXECUTIONS, name)["metadata"]["ownerReferences"] = []
    async with operator(server) as second:
        second.applies(task())
        await soon(5)
        assert len([r for r in server.requests if r[:2] == ("create", EXECUTIONS)]) == 2
        told = server.find(TASKS, "build")["status"]
        (stalled,) = [c for c in told["conditions"] if c["type"] == "Stalled"]
        assert stalled["reason"] == "Rejected"
        assert stalled["message"].endswith("already exists and is not ours")


# -- Events of ours -------------------------------------------------------------------------------


@virtual
async def test_a_failure_is_told_in_an_event_about_the_execution():
    async with operator() as op:
        op.applies(execution())
        await soon()
        op.kubelet(pod().exited(3, "cc: error", end=0))
        await soon()
        (told,) = op.server.told()
        assert told["metadata"]["name"] == "build-1-993dc9d638"
        assert told["metadata"]["namespace"] == "team"
        assert told["involvedObject"] == {
            "apiVersion": "taskmill.dev/v1alpha1",
            "kind": "TaskExecution",
            "namespace": "team",
            "name": "build-1",
            "uid": EXECUTION_UID,
        }
        assert (told["type"], told["reason"], told["count"]) == ("Warning", "Error", 1)
        assert told["message"] == op.status()["failureMessage"]
        assert told["firstTimestamp"] == told["lastTimestamp"] == stamp()
        assert told["source"] == {"component": "taskmill"}


@virtual
async def test_an_event_is_written_after_its_verdict_and_once():
    async with operator() as op:
        op.applies(execution())
        await soon()
        op.kubelet(pod().exited(3, end=0))
        await soon(3598)
        written = [r[:2] for r in op.server.requests if r[0] != "get"]
        assert written == [("create", JOBS), ("patch", EXECUTIONS), ("create", EVENTS)]


@virtual
async def test_a_success_and_a_stop_write_no_event():
    for built, ended in (
        (execution(), pod().exited(0, end=0)),
        (execution().stopped(), pod().exited(143, end=0)),
    ):
        async with operator() as op:
            op.applies(execution())
            await soon()
            op.kubelet(pod().running(0))
            await soon()
            op.applies(built.status(**op.status()))
            await soon()
            op.kubelet(ended)
            await soon()
            assert op.status()["phase"] in ("Succeeded", "Stopped")
            assert op.server.tries_to_tell() == 0


@pytest.mark.parametrize(
    "error",
    [
        Forbidden(403, "Forbidden", "the namespace is being terminated"),
        Conflict(409, "Conflict", "no"),
        AlreadyExists(409, "AlreadyExists", "told already"),
        Invalid(422, "Invalid", "no"),
        Throttled(429, "TooManyRequests", "", retry_after=5.0),
        Unreachable("connection refused"),
        UnknownOutcome("broken"),
    ],
    ids=lambda error: type(error).__name__,
)
@virtual
async def test_an_event_that_cannot_be_written_changes_nothing(error, caplog):
    async with operator() as op:
        op.applies(execution())
        await soon()
        op.server.fault("create", EVENTS, error)
        op.kubelet(pod().exited(3, end=0))
        await soon(3598)
        # The pass did not fail for it.
        assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
        assert (op.status()["phase"], op.status()["statusVersion"]) == ("Failed", 1)
        assert op.server.tries_to_tell() == 1
        assert op.server.of("create", "patch", "get", "list") == [
            ("create", JOB),
            ("patch", "build-1"),
        ]
        await soon(3)
        assert len(op.server.of("delete")) == 1


@virtual
async def test_an_event_that_cannot_be_written_delays_no_deed():
    async with operator() as op:
        op.server.fault("create", EVENTS, Forbidden(403, "Forbidden", "no"))
        op.applies(execution().deadline(60))
        await asyncio.sleep(60.1)
        assert op.status()["reason"] == "DeadlineExceeded"
        assert len(op.server.of("delete")) == 1


@virtual
async def test_a_refusal_and_the_verdict_after_it_are_two_events():
    async with operator() as op:
        for _ in range(20):
            no = Forbidden(403, "Forbidden", "exceeded quota: small")
            op.server.fault("create", JOBS, no)
        op.applies(execution().runs(queueTimeout="1m"))
        await soon(50)
        (refused,) = op.server.told()
        assert (refused["reason"], refused["message"]) == (
            "QuotaExceeded",
            op.status()["message"],
        )
        assert op.server.tries_to_tell() == 1
        await soon(11)
        verdict = op.server.told()[1]
        assert (op.status()["phase"], verdict["message"]) == (
            "Failed",
            op.status()["failureMessage"],
        )
        assert op.server.tries_to_tell() == 2


@virtual
async def test_who_stops_leading_between_verdict_and_event_does_not_write_it():
    async with operator() as op:
        op.applies(execution())
        await soon()

        def lose():
            op.leading = False

        op.server.meets("patch", EXECUTIONS, lose)
        op.kubelet(pod().exited(3, end=0))
        await soon(5)
        assert op.status()["phase"] == "Failed"
        assert op.server.tries_to_tell() == 0


# -- what one pass tells the next ------------------------------------------------------------------


@virtual
async def test_a_fatal_cause_counts_from_when_it_was_seen_first():
    """The pod had a node long before: nobody was there, or another cause came first."""
    async with operator() as op:
        op.applies(execution())
        await soon(300)
        missing = pod().on(seconds=0).waiting("CreateContainerConfigError", "no key")
        op.kubelet(missing)
        await soon(29.8)
        assert op.status()["phase"] == "Pending"
        await soon(1)
        assert (op.status()["phase"], op.status()["reason"]) == ("Failed", "ConfigError")


@virtual
async def test_a_fatal_cause_that_goes_away_is_forgotten():
    async with operator() as op:
        op.applies(execution())
        await soon(10)
        op.kubelet(pod().waiting("CreateContainerConfigError", "no key"))
        await soon(20)
        assert op.cache.memory(RUN).troubles
        op.kubelet(pod().waiting("ContainerCreating"))
        await soon(5)
        assert op.cache.memory(RUN).troubles == ()
        op.kubelet(pod().waiting("CreateContainerConfigError", "no key"))
        await soon(25)
        assert op.status()["phase"] == "Pending"
        await soon(6)
        assert op.status()["reason"] == "ConfigError"


@virtual
async def test_what_outlives_the_container_is_stopped_once_after_its_grace_period():
    async with operator() as op:
        op.applies(execution())
        await soon()
        both = pod().grace(30).beside().running(0, container="helper")
        op.kubelet(both.exited(0, start=0, end=0).phase("Running"))
        await soon(30.5)
        assert op.status()["phase"] == "Succeeded"
        assert len(op.server.of("patch")) == 1
        await soon(1.5)
        assert op.server.find(PODS, "build-1-x7k2p")["spec"]["activeDeadlineSeconds"] == 1
        await soon(600)
        assert len(op.server.of("patch")) == 2
        assert op.server.of("delete") == []


@virtual
async def test_what_ends_within_its_grace_period_is_not_stopped():
    async with operator() as op:
        op.applies(execution())
        await soon()
        both = pod().grace(30).beside().running(0, container="helper")
        op.kubelet(both.exited(0, start=0, end=0).phase("Running"))
        await soon(10)
        op.kubelet(both.exited(143, container="helper").phase("Failed"))
        await soon(600)
        assert op.status()["phase"] == "Succeeded"
        assert len(op.server.of("patch")) == 1


# -- leading --------------------------------------------------------------------------------------


@virtual
async def test_who_does_not_lead_writes_nothing():
    async with operator() as op:
        op.leading = False
        op.applies(execution())
        op.applies(task())
        await soon(100)
        assert op.server.requests == []


@virtual
async def test_who_stops_leading_between_verdict_and_deed_does_not_do_it():
    async with operator() as op:
        op.applies(execution().deadline(60))
        await soon()
        op.kubelet(pod().running(0))
        await soon()

        def lose():
            op.leading = False

        op.server.meets("patch", EXECUTIONS, lose)
        await asyncio.sleep(70)
        assert "FailureTarget" in str(op.status())
        assert "activeDeadlineSeconds" not in op.server.find(PODS, "build-1-x7k2p")["spec"]
        op.leading = True
        op.reconciler.take_over()
        await soon()
        assert op.server.find(PODS, "build-1-x7k2p")["spec"]["activeDeadlineSeconds"] == 1


@virtual
async def test_who_stops_leading_between_verdict_and_deletion_does_not_delete():
    async with operator() as op:
        op.applies(execution().deadline(60))
        await soon()

        def lose():
            op.leading = False

        await asyncio.sleep(59)  # the Pending status is written by now
        op.server.meets("patch", EXECUTIONS, lose)
        await asyncio.sleep(10)
        assert op.status()["reason"] == "DeadlineExceeded"
        assert op.server.of("delete") == []
        op.leading = True
        op.reconciler.take_over()
        await soon()
        assert len(op.server.of("delete")) == 1


@virtual
async def test_who_stops_leading_during_a_pass_writes_no_status_either():
    async with operator() as op:
        op.applies(execution())
        await soon()
        op.leading = False
        op.kubelet(pod().running(1))
        with pytest.raises(PassOverError):
            await op.reconciler.reconcile(RUN)
        assert op.server.of("patch") == []


# -- deeds that come too late ---------------------------------------------------------------------


NOT_THAT = "Precondition failed: UID in precondition: a, UID in object meta: b"


@pytest.mark.parametrize("error", [NotFound, Conflict], ids=["gone", "another by now"])
@virtual
async def test_a_job_that_went_before_it_was_deleted_is_no_trouble(error):
    async with operator() as op:
        op.applies(execution().deadline(60))
        await soon()
        op.server.fault("delete", JOBS, error(404, "", NOT_THAT))
        await asyncio.sleep(60)
        assert op.status()["reason"] == "DeadlineExceeded"
        await soon(3600)
        assert len(op.server.of("delete")) == 1


@pytest.mark.parametrize("error", [NotFound, Conflict], ids=["gone", "another by now"])
@virtual
async def test_a_pod_that_went_before_it_was_stopped_gives_the_verdict_at_once(error):
    async with operator() as op:
        op.applies(execution().deadline(60))
        await soon()
        op.kubelet(pod().running(1))
        await soon()
        op.server.fault("patch", PODS, error(404, "", NOT_THAT))
        await asyncio.sleep(60)
        assert (op.status()["phase"], op.status()["reason"]) == ("Failed", "DeadlineExceeded")


@virtual
async def test_a_conflict_about_something_else_does_not_make_a_pod_gone():
    async with operator() as op:
        op.applies(execution().deadline(60))
        await soon()
        op.kubelet(pod().running(1))
        await soon()
        op.server.fault("patch", PODS, Conflict(409, "", "the object has been modified"))
        await asyncio.sleep(62)
        assert op.status()["phase"] == "Running"
        assert len([r for r in op.server.requests if r[:2] == ("patch", PODS)]) == 2


@virtual
async def test_a_conflict_about_something_else_does_not_make_a_job_gone():
    async with operator() as op:
        op.applies(execution().deadline(600))
        await soon(300)
        name = op.server.of("create")[0][1]
        known = op.server.find(JOBS, name)
        op.server.fault("patch", JOBS, Conflict(409, "", "the object has been modified"))
        op.feed.job(op.server.put(JOBS, {**known, "status": {"startTime": stamp(300)}}))
        await soon(30)
        tries = [r for r in op.server.requests if r[:2] == ("patch", JOBS)]
        assert len(tries) == 1, "a deadline that cannot be set is tried again in a loop"
        assert op.status()["phase"] == "Pending"
        await soon(60)
        assert op.server.find(JOBS, name)["spec"]["activeDeadlineSeconds"] == 360


@virtual
async def test_a_pod_that_cannot_be_stopped_keeps_no_other_from_being_stopped():
    async with operator() as op:
        op.applies(execution().plan(step("a"), step("b"), step("c")).deadline(60))
        await soon()
        jobs = [raw for (kind, _), raw in op.server.objects.items() if kind == JOBS]
        for made in jobs:
            one = pod_of(made["metadata"]["labels"][LABEL_STEP]).of(made["metadata"]["uid"])
            op.feed.pod(op.server.put(PODS, one.running(1).raw))
        await soon()
        op.server.fault("patch", PODS, Forbidden(403, "", "no"))
        await asyncio.sleep(62)
        asked = {r[2] for r in op.server.requests if r[:2] == ("patch", PODS)}
        assert len(asked) == 3


@virtual
async def test_a_dry_run_without_an_answer_holds_up_nobody():
    async with operator() as op:
        op.server.fault("try", JOBS, Unreachable("a webhook hangs"))
        op.applies(task().spec(podTemplate={"spec": {"nodeSelector": {"a": "b"}}}))
        await soon(5)
        assert len(op.server.of("create")) >= 2


@virtual
async def test_the_answer_of_a_dry_run_does_not_outlive_its_task():
    def wrong():
        return task().spec(podTemplate={"spec": {"nodeSelector": {"a": "b"}}})

    async with operator() as op:

        def goes_away():
            raw = op.server.objects.pop((TASKS, "build"))
            op.feed.gone(Key(Kind.TASK, "team", "build"), raw["metadata"]["uid"])

        op.server.meets("try", JOBS, goes_away)
        op.server.fault("try", JOBS, Invalid(422, "Invalid", "unknown field nodeSelektor"))
        op.applies(wrong())
        await soon(2)
        again = wrong()
        again.raw["metadata"]["uid"] = "another"
        op.applies(again)
        await soon(5)
        assert len([r for r in op.server.requests if r[0] == "try"]) == 2
        assert "Rejected" not in str(op.server.find(TASKS, "build").get("status"))


@virtual
async def test_what_was_restored_to_an_earlier_version_is_no_hot_loop():
    async with operator() as op:
        op.applies(execution())
        await soon()
        before = len(op.server.requests)
        for _ in range(100):
            op.server.fault("patch", EXECUTIONS, Conflict(409, "", "older than you think"))
        op.kubelet(pod().running(1))
        await soon(1)
        assert len(op.server.requests) - before < 60


@virtual
async def test_an_unknown_outcome_of_stopping_is_tried_again():
    async with operator() as op:
        op.applies(execution().deadline(60))
        await soon()
        op.kubelet(pod().running(1))
        await soon()
        op.server.fault("patch", PODS, UnknownOutcome("broken"))
        await asyncio.sleep(61)
        assert op.server.find(PODS, "build-1-x7k2p")["spec"]["activeDeadlineSeconds"] == 1


def throttled():
    return Throttled(429, "TooManyRequests", "later", retry_after=1.0)


@virtual
async def test_at_the_deadline_a_server_that_is_busy_is_asked_again():
    """An end that no watch told of is found all the same."""
    async with operator() as op:
        op.applies(execution().deadline(60))
        await soon()
        op.kubelet(pod().running(1))
        await soon()
        job = next(raw for (kind, _), raw in op.server.objects.items() if kind == JOBS)
        ended = pod().exited(0, start=1, end=50).of(job["metadata"]["uid"])
        op.server.put(PODS, ended.raw)
        op.server.fault("list", JOBS, throttled())
        await asyncio.sleep(62)
        assert op.status()["phase"] == "Succeeded"


@virtual
async def test_a_server_that_cannot_list_pods_keeps_no_deadline_waiting_for_long():
    async with operator() as op:
        op.applies(execution().deadline(60))
        await soon()
        op.kubelet(pod().running(1))
        for _ in range(100):
            op.server.fault("list", PODS, throttled())
        await asyncio.sleep(70)
        assert op.status()["reason"] == "DeadlineExceeded"
        lists = [r for r in op.server.requests if r[:2] == ("list", PODS)]
        assert 3 <= len(lists) <= 8


@virtual
async def test_rights_that_are_missing_keep_no_deadline_waiting():
    async with operator() as op:
        op.applies(execution().deadline(60))
        await soon()
        op.kubelet(pod().running(1))
        op.server.fault("list", PODS, Forbidden(403, "Forbidden", "no"))
        await asyncio.sleep(61)
        assert op.status()["reason"] == "DeadlineExceeded"


@virtual
async def test_lists_that_hang_hold_no_deadline_and_nobody_else():
    async with operator(workers=4) as op:
        op.applies(execution().deadline(60))
        await soon()
        op.kubelet(pod().running(1))
        op.server.hangs = lambda verb, _: verb == "list"
        await asyncio.sleep(75)
        assert op.status()["reason"] == "DeadlineExceeded"


@virtual
async def test_what_was_asked_before_an_outage_is_asked_again_after_it():
    """It ended in time; at its deadline the server was away, and the watch still is."""
    async with operator() as op:
        op.applies(execution().deadline(60))
        await soon()
        op.kubelet(pod().running(1))
        await soon()
        job = next(raw for (kind, _), raw in op.server.objects.items() if kind == JOBS)
        op.server.put(PODS, pod().exited(0, start=1, end=50).of(job["metadata"]["uid"]).raw)
        op.server.down = True
        await asyncio.sleep(100)
        op.server.down = False
        await asyncio.sleep(10)
        assert op.status()["phase"] == "Succeeded"


@virtual
async def test_many_steps_whose_clocks_end_together_cost_one_pair_of_lists():
    async with operator() as op:
        steps = [step(f"s{n}", queueTimeout="30s") for n in range(20)]
        op.applies(execution().plan(*steps).deadline(600))
        await asyncio.sleep(60)
        assert op.status()["phase"] == "Failed"
        assert len([r for r in op.server.requests if r[:2] == ("list", JOBS)]) == 1


@virtual
async def test_one_made_anew_outlives_a_late_word_that_the_former_is_gone():
    async with operator() as op:
        op.applies(execution())
        await soon()
        op.kubelet(pod().running(1))
        await soon()
        del op.server.objects[EXECUTIONS, "build-1"]
        anew = execution()
        anew.raw["metadata"]["uid"] = "anew"
        # The answer was on its way while the watch told of both.
        op.server.fault("get", EXECUTIONS, NotFound(404, "NotFound", "gone"))
        op.server.meets("get", EXECUTIONS, lambda: op.applies(anew))
        op.kubelet(pod().exited(0, start=1, end=2))
        await soon(2)
        assert op.cache.uid(RUN) == "anew"
        assert len(op.server.of("create")) == 2
