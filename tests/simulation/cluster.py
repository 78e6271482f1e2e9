"""What else is in a cluster: the Job controller, the garbage collector, kubelets and nodes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from simulation.api import EPOCH, Api, Change, Json, owned_by
from simulation.net import Place
from taskmill.api.meta import parse_rfc3339, rfc3339
from taskmill.kube.errors import ApiError
from taskmill.kube.resources import EXECUTIONS, JOBS, PODS, TASKS
from taskmill.plan import names

TRACKING = "batch.kubernetes.io/job-tracking"
OVER = {"Complete", "Failed", "FailureTarget"}
NODES = ("node-1", "node-2")
LOST_AFTER = 15.0
TOLERATED = 20.0
"""Seconds for which a pod stays on a node that is lost (300 in real life)."""
UNSEEN_FINISH = 2.0
"""Seconds between a pod's end and the Job's own conditions."""
POD_FIRST = 0.5
"""How often a Job's pod is there before its status says that it has started."""
EARLY = 0.2
"""How often a pod's phase is told before the end of its container."""
SIGTERM, SIGKILL = 143, 137


@dataclass(frozen=True)
class Behaviour:
    """What a simulated container does; its command says so."""

    seconds: float = 1.0
    codes: tuple[int, ...] = (0,)
    """Exit code of each attempt; the last one counts for all further ones."""
    on_term: int | None = SIGTERM
    """Exit code on SIGTERM; None: it does not listen and must be killed."""
    output: str = ""

    def command(self) -> list[str]:
        return ["simulated", json.dumps(self.__dict__)]

    @classmethod
    def of(cls, command: list[str]) -> Behaviour:
        given = json.loads(command[1])
        return cls(**{**given, "codes": tuple(given["codes"])})

    def code(self, attempt: int) -> int:
        return self.codes[min(attempt, len(self.codes)) - 1]


@dataclass
class Run:
    """A container that has started: the truth, whoever knows of it."""

    execution: str
    step: str
    attempt: int
    pod: str
    node: str
    started: float
    ended: float | None = None
    code: int | None = None
    natural: bool = False
    """Whether it ended by itself."""
    told: float | None = None
    """When its end could be read from the API."""


@dataclass
class Cluster:
    """Listens to the API and does, a little later, what controllers do."""

    place: Place
    dice: random.Random
    runs: list[Run] = field(default_factory=list)
    down_until: dict[str, float] = field(default_factory=dict)
    pull: Callable[[], float] = lambda: 0.3

    def __post_init__(self) -> None:
        self._made: set[str] = set()
        """uids of Jobs that got their pod."""
        self._taken: set[str] = set()
        """uids of pods that a suspended Job gave up: they do not count."""
        self._watched: dict[str, tuple[str, int]] = {}
        """Start and deadline of each Job for which a timer is set."""
        self._running: dict[str, Run] = {}
        self._stopping: set[str] = set()
        self.api.listeners.append(self._heard)

    @property
    def api(self) -> Api:
        return self.place.api

    def now(self) -> float:
        return (self.api.now() - EPOCH).total_seconds()

    def _soon(self, what: Callable[[], None], mean: float = 0.05) -> None:
        self.place.later(0.001 + self.dice.expovariate(1 / mean), what)

    def _heard(self, change: Change) -> None:
        meta = change.new["metadata"]
        if change.resource is JOBS:
            self._soon(lambda: self._sync_job(meta["namespace"], meta["name"]))
        if change.resource is PODS:
            uid = owned_by(change.new)
            job = next((j for j in self.api.all(JOBS) if j["metadata"]["uid"] == uid), None)
            if job:
                key = job["metadata"]
                self._soon(lambda: self._sync_job(key["namespace"], key["name"]))
            elif change.kind != "DELETED":
                self._soon(lambda: self.api.finalize(PODS, change.new, TRACKING, "jobs"))
            if change.kind != "DELETED":
                self._kubelet(change)
        if change.kind == "DELETED":
            self._soon(lambda: self._collect(meta["uid"]), mean=0.3)
        elif "foregroundDeletion" in (meta.get("finalizers") or ()):
            self._soon(lambda: self._collect_first(change), mean=0.3)
        elif change.kind == "ADDED" and (owner := owned_by(change.new)):
            self._soon(lambda: self._collect_orphan(owner), mean=1.0)

    # -- garbage --

    def _owners(self) -> set[str]:
        return {
            thing["metadata"]["uid"]
            for resource in (TASKS, EXECUTIONS, JOBS)
            for thing in self.api.all(resource)
        }

    def _collect_orphan(self, owner: str) -> None:
        if owner not in self._owners():
            self._collect(owner)

    def _children(self, uid: str) -> list[tuple[Any, Json]]:
        return [
            (resource, thing)
            for resource in (EXECUTIONS, JOBS, PODS)
            for thing in list(self.api.all(resource))
            if owned_by(thing) == uid
        ]

    def _collect(self, uid: str) -> None:
        for resource, thing in self._children(uid):
            self.delete(resource, thing)
            if resource is PODS:
                # Its Job is no more: nobody counts it.
                self._soon(partial(self.api.finalize, PODS, thing, TRACKING, "jobs"))

    def _collect_first(self, change: Change) -> None:
        """Foreground: what it owns first, then itself (none of ours blocks its owner)."""
        self._collect(change.new["metadata"]["uid"])
        self._soon(
            lambda: self.api.finalize(
                change.resource, change.new, "foregroundDeletion", "collector"
            )
        )
        meta = change.new["metadata"]
        self._soon(lambda: self._drop_marked(change.resource, meta["namespace"], meta["name"]), 1.0)

    def _drop_marked(self, resource: Any, namespace: str, name: str) -> None:
        thing = self.api.find(resource, namespace, name)
        meta = thing["metadata"] if thing else {}
        if thing and "deletionTimestamp" in meta and not meta.get("finalizers"):
            self.api.remove(resource, thing, "collector", self.now())

    def delete(self, resource: Any, thing: Json, author: str = "collector") -> None:
        """Unless it is gone."""
        meta = thing["metadata"]
        try:
            self.api.delete(
                resource, meta["namespace"], meta["name"], author, self.now(), uid=meta["uid"]
            )
        except ApiError:
            return

    # -- Jobs --

    def _sync_job(self, namespace: str, name: str) -> None:
        job = self.api.find(JOBS, namespace, name)
        if job is None:
            return
        uid, status = job["metadata"]["uid"], job.get("status") or {}
        conditions = {c["type"]: c for c in status.get("conditions") or ()}
        if {"Complete", "Failed"} & conditions.keys():
            for pod in self._pods_of(uid):
                self.api.finalize(PODS, pod, TRACKING, "jobs")
            return
        for pod in self._pods_of(uid):
            if "deletionTimestamp" in pod["metadata"] and "nodeName" not in pod["spec"]:
                self.api.finalize(PODS, pod, TRACKING, "jobs")
        if "FailureTarget" in conditions:
            self._count(job, conditions)
            return
        if job["spec"].get("suspend"):
            self._suspend(job, conditions)
            return
        resumed = conditions.get("Suspended", {}).get("status") == "True"
        if resumed or not status.get("startTime"):
            self._begin(job, conditions)
            return
        self._watch_clock(job)
        if uid not in self._made:
            self._create_pod(job)
        else:
            self._count(job, conditions)

    def _begin(self, job: Json, conditions: Json) -> None:
        """Its clock starts, anew when it was suspended; its pod may be there before it says so."""
        if job["metadata"]["uid"] not in self._made and self.dice.random() < POD_FIRST:
            self._create_pod(job)
        elif "Suspended" in conditions:
            self._turn(job, conditions, "False", "JobResumed", startTime=self.api.stamp())
        else:
            self.api.status(JOBS, job, "jobs", startTime=self.api.stamp())

    def _suspend(self, job: Json, conditions: Json) -> None:
        """Take its pod away, unless that has ended."""
        uid = job["metadata"]["uid"]
        if {"Failed", "Succeeded"} & {pod["status"].get("phase") for pod in self._counted(uid)}:
            self._count(job, conditions)
            return
        self._made.discard(uid)
        for pod in self._counted(uid):
            self._taken.add(pod["metadata"]["uid"])
            self.api.finalize(PODS, pod, TRACKING, "jobs")
            self.delete(PODS, pod, "jobs")
        if conditions.get("Suspended", {}).get("status") != "True":
            self._turn(job, conditions, "True", "JobSuspended")

    def _turn(self, job: Json, conditions: Json, status: str, reason: str, **more: Any) -> None:
        at = self.api.stamp()
        new = {"type": "Suspended", "status": status, "reason": reason, "lastTransitionTime": at}
        all_ = [*({**conditions, "Suspended": new}).values()]
        self.api.status(JOBS, job, "jobs", conditions=all_, **more)

    def _count(self, job: Json, conditions: Json) -> None:
        """Its pod is over, or was taken away."""
        phases = {pod["status"].get("phase") for pod in self._counted(job["metadata"]["uid"])}
        if not phases or "Failed" in phases:
            if "FailureTarget" not in conditions:
                self._condition(job, "FailureTarget", "BackoffLimitExceeded")
            else:
                self._finish(job, "Failed", conditions["FailureTarget"]["reason"])
        elif phases == {"Succeeded"}:
            self._finish(job, "Complete", "CompletionsReached")

    def _counted(self, uid: str) -> list[Json]:
        return [pod for pod in self._pods_of(uid) if pod["metadata"]["uid"] not in self._taken]

    def _pods_of(self, uid: str) -> list[Json]:
        return [pod for pod in self.api.all(PODS) if owned_by(pod) == uid]

    def _condition(self, job: Json, kind: str, reason: str) -> None:
        meta = job["metadata"]
        known = self.api.find(JOBS, meta["namespace"], meta["name"])
        if known is None or known["metadata"]["uid"] != meta["uid"]:
            return
        conditions = list((known.get("status") or {}).get("conditions") or ())
        if kind in {c["type"] for c in conditions}:
            return
        conditions.append(
            {
                "type": kind,
                "status": "True",
                "reason": reason,
                "message": "",
                "lastTransitionTime": self.api.stamp(),
            }
        )
        more = {"completionTime": self.api.stamp()} if kind == "Complete" else {}
        self.api.status(JOBS, known, "jobs", conditions=conditions, **more)

    def _finish(self, job: Json, kind: str, reason: str) -> None:
        for pod in self._pods_of(job["metadata"]["uid"]):
            self.api.finalize(PODS, pod, TRACKING, "jobs")
        self.place.later(UNSEEN_FINISH, lambda: self._condition(job, kind, reason))

    def _watch_clock(self, job: Json) -> None:
        """Look when its time is up: once for each start and each deadline."""
        meta, clock = job["metadata"], _clock(job)
        if clock and self._watched.get(meta["uid"]) != clock:
            self._watched[meta["uid"]] = clock
            due = moment(clock[0]) + clock[1]
            self.place.later(max(0.0, due - self.now()), lambda: self._overdue(job, clock))

    def _overdue(self, job: Json, clock: tuple[str, int]) -> None:
        meta = job["metadata"]
        known = self.api.find(JOBS, meta["namespace"], meta["name"])
        if known is None or known["metadata"]["uid"] != meta["uid"] or _clock(known) != clock:
            return
        if known["spec"].get("suspend") or OVER & _conditions(known):
            return
        self._condition(known, "FailureTarget", "DeadlineExceeded")
        for pod in self._pods_of(meta["uid"]):
            self.delete(PODS, pod, "jobs")

    def _create_pod(self, job: Json) -> None:
        meta, template = job["metadata"], job["spec"]["template"]
        owner = {"kind": "Job", "name": meta["name"], "uid": meta["uid"], "controller": True}
        body = {
            "metadata": {
                "name": f"{meta['name']}-{self.dice.randrange(10**5):05}",
                "labels": template["metadata"]["labels"],
                "ownerReferences": [owner],
                "finalizers": [TRACKING],
            },
            "spec": template["spec"],
            "status": {"phase": "Pending"},
        }
        try:
            self.api.create(PODS, meta["namespace"], body, "jobs", self.now())
        except ApiError:
            # Its namespace is being deleted.
            self._soon(lambda: self._sync_job(meta["namespace"], meta["name"]), mean=3.0)
        else:
            self._made.add(meta["uid"])

    # -- nodes --

    def lose(self, node: str, seconds: float) -> None:
        """Nobody hears of a node for a while; what runs on it goes on."""
        self.down_until[node] = self.now() + seconds
        self.place.later(LOST_AFTER, lambda: self._unready(node))
        self.place.later(LOST_AFTER + TOLERATED, lambda: self._evict(node))
        self.place.later(seconds + 0.01, lambda: self._back(node))

    def is_down(self, node: str) -> bool:
        return self.now() < self.down_until.get(node, 0.0)

    def _unready(self, node: str) -> None:
        if self.is_down(node):
            for pod in self._on(node):
                self._set_ready(pod, "False", "")

    def _evict(self, node: str) -> None:
        if not self.is_down(node):
            return
        for pod in self._on(node):
            if pod["status"].get("phase") not in ("Succeeded", "Failed"):
                self._pod_condition(pod, "DisruptionTarget", "True", "DeletionByTaintManager")
                self.delete(PODS, pod, "taints")

    def _back(self, node: str) -> None:
        if self.is_down(node):
            return
        for pod in self._on(node):
            self._tell(pod["metadata"]["uid"])
            if "deletionTimestamp" in pod["metadata"]:
                self._terminate(pod["metadata"]["uid"])

    def unended(self, node: str) -> list[Json]:
        """The pods on it whose containers have not been told to have ended."""
        told = {uid for uid, run in self._running.items() if run.told}
        return [pod for pod in self._on(node) if pod["metadata"]["uid"] not in told]

    def _on(self, node: str) -> list[Json]:
        return [pod for pod in self.api.all(PODS) if pod["spec"].get("nodeName") == node]

    def _set_ready(self, pod: Json, status: str, reason: str) -> None:
        self._pod_condition(pod, "Ready", status, reason)

    def _pod_condition(self, pod: Json, kind: str, status: str, reason: str) -> None:
        meta = pod["metadata"]
        known = self.api.find(PODS, meta["namespace"], meta["name"])
        if known is None or known["metadata"]["uid"] != meta["uid"]:
            return
        others = [c for c in known["status"].get("conditions") or () if c["type"] != kind]
        at = self.api.stamp()
        new = {"type": kind, "status": status, "reason": reason, "lastTransitionTime": at}
        self.api.status(PODS, known, "nodes", conditions=[*others, new])

    # -- kubelets --

    def _pod(self, uid: str) -> Json | None:
        return next((p for p in self.api.all(PODS) if p["metadata"]["uid"] == uid), None)

    def _kubelet(self, change: Change) -> None:
        pod, old = change.new, change.old
        uid, spec = pod["metadata"]["uid"], pod["spec"]
        if change.kind == "ADDED":
            self._soon(lambda: self._schedule(uid))
            return
        deleted = "deletionTimestamp" in pod["metadata"]
        if deleted and not (old and "deletionTimestamp" in old["metadata"]):
            self._soon(lambda: self._terminate(uid))
        limit = spec.get("activeDeadlineSeconds")
        if limit is not None and limit != (old or pod)["spec"].get("activeDeadlineSeconds"):
            self._soon(lambda: self._terminate(uid, overdue=True), mean=0.5)

    def _schedule(self, uid: str) -> None:
        pod = self._pod(uid)
        up = [node for node in NODES if not self.is_down(node)]
        if pod is None or "deletionTimestamp" in pod["metadata"]:
            return
        if not up:
            self.place.later(1.0, lambda: self._schedule(uid))
            return
        node = self.dice.choice(up)
        meta = pod["metadata"]
        at = self.api.stamp()
        self.api.patch(
            PODS, meta["namespace"], meta["name"], {"spec": {"nodeName": node}},
            "scheduler", self.now(),
        )  # fmt: skip
        bound = self._pod(uid)
        assert bound is not None
        placed = {"type": "PodScheduled", "status": "True", "reason": "", "lastTransitionTime": at}
        self.api.status(PODS, bound, "scheduler", conditions=[placed], startTime=at)
        if limit := bound["spec"].get("activeDeadlineSeconds"):
            self.place.later(limit, lambda: self._terminate(uid, overdue=True))
        self.place.later(self.pull(), lambda: self._start(uid))

    def _start(self, uid: str) -> None:
        pod = self._pod(uid)
        if pod is None or "deletionTimestamp" in pod["metadata"] or uid in self._stopping:
            return
        if self.is_down(pod["spec"]["nodeName"]):
            self.place.later(1.0, lambda: self._start(uid))
            return
        labels, meta = pod["metadata"]["labels"], pod["metadata"]
        run = Run(
            execution=labels[names.LABEL_EXECUTION_UID],
            step=labels[names.LABEL_STEP],
            attempt=int(labels[names.LABEL_ATTEMPT]),
            pod=meta["name"],
            node=pod["spec"]["nodeName"],
            started=self.now(),
        )
        self.runs.append(run)
        self._running[uid] = run
        does = Behaviour.of(pod["spec"]["containers"][0]["command"])
        self._soon(lambda: self._tell(uid))
        code = does.code(run.attempt)
        self.place.later(does.seconds, lambda: self._end(uid, code, natural=True))

    def _terminate(self, uid: str, *, overdue: bool = False) -> None:
        """SIGTERM, and after the grace period SIGKILL."""
        pod, run = self._pod(uid), self._running.get(uid)
        if pod is None or uid in self._stopping:
            return
        node = pod["spec"].get("nodeName")
        if node and self.is_down(node):
            return
        if overdue:
            self.api.status(PODS, pod, "kubelet", _overdue=True)
        if run is None or run.ended is not None:
            self._stopping.add(uid)
            self._soon(lambda: self._tell(uid))
            return
        self._stopping.add(uid)
        does = Behaviour.of(pod["spec"]["containers"][0]["command"])
        grace = pod["spec"]["terminationGracePeriodSeconds"]
        if does.on_term is None:
            self.place.later(grace, lambda: self._end(uid, SIGKILL))
        else:
            code = does.on_term
            self._soon(lambda: self._end(uid, code), mean=0.3)

    def _end(self, uid: str, code: int, *, natural: bool = False) -> None:
        run = self._running.get(uid)
        if run is None or run.ended is not None:
            return
        run.ended, run.code, run.natural = self.now(), code, natural
        self._soon(lambda: self._tell(uid))

    def _tell(self, uid: str) -> None:
        """The kubelet says what has become of a pod."""
        pod, run = self._pod(uid), self._running.get(uid)
        if pod is None or (node := pod["spec"].get("nodeName")) is None or self.is_down(node):
            return
        deleted, overdue = "deletionTimestamp" in pod["metadata"], "_overdue" in pod["status"]
        status: Json = {}
        if run is not None and run.ended is None:
            status = {"phase": "Running", "containerStatuses": [_running(run)]}
        elif run is not None:
            assert run.ended is not None
            phase = "Succeeded" if run.code == 0 and not overdue else "Failed"
            does = Behaviour.of(pod["spec"]["containers"][0]["command"])
            first = phase == "Failed" and pod["status"].get("phase") == "Running" and not deleted
            if first and self.dice.random() < EARLY:
                early = {"phase": phase, "containerStatuses": [_running(run)]}
                self.api.status(PODS, pod, "kubelet", **early, **_why(overdue=overdue))
                self._soon(lambda: self._tell(uid), mean=0.5)
                return
            run.told = run.told or self.now()
            status = {"phase": phase, "containerStatuses": [_ended(run, does)]}
        elif deleted or overdue:
            status = {"phase": "Failed"}
        if status:
            self.api.status(PODS, pod, "kubelet", **status, **_why(overdue=overdue))
        over = run is None or run.ended is not None
        if deleted and over:
            self._soon(lambda: self._vanish(uid))

    def _vanish(self, uid: str) -> None:
        pod = self._pod(uid)
        if pod is None or self.is_down(pod["spec"]["nodeName"]):
            return
        if pod["metadata"].get("finalizers"):
            self.place.later(0.5, lambda: self._vanish(uid))
            return
        self.api.remove(PODS, pod, "kubelet", self.now())


def _conditions(job: Json) -> set[str]:
    return {c["type"] for c in (job.get("status") or {}).get("conditions") or ()}


def _clock(job: Json) -> tuple[str, int] | None:
    """When it started, and how many seconds it has."""
    start = (job.get("status") or {}).get("startTime")
    return (start, job["spec"]["activeDeadlineSeconds"]) if start else None


def moment(stamp: str) -> float:
    """Seconds of the simulation's clock."""
    return (parse_rfc3339(stamp) - EPOCH).total_seconds()


def _stamp(seconds: float) -> str:
    return rfc3339(EPOCH + timedelta(seconds=seconds))


def _why(*, overdue: bool) -> Json:
    if not overdue:
        return {}
    return {"reason": "DeadlineExceeded", "message": "Pod was active on the node longer"}


def _running(run: Run) -> Json:
    return {"name": "main", "ready": True, "state": {"running": {"startedAt": _stamp(run.started)}}}


def _ended(run: Run, does: Behaviour) -> Json:
    assert run.ended is not None
    ended = {
        "exitCode": run.code,
        "reason": "Completed" if run.code == 0 else "Error",
        "message": does.output if run.natural and run.code == 0 else "",
        "startedAt": _stamp(run.started),
        "finishedAt": _stamp(run.ended),
    }
    return {"name": "main", "ready": False, "state": {"terminated": ended}}
