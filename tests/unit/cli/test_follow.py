"""Logs that are followed: which pods, in which order, and what a cut or a missing right does."""

from types import SimpleNamespace

import pytest

from taskmill.cli import follow
from taskmill.cli.follow import Logs, Which
from taskmill.kube.errors import Unreachable, error_from_status
from taskmill.kube.resources import PODS
from unit.cli.runs import at, raw, step

FORBIDDEN = error_from_status({"code": 403, "message": "no", "reason": "Forbidden"})
PLAN = {"plan": [{"id": "one"}, {"id": "two", "dependsOn": ["one"]}]}


def pod(name, step_id, state="terminated", attempt=1, began=1):
    status = {"containerStatuses": [{"name": "main", "state": {state: {"startedAt": at(began)}}}]}
    labels = {"taskmill.dev/step": step_id, "taskmill.dev/attempt": str(attempt)}
    return {
        "metadata": {"name": name, "labels": labels},
        "status": status if state != "waiting" else {},
    }


def stamped(*texts, first=0):
    return [
        f"2026-11-24T12:00:{first + n:02d}.000000000Z {text}\n".encode()
        for n, text in enumerate(texts)
    ]


class World:
    """An API server that plays a row of scenes, one for each look at the run."""

    def __init__(self, *scenes):
        self.scenes, self.scene = list(scenes), None
        self.asked = []

    def get(self, *_):
        if self.scenes:
            self.scene = self.scenes.pop(0)
        return raw("r", spec=PLAN, phase=self.scene.phase, steps=self.scene.steps)

    def list(self, kind, *_):
        assert kind is PODS
        scene = self.scene or self.scenes[0]
        if scene.pods is None:
            raise FORBIDDEN
        return {"items": scene.pods}

    def log(self, _, name, query):
        self.asked.append((name, "follow" in query, query.get("sinceTime", "")))
        logs = (self.scene or self.scenes[0]).logs
        if name not in logs:
            raise error_from_status({"code": 404, "message": "gone", "reason": "NotFound"})
        for line in logs[name]:
            if isinstance(line, Exception):
                raise line
            if line.decode().split(" ")[0] >= query.get("sinceTime", ""):
                yield line if "timestamps" in query else line.split(b" ", 1)[1]


def scene(phase, pods, logs, steps=()):
    return SimpleNamespace(phase=phase, pods=pods, logs=logs, steps=list(steps))


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(follow, "LOOK_EVERY", 0.02)


def said(lines):
    return [(line.step, line.attempt, line.text.decode().rstrip("\n")) for line in lines]


def test_a_cut_stream_goes_on_where_it_was_cut_and_later_steps_are_followed():
    whole = stamped("a", "b", "c", "d")
    world = World(
        scene("Running", [pod("p1", "one", "waiting")], {}),
        scene("Running", [pod("p1", "one", "running")],
              {"p1": [*whole[:2], Unreachable("cut")]}),
        scene("Running", [pod("p1", "one", "running")], {"p1": whole[:3]}),
        scene("Running", [pod("p1", "one"), pod("p2", "two", "running")],
              {"p1": whole, "p2": stamped("x")}),
        scene("Succeeded", [pod("p1", "one"), pod("p2", "two")],
              {"p1": whole, "p2": stamped("x", "y")}),
    )  # fmt: skip
    found = said(Logs(world, raw("r", spec=PLAN), Which()).follow())
    assert [text for id_, _, text in found if id_ == "one"] == ["a", "b", "c", "d"]
    assert [text for id_, _, text in found if id_ == "two"] == ["x", "y"]


def test_a_pod_that_is_deleted_while_it_is_followed_ends_it():
    world = World(
        scene("Running", [pod("p1", "one", "running")], {"p1": stamped("a")}),
        scene("Stopped", [], {}),
    )
    assert said(Logs(world, raw("r", spec=PLAN), Which()).follow()) == [("one", 1, "a")]


def test_of_what_was_there_the_newest_attempt_is_read_or_the_one_that_is_asked_for():
    pods = [pod("p1", "one", attempt=1), pod("p2", "one", attempt=2), pod("p3", "two")]
    logs = {"p1": stamped("old"), "p2": stamped("new"), "p3": stamped("other")}
    world = World(scene("Succeeded", pods, logs))

    def read(which):
        return said(Logs(world, raw("r", spec=PLAN), which).read())

    assert read(Which()) == [("one", 2, "new"), ("two", 1, "other")]
    assert read(Which(step="two")) == [("two", 1, "other")]
    assert read(Which(back=1)) == [("one", 1, "old")]
    assert read(Which(attempt=1)) == [("one", 1, "old"), ("two", 1, "other")]
    assert said(Logs(world, raw("r", spec=PLAN), Which()).follow()) == read(Which())


def test_who_may_not_list_pods_sees_those_that_the_status_names(capsys):
    steps = [step("one", "Succeeded", podName="p1", startedAt=at(1), attempt=1)]
    world = World(scene("Succeeded", None, {"p1": stamped("a")}, steps))
    run = raw("r", spec=PLAN, phase="Succeeded", steps=steps)
    assert said(Logs(world, run, Which()).read()) == [("one", 1, "a")]
    assert "only what the status names is shown" in capsys.readouterr().err


def test_who_may_not_read_logs_is_told():
    world = World(scene("Running", [pod("p1", "one", "running")], {"p1": [FORBIDDEN]}))
    with pytest.raises(type(FORBIDDEN)):
        said(Logs(world, raw("r", spec=PLAN), Which()).follow())


def test_a_log_that_is_gone_is_told_of():
    steps = [step("one", "Stopped", startedAt=at(1)), step("two", "Failed")]
    logs = Logs(World(scene("Stopped", [], {})), raw("r", spec=PLAN, steps=steps), Which())
    assert said(logs.read()) == []
    assert logs.missing() == ["one"]
