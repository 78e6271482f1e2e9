"""The last known state of everything: newest wins, tombstones last, nothing stays for ever."""

from dataclasses import fields

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from builders import (
    EXECUTION_UID,
    JOB,
    JOB_UID,
    POD_UID,
    TASK_UID,
    at,
    execution,
    job,
    pod,
    refusal,
    task,
)
from taskmill.plan.world import Limits, Refusal
from taskmill.reconcile.cache import DROPPED_KEPT, Cache, Key, Kind

RUN = Key(Kind.EXECUTION, "team", "build-1")
TASK = Key(Kind.TASK, "team", "build")


def world_of(cache):
    return cache.execution_world(RUN, Limits())


def filled():
    cache = Cache()
    assert cache.observe_task(task().raw) == TASK
    assert cache.observe_execution(execution().spec(taskRef={"name": "build"}).raw) == RUN
    assert cache.observe_job(job().raw) == RUN
    assert cache.observe_pod(pod().running().raw) == RUN
    return cache


BESIDE = {"_dropped", "metrics"}


def is_empty(cache):
    """But for the uids of what went last, which are bounded, and what is counted."""
    return not any(value for name, value in vars(cache).items() if name not in BESIDE)


def test_everything_about_an_execution_is_joined():
    world = world_of(filled())
    assert world.task
    assert world.task.meta.uid == TASK_UID
    assert [one.uid for one in world.jobs] == [JOB_UID]
    assert [one.uid for one in world.pods] == [POD_UID]
    assert world.gone == frozenset()


def test_what_is_not_known_has_no_world():
    assert world_of(Cache()) is None
    assert Cache().task_world(TASK, Limits()) is None


@pytest.mark.parametrize("version", [1, 9, 10])
def test_the_same_or_an_older_version_is_no_news(version):
    cache = Cache()
    cache.observe_execution(execution().version(10).status(message="new").raw)
    cache.observe_task(task().version(10).raw)
    cache.observe_job(job().version(10).raw)
    cache.observe_pod(pod().version(10).running().raw)
    assert cache.observe_execution(execution().version(version).raw) is None
    assert cache.observe_task(task().version(version).raw) is None
    assert cache.observe_job(job().version(version).suspended().raw) is None
    assert cache.observe_pod(pod().version(version).raw) is None
    world = world_of(cache)
    assert world.execution.status.message == "new"
    assert not world.jobs[0].suspended
    assert world.pods[0].phase == "Running"


def test_versions_are_compared_as_numbers():
    cache = Cache()
    cache.observe_execution(execution().version(9).raw)
    assert cache.observe_execution(execution().version(10).raw) == RUN


def test_a_newer_version_replaces_the_older():
    cache = filled()
    assert cache.observe_pod(pod().version(2).exited(3).raw) == RUN
    assert world_of(cache).pods[0].phase == "Failed"


# -- tombstones -----------------------------------------------------------------------------------


def test_what_is_gone_stays_known_as_gone_until_there_is_a_verdict():
    cache = filled()
    assert cache.bury(POD_UID) == RUN
    assert cache.bury(JOB_UID) == RUN
    world = world_of(cache)
    assert world.gone == {JOB_UID, POD_UID}
    assert (len(world.jobs), len(world.pods)) == (1, 1)
    cache.observe_execution(execution().version(2).status(phase="Failed").raw)
    world = world_of(cache)
    assert (world.jobs, world.pods, world.gone) == ((), (), frozenset())


def test_what_is_gone_does_not_come_back_by_a_late_event():
    cache = filled()
    cache.bury(POD_UID)
    assert cache.observe_pod(pod().version(99).running().raw) is None
    assert world_of(cache).gone == {POD_UID}


def test_what_was_never_seen_cannot_be_buried():
    assert Cache().bury("nobody") is None


def test_what_is_gone_after_the_verdict_is_forgotten_at_once():
    cache = filled()
    cache.observe_execution(execution().version(2).status(phase="Failed").raw)
    assert len(world_of(cache).jobs) == 1
    cache.bury(JOB_UID)
    assert world_of(cache).jobs == ()


@pytest.mark.parametrize("observe", ["observe_job", "observe_pod"])
def test_what_says_no_execution_is_ignored(observe):
    cache = Cache()
    built = job() if observe == "observe_job" else pod()
    del built.raw["metadata"]["labels"]
    assert getattr(cache, observe)(built.raw) is None
    assert is_empty(cache)


# -- names and uids -------------------------------------------------------------------------------


def test_memory_goes_with_its_object():
    cache = filled()
    cache.memory(RUN).refused[JOB] = refusal(Refusal.FINAL)
    cache.drop(RUN, EXECUTION_UID)
    cache.observe_execution(execution(uid="another").version(5).raw)
    assert world_of(cache).refused == {}


def test_memory_does_not_outlive_an_object_whose_name_is_used_again_unseen():
    cache = filled()
    cache.memory(RUN).refused[JOB] = refusal(Refusal.FINAL)
    cache.observe_execution(execution(uid="another").version(5).raw)
    assert world_of(cache).refused == {}


def test_the_deletion_of_a_namesake_drops_nothing():
    cache = filled()
    assert cache.drop(RUN, "another") is False
    assert cache.drop(TASK, "another") is False
    assert world_of(cache).task


def test_dropping_twice_is_dropping_once():
    cache = filled()
    assert cache.drop(RUN, EXECUTION_UID) is True
    assert cache.drop(RUN, EXECUTION_UID) is False


def test_a_late_answer_does_not_bring_back_what_is_gone():
    cache = filled()
    cache.drop(RUN, EXECUTION_UID)
    cache.drop(TASK, TASK_UID)
    assert cache.observe_execution(execution().version(99).raw) is None
    assert cache.observe_task(task().version(99).raw) is None
    assert (cache.uid(RUN), cache.uid(TASK)) == (None, None)
    assert cache.observe_execution(execution(uid="anew").version(100).raw) == RUN


def test_only_the_last_of_what_is_gone_is_remembered():
    cache = Cache()
    for n in range(3 * DROPPED_KEPT):
        cache.observe_task(task(uid=f"uid-{n}").version(n + 1).raw)
        cache.drop(TASK, f"uid-{n}")
    assert len(cache._dropped) == DROPPED_KEPT
    assert is_empty(cache)


def test_a_name_used_again_for_another_task_leaves_the_first_task():
    """It was deleted and made anew, with another taskRef, while a watch was down."""
    cache = filled()
    cache.observe_task(task("other", uid="other-uid").raw)
    anew = execution(uid="another").version(5).spec(taskRef={"name": "other"})
    cache.observe_execution(anew.raw)
    assert cache.executions_of(TASK) == ()
    assert cache.executions_of(Key(Kind.TASK, "team", "other")) == (RUN,)
    cache.drop(RUN, "another")
    for name in ("build", "other"):
        world = cache.task_world(Key(Kind.TASK, "team", name), Limits())
        assert world.executions == ()


def test_the_owner_is_alive_only_as_the_very_task():
    for of, alive in (
        (task(), True),
        (task(uid="another"), False),
        (task().deleted(), False),
        (None, False),
    ):
        cache = Cache()
        cache.observe_execution(execution().triggered("v1:x", 1).raw)
        if of:
            cache.observe_task(of.raw)
        assert world_of(cache).owner_alive is alive


@pytest.mark.parametrize("ref", [None, {"name": "other"}], ids=["no taskRef", "another's"])
def test_the_owner_is_the_task_of_the_owner_reference(ref):
    cache = Cache()
    built = execution().owned()
    if ref:
        built.spec(taskRef=ref)
    cache.observe_execution(built.raw)
    assert world_of(cache).owner_alive is False
    cache.observe_task(task().raw)
    assert world_of(cache).owner_alive is True


def test_who_has_no_owner_needs_none():
    cache = Cache()
    cache.observe_execution(execution().bare().raw)
    assert world_of(cache).owner_alive is True


def test_an_execution_of_another_namespace_does_not_count():
    cache = filled()
    elsewhere = execution("build-2").bare()
    elsewhere.raw["metadata"]["namespace"] = "other"
    cache.observe_execution(elsewhere.raw)
    assert cache.executions_of(TASK) == (RUN,)


def test_lists_of_what_is_known():
    cache = filled()
    cache.observe_execution(execution("done", uid="d").status(phase="Stopped").raw)
    done = Key(Kind.EXECUTION, "team", "done")
    assert set(cache.everything()) == {TASK, RUN, done}
    assert cache.unfinished() == {EXECUTION_UID}
    assert cache.uids(Kind.TASK) == {TASK: TASK_UID}
    assert cache.uids(Kind.EXECUTION) == {RUN: EXECUTION_UID, done: "d"}
    assert (cache.uid(RUN), cache.uid(TASK), cache.uid(Key(Kind.TASK, "a", "b"))) == (
        EXECUTION_UID,
        TASK_UID,
        None,
    )
    assert str(RUN) == "TaskExecution team/build-1"


# -- bounds ---------------------------------------------------------------------------------------


class Lives(RuleBasedStateMachine):
    """Objects come, change, vanish and are made anew under their old names."""

    def __init__(self):
        super().__init__()
        self.cache = Cache()
        self.clock = 0
        self.serial = 0
        self.ours = {}
        self.children = {}

    def next(self):
        self.clock += 1
        return self.clock

    def fresh(self):
        self.serial += 1
        return f"uid-{self.serial}"

    names = st.sampled_from(["a", "b"])

    @rule(name=names, of=names, final=st.booleans(), anew=st.booleans())
    def an_execution(self, name, of, final, anew):
        key = Key(Kind.EXECUTION, "team", name)
        known = self.ours.get(key)
        if known is None or anew:
            known = (self.fresh(), of, final)
        uid, of, was_final = known
        self.ours[key] = (uid, of, final or was_final)
        built = execution(name, uid=uid).spec(taskRef={"name": of}).version(self.next())
        if final or was_final:
            built.status(phase="Failed")
        self.cache.observe_execution(built.raw)
        self.cache.memory(key).written_at = at(0)

    @rule(name=names)
    def a_task(self, name):
        key = Key(Kind.TASK, "team", name)
        uid = self.ours.setdefault(key, (self.fresh(),))[0]
        self.cache.observe_task(task(name, uid=uid).version(self.next()).raw)

    @rule(name=names, of_pod=st.booleans())
    def a_child(self, name, of_pod):
        uid = self.fresh()
        make = pod if of_pod else job
        raw = make(f"child-{uid}", uid=uid, execution=name).version(self.next()).raw
        self.children[uid] = of_pod
        (self.cache.observe_pod if of_pod else self.cache.observe_job)(raw)

    @rule(data=st.data())
    def a_child_goes(self, data):
        if self.children:
            uid = data.draw(st.sampled_from(sorted(self.children)))
            del self.children[uid]
            self.cache.bury(uid)

    @rule(data=st.data())
    def one_of_ours_goes(self, data):
        if self.ours:
            key = data.draw(st.sampled_from(sorted(self.ours, key=str)))
            self.cache.drop(key, self.ours.pop(key)[0])

    @invariant()
    def every_world_can_be_seen(self):
        for key in self.cache.everything():
            if key.kind is Kind.TASK:
                world = self.cache.task_world(key, Limits())
                assert world
                names = {one.spec.task_ref.name for one in world.executions}
                assert names <= {key.name}
            else:
                assert self.cache.execution_world(key, Limits())
        for key, (uid, *_) in self.ours.items():
            assert self.cache.uid(key) == uid

    def teardown(self):
        for key, (uid, *_) in self.ours.items():
            assert self.cache.drop(key, uid)
        for uid in self.children:
            self.cache.bury(uid)
        assert is_empty(self.cache), vars(self.cache)


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=60, stateful_step_count=25)


def test_the_memory_of_a_process_has_only_what_a_pass_sees():
    assert {f.name for f in fields(type(Cache().memory(RUN)))} == {
        "refused",
        "troubles",
        "asking",
        "asked",
        "heard",
        "logs",
        "tried",
        "written_at",
        "held_since",
        "turns",
        "logged",
    }
