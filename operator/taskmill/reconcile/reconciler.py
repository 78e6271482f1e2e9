"""One pass over one object: observe, decide, store the status, act.

No policy lives here. A pass that fails anywhere is run again from the start; every step of it may
be repeated.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import assert_never

from taskmill.api.execution import TaskExecutionStatus
from taskmill.api.meta import API_VERSION
from taskmill.api.pod import MAIN
from taskmill.api.task import TaskStatus
from taskmill.diagnose.facts import parse_event
from taskmill.kube.client import EVENTS, EXECUTIONS, JOBS, PODS, TASKS, KubeClient, Resource
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
)
from taskmill.kube.events import warning
from taskmill.plan.decision import (
    Action,
    CreateExecution,
    CreateJob,
    Decision,
    DeleteExecution,
    DeleteJob,
    LimitJob,
    ReadChildren,
    ReadEvents,
    ReadLog,
    StopPod,
    TellEvent,
    TryJob,
)
from taskmill.plan.executions import decide as executions
from taskmill.plan.names import LABEL_EXECUTION_UID, LABEL_TASK
from taskmill.plan.tasks import decide as tasks
from taskmill.plan.world import Execution, Heard, Limits, Meta, Refusal, Refused, Task, Tried
from taskmill.reconcile.cache import Cache, JsonObject, Key, Kind
from taskmill.reconcile.feed import ROLL_UP_IN, look_at_everything
from taskmill.reconcile.gate import Gate, NoPlaceError
from taskmill.reconcile.merge import merge_patch
from taskmill.reconcile.outage import Outage
from taskmill.reconcile.pace import Pace
from taskmill.reconcile.queue import WorkQueue
from taskmill.reconcile.refusals import TRY_AGAIN, refused

log = logging.getLogger(__name__)

EVENTS_KEPT = 20
"""Newest Events that are looked at."""
LOG_LINES = 20
LOG_BYTES = LOG_LINES * 16 * 1024
"""How much of the end of a log is read for its last words; longer lines are broken by the container
runtime, and what exceeds the limit is the very end."""
AT_ONCE = 8
"""Creations of one execution under way at the same time."""
CREATING = timedelta(seconds=0.5)
"""How long a pass goes on creating: what is to be stopped meanwhile is seen by the next one."""

RESOURCES = {Kind.TASK: TASKS, Kind.EXECUTION: EXECUTIONS}


STOP_AGAIN = 1.0
"""Seconds until a pod that could not be stopped is asked again."""
LOOK_UP = 1.0
"""Seconds until a run is looked at that waits for its turn to have its first Job created."""
AFTER_CONFLICT = 0.05
"""Seconds until what was stale is decided anew."""
FORGET_AFTER = timedelta(hours=1)
"""How long after it might have been tried again a refusal is still known."""
LIMIT_AGAIN = timedelta(minutes=1)
"""Until a Job whose deadline could not be set is tried again."""
LISTED_IN = 5.0
"""Seconds for the Jobs and pods of one execution."""
ASK_AGAIN = 0.5
"""Seconds until a server that cannot list them is asked again."""
HEARD_IN = 2.0
"""Seconds for the Events of one object."""
DEAF = 3.0
"""Seconds for which nobody asks for others of its namespace after that; a verdict waits longer."""
ANSWERED_IN = timedelta(seconds=5)
"""How long a verdict waits for the Events that may explain it."""
AFTER_ACTING = timedelta(seconds=0.1)
"""Until the next pass of what was acted on."""
AFTER_CREATING = timedelta(seconds=2)
"""The same when all that was done is making a Job: there will be news of it before."""
CREATIONS = 16
"""Creations under way at the same time: half of the workers."""
OTHERS_CLOCK = timedelta(seconds=5)
"""How much later than ours an API server's clock may be when ages are compared."""


Creation = CreateJob | CreateExecution
Lookup = ReadChildren | ReadEvents | ReadLog
Status = TaskExecutionStatus | TaskStatus


class PassOverError(Exception):
    """Nothing more to do in this pass: the object is gone, or another replica acts now."""


class Reconciler:
    """Runs passes for the keys of a queue, while this replica leads."""

    def __init__(
        self,
        *,
        client: KubeClient,
        cache: Cache,
        queue: WorkQueue[Key],
        limits: Limits,
        is_leading: Callable[[], bool],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._cache = cache
        self._metrics = cache.metrics
        self._queue = queue
        self._limits = limits
        self._is_leading = is_leading
        self._clock = clock
        self._outage = Outage(queue.add_in)
        self._creations = Gate(CREATIONS, queue.add)
        self._words, self._questions = Pace(), Pace()
        self._deaf_until: dict[str, float] = {}
        """By namespace, in the loop's time; a webhook or a store may be slow for one alone."""
        self._since = datetime.max.replace(tzinfo=UTC)
        """When this process began to lead."""
        self._read: set[str] = set()
        """uids of executions older than that which were read from the API since."""
        self._doubted: set[str] = set()
        """uids of executions for which a creation got no answer."""

    def take_over(self) -> None:
        """Lead from now on: look at everything, trust nothing that another replica left."""
        self._since = self._clock() + OTHERS_CLOCK
        self._read.clear()
        self._doubted.clear()
        self._outage = Outage(self._queue.add_in)
        for key in self._cache.everything():
            self._cache.memory(key).troubles = ()
            self._cache.memory(key).forget_answers()
        look_at_everything(self._cache, self._queue)

    async def work(self) -> None:
        """Serve the queue for ever."""
        while True:
            key = await self._queue.get()
            try:
                if self._is_leading():
                    await self._timed_pass(key)
            finally:
                self._creations.passed(key)
                self._queue.done(key)
            # Most passes wait for nothing: ten thousand in a row would keep the Lease waiting.
            await asyncio.sleep(0)

    async def _timed_pass(self, key: Key) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self._pass(key)
        self._metrics.passed(key.kind, loop.time() - began)

    async def _pass(self, key: Key) -> None:
        if self._cache.is_untouched(key) and self._creations.lines_up(key):
            self._queue.add_in(key, LOOK_UP)
            self._outage.unsure(key)
            return
        try:
            try:
                await self.reconcile(key)
            except (Conflict, Gone):
                # Stale, not wrong: read what is there and decide anew, but not in a loop.
                await self._refresh(key, within=AFTER_CONFLICT)
        except Unreachable as error:
            log.debug("%s: %s", key, error)
            self._metrics.pass_failed(key.kind, "unreachable")
            # What was asked before the outage is no answer after it.
            self._cache.memory(key).forget_answers()
            self._outage.met(key)
            return
        except PassOverError:
            self._outage.unsure(key)
            return
        except NoPlaceError:
            self._outage.unsure(key)
            return
        except Throttled as error:
            self._metrics.pass_failed(key.kind, "throttled")
            self._queue.add_in(key, error.retry_after or 1.0)
        except (ApiError, UnknownOutcome) as error:
            log.warning("%s: %s; trying again", key, error)
            self._metrics.pass_failed(key.kind, "refused")
            self._queue.retry(key)
        except Exception:
            log.exception("%s: a bug in taskmill; trying again", key)
            self._metrics.pass_failed(key.kind, "bug")
            self._queue.retry(key)
        else:
            self._queue.forget(key)
        self._outage.over(key)

    async def reconcile(self, key: Key) -> None:
        """One pass."""
        now = self._clock()
        old: Execution | Task
        if key.kind is Kind.EXECUTION:
            world = self._cache.execution_world(key, self._limits)
            if world is None:
                return
            old, decision = world.execution, executions.decide(world, now)
            self._cache.memory(key).troubles = decision.troubles
            self._log_state(key, old.meta, old.status)
        else:
            task_world = self._cache.task_world(key, self._limits)
            if task_world is None:
                return
            old, decision = task_world.task, tasks.decide(task_world, now)
        decision = self._paced(key, decision, now)
        if decision.status is not None:
            patch = merge_patch(old.status.to_api(), decision.status.to_api())
            await self._store(key, old.meta, patch, now)
            self._log_state(key, old.meta, decision.status)
        creates = any(isinstance(action, Creation) for action in decision.actions)
        if creates and await self._reread(key, old.meta):
            return
        try:
            await self._perform(key, old.meta, decision.actions, now)
        except NoPlaceError:
            # Called when it is its turn; meanwhile its deadline counts all the same.
            self._look_at(key, decision.look_at)
            raise
        looks = [decision.look_at]
        if decision.actions:
            # What they changed decides what is next. Not at once: should they change nothing,
            # that must not become a loop.
            looks.append(now + (AFTER_CREATING if self._made_all(key, decision) else AFTER_ACTING))
        self._look_at(key, min(filter(None, looks), default=None))

    def _made_all(self, key: Key, decision: Decision) -> bool:
        """Whether a Job was to be made, nothing else, and that was not refused."""
        [first, *more] = decision.actions
        refused = self._cache.memory(key).refused
        made = isinstance(first, CreateJob) and first.body["metadata"]["name"] not in refused
        return made and not more

    def _look_at(self, key: Key, at: datetime | None) -> None:
        if at:
            # What is due already and changes nothing must not become a loop, either. The pass may
            # have taken its time: a deadline does not wait for that.
            self._queue.add_in(key, max(at - self._clock(), AFTER_ACTING).total_seconds())

    def _paced(self, key: Key, decision: Decision, now: datetime) -> Decision:
        """Without what has to wait because there is a crowd."""
        memory, status = self._cache.memory(key), decision.status
        time = asyncio.get_running_loop().time()
        waits: list[float] = []
        since, memory.held_since = memory.held_since or time, None
        at = since + decision.patience.total_seconds()
        if status is not None and time < at and not self._words.allows(time):
            memory.held_since, status = since, None
            waits.append(at)
        patient = [a for a in decision.actions if isinstance(a, ReadEvents) and a.patient]
        turns, memory.turns = memory.turns, {}
        held: list[Action] = []
        for question in patient:
            turn = turns.get(question.uid) or self._questions.turn(time)
            if time < turn:
                memory.turns[question.uid] = turn
                held.append(question)
                waits.append(turn)
        if not waits:
            return decision
        actions = tuple(action for action in decision.actions if action not in held)
        looks = [decision.look_at, now + timedelta(seconds=min(waits) - time)]
        look_at = min(filter(None, looks))
        return replace(decision, status=status, actions=actions, look_at=look_at)

    async def _perform(
        self, key: Key, meta: Meta, actions: Sequence[Action], now: datetime
    ) -> None:
        """All of them: what must end first, what only explains last, none kept by another."""
        creations = [action for action in actions if isinstance(action, CreateJob)]
        stops = [action for action in actions if isinstance(action, StopPod)]
        lookups = [action for action in actions if isinstance(action, ReadEvents | ReadLog)]
        questions = [action for action in actions if isinstance(action, ReadChildren)]
        deeds = [a for a in actions if not isinstance(a, CreateJob | StopPod | Lookup)]
        errors = [*await self._together(key, meta, stops, now)]
        # Endings wait for the answer: not behind creations, which may hang.
        if questions and not await self._read_children(key, questions):
            errors.append(PassOverError())
        errors += await self._together(key, meta, deeds, now)
        await self._create_jobs(key, meta, creations, now)
        errors += await self._together(key, meta, lookups, now)
        if errors:
            raise errors[0]

    async def _together(
        self, key: Key, meta: Meta, actions: Sequence[Action], now: datetime
    ) -> list[BaseException]:
        """Some at the same time; what went wrong. Raises `Unreachable`: the others would, too."""
        errors: list[BaseException] = []
        for first in range(0, len(actions), AT_ONCE):
            done = await asyncio.gather(
                *(self._act(key, meta, one, now) for one in actions[first : first + AT_ONCE]),
                return_exceptions=True,
            )
            errors += [error for error in done if error is not None]
            for error in errors:
                if isinstance(error, Unreachable):
                    raise error
        return errors

    def _log_state(self, key: Key, meta: Meta, status: Status) -> None:
        """A line for each state of an execution; never its sentences, which quote what it printed.

        Asked before each write, too: the one before may have been stored and not answered.
        """
        if not isinstance(status, TaskExecutionStatus):
            return
        memory, state = self._cache.memory(key), (status.phase, status.reason)
        known, memory.logged = memory.logged, state
        if known is None or known == state:
            return
        fields = {
            "kind": key.kind.value,
            "namespace": key.namespace,
            "name": key.name,
            "uid": meta.uid,
            "phase": status.phase or "",
            "reason": status.reason or "",
        }
        log.info("state changed", extra={"fields": fields})

    # -- writes --

    def _check_leading(self) -> None:
        """Asked right before each write: an expired lease ends them at once."""
        if not self._is_leading():
            raise PassOverError

    async def _store(self, key: Key, meta: Meta, status: JsonObject, now: datetime) -> None:
        self._check_leading()
        body = {"metadata": {"resourceVersion": meta.resource_version}, "status": status}
        resource = RESOURCES[key.kind]
        try:
            stored = await self._client.patch(
                resource, key.namespace, key.name, body, subresource="status"
            )
        except NotFound:
            await self._refresh(key)
            raise PassOverError from None
        if self._cache.uid(key) != meta.uid:
            # It went away meanwhile; this answer must not bring it back.
            raise PassOverError
        self._cache.memory(key).written_at = now
        self._observe(key, stored)

    async def _act(self, key: Key, meta: Meta, action: Action, now: datetime) -> None:
        match action:
            case CreateJob():
                await self._create_jobs(key, meta, [action], now)
            case DeleteJob(name, job_uid):
                await self._delete_job(key, name, job_uid)
            case LimitJob(name, job_uid, seconds):
                await self._limit_job(key, name, job_uid, seconds, now)
            case StopPod(name, pod_uid):
                await self._stop_pod(key, name, pod_uid)
            case ReadChildren() | ReadEvents() | ReadLog():
                await self._look_up(key, action, now)
            case TellEvent(name, reason, message):
                event = warning(
                    {
                        "apiVersion": API_VERSION,
                        "kind": key.kind.value,
                        "namespace": key.namespace,
                        "name": key.name,
                        "uid": meta.uid,
                    },
                    name=name,
                    reason=reason,
                    message=message,
                    now=now,
                )
                await self._tell_event(key, event)
            case CreateExecution(body):
                await self._create_execution(key, meta, body, now)
            case DeleteExecution(name, execution_uid):
                await self._delete_execution(key, name, execution_uid)
            case TryJob(body, generation):
                await self._try_job(key, meta, body, generation, now)
            case _:
                assert_never(action)

    async def _reread(self, key: Key, meta: Meta) -> bool:
        """Whether it had to be read before the first creation for it, and is decided anew."""
        old = meta.created_at < self._since and meta.uid not in self._read
        if not old and meta.uid not in self._doubted:
            return False
        # Another process, or a request without an answer, may have come this far already.
        await self._refresh(key)
        if key.kind is Kind.TASK:
            runs, _ = await self._client.list(
                EXECUTIONS, key.namespace, label_selector=f"{LABEL_TASK}={key.name}"
            )
            for run in runs:
                self._meet(run)
        self._doubted.discard(meta.uid)
        self._read.add(meta.uid)
        return True

    async def _create_jobs(
        self, key: Key, meta: Meta, wanted: Sequence[CreateJob], now: datetime
    ) -> None:
        for first in range(0, len(wanted), AT_ONCE):
            jobs = await asyncio.gather(
                *(
                    self._create(JOBS, key, one.body, meta.uid, now)
                    for one in wanted[first : first + AT_ONCE]
                ),
                return_exceptions=True,
            )
            for job in jobs:
                if isinstance(job, dict):
                    self._cache.observe_job(job)
            for error in jobs:
                if isinstance(error, BaseException):
                    raise error
            if self._clock() - now > CREATING:
                return

    async def _create_execution(
        self, key: Key, meta: Meta, body: JsonObject, now: datetime
    ) -> None:
        execution = await self._create(EXECUTIONS, key, body, meta.uid, now)
        if execution is not None:
            self._meet(execution)

    def _meet(self, execution: JsonObject) -> None:
        """Take in an execution that no watch may have told of: then none will have it looked at."""
        if key := self._cache.observe_execution(execution):
            for one in (key, *self._cache.rivals_of(key)):
                self._queue.add(one)

    async def _try_job(
        self, key: Key, meta: Meta, body: JsonObject, generation: int, now: datetime
    ) -> None:
        """Only what the manifest is to blame for counts: there may be room or rights later."""
        self._check_leading()
        message = ""
        try:
            await self._client.create(JOBS, key.namespace, body, dry_run=True)
        except Unauthorized:
            raise
        except Unreachable as error:
            # Maybe a webhook that hangs: nobody else is to wait for that.
            log.warning("%s: the dry run of its Job got no answer: %s", key, error)
        except ApiError as error:
            answer = refused(error, now, None)
            # A webhook with side effects refuses every dry run, whatever it is of.
            blames = answer.kind is Refusal.FINAL and "dry run" not in answer.message
            message = answer.message if blames else ""
        if self._cache.uid(key) == meta.uid:
            self._cache.memory(key).tried = Tried(generation, message, now)

    async def _create(
        self, resource: Resource, key: Key, body: JsonObject, owner: str, now: datetime
    ) -> JsonObject | None:
        """The created object, or the same one from an earlier try; None when it was refused."""
        memory, name = self._cache.memory(key).refused, body["metadata"]["name"]
        with self._creations.place(key):
            self._check_leading()
            try:
                made = await self._client.create(resource, key.namespace, body)
            except AlreadyExists as error:
                made = await self._client.get(resource, key.namespace, name)
                if not _is_ours(made, body, owner):
                    words = f"{error.message} and is not ours"
                    memory[name] = Refused(Refusal.FINAL, words, now, now + TRY_AGAIN)
                    return None
            except (Unauthorized, Unreachable):
                raise
            except (ApiError, UnknownOutcome) as error:
                log.info("%s: %s %s refused: %s", key, resource, name, error)
                if isinstance(error, UnknownOutcome) and resource is JOBS:
                    self._doubted.add(owner)
                for other in [n for n, r in memory.items() if r.again_at < now - FORGET_AFTER]:
                    del memory[other]
                # A run may come through after we gave it up; the next one has another name.
                at = self._clock() if resource is EXECUTIONS else now
                memory[name] = refused(error, at, memory.get(name))
                return None
        memory.pop(name, None)
        return made

    async def _limit_job(self, key: Key, name: str, uid: str, seconds: int, now: datetime) -> None:
        self._check_leading()
        body = {"metadata": {"uid": uid}, "spec": {"activeDeadlineSeconds": seconds}}
        try:
            self._cache.observe_job(await self._client.patch(JOBS, key.namespace, name, body))
        except Unreachable:
            raise
        except (ApiError, UnknownOutcome) as error:
            if _is_gone(error):
                self._cache.bury(uid)
                return
            # A backstop for when we are away: nothing else waits for it.
            log.warning("%s: the deadline of Job %s cannot be set: %s", key, name, error)
            refusal = Refused(Refusal.PASSING, str(error), now, now + LIMIT_AGAIN)
            self._cache.memory(key).refused[name] = refusal

    async def _delete_execution(self, key: Key, name: str, uid: str) -> None:
        self._check_leading()
        try:
            await self._client.delete(EXECUTIONS, key.namespace, name, uid=uid)
        except (NotFound, Conflict) as error:
            if not _is_gone(error):
                raise
            log.debug("%s: TaskExecution %s was gone", key, name)
        self._forget(Key(Kind.EXECUTION, key.namespace, name), uid)

    async def _delete_job(self, key: Key, name: str, uid: str) -> None:
        self._check_leading()
        try:
            await self._client.delete(JOBS, key.namespace, name, uid=uid)
        except (NotFound, Conflict) as error:
            if not _is_gone(error):
                raise
            # Gone already, or another Job by now: either way not ours to delete.
            log.debug("%s: Job %s was gone", key, name)
        self._cache.bury(uid)

    async def _stop_pod(self, key: Key, name: str, uid: str) -> None:
        self._check_leading()
        # The uid in the body is a precondition: never another pod of this name.
        body = {"metadata": {"uid": uid}, "spec": {"activeDeadlineSeconds": 1}}
        try:
            pod = await self._client.patch(PODS, key.namespace, name, body)
        except (ApiError, UnknownOutcome) as error:
            if _is_gone(error):
                self._cache.bury(uid)
                return
            # Until it is given up there are seconds, too few for the usual delays.
            log.warning("%s: pod %s cannot be stopped: %s; trying again", key, name, error)
            self._queue.add_in(key, STOP_AGAIN)
            raise PassOverError from error
        self._cache.observe_pod(pod)

    async def _tell_event(self, key: Key, event: JsonObject) -> None:
        self._check_leading()
        try:
            await self._client.create(EVENTS, key.namespace, event)
        except AlreadyExists:
            log.debug("%s: told already", key)
        except Unreachable:
            raise
        except (ApiError, UnknownOutcome) as error:
            # The status says the same: nothing waits for an Event.
            log.info("%s: an Event cannot be written: %s", key, error)

    # -- reads --

    async def _look_up(self, key: Key, action: Lookup, now: datetime) -> None:
        match action:
            case ReadChildren():
                await self._read_children(key, [action])
            case ReadEvents():
                await self._read_events(key, action, now)
            case ReadLog(pod, uid):
                await self._read_log(key, pod, uid)

    async def _read_children(self, key: Key, questions: Sequence[ReadChildren]) -> bool:
        """Once for all of them; whether each has its answer, or waits for none any more.

        Who finds the server silent waits for it elsewhere: by writing.
        """
        memory, uid = self._cache.memory(key), self._cache.uid(key)
        until = {
            q.why: memory.asking.setdefault(q.why, self._clock()) + q.patience for q in questions
        }
        mine = f"{LABEL_EXECUTION_UID}={uid}"
        jobs: list[JsonObject] = []
        pods: list[JsonObject] = []
        try:
            async with asyncio.timeout(LISTED_IN):
                # At the same time: a server that is behind takes 3 s for each.
                jobs, pods = await self._list_both(key.namespace, mine)
        except (ApiError, TimeoutError) as error:
            now = self._clock()
            waits = (
                [] if isinstance(error, Forbidden) else [at for at in until.values() if at > now]
            )
            if waits:
                asked = error.retry_after if isinstance(error, ApiError) else None
                left = (min(waits) - now).total_seconds()
                memory.asked.update(why for why, at in until.items() if at <= now)
                self._queue.add_in(key, min(asked or ASK_AGAIN, left))
                return False
            log.warning("%s: its Jobs and pods cannot be read: %s", key, error)
        if self._cache.uid(key) != uid:
            return True
        for job in jobs:
            self._cache.observe_job(job)
        for pod in pods:
            self._cache.observe_pod(pod)
        memory.asked.update(until)
        # What waited for this is due.
        self._queue.add(key)
        return True

    async def _list_both(
        self, namespace: str, selector: str
    ) -> tuple[list[JsonObject], list[JsonObject]]:
        """Jobs and pods; the second question ends with the first that goes wrong."""
        try:
            async with asyncio.TaskGroup() as group:
                jobs, pods = (
                    group.create_task(
                        self._client.list(resource, namespace, label_selector=selector)
                    )
                    for resource in (JOBS, PODS)
                )
        except ExceptionGroup as group_of_errors:
            raise group_of_errors.exceptions[0] from None
        return jobs.result()[0], pods.result()[0]

    async def _read_events(self, key: Key, question: ReadEvents, now: datetime) -> None:
        """They only explain: what is due waits for them for seconds, everything else not at all."""
        memory, about = self._cache.memory(key), question.uid
        known = memory.heard.get(about) or Heard((), now, tentative=True)
        raw = await self._list_events(key, about)
        if raw is not None:
            events = sorted(map(parse_event, raw), key=lambda e: e.at or now)
            memory.heard[about] = Heard(tuple(events[-EVENTS_KEPT:]), now)
            return
        memory.heard[about] = replace(known, at=now)
        if not known.tentative or question.patient:
            return
        until = memory.asking.setdefault(f"Events of {about}", self._clock()) + ANSWERED_IN
        if self._clock() < until:
            self._queue.add_in(key, ASK_AGAIN)
            raise PassOverError
        memory.heard[about] = Heard((), now)

    async def _list_events(self, key: Key, about: str) -> list[JsonObject] | None:
        """None where they cannot be read; they may have a store of their own, which is away alone.

        That the server is will be seen by the next write.
        """
        began = asyncio.get_running_loop().time()
        if began < self._deaf_until.get(key.namespace, began):
            return None
        try:
            async with asyncio.timeout(HEARD_IN):
                raw, _ = await self._client.list(
                    EVENTS, key.namespace, field_selector=f"involvedObject.uid={about}"
                )
        except Unauthorized:
            raise
        except TimeoutError:
            log.warning("%s: its Events cannot be read: no answer in %g s", key, HEARD_IN)
            # Whoever asks waits as long, and a plan may ask for each of its steps.
            self._deaf_until[key.namespace] = began + HEARD_IN + DEAF
            return None
        except ApiError as error:
            log.warning("%s: its Events cannot be read: %s", key, error)
            return None
        return raw

    async def _read_log(self, key: Key, pod: str, uid: str) -> None:
        try:
            text = await self._client.log(
                key.namespace, pod, MAIN, lines=LOG_LINES, most_bytes=LOG_BYTES
            )
        except ApiError as error:
            # It only explains: the verdict does without. A node that is away looks like an API
            # server that is, and may never come back.
            log.info("%s: the log of pod %s cannot be read: %s", key, pod, error)
            text = ""
        self._cache.memory(key).logs[uid] = text

    async def _refresh(self, key: Key, *, within: float = 0.0) -> None:
        """Replace what is cached by what is stored."""
        uid = self._cache.uid(key)
        try:
            raw = await self._client.get(RESOURCES[key.kind], key.namespace, key.name)
        except NotFound:
            self._forget(key, uid)
            return
        self._observe(key, raw)
        self._queue.add_in(key, within)

    def _forget(self, key: Key, uid: str | None) -> None:
        """It is gone, unless it was made anew since we asked; whoever looks at it looks again."""
        others = (
            key,
            self._cache.task_of(key),
            *self._cache.rivals_of(key),
            *self._cache.waiting_for(key),
        )
        if uid and self._cache.drop(key, uid):
            for other in filter(None, others):
                self._queue.add(other)

    def _observe(self, key: Key, raw: JsonObject) -> None:
        if key.kind is Kind.TASK:
            self._cache.observe_task(raw)
            return
        self._cache.observe_execution(raw)
        for rival in self._cache.rivals_of(key):
            self._queue.add(rival)
        if task := self._cache.task_of(key):
            self._queue.add_in(task, ROLL_UP_IN)


def _is_gone(error: ApiError | UnknownOutcome) -> bool:
    """Whether the object we named is no more: none of the name, or one of another uid."""
    # A conflict may also be about the server's own tries, or a webhook's word.
    other = isinstance(error, Conflict) and "UID in precondition" in error.message
    changed = isinstance(error, Invalid) and "metadata.uid" in error.message
    return isinstance(error, NotFound) or other or changed


def _is_ours(found: JsonObject, wanted: JsonObject, owner: str) -> bool:
    """Whether what has the name is what we would have created: by owner and by our labels."""
    meta = found["metadata"]
    owners = meta.get("ownerReferences") or ()
    owned = any(o.get("controller") and o.get("uid") == owner for o in owners)
    labels = wanted["metadata"]["labels"].items()
    return owned and labels <= (meta.get("labels") or {}).items()
