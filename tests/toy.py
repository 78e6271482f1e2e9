"""A toy cluster with one execution: it keeps what the operator writes and does what it asks.

    toy = Toy(execution().plan(step("a"), step("b", "a")))
    toy.settles()
    toy.starts("a", at=1).exits("a", 0, at=9)

What the operator keeps in memory (`heard`, `logs`, `refused`, `troubles`, `written_at`) is lost
when it `restarts`.
"""

import copy
import json
from collections import Counter
from dataclasses import replace
from datetime import datetime
from typing import Any, Self

from builders import (
    T0,
    ExecutionBuilder,
    JobBuilder,
    PodBuilder,
    TaskBuilder,
    at,
    created_job,
    pod_of,
    stored,
    world,
)
from taskmill.api.execution import StepStatus, TaskExecutionStatus
from taskmill.api.reasons import Phase
from taskmill.plan import names
from taskmill.plan.decision import (
    Action,
    CreateJob,
    Decision,
    DeleteExecution,
    DeleteJob,
    LimitJob,
    ReadEvents,
    ReadLog,
    StopPod,
    TellEvent,
)
from taskmill.plan.executions.decide import decide
from taskmill.plan.world import (
    ExecutionWorld,
    Heard,
    Limits,
    Refusal,
    Refused,
    Trouble,
)

PASSES = 12
"""More than any world takes to come to rest."""


class Toy:
    """One execution and what becomes of it."""

    def __init__(
        self, built: ExecutionBuilder, *beside: ExecutionBuilder | TaskBuilder, **limits: Any
    ) -> None:
        self.built, self.beside = built, beside
        self.limits = Limits(**limits)
        self.seconds = 0.0
        self.jobs: dict[str, JobBuilder] = {}
        self.pods: dict[str, PodBuilder] = {}
        self.gone: set[str] = set()
        self.refuses: Refusal | None = None
        self.printed: dict[str, str] = {}
        """The log of each step."""
        self.writes: list[TaskExecutionStatus] = []
        self.deeds: list[Action] = []
        self.created: Counter[tuple[str, int]] = Counter()
        self.restarts()

    def restarts(self) -> None:
        """The operator starts anew; what vanished is known to nobody but the status."""
        self.heard: dict[str, Heard] = {}
        self.logs: dict[str, str] = {}
        self.refused: dict[str, Refused] = {}
        self.troubles: tuple[Trouble, ...] = ()
        self.written_at: float | None = None
        self.jobs = {n: j for n, j in self.jobs.items() if self._uid(j) not in self.gone}
        self.pods = {u: p for u, p in self.pods.items() if u not in self.gone}
        self.gone = set()

    # -- the operator --

    @property
    def now(self) -> datetime:
        return at(self.seconds)

    def picture(self) -> ExecutionWorld:
        seen = world(
            self.built,
            *self.beside,
            *self.jobs.values(),
            *self.pods.values(),
            gone=self.gone,
            limits=self.limits,
            written_at=self.written_at,
        )
        return replace(
            seen,
            heard=dict(self.heard),
            logs=dict(self.logs),
            refused=dict(self.refused),
            troubles=self.troubles,
        )

    def passes(self, *, conflict: bool = False, dies: bool = False) -> Decision:
        """One pass; its write meets a `conflict`, or the operator `dies` before it acts."""
        before = self.picture()
        decision = decide(before, self.now)
        self.troubles = decision.troubles
        if decision.status is not None:
            if conflict:
                return decision
            back = stored(before, decision, self.now).execution.status
            self.built.raw["status"] = json.loads(json.dumps(back.to_api()))
            self.written_at = self.seconds
            self.writes.append(back)
        if not dies:
            # As the reconciler: creations last.
            for action in sorted(decision.actions, key=lambda a: isinstance(a, CreateJob)):
                self.acts(action)
        return decision

    def settles(self, seconds: float | None = None) -> Self:
        """At that second, passes until there is nothing left to do."""
        self.seconds = self.seconds if seconds is None else seconds
        for _ in range(PASSES):
            decision = self.passes()
            if not decision.actions and decision.status is None:
                return self
        raise AssertionError(f"it does not come to rest: {decision}")

    def acts(self, action: Action) -> None:
        self.deeds.append(action)
        match action:
            case CreateJob(body):
                self._creates(body)
            case DeleteJob(_, uid):
                self.loses_job(uid)
            case StopPod(_, uid):
                self.pods[uid].asked_to_stop()
            case LimitJob(name, _, seconds):
                self.jobs[name].raw["spec"]["activeDeadlineSeconds"] = seconds
            case ReadEvents(uid):
                self.heard[uid] = Heard((), self.now)
            case ReadLog(_, uid):
                self.logs[uid] = self.printed.get(self.pods[uid].facts.step, "")
            case _:
                assert isinstance(action, TellEvent | DeleteExecution), action

    def _creates(self, body: dict[str, Any]) -> None:
        meta = body["metadata"]
        name, labels = meta["name"], meta["labels"]
        if self.refuses:
            known = self.refused.get(name)
            since = known.since if known else self.now
            self.refused[name] = Refused(self.refuses, "no", since, at(self.seconds + 10))
            return
        self.refused.pop(name, None)
        if name in self.jobs and self._uid(self.jobs[name]) not in self.gone:
            return
        step, attempt = labels[names.LABEL_STEP], int(labels[names.LABEL_ATTEMPT])
        self.created[step, attempt] += 1
        uid = f"job-{step}-{attempt}"
        self.jobs[name] = created_job(body, uid=uid, seconds=self.seconds)

    # -- the world --

    def starts(self, *steps: str, at: float | None = None) -> Self:
        """The container of the newest attempt of each step runs."""
        self.seconds = self.seconds if at is None else at
        for one in steps:
            self.pod(one).running(self.seconds)
        return self

    def exits(
        self, step: str, code: int, log: str = "", *, at: float | None = None, **more: Any
    ) -> Self:
        """The container of the newest attempt ends."""
        self.seconds = self.seconds if at is None else at
        pod = self.pod(step)
        main = pod.facts.main
        started = main.started_at if main and main.started_at else self.now
        pod.exited(code, log, start=(started - T0).total_seconds(), end=self.seconds, **more)
        return self

    def runs(self, step: str, code: int = 0, *, at: float, end: float, log: str = "") -> Self:
        """It starts, is seen to run, and ends."""
        return self.starts(step, at=at).settles().exits(step, code, log, at=end).settles()

    def job(self, step: str) -> JobBuilder:
        """The Job of its newest attempt."""
        return max(
            (one for one in self.jobs.values() if one.facts.step == step),
            key=lambda one: one.facts.attempt,
        )

    def pod(self, step: str) -> PodBuilder:
        """The pod of its newest attempt, which appears now when there is none."""
        job = self.job(step).facts
        made = pod_of(step, job.attempt).created(self.seconds)
        uid = made.raw["metadata"]["uid"]
        if uid not in self.pods:
            template = self.job(step).raw["spec"]["template"]["spec"]
            made.grace(template["terminationGracePeriodSeconds"])
            made.raw["spec"]["containers"] = copy.deepcopy(template["containers"])
            self.pods[uid] = made
            self.job(step).started(self.seconds)
        return self.pods[uid]

    def loses_job(self, uid: str) -> None:
        """Somebody deletes a Job, and with it its pod."""
        self.gone.add(uid)
        self.gone |= {u for u, pod in self.pods.items() if pod.facts.owner_uid == uid}

    @staticmethod
    def _uid(built: JobBuilder) -> str:
        return str(built.raw["metadata"]["uid"])

    # -- what has become of it --

    @property
    def status(self) -> TaskExecutionStatus:
        return self.built.facts.status

    @property
    def steps(self) -> dict[str, StepStatus]:
        return {one.id: one for one in self.status.steps or ()}

    @property
    def phases(self) -> dict[str, Phase]:
        return {one.id: one.phase for one in self.status.steps or ()}

    @property
    def jobs_made(self) -> list[str]:
        """Steps in the order in which their Jobs were created, `a2` for a second attempt."""
        return [f"{s}{n if n > 1 else ''}" for s, n in self.created]

    @property
    def told(self) -> list[TellEvent]:
        return [deed for deed in self.deeds if isinstance(deed, TellEvent)]
