"""Whatever happens, in whatever order: what must be true of every history of one execution."""

import functools
import json
from datetime import datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from builders import (
    T0,
    ExecutionBuilder,
    JobBuilder,
    PodBuilder,
    created_job,
    event,
    execution,
    pod,
    stamp,
    stored,
    task,
    world,
)
from taskmill.plan.decision import (
    CreateJob,
    DeleteJob,
    LimitJob,
    ReadEvents,
    StopPod,
    TellEvent,
)
from taskmill.plan.executions.decide import decide
from taskmill.plan.world import Limits, Refusal, Refused, Trouble

SPECS = (
    execution,
    lambda: execution().deadline(90),
    lambda: execution().runs(maxRunTime="20s", gracePeriod="5s"),
    lambda: execution().runs(queueTimeout="30s", startTimeout="30s"),
    lambda: execution().bare(),
    lambda: execution().runs(maxRunTime="25h"),
)
WAITS = (
    ("ContainerCreating", ""),
    ("ImagePullBackOff", "a:1: not found"),
    ("ErrImagePull", "i/o timeout"),
    ("InvalidImageName", "no"),
    ("CreateContainerConfigError", "no secret"),
)
GRACE = 5
ENDED = "-993dc9d638"
"""How the name of the Event about an end ends."""
PODS = (
    lambda: pod().grace(GRACE),
    lambda: pod().grace(GRACE).beside(),
    lambda: pod().grace(GRACE).sidecar("helper"),
)
"""Alone, with a plain sidecar, with a native one."""


def happens(**drawn_from):
    """A rule about the world, which an operator that is there sees at once."""

    def decorate(happening):
        @functools.wraps(happening)
        def and_is_seen(self, **drawn):
            happening(self, **drawn)
            if not self.away:
                self.passes(loses_action=False)

        return rule(**drawn_from)(and_is_seen)

    return decorate


class History(RuleBasedStateMachine):
    """A cluster that does what it likes to the Job and pod of one execution."""

    def __init__(self):
        super().__init__()
        self.seconds = 0
        self.version = 0
        self.final = None
        self.away = True
        self.creates = 0
        self.told: dict[str, TellEvent] = {}
        self.troubles: tuple[Trouble, ...] = ()
        self.job: JobBuilder | None = None
        self.pod: PodBuilder | None = None
        self.gone: set[str] = set()
        self.events: list = []
        self.events_at: float | None = None
        self.refused: Refused | None = None
        self.written_at: float | None = None
        self.task = None
        self.built: ExecutionBuilder = execution()
        self.look_at: datetime | None = None

    # -- the operator --

    def picture(self):
        parts = [self.built, self.task, self.job, self.pod]
        return world(
            *(part for part in parts if part),
            events=self.events,
            events_at=self.events_at,
            gone=self.gone,
            refused=self.refused,
            trouble=next(iter(self.troubles), None),
            written_at=self.written_at,
            limits=Limits(job_retention=timedelta(minutes=2)),
        )

    def now(self):
        return T0 + timedelta(seconds=self.seconds)

    @rule(loses_action=st.booleans())
    def passes(self, loses_action):
        before = self.picture()
        decision = decide(before, self.now())
        self.troubles = decision.troubles
        assert len(self.troubles) <= 1
        if decision.status:
            old = before.execution.status
            assert decision.status.status_version == (old.status_version or 0) + 1
            assert decision.status.to_api() != old.to_api()
            for words in (decision.status.message, decision.status.failure_message):
                assert words is None or 0 < len(words.encode()) <= 1024
            self.built.raw["status"] = json.loads(
                json.dumps(stored(before, decision, self.now()).execution.status.to_api())
            )
            self.written_at = self.seconds
        assert decision.look_at is None or decision.look_at > self.now()
        self.look_at = decision.look_at
        if loses_action:
            return
        for action in decision.actions:
            self.act(action)
        again = decide(self.picture(), self.now())
        assert again.status is None or decision.actions, "what was written is written again"
        assert not [a for a in again.actions if a in decision.actions], "done is done again"

    def act(self, action):
        final = self.final_phase()
        if isinstance(action, CreateJob):
            assert self.job is None, "a second Job of one attempt"
            assert not final
            self.creates += 1
            self.refused = None
            self.job = created_job(action.body, seconds=self.seconds)
        elif isinstance(action, DeleteJob):
            assert final, "a Job is deleted before its verdict is stored"
            assert self.job
            assert action.name == self.job.raw["metadata"]["name"]
            self.remove_job()
        elif isinstance(action, StopPod):
            assert self.pod
            assert self.pod.raw["spec"].get("activeDeadlineSeconds") != 1, "it was asked already"
            assert self.pod.raw["status"]["phase"] not in ("Succeeded", "Failed")
            if final:
                ended = self.state()["terminated"]["finishedAt"]
                assert stamp(self.seconds - GRACE) >= ended, "a sidecar is stopped too early"
            else:
                types = {c["type"] for c in self.built.raw["status"]["conditions"]}
                assert "FailureTarget" in types, "a pod is stopped before the verdict is stored"
            self.pod.asked_to_stop()
        elif isinstance(action, TellEvent):
            self.tell(action, final)
        elif isinstance(action, LimitJob):
            assert not final
            assert self.job
            assert action.deadline_seconds < self.job.raw["spec"]["activeDeadlineSeconds"]
            self.job.raw["spec"]["activeDeadlineSeconds"] = action.deadline_seconds
        else:
            assert isinstance(action, ReadEvents)
            self.events_at = self.seconds

    def tell(self, event_told, final):
        status = self.built.raw["status"]
        assert event_told.reason == status["reason"]
        assert event_told.message == status["failureMessage" if final else "message"]
        if final:
            assert final == "Failed"
            assert event_told.name not in self.told, "an end is told twice"
        else:
            refused = self.job is None or event_told.reason == "QuotaExceeded"
            assert refused, "what is no refusal is told as one"
        self.told[event_told.name] = event_told

    def final_phase(self):
        phase = (self.built.raw.get("status") or {}).get("phase")
        return phase if phase in ("Succeeded", "Failed", "Stopped") else None

    # -- the world --

    @initialize(
        made=st.sampled_from(SPECS),
        with_pod=st.sampled_from(PODS),
        steps=st.integers(0, 5),
        away=st.booleans(),
    )
    def comes_so_far(self, made, with_pod, steps, away):
        """Most histories begin alike."""
        self.built = made()
        if steps > 0:
            self.the_task_is_applied()
            self.passes(loses_action=False)
        if steps > 1 and self.job:
            self.the_job_is_taken_up()
            self.a_pod_appears(made=with_pod)
        if steps > 2 and self.pod:
            if self.has_helper():
                self.its_sidecar_runs()
            self.it_runs()
        if steps > 3:
            self.seconds += 1
            self.passes(loses_action=False)
        if steps > 4 and self.pod:
            self.it_exits(code=3)
            self.passes(loses_action=False)
        self.away = away

    @happens(seconds=st.sampled_from([0.3, 1, 2, 3, 10, 31, 60, 130, 100_000]))
    def time_passes(self, seconds):
        self.seconds += seconds

    @happens()
    def time_passes_until_the_next_look(self):
        if self.look_at:
            self.seconds = max(self.seconds, (self.look_at - T0).total_seconds())

    @happens()
    def the_task_is_applied(self):
        self.task = task()

    @happens(image=st.sampled_from(["b:1", "c:1"]))
    def the_task_is_edited(self, image):
        self.task = task().spec(image=image).generation(2)

    @happens()
    def somebody_stops_it(self):
        self.built.spec(desiredPhase="Stopped")

    @happens(kind=st.sampled_from(Refusal))
    def the_server_refuses(self, kind):
        if self.job is None:
            since = self.refused.since if self.refused else self.now()
            again_at = self.now() + timedelta(seconds=10)
            self.refused = Refused(kind, "words", since, again_at)

    @precondition(lambda self: self.job is not None)
    @happens()
    def the_job_is_taken_up(self):
        if "startTime" not in self.job.raw["status"]:
            self.job.started(self.seconds)

    @precondition(lambda self: self.job is not None and self.pod is None)
    @happens(made=st.sampled_from(PODS))
    def a_pod_appears(self, made):
        assert self.job
        self.pod = made().created(self.seconds).of(self.job.raw["metadata"]["uid"])

    @precondition(lambda self: self.pod is not None)
    @happens(wait=st.sampled_from(WAITS))
    def it_waits(self, wait):
        if not self.ran():
            self.pod.waiting(*wait)

    @precondition(lambda self: self.pod is not None)
    @happens()
    def it_runs(self):
        if not self.ran():
            self.pod.running(self.seconds)

    @precondition(lambda self: self.pod is not None)
    @happens(code=st.sampled_from([0, 3, 127, 137, 143]))
    def it_exits(self, code):
        if not self.over():
            self.pod.exited(code, "words", start=max(0, self.seconds - 5), end=self.seconds)
            if "running" in self.state("helper"):
                self.pod.phase("Running")

    @precondition(lambda self: self.has_helper())
    @happens()
    def its_sidecar_runs(self):
        if not self.state("helper"):
            self.pod.running(self.seconds, container="helper")

    @precondition(lambda self: self.has_helper())
    @happens(code=st.sampled_from([0, 1, 143]))
    def its_sidecar_exits(self, code):
        self.pod.exited(code, "words", end=self.seconds, container="helper")
        if self.over():
            self.pod.phase("Failed")

    @precondition(lambda self: self.has_helper() and self.is_native())
    @happens(code=st.sampled_from([0, 1]))
    def its_sidecar_crashes(self, code):
        if not self.over():
            self.pod.crashing(code, "words", container="helper")

    @precondition(lambda self: self.pod is not None)
    @happens()
    def the_pod_fails_first(self):
        """The kubelet tells of an end in several steps."""
        if not self.over():
            self.pod.phase("Failed", "Strange", "words")

    @precondition(lambda self: self.pod is not None)
    @happens(
        reason=st.sampled_from(
            ["PreemptionByScheduler", "DeletionByTaintManager", "EvictionByEvictionAPI"]
        )
    )
    def it_is_disrupted(self, reason):
        self.pod.disrupted(reason, "words")

    @precondition(lambda self: self.pod is not None)
    @happens()
    def its_node_falls_silent(self):
        self.pod.silent()

    @precondition(lambda self: self.pod is not None)
    @happens()
    def its_node_answers(self):
        self.pod.condition("Ready", "True")

    @precondition(lambda self: self.pod is not None)
    @happens(grace=st.sampled_from([0, 30]))
    def somebody_deletes_the_pod(self, grace):
        self.pod.deleted(self.seconds, grace=grace)

    @precondition(lambda self: self.pod is not None)
    @happens()
    def the_pod_goes(self):
        self.pod.deleted(self.seconds)
        self.gone.add(self.pod.raw["metadata"]["uid"])

    @precondition(lambda self: self.job is not None)
    @happens()
    def somebody_deletes_the_job(self):
        self.remove_job()

    def remove_job(self):
        self.gone.add(self.job.raw["metadata"]["uid"])
        if self.pod:
            self.gone.add(self.pod.raw["metadata"]["uid"])

    @precondition(lambda self: self.job is not None)
    @happens()
    def the_job_is_suspended(self):
        self.job.suspended()

    @precondition(lambda self: self.job is not None)
    @happens(reason=st.sampled_from(["BackoffLimitExceeded", "DeadlineExceeded"]))
    def the_job_fails(self, reason):
        self.job.failed(reason, "words", self.seconds)

    @rule(away=st.booleans())
    def the_operator_goes_and_comes(self, away):
        self.away = away

    @happens()
    def the_operator_starts_anew(self):
        """What vanished is unknown then, but for what the status remembers."""
        self.events, self.events_at, self.refused, self.written_at = [], None, None, None
        self.troubles = ()
        steps = (self.built.raw.get("status") or {}).get("steps") or [{}]
        if self.job and self.job.raw["metadata"]["uid"] in self.gone and steps[0].get("jobName"):
            self.job = self.pod = None
        if self.pod and self.pod.raw["metadata"]["uid"] in self.gone:
            self.pod = None

    @happens(
        reason=st.sampled_from(["FailedMount", "FailedCreate", "FailedCreatePodSandBox"]),
        words=st.sampled_from(["words", "exceeded quota: small", "denied"]),
    )
    def an_event_is_told(self, reason, words):
        self.events.append(event(reason, words, self.seconds))

    def state(self, container="main"):
        status = self.pod.raw["status"]
        groups = ("containerStatuses", "initContainerStatuses")
        known = {s["name"]: s["state"] for group in groups for s in status.get(group, ())}
        return known.get(container, {})

    def has_helper(self):
        return self.pod is not None and len(self.pod.facts.containers) > 1

    def is_native(self):
        return "initContainers" in self.pod.raw["spec"]

    def ran(self):
        return self.state().keys() & {"running", "terminated"}

    def over(self):
        return "terminated" in self.state()

    # -- what is true --

    @invariant()
    def a_final_phase_stays(self):
        final = self.final_phase()
        assert self.final in (None, final)
        self.final = final

    @invariant()
    def versions_only_grow(self):
        version = (self.built.raw.get("status") or {}).get("statusVersion", 0)
        assert version >= self.version
        self.version = version

    @invariant()
    def there_is_one_job_at_most(self):
        assert self.creates <= 1

    @invariant()
    def what_is_told_of_its_end_is_its_end(self):
        if self.final_phase() != "Failed":
            assert not any(e.name.endswith(ENDED) for e in self.told.values())

    @invariant()
    def it_comes_to_an_end(self):
        """Past every deadline, nothing waits any more after a few passes."""
        if self.seconds < 90_000:
            return
        before, now = self.picture(), self.now()
        for _ in range(4):
            decision = decide(before, now)
            before, now = stored(before, decision, now), now + timedelta(hours=1)
        phase = before.execution.status.phase
        assert phase
        assert phase.final


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=200, stateful_step_count=30)
