"""Whatever happens, in whatever order: what must be true of every life of one Task."""

import functools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from builders import at, created_execution, stored, task, task_world
from taskmill.api.meta import parse_rfc3339
from taskmill.plan import names
from taskmill.plan.decision import CreateExecution, DeleteExecution
from taskmill.plan.tasks.decide import decide
from taskmill.plan.tasks.history import LEAST
from taskmill.plan.tasks.schedule import Schedule
from taskmill.plan.world import Refusal, Refused

SCHEDULES = (
    None,
    {"cron": "0 * * * *"},
    {"cron": "*/10 * * * *"},
    {"cron": "*/10 * * * *", "startingDeadline": "3m"},
    {"cron": "30 2 * * *", "timeZone": "Europe/Berlin"},
)
UNANSWERED = 10
"""Seconds until a creation without an answer is tried again."""


def happens(**drawn_from):
    """A rule about the world, which an operator that is there sees at once."""

    def decorate(happening):
        @functools.wraps(happening)
        def and_is_seen(self, **drawn):
            happening(self, **drawn)
            if not self.away:
                self.passes(loses_status=False, creation="answered")

        return rule(**drawn_from)(and_is_seen)

    return decorate


class Life(RuleBasedStateMachine):
    """A Task, its executions as the API server has them, and an operator that sees them."""

    def __init__(self):
        super().__init__()
        self.task = task()
        self.seconds, self.wrong = 0, 0
        """What a right clock shows, and by how much the operator's is wrong."""
        self.runs, self.unseen = [], {}
        self.made: dict[str, str] = {}
        """What runs in each execution that there ever was, by name."""
        self.refused, self.written_at = {}, None
        self.look_at = None
        self.away = False

    @property
    def now(self):
        return self.seconds + self.wrong

    # -- the operator --

    def picture(self):
        unseen = {name for name, since in self.unseen.items() if self.seconds < since + 5}
        seen = [run for run in self.runs if run.raw["metadata"]["name"] not in unseen]
        return task_world(self.task, *seen, refused=self.refused, written_at=self.written_at)

    @rule(
        loses_status=st.booleans(),
        creation=st.sampled_from(["answered", "not answered", "lost", "refused"]),
    )
    def passes(self, loses_status, creation):
        before = self.picture()
        decision = decide(before, at(self.now))
        assert decision.look_at is None or decision.look_at > at(self.now)
        assert len([a for a in decision.actions if isinstance(a, CreateExecution)]) <= 1
        self.look_at = decision.look_at
        if decision.status and loses_status:
            return
        if decision.status:
            assert decision.status.to_api() != before.task.status.to_api()
            after = stored(before, decision, at(self.now)).task.status
            self.task.raw["status"] = after.to_api()
            self.written_at = self.now
        for action in decision.actions:
            if isinstance(action, CreateExecution):
                self.create(action.body, creation)
            else:
                assert isinstance(action, DeleteExecution)
                self.delete(action)
        again = decide(self.picture(), at(self.now))
        if creation == "answered":
            assert again.status is None or decision.actions, "what was written is written again"
            assert not [a for a in again.actions if a in decision.actions], "done is done again"

    def create(self, body, how):
        name, marks = body["metadata"]["name"], body["metadata"]["annotations"]
        if name not in self.unseen:
            assert name not in self.made, "it was started before"
        spec = self.task.raw["spec"]
        assert not spec.get("suspend"), "a suspended Task starts something"
        assert body["spec"]["plan"][0]["task"]["script"] == spec["script"]
        if tick := marks.get(names.ANNOTATION_SCHEDULED):
            given = spec["schedule"]
            schedule = Schedule.read(given["cron"], given.get("timeZone"), "team/build")
            assert schedule.is_tick(parse_rfc3339(tick))
            assert parse_rfc3339(tick) <= at(self.now)
        else:
            assert spec.get("trigger") != "Manual"
        active = [run for run in self.active() if run.raw["metadata"]["name"] != name]
        policy = spec.get("concurrencyPolicy")
        assert policy != "Forbid" or not active, "two run at the same time"
        if policy == "Queue" and not self.unseen:
            assert len(active) - 1 < spec.get("maxQueued", 10) or not active, "too many wait"
        if how == "refused":
            since, again = at(self.now), at(self.now + UNANSWERED)
            self.refused[name] = Refused(Refusal.QUOTA, "quota", since, again)
            return
        if how != "lost" and name not in self.made:
            uid = f"uid-{len(self.made)}"
            self.runs.append(created_execution(body, uid=uid, seconds=self.seconds))
            self.made[name] = spec["script"]
            if how == "not answered":
                self.unseen[name] = self.seconds
        if how == "answered":
            self.unseen.pop(name, None)
            self.refused.pop(name, None)
        else:
            since, again = at(self.now), at(self.now + UNANSWERED)
            self.refused[name] = Refused(Refusal.PASSING, "no answer", since, again, unknown=True)

    def delete(self, action):
        (run,) = (r for r in self.runs if r.raw["metadata"]["uid"] == action.uid)
        status, history = run.raw["status"], self.task.raw["spec"].get("history") or {}
        assert status["phase"] in ("Succeeded", "Failed")
        ended = parse_rfc3339(status["completedAt"])
        assert at(self.now) - ended >= LEAST, "it is deleted too early"
        self.runs.remove(run)
        if "ttl" not in history:
            alike = [
                r for r in self.runs if r.raw.get("status", {}).get("phase") == status["phase"]
            ]
            kept = (history.get("succeeded", 3), history.get("failed", 5))
            assert len(alike) >= kept[status["phase"] == "Failed"], "too many are deleted"

    def active(self):
        return [run for run in self.runs if "phase" not in run.raw.get("status", {})]

    # -- the world --

    @initialize(schedule=st.sampled_from(SCHEDULES), trigger=st.sampled_from([None, "OnChange"]))
    def is_applied(self, schedule, trigger):
        self.task.spec(schedule=schedule, trigger=trigger)

    def edit(self, **spec):
        before = dict(self.task.raw["spec"])
        self.task.spec(**spec)
        if self.task.raw["spec"] != before:
            self.task.generation(self.task.raw["metadata"]["generation"] + 1)

    @happens(script=st.sampled_from("abc"))
    def what_runs_is_edited(self, script):
        self.edit(script=script)

    @happens(schedule=st.sampled_from(SCHEDULES))
    def the_schedule_is_edited(self, schedule):
        self.edit(schedule=schedule)

    @happens(trigger=st.sampled_from([None, "OnChange", "Manual"]))
    def the_trigger_is_edited(self, trigger):
        self.edit(trigger=trigger)

    @happens(
        policy=st.sampled_from([None, "Forbid", "Replace", "Queue"]),
        most=st.sampled_from([None, 0, 1]),
    )
    def the_policy_is_edited(self, policy, most):
        self.edit(concurrencyPolicy=policy, maxQueued=most)

    @happens(suspend=st.sampled_from([None, True]))
    def it_is_suspended_or_not(self, suspend):
        self.edit(suspend=suspend)

    @happens(history=st.sampled_from([None, {"succeeded": 0, "failed": 1}, {"ttl": "10m"}]))
    def the_history_is_edited(self, history):
        self.edit(history=history)

    @happens(seconds=st.sampled_from([0.3, 1, 11, 130, 601, 3600, 40_000]))
    def time_passes(self, seconds):
        self.seconds += seconds

    @happens()
    def time_passes_until_the_next_look(self):
        if self.look_at:
            self.seconds = max(self.seconds, (self.look_at - at(self.wrong)).total_seconds())

    @happens(wrong=st.sampled_from([0, 0, 2, -2, -700, 700, -8000, 8000]))
    def the_operators_clock_is_set(self, wrong):
        self.unseen.clear()
        self.wrong = wrong

    @happens(number=st.integers(0, 3), phase=st.sampled_from(["Succeeded", "Failed"]))
    def a_run_ends(self, number, phase):
        active = self.active()
        if number < len(active):
            active[number].ended(phase, self.now)

    @rule()
    def the_operator_goes(self):
        self.away = True

    @rule()
    def an_operator_comes(self):
        self.away = False
        self.unseen.clear()
        self.refused.clear()
        self.written_at = None
        self.passes(loses_status=False, creation="answered")

    # -- in the end --

    def teardown(self):
        """When all is quiet, the latest state has run once, and nothing is written any more."""
        for trigger in (None, "OnChange"):
            self.wrong = 0
            self.an_operator_comes()
            state = "the latest of all" if trigger else self.task.raw["spec"]["script"]
            self.edit(schedule=None, suspend=None, trigger=trigger, script=state)
            for _ in range(40):
                for run in self.active():
                    run.ended("Succeeded", self.now)
                self.seconds += 130
                before = self.task.raw.get("status")
                self.passes(loses_status=False, creation="answered")
            assert self.task.raw["status"] == before, "it is written for ever"
            assert decide(self.picture(), at(self.now)).actions == ()
        assert list(self.made.values()).count(state) == 1
        last = self.task.raw["status"]["lastExecution"]
        assert last["phase"] == "Succeeded"
        assert self.task.raw["status"]["lastTriggered"]["hash"] == self.task.hash
        (ready,) = self.task.raw["status"]["conditions"]
        assert (ready["type"], ready["reason"]) == ("Ready", "Succeeded")


Life.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestLife = Life.TestCase
