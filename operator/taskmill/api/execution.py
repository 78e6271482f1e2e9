"""TaskExecution: one run. Made by the operator, `kubectl create`, the CLI or a gateway.

Its spec never changes, but for the request to stop. Its status only moves on: a final phase stays.
"""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, WithJsonSchema

from taskmill.api.container import Argument, Arguments, Env
from taskmill.api.meta import (
    API_VERSION,
    Conditions,
    Model,
    ObjectMeta,
    ObservedGeneration,
    Timestamp,
)
from taskmill.api.reasons import Phase
from taskmill.api.schema import OPAQUE, Cel, Keywords, list_map
from taskmill.api.task import REASON_LIST, DnsLabel, Message, RecordedReason, RunSpec

_FORBIDDEN: Final = "FieldValueForbidden"

# ---- spec ----


# Without a rule: in a thousand steps a hundred of them each exceed the cost budget, and a name that
# is no step's is told anyway.
StepIds = Annotated[
    tuple[Annotated[str, Keywords({"maxLength": 63})], ...],
    Keywords({"maxItems": 100, "x-kubernetes-list-type": "set"}),
]


class Step(Model):
    """One container to run to completion."""

    id: DnsLabel
    """Name of the step, unique in the plan, for example build."""

    label: Annotated[str, Keywords({"maxLength": 255})] | None = None
    """The step in words, for lists and pages. Default: its id."""

    depends_on: StepIds | None = None
    """Ids of the steps that must have succeeded before this one starts. At most 100."""

    task: RunSpec
    """What to run, its clocks and retries, as in a Task."""


Plan = Annotated[
    tuple[Step, ...],
    list_map("id"),
    Keywords({"minItems": 1, "maxItems": 1000}),
]


class TaskRef(Model):
    """The Task that is run."""

    name: DnsLabel
    """Name of a Task in the same namespace."""

    generation: Annotated[int, Keywords({"minimum": 1})] | None = None
    """The metadata.generation of the Task that `plan` was made from; only together with `plan`."""


def _immutable(field: str, *, and_same: str = "") -> Cel:
    """Neither changed, nor added, nor removed; a rule on the field itself would miss the latter."""
    same = " && ".join(filter(None, (f"self.{field} == oldSelf.{field}", and_same)))
    return Cel(
        rule=f"""has(self.{field}) == has(oldSelf.{field})
            && (!has(self.{field}) || {same})""",
        message=f"{field} cannot be changed: of an execution only desiredPhase can",
        field_path=f".{field}",
        reason=_FORBIDDEN,
    )


# CEL compares lists that are maps by key without regard to order, but order means something in env.
_SAME_ENV_ORDER: Final = "self.env.map(e, e.name) == oldSelf.env.map(e, e.name)"
_SAME_PLAN_ENV_ORDER: Final = " == ".join(
    f"{spec}.plan.map(s, has(s.task.env) ? s.task.env.map(e, e.name) : [])"
    for spec in ("self", "oldSelf")
)


class TaskExecutionSpec(Model):
    """What to run once. Nothing but desiredPhase can be changed later."""

    RULES: ClassVar[tuple[Cel, ...]] = (
        Cel(
            rule="has(self.taskRef) || has(self.plan)",
            message="taskRef or plan must be given, or both",
        ),
        Cel(
            rule="!has(self.taskRef) || !has(self.taskRef.generation) || has(self.plan)",
            message="taskRef.generation says what plan was made from, and there is no plan",
            field_path=".taskRef.generation",
            reason=_FORBIDDEN,
        ),
        Cel(
            rule="""!has(oldSelf.desiredPhase)
                || has(self.desiredPhase) && self.desiredPhase == oldSelf.desiredPhase""",
            message="desiredPhase: Stopped cannot be taken back",
            field_path=".desiredPhase",
            reason=_FORBIDDEN,
        ),
        _immutable("taskRef"),
        _immutable("plan", and_same=_SAME_PLAN_ENV_ORDER),
        # The format lets more pass than CEL can read, and then no update would any more.
        Cel(
            rule="!has(self.deadline) || self.deadline > timestamp('0001-01-01T00:00:00Z')",
            message="deadline must be a moment, for example 2026-11-24T12:00:00Z",
            field_path=".deadline",
        ),
        _immutable("deadline"),
        _immutable("env", and_same=_SAME_ENV_ORDER),
        _immutable("args"),
        _immutable("startedBy"),
        _immutable("ttlSecondsAfterFinished"),
        Cel(
            rule="!has(self.args) || has(self.taskRef) || !has(self.plan) || self.plan.size() < 2",
            message="args of a plan of several steps have no step to go to; give them in the plan",
            field_path=".args",
        ),
    )

    task_ref: TaskRef | None = None
    """The Task to run, or that `plan` was made from. Alone, it is resolved once, at the start, into
    status.plan."""

    plan: Plan | None = None
    """What to run: 1 to 1000 steps, each started when those in its dependsOn have succeeded."""

    desired_phase: Literal["Stopped"] | None = None
    """Stopped ends the execution early, and cannot be taken back: kubectl patch te NAME --type
    merge -p '{"spec":{"desiredPhase":"Stopped"}}'."""

    deadline: Timestamp | None = None
    """Moment at which all is over, waiting included, for example 2026-11-24T12:00:00Z. Default:
    creation plus the Task's timeout, else plus the operator's, 24h."""

    env: Env | None = None
    """Environment variables for this run, in every step; they win over those of the steps."""

    args: Arguments | None = None
    """Arguments for this run, instead of the step's own; in a plan of several steps, of the one
    that is called like taskRef."""

    started_by: Annotated[str, Keywords({"maxLength": 1024})] | None = None
    """Who or what started it, for example a user's name."""

    ttl_seconds_after_finished: Annotated[int, Keywords({"minimum": 0})] | None = None
    """Seconds after its end at which it is deleted, with its Jobs; what is also in Git would then
    be made, and run, again. Default: it stays, but for the history of its Task."""


# ---- status ----

_FINAL: Final = [phase.value for phase in Phase if phase.final]

# Written once and by the operator alone: it needs no rules, only not to be pruned.
_OPAQUE_PLAN: Final = WithJsonSchema(
    {
        "type": "array",
        "x-kubernetes-list-type": "atomic",
        "items": {**OPAQUE, "description": "A step, of the shape of spec.plan."},
    }
)


class StepStatus(Model):
    """What happened to one step. Steps that have not started are absent."""

    id: Annotated[str, Keywords({"maxLength": 63})]
    """The step's id in the plan."""

    phase: Phase
    """Pending, Running, Succeeded, Failed or Stopped."""

    reason: RecordedReason | None = Field(
        default=None, description=f"Why it waits or how it ended. {REASON_LIST}"
    )

    failure_message: Message | None = None
    """What went wrong, in one sentence; only when it failed."""

    exit_code: int | None = None
    """Exit code of its container; 128 plus its number when a signal ended it."""

    signal: int | None = None
    """Number of the signal that ended its container, for example 9."""

    job_name: Annotated[str, Keywords({"maxLength": 63})] | None = None
    """Name of the Job of its newest attempt."""

    pod_name: Annotated[str, Keywords({"maxLength": 253})] | None = None
    """Name of the pod of its newest attempt, for kubectl logs."""

    node: Annotated[str, Keywords({"maxLength": 253})] | None = None
    """Name of the node of its newest attempt."""

    attempt: Annotated[int, Keywords({"minimum": 1})] | None = None
    """Number of its newest attempt; the first is 1."""

    infra_retries: Annotated[int, Keywords({"minimum": 1})] | None = None
    """How many of its further attempts the cluster made necessary."""

    next_attempt_at: Timestamp | None = None
    """When its newest attempt starts; only while that waits."""

    memory_limit: Annotated[str, Keywords({"maxLength": 32})] | None = None
    """Memory of its newest attempt when retry.onOOM has raised it, for example 1Gi."""

    stopping_since: Timestamp | None = None
    """When its container was told to end; only until it has."""

    output: Annotated[dict[str, Argument], Keywords({"maxProperties": 512})] | None = None
    """What it wrote to $TASKMILL_OUTPUT as lines KEY=VALUE; only when it succeeded."""

    started_at: Timestamp | None = None
    """When its container started."""

    completed_at: Timestamp | None = None
    """When its container ended."""


class AttemptStatus(Model):
    """How an earlier attempt of a step ended."""

    step: Annotated[str, Keywords({"maxLength": 63})]
    """Id of the step."""

    attempt: Annotated[int, Keywords({"minimum": 1})]
    """Number of the attempt; the first is 1."""

    reason: RecordedReason | None = Field(default=None, description=f"Why it failed. {REASON_LIST}")

    message: Message | None = None
    """What went wrong, in one sentence, maybe cut."""

    exit_code: int | None = None
    """Exit code of its container; 128 plus its number when a signal ended it."""

    job_name: Annotated[str, Keywords({"maxLength": 63})] | None = None
    """Name of its Job, for kubectl logs."""

    started_at: Timestamp | None = None
    """When its container started."""

    completed_at: Timestamp | None = None
    """When it ended."""


class TaskExecutionStatus(Model):
    """What happened. Written by the operator only."""

    RULES: ClassVar[tuple[Cel, ...]] = (
        Cel(
            rule=f"""!has(oldSelf.phase) || !(oldSelf.phase in {_FINAL})
                || has(self.phase) && self.phase == oldSelf.phase""",
            message="phase is final and cannot be changed",
            field_path=".phase",
            reason=_FORBIDDEN,
        ),
        Cel(
            rule="""!has(oldSelf.statusVersion)
                || has(self.statusVersion) && self.statusVersion >= oldSelf.statusVersion""",
            message="statusVersion cannot go back",
            field_path=".statusVersion",
            reason=_FORBIDDEN,
        ),
    )

    phase: Phase | None = None
    """Pending, Running, Succeeded, Failed or Stopped. The last three are final."""

    reason: RecordedReason | None = Field(
        default=None, description=f"Why it waits or how it ended. {REASON_LIST}"
    )

    message: Message | None = None
    """What it is doing or waiting for, in one sentence; only until it ends."""

    failure_message: Message | None = None
    """What went wrong and what to do about it, in one sentence; only when it failed."""

    status_version: Annotated[int, Keywords({"minimum": 0})] | None = None
    """Counts the changes of this status up, so that readers can tell old from new."""

    observed_generation: ObservedGeneration = None
    """The metadata.generation that this status is about."""

    started_at: Timestamp | None = None
    """When its first container started."""

    completed_at: Timestamp | None = None
    """When it ended."""

    deadline: Timestamp | None = None
    """Moment at which all is over, waiting included."""

    plan: Annotated[tuple[Step, ...], _OPAQUE_PLAN] | None = None
    """What a taskRef without a plan was resolved to, of the shape of spec.plan."""

    steps: (
        Annotated[tuple[StepStatus, ...], list_map("id"), Keywords({"maxItems": 1000})] | None
    ) = None
    """What happened to each step. Steps that have not started are absent."""

    attempts: Annotated[tuple[AttemptStatus, ...], Keywords({"maxItems": 1000})] | None = None
    """How earlier attempts ended, the newest last; the latest of each step is in steps. Of many
    only the newest are kept."""

    conditions: Conditions | None = None
    """Complete, Failed (also when stopped), Finished (ended, however), FailureTarget (the verdict
    is known, containers are still ending), Reconciling and Stalled, for kubectl wait and tools."""


class TaskExecution(Model):
    """A TaskExecution is one run of a Task, or of a plan of its own.

    Its status says in one line what happened, or what it waits for.
    """

    api_version: str = API_VERSION
    kind: str = "TaskExecution"
    metadata: ObjectMeta
    spec: TaskExecutionSpec
    """What to run once. Nothing but desiredPhase can be changed later."""
    status: TaskExecutionStatus | None = None
    """What happened. Written by the operator only."""
