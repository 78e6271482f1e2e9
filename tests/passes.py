"""Passes over one Task in unit tests: a decision with what is true of each, and a small cluster."""

from dataclasses import replace

from builders import at, created_execution, execution, stored, task, task_world
from taskmill.plan.decision import CreateExecution, DeleteExecution, TryJob
from taskmill.plan.names import ANNOTATION_SCHEDULED
from taskmill.plan.tasks.decide import decide
from taskmill.plan.world import Tried


def decided(before, seconds=0):
    """The decision, checked for what is true of every decision."""
    decision = decide(before, at(seconds))
    assert decision.look_at is None or decision.look_at > at(seconds)
    if decision.status:
        assert decision.status != before.task.status
        after = replace(stored(before, decision, at(seconds)), written_at=None)
        assert decide(after, at(seconds)).status is None
    return decision


def created(decision, **more):
    (create,) = decision.actions
    assert isinstance(create, CreateExecution)
    return created_execution(create.body, **more)


def starts(before, seconds=0):
    """Whether it starts a run."""
    return any(isinstance(a, CreateExecution) for a in decided(before, seconds).actions)


def conditions(status):
    return {c.type: (c.status, c.reason, c.message) for c in status.conditions}


def triggered(of=None, *, generation=1):
    """The Task once its present state was started."""
    of = of or task()
    return of.status(lastTriggered={"generation": generation, "hash": of.hash})


def ran(phase=None, *, trigger=None, generation=1, name="build-run", created=1, **status):
    """What a change of the Task started."""
    built = execution(name, uid=f"uid-{name}").created(created)
    built.triggered(trigger or task().hash, generation)
    if phase:
        built.status(phase=phase, **status)
    return built


class Cluster:
    """A Task and its executions, passed over until there is nothing more to do."""

    def __init__(self, of, *others):
        self.task, self.others = of, others
        self.runs, self.deleted = [], []
        self.seconds, self.look_at = 0, None
        self.tried, self.says = None, ""

    def settle(self, *, writes=True):
        for _ in range(9):
            self.seconds += 2
            before = task_world(self.task, *self.runs, tasks=self.others, tried=self.tried)
            decision = decided(before, self.seconds)
            self.look_at = decision.look_at
            if decision.status and writes:
                self.task.raw["status"] = decision.status.to_api()
            for action in decision.actions:
                self.act(action)
            if not decision.actions and not (decision.status and writes):
                return self
        raise AssertionError("it does not come to rest")

    def act(self, action):
        if isinstance(action, TryJob):
            self.tried = Tried(action.generation, self.says, at(self.seconds))
        elif isinstance(action, DeleteExecution):
            self.deleted.append(action.name)
            self.runs = [run for run in self.runs if run.raw["metadata"]["uid"] != action.uid]
        else:
            assert isinstance(action, CreateExecution)
            uid = f"run-{len(self.runs) + len(self.deleted)}"
            made = created_execution(action.body, uid=uid, seconds=self.seconds)
            assert made.raw["metadata"]["name"] not in self.names, "the API server has it already"
            self.runs.append(made)

    @property
    def names(self):
        return [run.raw["metadata"]["name"] for run in self.runs]

    @property
    def ticks(self):
        """For which times of the schedule it ran."""
        marks = [run.raw["metadata"]["annotations"] for run in self.runs]
        return [mark[ANNOTATION_SCHEDULED] for mark in marks if ANNOTATION_SCHEDULED in mark]

    @property
    def status(self):
        return self.task.raw["status"]

    def edit(self, **spec):
        generation = self.task.raw["metadata"]["generation"]
        self.task.spec(**spec).generation(generation + 1)
        return self

    def end(self, *numbers, phase="Succeeded"):
        """Ends those runs, else all."""
        for number in numbers or range(len(self.runs)):
            if "phase" not in self.runs[number].raw.get("status", {}):
                self.runs[number].ended(phase, self.seconds)
        return self

    def on(self, seconds):
        """The clock shows that."""
        self.seconds = seconds
        return self.settle()
