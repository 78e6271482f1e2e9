"""Objects as the API server sends them, in a line each, and worlds read from them.

    pod().on("node-1").exited(3, "cc: error")       job().suspended()
    world(execution().stopped(), job(), pod().running(5), events=[event("FailedMount", "...")])

Builders hold the raw object in `.raw`; nothing but the real parsers makes facts of it. Times are
seconds after `T0`.
"""

import copy
import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar

from taskmill.api.meta import API_VERSION, rfc3339
from taskmill.api.task import TaskSpec
from taskmill.diagnose.facts import Job, Pod, parse_event, parse_job, parse_pod
from taskmill.diagnose.finding import Seen
from taskmill.plan import names
from taskmill.plan.decision import Decision
from taskmill.plan.job import owner_reference
from taskmill.plan.tasks.trigger import what_runs
from taskmill.plan.world import (
    Execution,
    ExecutionWorld,
    Heard,
    Limits,
    Refusal,
    Refused,
    Task,
    TaskWorld,
    Tried,
    Trouble,
)
from taskmill.reconcile.parse import parse_execution, parse_task

Json = dict[str, Any]
W = TypeVar("W", ExecutionWorld, TaskWorld)

T0 = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
EXECUTION_UID = "0e0e0e0e-0000-4000-8000-000000000001"
TASK_UID = "0a0a0a0a-0000-4000-8000-000000000002"
JOB_UID = "0b0b0b0b-0000-4000-8000-000000000003"
POD_UID = "0d0d0d0d-0000-4000-8000-000000000004"
JOB = names.job_name(execution="build-1", uid=EXECUTION_UID, step="build", attempt=1)
"""Name of the Job of the default execution's first attempt."""


def at(seconds: float = 0) -> datetime:
    """The moment so many seconds after `T0`."""
    return T0 + timedelta(seconds=seconds)


def stamp(seconds: float = 0) -> str:
    """The same, as the API writes it: whole seconds."""
    return rfc3339(at(seconds))


class Built:
    """A raw object under construction."""

    def __init__(self, raw: Json) -> None:
        self.raw = raw

    def created(self, seconds: float) -> Self:
        self.raw["metadata"]["creationTimestamp"] = stamp(seconds)
        return self

    def deleted(self, seconds: float = 0, *, grace: int = 0) -> Self:
        """Somebody asked for its deletion; the API server writes when that is to be over."""
        self.raw["metadata"] |= {
            "deletionTimestamp": stamp(seconds + grace),
            "deletionGracePeriodSeconds": grace,
        }
        return self

    def version(self, version: int) -> Self:
        self.raw["metadata"]["resourceVersion"] = str(version)
        return self

    def generation(self, generation: int) -> Self:
        self.raw["metadata"]["generation"] = generation
        return self

    def condition(
        self, kind: str, status: str, reason: str = "", message: str = "", seconds: float = 0
    ) -> Self:
        conditions = self.raw.setdefault("status", {}).setdefault("conditions", [])
        conditions[:] = [c for c in conditions if c["type"] != kind]
        conditions.append(
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": message,
                "lastTransitionTime": stamp(seconds),
            }
        )
        return self


def _meta(name: str, uid: str, **more: Any) -> Json:
    return {
        "name": name,
        "namespace": "team",
        "uid": uid,
        "resourceVersion": "1",
        "creationTimestamp": stamp(),
        **more,
    }


def _labels(execution: str, step: str, attempt: int) -> Json:
    return {
        names.LABEL_EXECUTION: execution,
        names.LABEL_EXECUTION_UID: EXECUTION_UID,
        names.LABEL_STEP: step,
        names.LABEL_ATTEMPT: str(attempt),
    }


# -- Kubernetes' objects ----------------------------------------------------------------------


class PodBuilder(Built):
    """A pod; its first container is `main`."""

    def on(self, node: str = "node-1", seconds: float = 0) -> Self:
        """Scheduled."""
        self.raw["spec"]["nodeName"] = node
        return self.condition("PodScheduled", "True", seconds=seconds)

    def unschedulable(self, message: str, reason: str = "Unschedulable") -> Self:
        return self.condition("PodScheduled", "False", reason, message)

    def init(self, name: str = "prepare") -> Self:
        return self._container("initContainers", {"name": name, "image": "prepare:1"})

    def sidecar(self, name: str = "proxy") -> Self:
        """A native one: an init container that stays."""
        sidecar = {"name": name, "image": "proxy:1", "restartPolicy": "Always"}
        return self._container("initContainers", sidecar)

    def beside(self, name: str = "helper") -> Self:
        """Another plain container."""
        return self._container("containers", {"name": name, "image": "helper:1"})

    def limit(self, memory: str) -> Self:
        self.raw["spec"]["containers"][0]["resources"] = {"limits": {"memory": memory}}
        return self

    def pod_limit(self, memory: str) -> Self:
        """Of all containers together."""
        self.raw["spec"]["resources"] = {"limits": {"memory": memory}}
        return self

    def running(self, since: float = 0, *, container: str = "main") -> Self:
        if container == "main":
            self.phase("Running")
        if "nodeName" not in self.raw["spec"]:
            self.on(seconds=since)
        return self._state(container, {"running": {"startedAt": stamp(since)}})

    def waiting(self, reason: str, message: str = "", *, container: str = "main") -> Self:
        if "nodeName" not in self.raw["spec"]:
            self.on()
        return self._state(container, {"waiting": {"reason": reason, "message": message}})

    def exited(
        self,
        code: int | None,
        log: str = "",
        *,
        start: float = 0,
        end: float = 10,
        container: str = "main",
        **more: Any,
    ) -> Self:
        """The container has ended; `main`'s end is the pod's."""
        if "nodeName" not in self.raw["spec"]:
            self.on(seconds=start)
        if container == "main":
            self.phase("Failed" if code else "Succeeded")
        ended = {
            "exitCode": code,
            "reason": "Error" if code else "Completed",
            "message": log,
            "startedAt": stamp(start),
            "finishedAt": stamp(end),
            **more,
        }
        if code is None:
            del ended["exitCode"]
        return self._state(container, {"terminated": ended})

    def crashing(self, code: int, log: str = "", *, container: str = "proxy") -> Self:
        """A native sidecar that ended and is soon started again."""
        self.exited(code, log, container=container)
        group = self.raw["status"]["initContainerStatuses"]
        before = next(s for s in group if s["name"] == container)["state"]
        self.waiting("CrashLoopBackOff", "back-off 10s restarting", container=container)
        next(s for s in group if s["name"] == container).update(lastState=before, restartCount=1)
        return self

    def silent(self) -> Self:
        """As the node controller says it of a node that does not answer: without a reason."""
        return self.condition("Ready", "False")

    def grace(self, seconds: int) -> Self:
        self.raw["spec"]["terminationGracePeriodSeconds"] = seconds
        return self

    def phase(self, phase: str, reason: str = "", message: str = "") -> Self:
        status = self.raw["status"]
        status["phase"] = phase
        status.update({k: v for k, v in (("reason", reason), ("message", message)) if v})
        return self

    def disrupted(self, reason: str, message: str = "") -> Self:
        return self.condition("DisruptionTarget", "True", reason, message)

    def asked_to_stop(self) -> Self:
        """As taskmill asks: in place."""
        self.raw["spec"]["activeDeadlineSeconds"] = 1
        return self

    def of(self, job_uid: str) -> Self:
        self.raw["metadata"]["ownerReferences"][0]["uid"] = job_uid
        return self

    @property
    def facts(self) -> Pod:
        return parse_pod(self.raw, step_label=names.LABEL_STEP, attempt_label=names.LABEL_ATTEMPT)

    def _container(self, group: str, spec: Json) -> Self:
        self.raw["spec"].setdefault(group, []).append(spec)
        return self

    def _state(self, container: str, state: Json) -> Self:
        inits = {c["name"] for c in self.raw["spec"].get("initContainers", ())}
        key = "initContainerStatuses" if container in inits else "containerStatuses"
        statuses = self.raw["status"].setdefault(key, [])
        statuses[:] = [s for s in statuses if s["name"] != container]
        statuses.append({"name": container, "state": state})
        return self


def pod(
    name: str = "build-1-x7k2p", *, uid: str = POD_UID, execution: str = "build-1"
) -> PodBuilder:
    """A pod of the first attempt, not scheduled yet."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "uid": JOB_UID, "controller": True}
    labels = _labels(execution, "build", 1)
    return PodBuilder(
        {
            "metadata": _meta(name, uid, labels=labels, ownerReferences=[owner]),
            "spec": {"containers": [{"name": "main", "image": "ubuntu:24.04"}]},
            "status": {"phase": "Pending"},
        }
    )


class JobBuilder(Built):
    """A Job."""

    def suspended(self) -> Self:
        self.raw["spec"]["suspend"] = True
        return self

    def started(self, seconds: float = 0) -> Self:
        """Its controller has taken it up."""
        self.raw["status"]["startTime"] = stamp(seconds)
        return self

    def failed(
        self, reason: str = "BackoffLimitExceeded", message: str = "", seconds: float = 10
    ) -> Self:
        return self.condition("Failed", "True", reason, message, seconds)

    def failing(self, reason: str, message: str = "", seconds: float = 10) -> Self:
        """FailureTarget: decided, pods are still ending."""
        return self.condition("FailureTarget", "True", reason, message, seconds)

    def complete(self, seconds: float = 10) -> Self:
        self.raw["status"]["completionTime"] = stamp(seconds)
        return self.condition("Complete", "True", seconds=seconds)

    def of(self, execution_uid: str) -> Self:
        self.raw["metadata"]["ownerReferences"][0]["uid"] = execution_uid
        return self

    @property
    def facts(self) -> Job:
        read = parse_job(self.raw, step_label=names.LABEL_STEP, attempt_label=names.LABEL_ATTEMPT)
        assert read is not None
        return read


def job(
    name: str = "",
    *,
    uid: str = JOB_UID,
    execution: str = "build-1",
    step: str = "build",
    attempt: int = 1,
) -> JobBuilder:
    """The Job of an attempt, as taskmill makes it."""
    name = name or names.job_name(
        execution=execution, uid=EXECUTION_UID, step=step, attempt=attempt
    )
    owner = owner_reference("TaskExecution", execution, EXECUTION_UID)
    labels = _labels(execution, step, attempt)
    return JobBuilder(
        {
            "metadata": _meta(name, uid, labels=labels, ownerReferences=[owner]),
            "spec": {"backoffLimit": 0},
            "status": {},
        }
    )


def created_job(body: Json, *, uid: str = JOB_UID, seconds: float = 0) -> JobBuilder:
    """What the API server makes of a Job that taskmill sends."""
    made = json.loads(json.dumps(body))
    made["metadata"] |= {
        "uid": uid,
        "resourceVersion": "1",
        "creationTimestamp": stamp(seconds),
    }
    made["status"] = {}
    return JobBuilder(made)


def event(reason: str, message: str, seconds: float = 0) -> Json:
    """A core/v1 Event."""
    return {"reason": reason, "message": message, "lastTimestamp": stamp(seconds)}


# -- our own kinds --------------------------------------------------------------------------------

RUNS: Json = {"image": "ubuntu:24.04", "script": "make", "infraRetries": 0}
"""What most tests run: once, so that the first verdict is the last."""


class ExecutionBuilder(Built):
    """A TaskExecution."""

    def spec(self, **fields: Any) -> Self:
        """Fields of the spec, as the API names them."""
        self.raw["spec"].update(fields)
        return self

    def runs(self, **fields: Any) -> Self:
        """Fields of the one step's task, as the API names them."""
        self.raw["spec"]["plan"][0]["task"].update(fields)
        return self

    def plan(self, *steps: Json) -> Self:
        """Of the steps that `step` makes."""
        return self.spec(plan=list(steps))

    def bare(self, task: str = "build") -> Self:
        """By hand: a taskRef without a plan."""
        self.raw["spec"].pop("plan", None)
        return self.spec(taskRef={"name": task})

    def triggered(self, trigger: str, generation: int, *, task: str = "build") -> Self:
        """Made by the operator for a change of its Task."""
        self.raw["metadata"]["annotations"] = {names.ANNOTATION_TRIGGER: trigger}
        return self.owned().spec(taskRef={"name": task, "generation": generation})

    def scheduled(self, seconds: float, *, task: str = "build", generation: int = 1) -> Self:
        """Made by the operator for a time of its Task's schedule."""
        self.raw["metadata"]["annotations"] = {names.ANNOTATION_SCHEDULED: stamp(seconds)}
        return self.owned().spec(taskRef={"name": task, "generation": generation})

    def ended(self, phase: str = "Succeeded", seconds: float = 0, **status: Any) -> Self:
        """It has its verdict since then."""
        self.condition("Finished", "True", phase, seconds=seconds)
        return self.status(phase=phase, completedAt=stamp(seconds), **status)

    def owned(self, task_uid: str = TASK_UID) -> Self:
        self.raw["metadata"]["ownerReferences"] = [owner_reference("Task", "build", task_uid)]
        return self

    def stopped(self) -> Self:
        return self.spec(desiredPhase="Stopped").generation(2)

    def deadline(self, seconds: float) -> Self:
        return self.spec(deadline=stamp(seconds))

    def status(self, **fields: Any) -> Self:
        self.raw.setdefault("status", {}).update(fields)
        return self

    @property
    def facts(self) -> Execution:
        return parse_execution(self.raw)


def execution(name: str = "build-1", *, uid: str = EXECUTION_UID) -> ExecutionBuilder:
    """An execution by a person: a plan of one step, build."""
    return ExecutionBuilder(
        {
            "apiVersion": API_VERSION,
            "kind": "TaskExecution",
            "metadata": _meta(name, uid, generation=1),
            "spec": {"plan": [{"id": "build", "task": copy.deepcopy(RUNS)}]},
        }
    )


def step(name: str, *depends_on: str, **task: Any) -> Json:
    """A step of a plan; fields of its task as the API names them."""
    made: Json = {"id": name, "task": copy.deepcopy(RUNS) | task}
    return made | ({"dependsOn": list(depends_on)} if depends_on else {})


def job_of(step: str, attempt: int = 1) -> JobBuilder:
    """The Job of an attempt of a step of the default execution, with a uid of its own."""
    return job(uid=f"job-{step}-{attempt}", step=step, attempt=attempt)


def pod_of(step: str, attempt: int = 1) -> PodBuilder:
    """The pod of that Job, not scheduled yet."""
    made = pod(f"build-1-{step}-{attempt}", uid=f"pod-{step}-{attempt}")
    made.raw["metadata"]["labels"] = _labels("build-1", step, attempt)
    return made.of(f"job-{step}-{attempt}")


class TaskBuilder(Built):
    """A Task."""

    def spec(self, **fields: Any) -> Self:
        """Fields of the spec, as the API names them; None removes one."""
        spec = self.raw["spec"] | fields
        self.raw["spec"] = {key: value for key, value in spec.items() if value is not None}
        return self

    def status(self, **fields: Any) -> Self:
        self.raw.setdefault("status", {}).update(fields)
        return self

    @property
    def hash(self) -> str:
        """Of what runs."""
        return names.trigger_hash(what_runs(TaskSpec.model_validate(self.raw["spec"])))

    @property
    def facts(self) -> Task:
        return parse_task(self.raw)


def task(name: str = "build", *, uid: str = TASK_UID) -> TaskBuilder:
    """A Task of its first generation, just applied."""
    return TaskBuilder(
        {
            "apiVersion": API_VERSION,
            "kind": "Task",
            "metadata": _meta(name, uid, generation=1),
            "spec": copy.deepcopy(RUNS),
        }
    )


def created_execution(
    body: Json, *, uid: str = EXECUTION_UID, seconds: float = 0
) -> ExecutionBuilder:
    """What the API server makes of an execution that taskmill sends."""
    made = json.loads(json.dumps(body))
    made["metadata"] |= {
        "uid": uid,
        "generation": 1,
        "resourceVersion": "1",
        "creationTimestamp": stamp(seconds),
    }
    return ExecutionBuilder(made)


# -- worlds ---------------------------------------------------------------------------------------


def seen(
    *built: JobBuilder | PodBuilder,
    events: Iterable[Json] = (),
    job_gone: bool = False,
    pod_gone: bool = False,
) -> Seen:
    """What a verdict looks at; a Job of its own when none is given."""
    jobs = [one.facts for one in built if isinstance(one, JobBuilder)]
    pods = [one.facts for one in built if isinstance(one, PodBuilder)]
    return Seen(
        job=jobs[0] if jobs else job().facts,
        pod=pods[0] if pods else None,
        events=tuple(map(parse_event, events)),
        job_gone=job_gone,
        pod_gone=pod_gone,
    )


class Everything:
    """Contains whatever one asks for."""

    def __contains__(self, _: object) -> bool:
        return True


def world(
    *built: Built,
    events: Iterable[Json] = (),
    events_at: float | None = None,
    gone: Iterable[str] = (),
    refused: Refused | None = None,
    trouble: Trouble | None = None,
    logs: dict[str, str] | None = None,
    written_at: float | None = None,
    owner_alive: bool = True,
    limits: Limits | None = None,
    asked: Container[str] | None = None,
) -> ExecutionWorld:
    """The world of the execution among `built`; one of its own when none is given.

    Unless told, no watch is behind: its pods were read for whatever that is done for.
    """
    executions = [one.facts for one in built if isinstance(one, ExecutionBuilder)]
    tasks = [one.facts for one in built if isinstance(one, TaskBuilder)]
    mine, *rivals = executions or [execution().facts]
    told = tuple(map(parse_event, events))
    heard = Heard(told, at(events_at or 0)) if told or events_at is not None else None
    about = [one.facts.uid for one in built if isinstance(one, JobBuilder | PodBuilder)]
    return ExecutionWorld(
        execution=mine,
        limits=limits or Limits(),
        tasks={one.meta.name: one for one in tasks},
        rivals=tuple(rivals),
        owner_alive=owner_alive,
        jobs=tuple(one.facts for one in built if isinstance(one, JobBuilder)),
        pods=tuple(one.facts for one in built if isinstance(one, PodBuilder)),
        gone=frozenset(gone),
        heard=dict.fromkeys(about, heard) if heard else {},
        logs=logs or {},
        asked=Everything() if asked is None else asked,
        refused=dict.fromkeys(_first_jobs(mine), refused) if refused else {},
        troubles=(trouble,) if trouble else (),
        written_at=None if written_at is None else at(written_at),
    )


def _first_jobs(of: Execution) -> list[str]:
    """Names of the Jobs of the first attempts."""
    plan = (of.spec and of.spec.plan) or of.status.plan or ()
    steps = [step.id for step in plan] or ["build"]
    name, uid = of.meta.name, of.meta.uid
    return [names.job_name(execution=name, uid=uid, step=one, attempt=1) for one in steps]


def refusal(
    kind: Refusal, message: str = "no", seconds: float = 0, *, again: float | None = None
) -> Refused:
    """A creation refused at that second, tried again ten seconds later unless told."""
    return Refused(kind, message, at(seconds), at(seconds + 10 if again is None else again))


def unanswered(message: str = "no answer", seconds: float = 0) -> Refused:
    """A creation that got no answer at that second."""
    return replace(refusal(Refusal.PASSING, message, seconds), unknown=True)


def task_world(
    of: TaskBuilder,
    *executions: ExecutionBuilder,
    tasks: Iterable[TaskBuilder] = (),
    refused: Mapping[str, Refused] | None = None,
    tried: Tried | None = None,
    written_at: float | None = None,
    limits: Limits | None = None,
) -> TaskWorld:
    """The world of one Task; `tasks` are those it depends on, `refused` is by execution name."""
    mine, others = of.facts, [one.facts for one in tasks]
    return TaskWorld(
        task=mine,
        limits=limits or Limits(),
        executions=tuple(one.facts for one in executions),
        tasks={one.meta.name: one for one in (mine, *others)},
        refused=refused or {},
        tried=tried,
        written_at=None if written_at is None else at(written_at),
    )


def stored(before: W, decision: Decision, now: datetime) -> W:
    """The world after its new status went to the API and came back; the same without one."""
    if isinstance(before, ExecutionWorld):
        before = replace(before, troubles=decision.troubles)
    if decision.status is None:
        return before
    back = type(decision.status).model_validate(json.loads(json.dumps(decision.status.to_api())))
    if isinstance(before, ExecutionWorld):
        return replace(before, execution=replace(before.execution, status=back), written_at=now)
    return replace(before, task=replace(before.task, status=back), written_at=now)
