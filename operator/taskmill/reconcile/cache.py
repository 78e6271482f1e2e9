"""The last known state of everything, joined by execution and by Task.

Watches and the responses to our own writes feed it; the newer resourceVersion wins, so a pass
reads its own writes. What vanished stays as a tombstone until its execution has a verdict.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from taskmill.diagnose.facts import Job, Pod, parse_job, parse_pod
from taskmill.metrics import Metrics, told_as
from taskmill.plan import names
from taskmill.plan.slots import IN_TURN
from taskmill.plan.world import (
    Execution,
    ExecutionWorld,
    Heard,
    Limits,
    Meta,
    Refused,
    Task,
    TaskWorld,
    Tried,
    Trouble,
)
from taskmill.reconcile.parse import parse_execution, parse_task

JsonObject = dict[str, Any]

DROPPED_KEPT = 256
"""More than can go away while one request is under way."""


class Kind(StrEnum):
    """What a key names."""

    TASK = "Task"
    EXECUTION = "TaskExecution"


class Key(NamedTuple):
    """One object of ours: what the queue holds and a pass is about."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.value} {self.namespace}/{self.name}"


class _Ours(Protocol):
    @property
    def meta(self) -> Meta: ...


class _Child(Protocol):
    @property
    def uid(self) -> str: ...


O = TypeVar("O", bound=_Ours)  # noqa: E741 - the usual name of a type parameter
C = TypeVar("C", bound=_Child)


class _Children(Generic[C]):
    """Jobs, or pods, of one execution by uid, with the resourceVersion each was read at."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, C]] = {}
        self.gone: set[str] = set()

    def is_old(self, uid: str, version: int) -> bool:
        """Whether that is no later than what is known."""
        known = self._known.get(uid)
        return uid in self.gone or bool(known and known[0] >= version)

    def find(self, uid: str) -> C | None:
        """As it was seen last."""
        known = self._known.get(uid)
        return known[1] if known else None

    def observe(self, child: C, version: int) -> bool:
        """Take it in; whether it tells anything that was not known."""
        known = self._known.get(child.uid)
        self._known[child.uid] = (version, child)
        return known is None or known[1] != child

    def bury(self, uid: str) -> None:
        if uid in self._known:
            self.gone.add(uid)

    def purge(self) -> set[str]:
        buried, self.gone = self.gone, set()
        for uid in buried:
            self._known.pop(uid, None)
        return buried

    def __iter__(self) -> Iterator[C]:
        return (child for _, child in self._known.values())

    def __len__(self) -> int:
        return len(self._known)


@dataclass(slots=True)
class Memory:
    """What this process knows of one of our objects beyond what the API stores."""

    refused: dict[str, Refused] = field(default_factory=dict)
    """By the name of what could not be created."""
    troubles: tuple[Trouble, ...] = ()
    heard: dict[str, Heard] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    asking: dict[str, datetime] = field(default_factory=dict)
    """Since when its Jobs and pods are to be read, and what for."""
    asked: set[str] = field(default_factory=set)
    """For what they were."""
    tried: Tried | None = None
    written_at: datetime | None = None
    held_since: float | None = None
    """Since when its status waits for a crowd, in the loop's time."""
    turns: dict[str, float] = field(default_factory=dict)
    """When its questions may be asked, by whom they are about, in the loop's time."""
    logged: tuple[str | None, str | None] | None = None
    """Phase and reason that the log has told of, or that were there when it was met first."""

    def forget_answers(self) -> None:
        """Whatever was asked about Jobs and pods has to be asked anew."""
        self.asking.clear()
        self.asked.clear()


@dataclass(slots=True)
class _Family:
    jobs: _Children[Job] = field(default_factory=_Children)
    pods: _Children[Pod] = field(default_factory=_Children)


class Cache:
    """Everything the operator knows. Single-threaded; no method awaits.

    `metrics` hears what changes: once, whoever tells it here first.
    """

    def __init__(self, metrics: Metrics | None = None) -> None:
        self.metrics = metrics or Metrics()
        self._tasks: dict[Key, Task] = {}
        self._executions: dict[Key, Execution] = {}
        self._by_task: dict[Key, set[Key]] = {}
        self._dependents: dict[Key, set[Key]] = {}
        """Which Tasks name a Task in dependsOn, whether that exists or not."""
        self._families: dict[Key, _Family] = {}
        self._memories: dict[Key, Memory] = {}
        self._homes: dict[str, Key] = {}
        """Of which execution a Job or pod is, by its uid."""
        self._dropped: deque[str] = deque(maxlen=DROPPED_KEPT)
        """uids of our own objects that went away last: a late answer must not bring them back."""

    # -- our own kinds --

    def observe_task(self, raw: JsonObject) -> Key | None:
        """Take in a Task; its key when that is news."""
        key = _key(Kind.TASK, raw)
        former = self._tasks.get(key)
        task = parse_task(raw, former)
        if not self._take(self._tasks, key, task):
            return None
        self._depend(key, former, task)
        return key

    def _depend(self, key: Key, former: Task | None, task: Task | None) -> None:
        before, after = (set(_depends_on(one)) for one in (former, task))
        for name in before - after:
            self._discard(self._dependents, Key(Kind.TASK, key.namespace, name), key)
        for name in after - before:
            self._dependents.setdefault(Key(Kind.TASK, key.namespace, name), set()).add(key)

    def observe_execution(self, raw: JsonObject) -> Key | None:
        """Take in a TaskExecution; its key when that is news."""
        key = _key(Kind.EXECUTION, raw)
        known = self._executions.get(key)
        if known and _state(raw) == (known.meta.uid, _version(known.meta)):
            return None
        execution, former = parse_execution(raw, known), self.task_of(key)
        if not self._take(self._executions, key, execution):
            return None
        if former != (task := self.task_of(key)):
            self._unlink(former, key)
        if task:
            self._by_task.setdefault(task, set()).add(key)
        self._shrink(key)
        if known and known.meta.uid == execution.meta.uid:
            self.metrics.execution_changed(known, execution)
        return key

    def _take(self, store: dict[Key, O], key: Key, new: O) -> bool:
        if new.meta.uid in self._dropped:
            return False
        known = store.get(key)
        if known:
            if _version(known.meta) >= _version(new.meta):
                return False
            if known.meta.uid != new.meta.uid:
                # Deleted and made anew while nobody watched: nothing of the old one counts.
                self._memories.pop(key, None)
        store[key] = new
        return True

    def drop(self, key: Key, uid: str) -> bool:
        """Forget an object that is gone, unless another one has its name by now."""
        if key.kind is Kind.TASK:
            known_task = self._tasks.get(key)
            if known_task is None or known_task.meta.uid != uid:
                return False
            del self._tasks[key]
            self._depend(key, known_task, None)
        else:
            known = self._executions.get(key)
            if known is None or known.meta.uid != uid:
                return False
            self._unlink(self.task_of(key), key)
            del self._executions[key]
            self._shrink(key)
        self._memories.pop(key, None)
        self._dropped.append(uid)
        return True

    def _unlink(self, task: Key | None, execution: Key) -> None:
        if task:
            self._discard(self._by_task, task, execution)

    @staticmethod
    def _discard(index: dict[Key, set[Key]], key: Key, member: Key) -> None:
        if members := index.get(key):
            members.discard(member)
            if not members:
                del index[key]

    def task_of(self, key: Key) -> Key | None:
        """The Task an execution names in its taskRef."""
        execution = self._executions.get(key)
        ref = execution.spec.task_ref if execution and execution.spec else None
        return Key(Kind.TASK, key.namespace, ref.name) if ref else None

    def executions_of(self, task: Key) -> Iterable[Key]:
        """The executions that name the Task."""
        return tuple(self._by_task.get(task, ()))

    def waiting_for(self, task: Key) -> Iterable[Key]:
        """What may have waited for this Task: others that depend on it, and the runs of all."""
        found, todo = {task: None}, [task]
        while todo:
            for above in self._dependents.get(todo.pop(), ()):
                if above not in found:
                    found[above] = None
                    todo.append(above)
        runs = (key for one in found for key in self._by_task.get(one, ()))
        others = (one for one in found if one != task)
        return (*others, *(key for key in runs if not self._executions[key].final))

    def rivals_of(self, key: Key) -> Iterable[Key]:
        """The runs of the same Task that wait for their turn, or may lose it, with this one."""
        mine, task_key = self._executions.get(key), self.task_of(key)
        task = self._tasks.get(task_key) if task_key else None
        spec = task.spec if task else None
        if mine is None or not mine.automatic:
            return ()
        if task_key is None or spec is None or spec.concurrency_policy not in IN_TURN:
            return ()
        siblings = self._by_task.get(task_key, ())
        return tuple(
            one
            for one in siblings
            if one != key and self._executions[one].automatic and not self._executions[one].final
        )

    def everything(self) -> Iterable[Key]:
        """Every object of ours."""
        return (*self._tasks, *self._executions)

    def uids(self, kind: Kind) -> dict[Key, str]:
        """All known objects of a kind with their uids."""
        store: dict[Key, Task] | dict[Key, Execution]
        store = self._tasks if kind is Kind.TASK else self._executions
        return {key: known.meta.uid for key, known in store.items()}

    def uid(self, key: Key) -> str | None:
        """The uid of one of our objects; None when it is not known."""
        known = self._tasks.get(key) or self._executions.get(key)
        return known.meta.uid if known else None

    def states(self) -> Counter[tuple[str, str]]:
        """How many executions have each phase and reason."""
        statuses = (execution.status for execution in self._executions.values())
        return Counter(told_as(status.phase, status.reason) for status in statuses)

    def unfinished(self) -> set[str]:
        """Uids of the executions without a final phase."""
        return {e.meta.uid for e in self._executions.values() if not e.final}

    # -- Jobs and pods --

    def observe_job(self, raw: JsonObject) -> Key | None:
        """Take in a Job; the key of its execution when that is news."""
        if (key := child_key(raw)) is None:
            return None
        jobs, uid, version = self._family(key).jobs, *_state(raw)
        if jobs.is_old(uid, version):
            return None
        job = parse_job(raw, step_label=names.LABEL_STEP, attempt_label=names.LABEL_ATTEMPT)
        if job is None:
            return None
        self._homes[uid] = key
        execution = self._executions.get(key)
        if execution and not jobs and not execution.status.steps:
            self.metrics.job_made(execution, job)
        return key if jobs.observe(job, version) else None

    def observe_pod(self, raw: JsonObject) -> Key | None:
        """Take in a pod; the key of its execution when that is news."""
        if (key := child_key(raw)) is None:
            return None
        pods, uid, version = self._family(key).pods, *_state(raw)
        if pods.is_old(uid, version):
            return None
        pod = parse_pod(raw, step_label=names.LABEL_STEP, attempt_label=names.LABEL_ATTEMPT)
        self._homes[uid] = key
        before = pods.find(uid)
        pod = pod.after(before)
        if before:
            self.metrics.pod_changed(before, pod)
        return key if pods.observe(pod, version) else None

    def is_final(self, key: Key) -> bool:
        """Whether an execution has its verdict."""
        execution = self._executions.get(key)
        return execution is not None and execution.final

    def is_untouched(self, key: Key) -> bool:
        """Whether nothing is known to have been done about an execution."""
        execution = self._executions.get(key)
        return execution is not None and not execution.status.phase and key not in self._families

    def jobs_of(self, key: Key) -> int:
        """How many Jobs of an execution are known."""
        family = self._families.get(key)
        return len(family.jobs) if family else 0

    def bury(self, uid: str) -> Key | None:
        """A Job or pod is gone; the key of its execution when it was known."""
        key = self._homes.get(uid)
        if key is None:
            return None
        family = self._family(key)
        family.jobs.bury(uid)
        family.pods.bury(uid)
        self._shrink(key)
        return key

    def _family(self, key: Key) -> _Family:
        return self._families.setdefault(key, _Family())

    def _shrink(self, key: Key) -> None:
        """Drop tombstones that nobody will ask about."""
        family = self._families.get(key)
        execution = self._executions.get(key)
        if execution and not execution.final:
            return
        if memory := self._memories.get(key):
            memory.heard.clear()
            memory.logs.clear()
            memory.forget_answers()
            memory.refused.clear()
        if family is None:
            return
        for uid in (*family.jobs.purge(), *family.pods.purge()):
            self._homes.pop(uid, None)
        if not family.jobs and not family.pods:
            del self._families[key]

    # -- what a pass sees --

    def memory(self, key: Key) -> Memory:
        """Notes of this process about an object; they go with it."""
        known = key in self._tasks or key in self._executions
        return self._memories.setdefault(key, Memory()) if known else Memory()

    def execution_world(self, key: Key, limits: Limits) -> ExecutionWorld | None:
        """The picture of one execution; None when it is gone."""
        execution = self._executions.get(key)
        if execution is None:
            return None
        family = self._families.get(key) or _Family()
        memory = self._memories.get(key) or Memory()
        owner = execution.meta
        owner_task = self._tasks.get(Key(Kind.TASK, key.namespace, owner.task_name))
        return ExecutionWorld(
            execution=execution,
            limits=limits,
            tasks=self._tasks_of(key, execution),
            owner_alive=not owner.task_uid
            or (
                owner_task is not None
                and owner_task.meta.uid == owner.task_uid
                and not owner_task.meta.deleting
            ),
            jobs=tuple(family.jobs),
            pods=tuple(family.pods),
            gone=frozenset(family.jobs.gone | family.pods.gone),
            rivals=tuple(self._executions[rival] for rival in self.rivals_of(key)),
            heard=memory.heard,
            logs=memory.logs,
            asked=memory.asked,
            refused=memory.refused,
            troubles=memory.troubles,
            written_at=memory.written_at,
        )

    def _tasks_of(self, key: Key, execution: Execution) -> dict[str, Task]:
        """The Task an execution names; all that it depends on where a plan is yet to be made."""
        task_key = self.task_of(key)
        if task_key is None:
            return {}
        resolved = (execution.spec and execution.spec.plan) or execution.status.plan
        if not resolved and not execution.final:
            return self._with_dependencies(task_key)
        task = self._tasks.get(task_key)
        return {task_key.name: task} if task else {}

    def _with_dependencies(self, key: Key) -> dict[str, Task]:
        found: dict[str, Task] = {}
        todo = [key.name]
        while todo:
            name = todo.pop()
            task = self._tasks.get(Key(Kind.TASK, key.namespace, name))
            if task and name not in found:
                found[name] = task
                todo.extend(_depends_on(task))
        return found

    def task_world(self, key: Key, limits: Limits) -> TaskWorld | None:
        """The picture of one Task; None when it is gone."""
        task = self._tasks.get(key)
        if task is None:
            return None
        memory = self._memories.get(key) or Memory()
        return TaskWorld(
            task=task,
            limits=limits,
            executions=tuple(self._executions[e] for e in self._by_task.get(key, ())),
            tasks=self._with_dependencies(key),
            refused=memory.refused,
            tried=memory.tried,
            written_at=memory.written_at,
        )


def _depends_on(task: Task | None) -> tuple[str, ...]:
    return (task.spec.depends_on or ()) if task and task.spec else ()


def child_key(raw: JsonObject) -> Key | None:
    """The execution that a Job or pod says it belongs to."""
    meta = raw["metadata"]
    name = (meta.get("labels") or {}).get(names.LABEL_EXECUTION)
    return Key(Kind.EXECUTION, meta["namespace"], name) if name else None


def _key(kind: Kind, raw: JsonObject) -> Key:
    return Key(kind, raw["metadata"]["namespace"], raw["metadata"]["name"])


def _state(raw: JsonObject) -> tuple[str, int]:
    """Which object, and which state of it."""
    meta = raw["metadata"]
    return meta["uid"], int(meta["resourceVersion"])


def _version(meta: Meta) -> int:
    return int(meta.resource_version)
