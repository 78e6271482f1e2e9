"""Whatever happens, in whatever order: what must be true of every history of a plan."""

import functools
from datetime import timedelta
from types import MappingProxyType

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from builders import T0, Built, execution, step
from taskmill.api.duration import parse_duration
from taskmill.api.reasons import Phase, Reason
from taskmill.plan.decision import CreateJob, DeleteJob, StopPod
from taskmill.plan.names import LABEL_ATTEMPT, LABEL_STEP
from taskmill.plan.world import Refusal
from toy import Toy

A_DAY = 24 * 3600
LONG = 1000
"""Seconds in which all that is left of a plan can be over, when nobody interferes."""
BACKOFFS = ({"initial": "0s"}, {"initial": "0s"}, {"initial": "5s"})
CODES = (0, 0, 0, 3, 75, 137, 143)
TAKES = MappingProxyType({"name": "TAKEN", "valueFrom": {"output": {"step": "s0", "key": "k"}}})


@st.composite
def plans(draw):
    """Up to six steps; each depends on some of those before it."""
    steps = []
    for number in range(draw(st.integers(1, 6))):
        before = [f"s{n}" for n in range(number)]
        below = draw(st.lists(st.sampled_from(before), unique=True, max_size=3)) if before else []
        task = {"infraRetries": draw(st.integers(0, 2)), "gracePeriod": "5s"}
        task["retry"] = {
            "limit": draw(st.integers(0, 2)),
            "backoff": draw(st.sampled_from(BACKOFFS)),
        }
        if draw(st.integers(0, 3)) == 0:
            task["maxRunTime"] = "20s"
        if "s0" in below and draw(st.booleans()):
            task["env"] = [dict(TAKES)]
        steps.append(step(f"s{number}", *below, **task))
    return draw(st.permutations(steps))


class Cluster(Toy):
    """A toy in which what was deleted takes its time, and deeds are judged when they are done."""

    deadline = A_DAY

    def __init__(self, built):
        super().__init__(built)
        self.well: set[str] = set()
        """Steps of which a container has ended with 0."""
        self.proper: set[str] = set()
        """Those of them that nobody had a reason to end."""

    def loses_job(self, uid):
        self.gone.add(uid)
        for pod in self.pods.values():
            if pod.facts.owner_uid == uid:
                self.loses_pod(pod)

    def loses_pod(self, pod):
        """The kubelet ends its containers before it goes."""
        if pod.facts.ended:
            self.goes(pod)
        elif not pod.facts.deleting:
            pod.deleted(int(self.seconds), grace=5)

    def goes(self, pod):
        """A pod goes once its Job has counted it."""
        facts = pod.facts
        self.gone.add(facts.uid)
        job = next((j for j in self.jobs.values() if j.facts.uid == facts.owner_uid), None)
        if job and facts.main.ended and facts.main.ended.exit_code == 0:
            job.complete(int(self.seconds))
        elif job:
            job.failed(seconds=int(self.seconds))

    def acts(self, action):
        steps, final = self.steps, self.status.phase in tuple(p for p in Phase if p.final)
        if isinstance(action, CreateJob):
            self.may_create(action, final)
        elif isinstance(action, DeleteJob):
            job = next(j.facts for j in self.jobs.values() if j.facts.uid == action.uid)
            assert job.uid not in self.gone
            known = steps.get(job.step)
            told = known and (known.phase.final or known.attempt > job.attempt)
            assert final or told, "a Job is deleted before the status says why"
        elif isinstance(action, StopPod):
            pod = self.pods[action.uid].facts
            assert steps[pod.step].stopping_since, "a pod is stopped before the status says why"
            assert pod.deadline_seconds != 1
            assert not pod.ended
        super().acts(action)

    def may_create(self, action, final):
        labels = action.body["metadata"]["labels"]
        name, attempt = labels[LABEL_STEP], int(labels[LABEL_ATTEMPT])
        spec = self.built.facts.spec
        plan = {one.id: one for one in spec.plan}
        assert not final
        assert spec.desired_phase is None, "a stopped execution starts a step"
        assert self.seconds < self.deadline, "an overdue execution starts a step"
        failed = [one.id for one in self.steps.values() if one.phase in ("Failed", "Stopped")]
        assert not failed, "a step starts after another one has failed"
        assert "FailureTarget" not in {c.type for c in self.status.conditions or ()}
        assert self.well.issuperset(plan[name].depends_on or ()), "a step starts too early"
        known = self.steps.get(name)
        assert attempt == (known.attempt if known else 1), "an attempt that is not stored"

    def wakes(self):
        """As the reconciler: one pass, and another one whenever something was done."""
        for _ in range(12):
            decision = self.passes()
            assert decision.look_at is None or decision.look_at > self.now
            if not decision.actions:
                return decision.look_at
        raise AssertionError(f"it never comes to rest: {decision}")

    # -- pods --

    def open(self, *, started=None):
        """Pods that have not ended, or of those the ones (not) `started`."""
        return [
            pod
            for pod in self.pods.values()
            if pod.facts.uid not in self.gone
            and not pod.facts.ended
            and started in (None, bool(pod.facts.main.started_at))
        ]

    def podless(self):
        """Jobs that have got no pod yet."""
        owners = {pod.facts.owner_uid for pod in self.pods.values()}
        return [
            job.facts.step
            for job in self.jobs.values()
            if job.facts.uid not in owners | self.gone
            and not job.facts.finished
            and not self.is_former(job)
        ]

    def is_former(self, job):
        return job is not self.job(job.facts.step)

    def ends(self, pod, code, log=""):
        facts = pod.facts
        started, step_ = facts.main.started_at, facts.step
        second = int(self.seconds)
        pod.exited(code, log, start=(started - T0).total_seconds(), end=second)
        if facts.deadline_seconds == 1:
            pod.phase("Failed", "DeadlineExceeded", "overdue")
        if code:
            return
        self.well.add(step_)
        limit = next(s for s in self.built.facts.spec.plan if s.id == step_).task.max_run_time
        length = T0 + timedelta(seconds=second) - started
        in_time = not limit or length <= parse_duration(limit)
        known = self.steps.get(step_)
        stopped = facts.deleting or facts.deadline_seconds == 1
        stopped = stopped or bool(known and known.stopping_since)
        if second <= self.deadline and in_time and not stopped:
            self.proper.add(step_)


def happens(**drawn_from):
    """A rule about the world, which an operator that is there sees at once."""

    def decorate(happening):
        @functools.wraps(happening)
        def and_is_seen(self, **drawn):
            happening(self, **drawn)
            if not self.away:
                self.look_at = self.toy.wakes()

        return rule(**drawn_from)(and_is_seen)

    return decorate


def some(of):
    return precondition(lambda self: bool(of(self.toy)))


class PlanHistory(RuleBasedStateMachine):
    """A cluster that does what it likes to the Jobs and pods of a plan."""

    def __init__(self):
        super().__init__()
        self.toy = Cluster(execution())
        self.away = False
        self.look_at = None
        self.seen = self.toy.status
        self.quiet = True

    @initialize(
        plan=plans(), deadline=st.sampled_from([None, None, 40, 90]), ahead=st.integers(0, 3)
    )
    def is_made(self, plan, deadline, ahead):
        built = execution().plan(*plan)
        if deadline:
            built.deadline(deadline)
        self.toy = Cluster(built)
        self.toy.deadline = deadline or A_DAY
        self.look_at = self.toy.wakes()
        for _ in range(ahead):
            self.goes_well()
            self.look_at = self.toy.wakes()

    def goes_well(self):
        """All that waits is started."""
        self.toy.seconds += 1
        for name in self.toy.podless():
            self.toy.pod(name)
        for pod in self.toy.open(started=False):
            if not pod.facts.deleting:
                pod.running(int(self.toy.seconds))

    @happens()
    def all_goes_well(self):
        self.goes_well()

    # -- the operator --

    @rule(conflict=st.booleans())
    def a_pass_is_cut_short(self, conflict):
        """Its write meets a conflict, or it dies between its write and its deeds."""
        if conflict:
            self.toy.passes(conflict=True)
        else:
            self.toy.passes(dies=True)
            self.toy.restarts()
        if not self.away:
            self.look_at = self.toy.wakes()

    @happens()
    def the_operator_starts_anew(self):
        self.toy.restarts()

    @rule(away=st.booleans())
    def the_operator_goes_and_comes(self, away):
        self.away = away
        if not away:
            self.look_at = self.toy.wakes()

    # -- the world --

    @happens(seconds=st.sampled_from([0.5, 1, 2, 5, 11, 31]))
    def time_passes(self, seconds):
        self.toy.seconds += seconds

    @happens()
    def time_passes_until_the_next_look(self):
        if self.look_at and not self.away:
            self.toy.seconds = max(self.toy.seconds, (self.look_at - T0).total_seconds())

    @some(Cluster.podless)
    @happens(data=st.data())
    def a_pod_appears(self, data):
        self.toy.pod(data.draw(st.sampled_from(self.toy.podless())))

    @some(lambda toy: toy.open(started=False))
    @happens(data=st.data())
    def one_runs(self, data):
        pod = data.draw(st.sampled_from(self.toy.open(started=False)))
        if not pod.facts.deleting:
            pod.running(int(self.toy.seconds))

    @some(lambda toy: toy.open(started=True))
    @happens(data=st.data(), code=st.sampled_from(CODES), log=st.sampled_from(["", "k=1", "boom"]))
    def one_ends(self, data, code, log):
        self.toy.ends(data.draw(st.sampled_from(self.toy.open(started=True))), code, log)

    @some(lambda toy: toy.open(started=True))
    @happens(data=st.data())
    def one_runs_out_of_memory(self, data):
        pod = data.draw(st.sampled_from(self.toy.open(started=True)))
        second = int(self.toy.seconds)
        pod.exited(137, start=second, end=second, reason="OOMKilled")

    @some(Cluster.open)
    @happens(data=st.data())
    def one_is_evicted(self, data):
        pod = data.draw(st.sampled_from(self.toy.open()))
        if pod.facts.main.started_at:
            self.toy.ends(pod, 137)
        pod.phase("Failed", "Evicted", "The node was low on disk")

    @some(Cluster.open)
    @happens(data=st.data())
    def a_node_is_lost(self, data):
        pod = data.draw(st.sampled_from(self.toy.open()))
        pod.on().silent().disrupted("DeletionByTaintManager").deleted(int(self.toy.seconds))

    @some(Cluster.open)
    @happens(data=st.data())
    def somebody_deletes_a_pod(self, data):
        self.toy.loses_pod(data.draw(st.sampled_from(self.toy.open())))

    @happens(code=st.sampled_from([0, 137, 143]))
    def what_was_told_to_end_ends(self, code):
        for pod in self.toy.open():
            facts = pod.facts
            if not facts.deleting and facts.deadline_seconds != 1:
                continue
            if facts.main.started_at:
                self.toy.ends(pod, code)
            else:
                pod.phase("Failed", "DeadlineExceeded", "overdue")
            if facts.deleting:
                self.toy.goes(pod)

    @some(lambda toy: toy.steps)
    @happens(data=st.data())
    def somebody_deletes_a_job(self, data):
        """One that the status knows: of others nobody remembers that they were there."""
        toy = self.toy
        known = {one.job_name: one for one in toy.steps.values()}
        there = [
            job.facts
            for name, job in toy.jobs.items()
            if job.facts.uid not in toy.gone
            and name in known
            and (known[name].phase.final or job.facts.step not in toy.well)
        ]
        if there:
            toy.loses_job(data.draw(st.sampled_from(there)).uid)

    @happens(kind=st.sampled_from([None, None, Refusal.QUOTA, Refusal.PASSING, Refusal.FINAL]))
    def the_server_refuses(self, kind):
        self.toy.refuses = kind

    @precondition(lambda self: self.quiet)
    @happens(really=st.integers(0, 3))
    def somebody_stops_it(self, really):
        if really == 0:
            self.toy.built.stopped()
            self.quiet = False

    # -- what is true --

    @invariant()
    def status_only_moves_on(self):
        old, new = self.seen, self.toy.status
        self.seen = new
        assert (new.status_version or 0) >= (old.status_version or 0)
        if new != old:
            assert new.status_version > (old.status_version or 0)
        if old.phase and old.phase.final:
            assert new == old, "a verdict changes"
        certain = "FailureTarget" in {c.type for c in old.conditions or ()}
        if certain and new.conditions:
            assert "FailureTarget" in {c.type for c in new.conditions}, "a certain verdict changes"
        later = {one.id: one for one in new.steps or ()}
        for one in old.steps or ():
            if one.phase.final:
                assert later[one.id] == one, "the verdict on a step changes"
            elif one.id in later:
                assert later[one.id].attempt >= one.attempt

    @invariant()
    def no_attempt_is_made_twice(self):
        assert all(count == 1 for count in self.toy.created.values()), self.toy.created

    @invariant()
    def no_two_pods_of_a_step_run_at_the_same_time(self):
        running = [pod.facts.step for pod in self.toy.open()]
        assert len(running) == len(set(running))

    @invariant()
    def nobody_pays_for_more_attempts_than_allowed(self):
        tasks = {one.id: one.task for one in self.toy.built.facts.spec.plan}
        for name, one in self.toy.steps.items():
            infra = one.infra_retries or 0
            assert infra <= tasks[name].infra_retries
            retry = tasks[name].retry
            assert one.attempt - 1 - infra <= ((retry.limit if retry else None) or 0)

    # -- how it ends --

    def teardown(self):
        """Nobody interferes any more: it ends, and before its deadline."""
        toy = self.toy
        if not isinstance(toy.built, Built):
            return
        late = toy.deadline - toy.seconds < LONG
        toy.refuses = None
        toy.restarts() if self.away else None
        self.look_at = toy.wakes()
        for _ in range(200):
            if toy.status.phase and toy.status.phase.final and not toy.open():
                break
            toy.seconds = int(toy.seconds) + 1
            if not self.moves_on() and self.look_at:
                toy.seconds = max(toy.seconds, (self.look_at - T0).total_seconds())
            self.look_at = toy.wakes()
        status = toy.status
        assert status.phase, "it never begins"
        assert status.phase.final, f"it never ends: {status}"
        assert late or status.reason is not Reason.DEADLINE_EXCEEDED, "it waits for its deadline"
        assert not toy.open(), "something of it runs on"
        self.status_only_moves_on()
        self.no_attempt_is_made_twice()
        plan = {one.id for one in toy.built.facts.spec.plan}
        if status.phase is Phase.SUCCEEDED:
            assert toy.well == plan
        elif toy.proper == plan:
            wrong = {Reason.INVALID_TASK}
            assert status.reason in wrong, f"all is well and it says {status.failure_message}"

    def moves_on(self):
        """What a healthy cluster does within a second; whether there was anything to do."""
        toy = self.toy
        moved = False
        for pod in toy.open():
            moved = True
            facts = pod.facts
            if facts.deleting and not facts.main.started_at:
                toy.goes(pod)
            elif facts.main.started_at:
                toy.ends(pod, 143 if facts.deleting or facts.deadline_seconds == 1 else 0, "k=1")
            else:
                pod.running(int(toy.seconds))
            if facts.deleting:
                toy.goes(pod)
        for name in toy.podless():
            moved = True
            toy.pod(name)
        return moved


TestPlanHistory = PlanHistory.TestCase
TestPlanHistory.settings = settings(max_examples=100, stateful_step_count=40)
