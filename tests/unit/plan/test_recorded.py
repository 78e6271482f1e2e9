"""Histories recorded from a real cluster, decided upon again: the same verdict and words."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from builders import Everything, stored
from taskmill.diagnose.facts import Job, Pod, parse_event, parse_job, parse_pod
from taskmill.plan import names
from taskmill.plan.decision import ReadEvents, ReadLog
from taskmill.plan.executions.decide import decide
from taskmill.plan.world import Execution, ExecutionWorld, Heard
from taskmill.reconcile.parse import parse_execution

RECORDED = Path(__file__).parents[2] / "e2e" / "verdicts" / "recorded"
HISTORIES = {path.stem: path for path in sorted(RECORDED.glob("*.json"))}
QUIET = timedelta(hours=25)
"""Longer than any clock of the cases."""
A_MOMENT = timedelta(seconds=1)
"""The operator saw sooner than the recorder what made it delete a Job."""
LABELS = {"step_label": names.LABEL_STEP, "attempt_label": names.LABEL_ATTEMPT}


def applied(target, patch):
    """RFC 7386."""
    merged = dict(target)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = applied(merged.get(key) or {}, value)
        else:
            merged[key] = value
    return merged


def once(spec):
    """The spec without attempts that the cluster pays for: there were none when it was recorded."""
    plan = [{**step, "task": {"infraRetries": 0, **step["task"]}} for step in spec.get("plan", ())]
    return {**spec, "plan": plan} if plan else spec


class Replay:
    """The operator's part of the history, without the cluster."""

    def __init__(self, history):
        self.raw = {}
        self.logs = history.get("logs", {})
        self.execution: Execution | None = None
        self.jobs: dict[str, Job] = {}
        self.pods: dict[str, Pod] = {}
        self.gone: set[str] = set()
        self.world: ExecutionWorld | None = None
        self.look_at: datetime | None = None
        for moment in history["moments"]:
            at = datetime.fromisoformat(moment["at"])
            job_deleted = moment["kind"] == "Job" and moment.get("deleted")
            self.pass_time(until=at + (A_MOMENT if job_deleted else timedelta()))
            self.take(moment)
            self.look(at)
        self.pass_time(until=at + QUIET)

    def take(self, moment):
        kind, uid = moment["kind"], moment["uid"]
        raw = self.raw[kind, uid] = applied(self.raw.get((kind, uid), {}), moment["patch"])
        if moment.get("deleted"):
            self.gone.add(uid)
        elif kind == "TaskExecution":
            self.execution = parse_execution(
                {
                    **raw,
                    "metadata": {"resourceVersion": "1", **raw["metadata"]},
                    "spec": once(raw["spec"]),
                }
            )
        elif kind == "Job":
            self.jobs[uid] = parse_job(raw, **LABELS)
        elif kind == "Pod":
            self.pods[uid] = parse_pod(raw, **LABELS).after(self.pods.get(uid))

    def events(self, about):
        raws = [r for (kind, _), r in self.raw.items() if kind == "Event"]
        events = [parse_event(r) for r in raws if r["involvedObject"].get("uid") == about]
        return tuple(sorted(events, key=lambda e: e.at.timestamp() if e.at else 0))

    def look(self, now):
        if self.execution is None:
            return
        known = self.world
        status = known.execution.status if known else self.execution.status
        world = ExecutionWorld(
            execution=Execution(self.execution.meta, self.execution.spec, status),
            jobs=tuple(self.jobs.values()),
            pods=tuple(self.pods.values()),
            gone=frozenset(self.gone & (self.jobs.keys() | self.pods.keys())),
            heard=known.heard if known else {},
            asked=Everything(),
            logs=known.logs if known else {},
            troubles=known.troubles if known else (),
            written_at=known.written_at if known else None,
        )
        decision = decide(world, now)
        read = [action.uid for action in decision.actions if isinstance(action, ReadEvents)]
        heard = {uid: Heard(self.events(uid), now) for uid in read}
        asked = [action.uid for action in decision.actions if isinstance(action, ReadLog)]
        logs = {uid: self.logs.get(uid, "") for uid in asked}
        world = stored(world, decision, now)
        self.world = replace(world, heard={**world.heard, **heard}, logs={**world.logs, **logs})
        self.look_at = now + timedelta(seconds=0.1) if read or asked else decision.look_at

    def pass_time(self, until):
        while (
            self.world and not self.world.execution.final and self.look_at and self.look_at < until
        ):
            self.look(self.look_at)


@pytest.mark.parametrize("name", HISTORIES)
def test_a_recorded_history_ends_in_the_same_words(name):
    history = json.loads(HISTORIES[name].read_text())
    if not any(moment["kind"] == "Job" for moment in history["moments"]):
        pytest.skip("its Job was refused: no watch tells of that")
    told = Replay(history).world.execution.status.to_api()
    fields = ("phase", "reason", "failureMessage")
    recorded = history["status"]
    assert [told.get(f) for f in fields] == [recorded.get(f) for f in fields]
    step, known = told["steps"][0], recorded["steps"][0]
    fields = ("exitCode", "signal", "podName", "node", "startedAt", "completedAt")
    assert [step.get(f) for f in fields] == [known.get(f) for f in fields]
