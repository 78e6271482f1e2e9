"""What must hold, whatever happens: looked at with every change, and once all is quiet."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from simulation.api import Api, Change, Json, owned_by
from simulation.cluster import Behaviour, Cluster, Run, moment
from simulation.loop import Process
from simulation.net import LATEST
from taskmill.api.duration import parse_duration
from taskmill.kube.resources import EVENTS, EXECUTIONS, JOBS, LEASES, PODS, TASKS
from taskmill.kube.transport import Call
from taskmill.plan import names

FINAL = {"Succeeded", "Failed", "Stopped"}
GRACE = 3.0
"""Of every step, in seconds."""
KUBELET = 8.0
"""Seconds it takes at most to see that a pod is to end."""
SLACK = 12.0
"""Seconds for pull, start, end and what controllers need for it."""
MOST_PER_SECOND = 120
"""Requests of one process for each second in which it sends any: more is a loop without a pause."""
QUIET = 25.0
"""Seconds without a change, after which all is over: longer than any request is under way."""
RETIRED = 150.0
"""Seconds after a verdict in which the Jobs must have been deleted: two minutes of retention."""
TAKERS = {"person", "namespaces"}
"""Who deletes what is ours, and not because its owner is gone."""
IDLE = 40
"""Requests in 20 seconds of a quiet world: watches that end, a resync."""
SENTENCE = 1024


class Violation(AssertionError):  # noqa: N818 - of a promise
    """A promise that was broken."""


@dataclass
class Oracle:
    """Follows one history. `touched` are uids of what a person meddled with."""

    api: Api
    cluster: Cluster
    touched: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)
    """uids of executions that a person asked to stop."""
    bereaved: set[str] = field(default_factory=set)
    """uids of executions of which a person deleted a Job or pod, or their namespace, or a node was
    lost."""
    queued: set[str] = field(default_factory=set)
    """uids of executions of which a Job was suspended."""
    evictions: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    """How often the Job of an attempt (execution, step, number) was suspended while it ran."""
    upset_until: float = 0.0
    """When the last thing that went wrong has been got over."""
    calm: bool = False
    """Whether nothing but people disturbs this history."""
    on_broken: Callable[[Violation], None] = lambda _: None

    def __post_init__(self) -> None:
        self.untold: set[str] = set()
        """uids of executions of which a Job was deleted before their status named it: the one thing
        that cannot be known once the operator has died as well, but for a write more a run."""
        self.requests: Counter[tuple[str, int]] = Counter()
        self.verdicts: dict[str, Json] = {}
        self.verdict_at: dict[str, float] = {}
        self.jobs: Counter[tuple[str, str]] = Counter()
        self.made: Counter[str] = Counter()
        self.deleted_at: dict[str, float] = {}
        self.story: list[str] = []
        self._starts: dict[tuple[str, str, int], list[Run]] = defaultdict(list)
        self._seen = 0
        self._changed_at = 0.0
        self.api.listeners.append(self.changed)

    def tell(self, words: str) -> None:
        """A line for whoever reads the history of a seed."""
        self.story.append(f"{self.cluster.now():8.3f} {words}")

    def broken(self, words: str) -> None:
        self.tell(f"BROKEN {words}")
        violation = Violation(words)
        # Raised within the operator, it might be taken for one more mishap.
        self.on_broken(violation)
        raise violation

    # -- each request --

    def sent(self, process: Process, call: Call) -> None:
        """Only who holds the Lease writes."""
        if call.resource is not LEASES:
            second = int(self.cluster.now())
            self.requests[process.name, second] += 1
            if self.requests[process.name, second] > MOST_PER_SECOND:
                self.broken(f"{process} sends more than {MOST_PER_SECOND} requests in a second")
        if call.resource is LEASES or not call.changes:
            return
        lease = next(self.api.all(LEASES), None)
        holder = lease["spec"].get("holderIdentity") if lease else None
        if holder != process.name.partition("#")[0]:
            self.broken(f"{process} writes ({call}) while {holder} holds the Lease")

    # -- each change --

    def changed(self, change: Change) -> None:
        if change.resource in (LEASES, EVENTS):
            return
        self._changed_at = change.at
        meta = change.new["metadata"]
        uid = meta["uid"]
        if change.kind == "DELETED" or "deletionTimestamp" in meta:
            self.deleted_at.setdefault(uid, change.at)
        if change.resource is JOBS and change.kind == "ADDED":
            self._job_made(change)
        if change.resource is JOBS and change.kind == "DELETED" and change.author in TAKERS:
            self._job_taken(change)
        if change.resource is EXECUTIONS:
            self._execution(change)
        if change.resource is TASKS and "#" in change.author and change.kind == "MODIFIED":
            old = change.old or {}
            same = old.get("spec") == change.new.get("spec")
            if not same or old["metadata"].get("labels") != meta.get("labels"):
                self.broken(f"{change.author} wrote more than the status of Task {meta['name']}")
        self._look_at_runs()
        if change.resource in (JOBS, EXECUTIONS, TASKS, PODS):
            status = change.new.get("status") or {}
            conditions = [
                c["type"] for c in status.get("conditions") or () if c["status"] == "True"
            ]
            said = " ".join(filter(None, (status.get("phase"), status.get("reason"), *conditions)))
            what = f"{change.resource.plural} {meta['namespace']}/{meta['name']}"
            self.tell(f"{change.author}: {change.kind} {what} {said}")

    def evicted(self, job: Json) -> None:
        """A queue takes back the place of a Job."""
        labels = job["metadata"]["labels"]
        uid = labels[names.LABEL_EXECUTION_UID]
        self.evictions[uid, labels[names.LABEL_STEP], int(labels[names.LABEL_ATTEMPT])] += 1

    def _job_made(self, change: Change) -> None:
        labels = change.new["metadata"]["labels"]
        owner = labels[names.LABEL_EXECUTION_UID]
        if change.new["spec"].get("suspend"):
            self.queued.add(owner)
        gone = self.deleted_at.get(owner)
        # What was sent before is not stopped by anybody; the collector takes it away.
        if gone is not None and change.sent_at > gone + LATEST:
            self.broken(f"Job {change.new['metadata']['name']} made for what was deleted")
        over = owner in self.verdicts and owner not in self.touched
        if over and change.sent_at > self.verdict_at[owner] + 0.001:
            self.broken(f"Job {change.new['metadata']['name']} made after the verdict")

    def _job_taken(self, change: Change) -> None:
        labels = change.new["metadata"]["labels"]
        execution = self._by_uid(labels[names.LABEL_EXECUTION_UID])
        steps = ((execution or {}).get("status") or {}).get("steps") or ()
        if change.new["metadata"]["name"] not in {step.get("jobName") for step in steps}:
            self.untold.add(labels[names.LABEL_EXECUTION_UID])

    def _execution(self, change: Change) -> None:
        meta, status = change.new["metadata"], change.new.get("status") or {}
        uid = meta["uid"]
        if change.kind == "ADDED" and "#" in change.author:
            self.made[meta["name"]] += 1
            if self.made[meta["name"]] > 1:
                self.broken(f"execution {meta['name']} was made twice")
            gone = self.deleted_at.get(owned_by(change.new), math.inf)
            if change.sent_at > gone + LATEST:
                self.broken(f"execution {meta['name']} made for what was deleted")
        if uid in self.touched:
            return
        verdict = {k: status.get(k) for k in ("phase", "reason", "failureMessage", "completedAt")}
        if before := self.verdicts.get(uid):
            if verdict != before:
                self.broken(f"the verdict on {meta['name']} changed: {before} -> {verdict}")
        elif status.get("phase") in FINAL:
            self.verdicts[uid] = verdict
            self.verdict_at[uid] = change.at
            self._judge(change.new)
            self._judge_calm(change.new)
        for step in status.get("steps") or ():
            if step.get("phase") in FINAL and not step.get("attempt"):
                self.broken(f"step {step['id']} of {meta['name']} ended without an attempt")

    def _look_at_runs(self) -> None:
        """Every container that started since the last look."""
        for run in self.cluster.runs[self._seen :]:
            self._seen += 1
            before = self._starts[run.execution, run.step, run.attempt]
            before.append(run)
            if run.execution in self.touched | self.untold:
                continue
            if len(before) > 1 + self.evictions[run.execution, run.step, run.attempt]:
                self.broken(f"step {run.step} attempt {run.attempt} started twice")
            earlier = [
                other
                for (uid, step, number), others in self._starts.items()
                if (uid, step) == (run.execution, run.step) and number < run.attempt
                for other in others
            ]
            for other in earlier:
                if other.ended is None:
                    numbers = f"{other.attempt} and {run.attempt}"
                    self.broken(f"step {run.step}: attempts {numbers} at once")
            execution = self._by_uid(run.execution)
            if execution:
                self._after_dependencies(execution, run)
                self._before_success(execution, run)

    def _by_uid(self, uid: str) -> Json | None:
        return next((e for e in self.api.all(EXECUTIONS) if e["metadata"]["uid"] == uid), None)

    def _after_dependencies(self, execution: Json, run: Run) -> None:
        plan = execution["spec"].get("plan") or (execution.get("status") or {}).get("plan") or ()
        for step in plan:
            if step["id"] != run.step:
                continue
            for below in step.get("dependsOn") or ():
                ends = [
                    r for r in self.cluster.runs if (r.execution, r.step) == (run.execution, below)
                ]
                if not any(r.code == 0 and r.ended is not None for r in ends):
                    self.broken(f"step {run.step} started before {below} had succeeded")

    def _before_success(self, execution: Json, run: Run) -> None:
        """What has succeeded is not run again, by a Job that was resumed neither."""
        for step in (execution.get("status") or {}).get("steps") or ():
            if step["id"] == run.step and step["phase"] == "Succeeded":
                self.broken(f"step {run.step} started again after it had succeeded")

    # -- each verdict --

    def _judge(self, execution: Json) -> None:
        """Whether the verdict is one that what happened allows."""
        status, meta = execution["status"], execution["metadata"]
        phase, reason, uid = status["phase"], status.get("reason"), meta["uid"]
        runs = [run for run in self.cluster.runs if run.execution == uid]
        if phase == "Succeeded":
            for step in status.get("steps") or ():
                last = [r for r in runs if (r.step, r.attempt) == (step["id"], step["attempt"])]
                if not any(r.code == 0 for r in last):
                    self.broken(f"{meta['name']} succeeded, but its step {step['id']} did not")
        elif not 0 < len(status.get("failureMessage") or "") <= SENTENCE:
            self.broken(f"{meta['name']} failed without a word, or with too many")
        if reason == "DeadlineExceeded":
            self._judge_deadline(execution, runs)
        taken = uid in self.bereaved or "deletionTimestamp" in meta
        moved = self._was_evicted(uid)
        allowed = {
            "Error": any(r.code not in (0, None) and (r.natural or not moved) for r in runs),
            "Stopped": uid in self.stopped,
            "Killed": uid in self.stopped,
            "Deleted": taken,
            "NodeLost": taken,
            "Evicted": taken,
            "Replaced": "ownerReferences" in meta,
            "DeadlineExceeded": True,
            "MaxRunTimeExceeded": True,
            # As a server that takes no Job, or a cluster without nodes, makes it wait.
            "Queued": uid in self.queued or not self.calm,
            None: phase == "Succeeded",
        }
        if not allowed.get(reason):
            words = status.get("failureMessage")
            self.broken(f"{meta['name']}: {reason} ({words}), and nothing gave cause for it")

    def _was_evicted(self, uid: str) -> bool:
        return any(execution == uid for execution, *_ in self.evictions)

    def _judge_deadline(self, execution: Json, runs: list[Run]) -> None:
        meta, status = execution["metadata"], execution["status"]
        deadline = moment(status["deadline"])
        if self.cluster.now() < deadline:
            self.broken(f"{meta['name']}: DeadlineExceeded before its deadline")
        plan = execution["spec"].get("plan") or status.get("plan") or ()
        in_time = [self._succeeded_by(runs, step, deadline) for step in plan]
        # What ends well while it is evicted is run again by its Job.
        spared = meta["uid"] in self.bereaved or self._was_evicted(meta["uid"])
        if plan and all(in_time) and not spared:
            self.broken(f"{meta['name']} had succeeded before its deadline")

    def _judge_calm(self, execution: Json) -> None:
        """With nothing in the way it ends as its containers do, and at once."""
        meta, status = execution["metadata"], execution["status"]
        uid, plan = meta["uid"], execution["spec"].get("plan")
        runs = [run for run in self.cluster.runs if run.execution == uid]
        if (
            not self.calm
            or not plan
            or uid in self.stopped | self.bereaved | self.queued
            or meta.get("deletionTimestamp")
        ):
            return
        ended = {(run.step, run.attempt): run.code for run in runs if run.ended}
        last = moment(status["deadline"]) - 1
        late = {(run.step, run.attempt) for run in runs if run.started >= last}
        for step in status.get("steps") or ():
            # What was still waiting at the deadline may start before its pod is deleted.
            if (step["id"], step["attempt"]) in late:
                continue
            if (code := ended.get((step["id"], step["attempt"]))) != step.get("exitCode"):
                self.broken(f"{meta['name']}: step {step['id']} ended with {code}, told: {step}")
        told = [run.told for run in runs if run.told]
        # Job controllers, pulls and backoffs: what follows at once is allowed a second for each.
        if status["phase"] == "Succeeded" and self.cluster.now() > max(told) + 1:
            self.broken(
                f"{meta['name']}: its verdict came {self.cluster.now() - max(told):.1f} s late"
            )
        if status.get("reason") == "Replaced" or meta.get("ownerReferences"):
            return
        fails, seconds = foreseen(plan)
        room = moment(status["deadline"]) - moment(meta["creationTimestamp"])
        if seconds < room and (status["phase"] == "Failed") != fails:
            self.broken(f"{meta['name']}: {status['phase']}, foreseen: {fails=} in {seconds} s")

    def _succeeded_by(self, runs: list[Run], step: Json, at: float) -> bool:
        mine = [run for run in runs if run.step == step["id"]]
        last = max(mine, key=lambda run: run.attempt, default=None)
        if last is None or last.code != 0 or last.ended is None:
            return False
        longest = parse_duration(step["task"].get("maxRunTime", "100h")).total_seconds()
        in_time = last.ended - last.started <= longest and last.told and last.told < at
        return bool(last.natural and in_time)

    # -- once all is quiet --

    def at_the_end(self) -> None:
        self._look_at_runs()
        for words in self._complaints():
            self.broken(words)

    @property
    def settled(self) -> bool:
        """Whether nothing has changed for a while, and all is as it must be in the end."""
        return self.cluster.now() > self._changed_at + QUIET and not any(self._complaints())

    def _complaints(self) -> Iterator[str]:
        """What must not be so once all is quiet."""
        for execution in self.api.all(EXECUTIONS):
            meta, status = execution["metadata"], execution.get("status") or {}
            if "deletionTimestamp" in meta:
                yield f"{meta['name']} is still being deleted"
            if status.get("phase") not in FINAL:
                yield f"{meta['name']} has no verdict: {status}"
        yield from self._tasks()
        yield from self._promptly()
        yield from self._leftovers()
        for run in self.cluster.runs:
            if run.ended is None:
                yield f"a container of {run.step} still runs"
            yield from self._in_time(run)
            over = max(self.verdict_at.get(run.execution, math.inf), self.upset_until)
            if run.started > over + KUBELET and run.execution not in self.touched:
                yield f"{run.step} started {run.started - over:.1f} s after the verdict"
        now = self.cluster.now()
        busy = sum(n for (_, second), n in self.requests.items() if second > now - 20)
        if busy > IDLE:
            yield f"{busy} requests in the last 20 seconds, when nothing happened"

    def _leftovers(self) -> Iterator[str]:
        alive = {e["metadata"]["uid"] for e in self.api.all(EXECUTIONS)}
        for job in self.api.all(JOBS):
            owner = job["metadata"]["labels"][names.LABEL_EXECUTION_UID]
            if owner not in alive:
                yield f"Job {job['metadata']['name']} belongs to nobody"
            if self.cluster.now() > self.verdict_at.get(owner, math.inf) + RETIRED:
                yield f"Job {job['metadata']['name']} is kept for too long"
        for pod in self.api.all(PODS):
            if pod["status"].get("phase") not in ("Succeeded", "Failed"):
                yield f"pod {pod['metadata']['name']} is left over"

    def _promptly(self) -> Iterator[str]:
        """What ended while all was well got its verdict at once."""
        for uid, at in self.verdict_at.items():
            runs = [run.told for run in self.cluster.runs if run.execution == uid and run.told]
            seen = max([self.upset_until, *runs])
            if runs and self.verdicts[uid]["phase"] == "Succeeded" and at > seen + 3:
                yield f"the verdict on {uid} came {at - max(runs):.1f} s late, at {at:.1f}"

    def _in_time(self, run: Run) -> Iterator[str]:
        """Not beyond its deadline, except while nobody could have done anything."""
        execution = self._by_uid(run.execution)
        if execution is None or run.ended is None or run.execution in self.touched:
            return
        deadline = moment(execution["status"]["deadline"])
        if run.ended > max(deadline, self.upset_until) + GRACE + KUBELET:
            yield f"{run.step} ran {run.ended - deadline:.1f} s beyond its deadline"

    def _tasks(self) -> Iterator[str]:
        """The latest state of each Task has run, once."""
        for task in self.api.all(TASKS):
            meta, spec, status = task["metadata"], task["spec"], task.get("status") or {}
            if spec.get("suspend") or meta["uid"] in self.touched:
                continue
            if status.get("observedGeneration") != meta["generation"]:
                yield f"Task {meta['name']} was not seen at its generation: {status}"
            wants = spec.get("dependsOn") or ()
            if all(self.api.find(TASKS, meta["namespace"], name) for name in wants):
                yield from self._latest(task)

    def _latest(self, task: Json) -> Iterator[str]:
        """What the newest run that was started for a change ran is what the Task says now."""
        meta = task["metadata"]
        made: list[Any] = [
            change.new
            for change in self.api.log(EXECUTIONS)
            if change.kind == "ADDED"
            and names.ANNOTATION_TRIGGER in (change.new["metadata"].get("annotations") or {})
            and any(
                o["uid"] == meta["uid"] for o in change.new["metadata"].get("ownerReferences") or ()
            )
        ]
        if not made:
            yield f"Task {meta['name']} has no run"
            return
        ran = {step["id"]: step["task"] for step in made[-1]["spec"]["plan"]}[meta["name"]]
        if ran["command"] != task["spec"]["command"]:
            yield f"Task {meta['name']}: its latest state was never run"


def foreseen(plan: list[Json]) -> tuple[bool, float]:
    """Whether a plan fails when nothing disturbs it, and in how many seconds at most."""
    seconds, fails = 0.0, False
    for step in plan:
        task = step["task"]
        does, retry = Behaviour.of(task["command"]), task.get("retry") or {}
        limit, backoff = retry.get("limit", 0), retry.get("backoff") or {}
        longest = parse_duration(task.get("maxRunTime", "100h")).total_seconds()
        delay = parse_duration(backoff.get("initial", "10s")).total_seconds()
        for attempt in range(1, limit + 2):
            overdue = does.seconds > longest - 1
            seconds += min(does.seconds, longest) + SLACK
            if does.code(attempt) == 0 and not overdue:
                break
            if attempt > limit:
                fails = True
            seconds += delay * 1.2
            delay *= 2
    return fails, seconds
