"""What watches tell is queued for whoever it concerns, once."""

import asyncio
import functools
import json

import pytest

from builders import EXECUTION_UID, JOB_UID, POD_UID, TASK_UID, execution, job, pod, task
from taskmill.kube.client import TASKS
from taskmill.kube.errors import Forbidden, NotFound
from taskmill.kube.listwatch import Vanished
from taskmill.plan.world import Limits
from taskmill.reconcile.cache import Cache, Key, Kind
from taskmill.reconcile.feed import ROLL_UP_IN, SETTLED, SOON, UNDER_WAY, Feed
from taskmill.reconcile.queue import WorkQueue
from taskmill.reconcile.resync import Resync
from wire.virtual import run_virtually

RUN = Key(Kind.EXECUTION, "team", "build-1")
TASK = Key(Kind.TASK, "team", "build")


class Told:
    """A cache and what was queued since the last look."""

    def __init__(self):
        self.cache = Cache()
        self.queue = WorkQueue()
        self.feed = Feed(cache=self.cache, queue=self.queue)

    async def keys(self, *, within=1.0):
        """What is queued by then, in order."""
        await asyncio.sleep(within)
        found = []
        while self.queue.depth:
            found.append(await self.queue.get())
            self.queue.done(found[-1])
        return found


def virtual(test):
    @functools.wraps(test)
    def wrapper(*args, **kwargs):
        run_virtually(test(*args, **kwargs))

    return wrapper


async def filled():
    told = Told()
    told.feed.task(task().raw)
    told.feed.execution(execution().bare().raw)
    told.feed.job(job().raw)
    told.feed.pod(pod().running().raw)
    await told.keys()
    return told


@virtual
async def test_a_task_concerns_the_executions_that_wait_for_it():
    told = Told()
    told.feed.execution(execution().bare().raw)
    assert await told.keys() == [RUN, TASK]
    told.feed.task(task().raw)
    assert await told.keys() == [TASK, RUN]


@virtual
async def test_what_happens_to_the_executions_of_a_task_costs_it_one_pass():
    told = await filled()
    for version in (2, 3, 4):
        told.feed.execution(execution().bare().version(version).raw)
        assert await told.keys(within=ROLL_UP_IN / 4) == [RUN]
    assert await told.keys(within=ROLL_UP_IN / 4) == [TASK]
    assert await told.keys() == []


@virtual
async def test_jobs_and_pods_concern_their_execution():
    told = await filled()
    told.feed.job(job().version(2).suspended().raw)
    assert await told.keys() == [RUN]
    told.feed.pod(pod().version(2).exited(0).raw)
    assert await told.keys() == [RUN]


@virtual
async def test_what_is_no_news_concerns_nobody():
    told = await filled()
    told.feed.task(task().raw)
    told.feed.execution(execution().bare().raw)
    told.feed.job(job().raw)
    told.feed.pod(pod().running().raw)
    assert await told.keys() == []


@virtual
async def test_the_last_state_of_a_pod_that_is_gone_may_hold_the_verdict():
    told = await filled()
    last = pod().version(5).exited(0).raw
    told.feed.pod_gone(Vanished(POD_UID, "team", "p", last))
    assert await told.keys() == [RUN]
    world = told.cache.execution_world(RUN, Limits())
    assert world.pods[0].phase == "Succeeded"
    assert world.gone == {POD_UID}


@pytest.mark.parametrize("last", [None, job().version(5).complete().raw])
@virtual
async def test_a_job_that_is_gone_concerns_its_execution(last):
    told = await filled()
    told.feed.job_gone(Vanished(JOB_UID, "team", "j", last))
    assert await told.keys() == [RUN]
    assert told.cache.execution_world(RUN, Limits()).jobs[0].finished is bool(last)
    assert told.cache.execution_world(RUN, Limits()).gone == {JOB_UID}


@virtual
async def test_an_execution_that_is_gone_concerns_its_task():
    told = await filled()
    told.queue.add_in(RUN, 86_400)
    told.feed.gone(RUN, EXECUTION_UID)
    # Nor does its own look, a day later, stay in the queue.
    assert await told.keys() == [RUN, TASK]
    assert len(told.queue) == 0


@virtual
async def test_a_task_that_is_gone_concerns_its_executions():
    told = await filled()
    told.feed.gone(TASK, TASK_UID)
    assert await told.keys() == [TASK, RUN]


@virtual
async def test_a_task_concerns_all_that_depends_on_it_and_what_of_that_has_not_ended():
    told = Told()
    told.feed.task(task("top", uid="top").spec(dependsOn=["middle"]).raw)
    told.feed.task(task("middle", uid="middle").spec(dependsOn=["build"]).raw)
    told.feed.task(task("other", uid="other").raw)
    for name, of in (("run", "top"), ("done", "top"), ("another", "other")):
        built = execution(name, uid=name).bare(of)
        told.feed.execution((built.ended() if name == "done" else built).raw)
    await told.keys()
    top, middle = Key(Kind.TASK, "team", "top"), Key(Kind.TASK, "team", "middle")
    told.feed.task(task().raw)
    assert await told.keys() == [TASK, middle, top, Key(Kind.EXECUTION, "team", "run")]
    told.feed.gone(TASK, TASK_UID)
    assert await told.keys() == [TASK, middle, top, Key(Kind.EXECUTION, "team", "run")]


@pytest.mark.parametrize(("policy", "concerned"), [("Queue", True), ("Allow", False)])
@virtual
async def test_a_run_concerns_those_that_wait_for_the_same_slot(policy, concerned):
    told = Told()
    told.feed.task(task().spec(concurrencyPolicy=policy).raw)
    first, second = (execution(name, uid=name).triggered("v1:x", 1) for name in ("a", "b"))
    by_hand = execution("c", uid="c").bare()
    for built in (first, second, by_hand):
        told.feed.execution(built.raw)
    await told.keys()
    other = [Key(Kind.EXECUTION, "team", "b")] if concerned else []
    told.feed.execution(first.version(2).ended().raw)
    assert await told.keys() == [Key(Kind.EXECUTION, "team", "a"), *other, TASK]
    told.feed.gone(Key(Kind.EXECUTION, "team", "a"), "a")
    assert await told.keys() == [Key(Kind.EXECUTION, "team", "a"), TASK, *other]


@virtual
async def test_the_end_of_a_namesake_concerns_nobody():
    told = await filled()
    told.feed.gone(RUN, "another")
    assert await told.keys() == []


# -- the net below --------------------------------------------------------------------------------


class Lists:
    """A client that can only list Tasks."""

    def __init__(self, tasks, faults=()):
        self.tasks = tasks
        self.faults = list(faults)

    async def list(self, resource, namespace=None, **_):
        assert resource == TASKS
        await asyncio.sleep(0)
        if self.faults:
            raise self.faults.pop(0)
        listed = [json.loads(json.dumps(b.raw)) for b in self.tasks]
        return [raw for raw in listed if namespace in {None, raw["metadata"]["namespace"]}], "9"


def resync(told, client, *namespaces):
    return Resync(client, told.cache, told.feed, told.queue, namespaces=namespaces)


@virtual
async def test_a_resync_finds_what_came_and_what_vanished_and_queues_everything():
    told = await filled()
    await resync(told, Lists([task("later", uid="two").version(7)])).once()
    assert told.cache.uid(TASK) is None
    assert set(await told.keys()) == {TASK, RUN, Key(Kind.TASK, "team", "later")}


@virtual
async def test_a_resync_of_some_namespaces_reads_each_and_no_other():
    told = Told()
    theirs = [task("one", uid=name) for name in ("team-a", "team-b", "other")]
    for built in theirs:
        built.raw["metadata"]["namespace"] = built.raw["metadata"]["uid"]
    await resync(told, Lists(theirs), "team-a", "team-b").once()
    assert {key.namespace for key in await told.keys()} == {"team-a", "team-b"}
    # What is gone from one of them is gone, though another was read after it.
    await resync(told, Lists(theirs[1:]), "team-a", "team-b").once()
    assert told.cache.uid(Key(Kind.TASK, "team-a", "one")) is None
    assert told.cache.uid(Key(Kind.TASK, "team-b", "one")) == "team-b"


@virtual
async def test_a_resync_keeps_what_was_made_anew_under_an_old_name():
    told = await filled()
    await resync(told, Lists([task(uid="anew").version(7)])).once()
    assert told.cache.uid(TASK) == "anew"


def test_the_first_resync_is_tried_until_it_works_and_says_once_what_keeps_it(caplog):
    told = Told()
    missing, refused = NotFound(404, "NotFound", "no kind"), Forbidden(403, "Forbidden", "no")
    faults = [missing, missing, refused, refused]

    async def run():
        client = Lists([task()], faults)
        await resync(told, client).now()
        return asyncio.get_running_loop().time()

    assert run_virtually(run()) == 4.0
    assert told.cache.uid(TASK) == TASK_UID
    first, second = (record.getMessage() for record in caplog.records)
    assert first == "the CustomResourceDefinitions are not installed: kubectl apply -f crds/"
    assert second.startswith("cannot read Tasks: ")


@virtual
async def test_a_swarm_of_changes_of_a_big_plan_is_one_look():
    told = await filled()
    for number in range(40):
        made = job(uid=f"job-{number}", step=f"step-{number}")
        told.feed.job(made.raw)
    await told.keys()
    looks = []
    for version in (2, 3, 4):
        for number in range(40):
            built = job(uid=f"job-{number}", step=f"step-{number}").version(version)
            told.feed.job(built.started(version).raw)
        looks += await told.keys(within=0.001)
    looks += await told.keys()
    assert looks == [RUN]


@virtual
async def test_an_end_is_looked_at_immediately_a_start_soon_and_what_leads_to_it_together():
    told = await filled()
    told.feed.job(job().version(2).started().raw)
    told.feed.pod(pod().version(3).on().raw)
    assert await told.keys(within=UNDER_WAY * 0.9) == []
    told.feed.pod(pod().version(4).on().waiting("ContainerCreating").raw)
    assert await told.keys(within=UNDER_WAY * 0.2) == [RUN]
    told.feed.pod(pod().version(5).running(1).raw)
    assert await told.keys(within=SOON) == [RUN]
    told.feed.job(job().version(6).started(1).failed().raw)
    assert await told.keys(within=SOON) == [RUN]
    told.feed.pod(pod().version(7).exited(0).raw)
    assert await told.keys(within=0) == [RUN]


@virtual
async def test_what_has_its_verdict_is_tidied_up_in_its_own_time():
    told = await filled()
    told.feed.execution(execution().bare().version(2).ended().raw)
    await told.keys()
    told.feed.pod(pod().version(3).exited(0).raw)
    assert await told.keys(within=SETTLED / 2) == []
    told.feed.job(job().version(4).complete().raw)
    assert await told.keys(within=SETTLED) == [RUN]


@virtual
async def test_a_new_version_that_says_nothing_else_concerns_nobody():
    told = await filled()
    told.feed.job(job().version(2).raw)
    told.feed.pod(pod().running().version(2).raw)
    assert await told.keys() == []
    # But it is the newest: what is older is told no more.
    told.feed.pod(pod().version(1).raw)
    assert await told.keys() == []
    assert told.cache.execution_world(RUN, Limits()).pods[0].main.started_at
