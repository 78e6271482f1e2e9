"""Whatever happens, in whatever order: what must be true of every history of one execution."""

import json
from datetime import datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from builders import (
    T0,
    ExecutionBuilder,
    JobBuilder,
    PodBuilder,
    created_job,
    event,
    execution,
    pod,
    stored,
    task,
    world,
)
from taskmill.plan.decision import CreateJob, DeleteJob, ReadEvents, StopPod
from taskmill.plan.execution import decide
from taskmill.plan.world import Limits, Refusal, Refused

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


class History(RuleBasedStateMachine):
    """A cluster that does what it likes to the Job and pod of one execution."""

    def __init__(self):
        super().__init__()
        self.seconds = 0
        self.version = 0
        self.final = None
        self.creates = 0
        self.stops = 0
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
            written_at=self.written_at,
            limits=Limits(job_retention=timedelta(minutes=2)),
        )

    def now(self):
        return T0 + timedelta(seconds=self.seconds)

    @rule(loses_action=st.booleans())
    def passes(self, loses_action):
        before = self.picture()
        decision = decide(before, self.now())
        if decision.status:
            old = before.execution.status
            assert decision.status.status_version == (old.status_version or 0) + 1
            assert decision.status.to_api() != old.to_api()
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

    def act(self, action):
        final = self.final_phase()
        if isinstance(action, CreateJob):
            assert self.job is None, "a second Job of one attempt"
            assert not final
            self.creates += 1
            self.job = created_job(action.body, seconds=self.seconds)
        elif isinstance(action, DeleteJob):
            assert final, "a Job is deleted before its verdict is stored"
            assert self.job
            assert action.name == self.job.raw["metadata"]["name"]
            self.loses_job()
        elif isinstance(action, StopPod):
            types = {c["type"] for c in self.built.raw["status"]["conditions"]}
            assert "FailureTarget" in types, "a pod is stopped before the verdict is stored"
            assert self.pod
            assert self.pod.raw["spec"].get("activeDeadlineSeconds") != 1, "it was asked already"
            self.pod.asked_to_stop()
        else:
            assert isinstance(action, ReadEvents)
            self.events_at = self.seconds

    def final_phase(self):
        phase = (self.built.raw.get("status") or {}).get("phase")
        return phase if phase in ("Succeeded", "Failed", "Stopped") else None

    # -- the world --

    @precondition(lambda self: self.version == 0)
    @rule(made=st.sampled_from(SPECS))
    def is_of_another_kind(self, made):
        self.built = made()

    @rule(seconds=st.sampled_from([0.3, 1, 2, 3, 10, 31, 60, 130, 100_000]))
    def time_passes(self, seconds):
        self.seconds += seconds

    @rule()
    def time_passes_until_the_next_look(self):
        if self.look_at:
            self.seconds = max(self.seconds, (self.look_at - T0).total_seconds())

    @rule()
    def the_task_is_applied(self):
        self.task = task()

    @rule(image=st.sampled_from(["b:1", "c:1"]))
    def the_task_is_edited(self, image):
        self.task = task().spec(image=image).generation(2)

    @rule()
    def somebody_stops_it(self):
        self.built.spec(desiredPhase="Stopped")

    @rule(kind=st.sampled_from(Refusal))
    def the_server_refuses(self, kind):
        if self.job is None:
            since = self.refused.since if self.refused else self.now()
            again_at = self.now() + timedelta(seconds=10)
            self.refused = Refused(kind, "words", since, again_at)

    @precondition(lambda self: self.job is not None and self.pod is None)
    @rule()
    def a_pod_appears(self):
        assert self.job
        self.pod = pod().created(self.seconds).of(self.job.raw["metadata"]["uid"])

    @precondition(lambda self: self.pod is not None)
    @rule(wait=st.sampled_from(WAITS))
    def it_waits(self, wait):
        if not self.ran():
            self.pod.waiting(*wait)

    @precondition(lambda self: self.pod is not None)
    @rule()
    def it_runs(self):
        if not self.ran():
            self.pod.running(self.seconds)

    @precondition(lambda self: self.pod is not None)
    @rule(code=st.sampled_from([0, 3, 127, 137, 143]))
    def it_exits(self, code):
        if not self.over():
            self.pod.exited(code, "words", start=max(0, self.seconds - 5), end=self.seconds)

    @precondition(lambda self: self.pod is not None)
    @rule(reason=st.sampled_from(["PreemptionByScheduler", "DeletionByTaintManager"]))
    def it_is_disrupted(self, reason):
        self.pod.disrupted(reason, "words")

    @precondition(lambda self: self.pod is not None)
    @rule()
    def somebody_deletes_the_pod(self):
        self.pod.deleted(self.seconds)
        self.gone.add(self.pod.raw["metadata"]["uid"])

    @precondition(lambda self: self.job is not None)
    @rule()
    def loses_job(self):
        self.gone.add(self.job.raw["metadata"]["uid"])
        if self.pod:
            self.gone.add(self.pod.raw["metadata"]["uid"])

    @precondition(lambda self: self.job is not None)
    @rule()
    def the_job_is_suspended(self):
        self.job.suspended()

    @precondition(lambda self: self.job is not None)
    @rule(reason=st.sampled_from(["BackoffLimitExceeded", "DeadlineExceeded"]))
    def the_job_fails(self, reason):
        self.job.failed(reason, "words", self.seconds)

    @rule()
    def the_operator_starts_anew(self):
        """What vanished is unknown then, but for what the status remembers."""
        self.events, self.events_at, self.refused, self.written_at = [], None, None, None
        steps = (self.built.raw.get("status") or {}).get("steps") or [{}]
        if self.job and self.job.raw["metadata"]["uid"] in self.gone and steps[0].get("jobName"):
            self.job = self.pod = None
        if self.pod and self.pod.raw["metadata"]["uid"] in self.gone:
            self.pod = None

    @rule(reason=st.sampled_from(["FailedMount", "FailedCreate"]))
    def an_event_is_told(self, reason):
        self.events.append(event(reason, "words", self.seconds))

    def state(self):
        statuses = self.pod.raw["status"].get("containerStatuses") or [{}]
        return statuses[0].get("state") or {}

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
TestHistory.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
