"""Task: what to run. It lives in Git; the operator writes only its status.

Three layers, so that each place carries what means something there:
`WhatRuns` (a change of it is a new run) < `RunSpec` (plus clocks; a step of a plan) < `TaskSpec`.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from taskmill.api.container import (
    NOT_EMPTY,
    Arguments,
    Env,
    EnvFrom,
    ImagePullPolicy,
    Quantity,
    Resources,
    ServiceAccountName,
)
from taskmill.api.duration import PATTERN as DURATION
from taskmill.api.duration import Duration, DurationOrZero
from taskmill.api.meta import (
    API_VERSION,
    Conditions,
    Model,
    ObjectMeta,
    ObservedGeneration,
    Timestamp,
)
from taskmill.api.pod import PodTemplate
from taskmill.api.reasons import Phase, Reason
from taskmill.api.schema import Cel, Keywords

# What holds where a Task says nothing. Never written into the CRD: a default that appears in
# stored objects would look like a change of what runs.
DEFAULT_GRACE_PERIOD: Final = timedelta(seconds=30)
DEFAULT_START_TIMEOUT: Final = timedelta(minutes=10)
DEFAULT_TIMEOUT: Final = timedelta(hours=24)  # the operator's setting may say otherwise
DEFAULT_INFRA_RETRIES: Final = 5
DEFAULT_BACKOFF: Final = timedelta(seconds=10)
DEFAULT_BACKOFF_FACTOR: Final = 2
DEFAULT_BACKOFF_MAX: Final = timedelta(minutes=5)
DEFAULT_MAX_QUEUED: Final = 10
DEFAULT_HISTORY_SUCCEEDED: Final = 3
DEFAULT_HISTORY_FAILED: Final = 5

SCRIPT_BYTES: Final = 120 * 1024  # one argument of exec() holds 128 KiB, the rest is ours

# ---- leaves ----

DNS_LABEL: Final = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"

DNS_LABEL_SENTENCE: Final = (
    "must be at most 63 lower-case letters, digits and '-', with none of the latter at its ends,"
    " such as build-2"
)

DnsLabel = Annotated[
    str,
    Keywords({"maxLength": 63}),
    Cel(rule=f"self.matches('{DNS_LABEL}')", message=DNS_LABEL_SENTENCE),
]
DependsOn = Annotated[
    tuple[DnsLabel, ...], Keywords({"maxItems": 100, "x-kubernetes-list-type": "set"})
]
Message = Annotated[str, Keywords({"maxLength": 1024})]

# The schema has no enum of reasons: a CRD older than the operator would refuse its verdicts.
RecordedReason = Annotated[
    Reason,
    PlainValidator(Reason.of),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "maxLength": 63}),
]
REASON_LIST: Final = "One of " + ", ".join(Reason) + "; a newer taskmill may know more."


# ---- retries ----


class Backoff(Model):
    """How long to wait before another attempt. Up to a fifth is added, by chance."""

    initial: DurationOrZero | None = None
    """Time before the second attempt, for example 30s. Default: 10s."""

    factor: Annotated[int, Keywords({"minimum": 1, "maximum": 10})] | None = None
    """By what the time grows with each further attempt, from 1 to 10. Default: 2."""

    max: Duration | None = None
    """Longest time between two attempts, for example 1h. Default: 5m."""


class OnOom(Model):
    """More memory for the next attempt after OOMKilled."""

    memory_percent: Annotated[int, Keywords({"minimum": 101, "maximum": 1000})]
    """Memory of the next attempt in percent of this one's, from 101 to 1000; 200 doubles it."""

    max: Quantity
    """The most memory an attempt gets, for example 8Gi. With that much, OOMKilled is final."""


class Retry(Model):
    """When the task is tried again after it failed by itself."""

    RULES: ClassVar[tuple[Cel, ...]] = (
        Cel(
            rule="!has(self.onOOM) || has(self.limit) && self.limit > 0",
            message="onOOM needs a limit of at least 1: that many attempts get more memory",
            field_path=".onOOM",
        ),
    )

    limit: Annotated[int, Keywords({"minimum": 0, "maximum": 100})] | None = None
    """How often it is tried again, from 0 to 100. Default: 0."""

    on_exit_codes: (
        Annotated[
            tuple[Annotated[int, Keywords({"minimum": 1, "maximum": 255})], ...],
            Keywords({"maxItems": 64, "x-kubernetes-list-type": "set"}),
        ]
        | None
    ) = None
    """Only when its container ended with one of these codes, for example [75, 111]. Default: after
    any failure of its own, those of a clock included."""

    backoff: Backoff | None = None
    """How long to wait before another attempt. Default: 10s, then twice as long each time, at most
    5m."""

    on_oom: Annotated[OnOom | None, Field(alias="onOOM")] = None
    """More memory for the next attempt after OOMKilled, paid by limit whatever onExitCodes says.
    Default: as much as before."""

    on_node_lost: Literal["Wait", "Now"] | None = None
    """When the next attempt starts after NodeLost. Wait: once the old pod is known to be gone, so
    that two never run at the same time. Now: at once. Default: Wait."""


# ---- what runs ----


class WhatRuns(Model):
    """The part of a Task whose change is a new run (with `rerun`)."""

    RULES: ClassVar[tuple[Cel, ...]] = (
        Cel(
            rule="!has(self.script) || !has(self.command) || self.command.size() == 0",
            message="script and command cannot both be given",
            field_path=".script",
        ),
    )

    image: Annotated[
        str,
        Keywords({"maxLength": 1024}),
        Cel(
            rule="self != '' && self.trim() == self",
            message="must name an image, such as ubuntu:24.04, without blanks around it",
        ),
    ]
    """Container image, for example ubuntu:24.04 or registry.example.com/team/build:1.2."""

    command: Arguments | None = None
    """Program to run, with leading arguments, for example [make, -j4]. $(NAME) stands for an
    environment variable, $$ for one $. Default: the image's own entrypoint."""

    args: Arguments | None = None
    """Arguments after `command` or after the image's entrypoint; in a `script` they are "$1" and so
    on. Default: the image's own, when `command` and `script` are absent."""

    script: Annotated[str, Keywords({"maxLength": SCRIPT_BYTES}), NOT_EMPTY] | None = None
    """Shell text to run instead of `command`, by /bin/sh -e -c: it ends at the first command that
    fails. Every $ reaches the shell as written. At most 120 KiB. For example: make && make test."""

    env: Env | None = None
    """Environment variables, in order, as in a container. At most 100."""

    env_from: Annotated[tuple[EnvFrom, ...], Keywords({"maxItems": 32})] | None = None
    """Secrets and ConfigMaps all of whose keys become environment variables; `env` wins over them,
    and a later one over an earlier. At most 32."""

    working_dir: Annotated[str, Keywords({"maxLength": 4096})] | None = None
    """Directory to run in, for example /src. Default: the image's own."""

    resources: Resources | None = None
    """CPU, memory and other resources, as in a container. Default: the namespace's."""

    service_account_name: ServiceAccountName | None = None
    """ServiceAccount to run as; naming one mounts its token. Default: default, without a token."""

    pod_template: PodTemplate | None = None
    """What to add to the pod that taskmill makes, for example volumes, tolerations or a sidecar.
    The task's own container is called main."""


class RunSpec(WhatRuns):
    """What runs, and its clocks. Durations are written like 30s, 10m or 1h30m (h, m, s, ms)."""

    image_pull_policy: ImagePullPolicy | None = None
    """When to pull the image: Always, IfNotPresent or Never. Default: Always for the tag latest and
    for images without a tag, else IfNotPresent."""

    max_run_time: Duration | None = None
    """Longest time for one attempt, from when its container runs, for example 10m. Then the reason
    is MaxRunTimeExceeded. Default: none, only the deadline of the execution ends it."""

    start_timeout: Duration | None = None
    """Longest time from the pod being on a node to its container running (pull, mounts,
    configuration), for example 5m. Default: 10m."""

    queue_timeout: Duration | None = None
    """Longest time to wait for room: no node fits, quota, suspended, gated; for example 1h.
    Default: none, a full cluster is a queue and only the deadline of the execution ends it."""

    grace_period: DurationOrZero | None = None
    """Time from SIGTERM to SIGKILL when the task is stopped, for example 1m; 0s kills at once.
    Counted in whole seconds, rounded up. Default: 30s."""

    retry: Retry | None = None
    """When it is tried again after it failed by itself. Default: never."""

    infra_retries: Annotated[int, Keywords({"minimum": 0, "maximum": 100})] | None = None
    """How often it is tried again after an eviction, a preemption, the loss of its node and the
    like, from 0 to 100; apart from retry.limit. Default: 5."""


# ---- the Task ----


class Info(Model):
    """Who this is for and why it exists. Changing it starts nothing."""

    title: Annotated[str, Keywords({"maxLength": 255})] | None = None
    """One line for lists and pages, for example: Nightly build."""

    description: Annotated[str, Keywords({"maxLength": 32768})] | None = None
    """Longer text, in Markdown."""

    owner: Annotated[str, Keywords({"maxLength": 255})] | None = None
    """Who to ask, for example an e-mail address."""

    source: Annotated[str, Keywords({"maxLength": 4096})] | None = None
    """Where this is defined, for example a link to a file in Git."""


class Trigger(StrEnum):
    """What starts a Task."""

    ON_CHANGE = "OnChange"
    MANUAL = "Manual"


class Schedule(Model):
    """When to run it again and again."""

    cron: Annotated[str, Keywords({"maxLength": 256}), NOT_EMPTY]
    """Minute, hour, day of month, month and day of week, as for cron, for example "30 2 * * 1-5";
    also @hourly, @daily, @weekly, @monthly, @yearly. H stands for a value that is chosen by the
    Task's name, so that not all start at once: "H 2 * * *"."""

    time_zone: Annotated[str, Keywords({"maxLength": 64})] | None = None
    """Name of the time zone, for example Europe/Berlin. Default: Etc/UTC."""

    starting_deadline: Duration | None = None
    """How late a run may start, for example 10m; what would be later is skipped. Default: however
    late, the latest of the missed times is run."""


class ConcurrencyPolicy(StrEnum):
    """What happens when a run is due while one made for the same Task has not ended."""

    ALLOW = "Allow"
    FORBID = "Forbid"
    REPLACE = "Replace"
    QUEUE = "Queue"


class History(Model):
    """How many finished executions that taskmill made for this Task are kept."""

    succeeded: Annotated[int, Keywords({"minimum": 0, "maximum": 1000})] | None = None
    """How many that succeeded, from 0 to 1000. Default: 3."""

    failed: Annotated[int, Keywords({"minimum": 0, "maximum": 1000})] | None = None
    """How many that failed or were stopped, from 0 to 1000. Default: 5."""

    ttl: Duration | None = None
    """How long one is kept at most, for example 720h. Default: no limit."""


class TaskSpec(RunSpec):
    """What to run, and when."""

    RULES: ClassVar[tuple[Cel, ...]] = (
        # Not in RunSpec: within a plan of many steps, counting bytes exceeds the cost budget.
        Cel(
            rule=f"!has(self.script) || bytes(self.script).size() <= {SCRIPT_BYTES}",
            message="a script has at most 120 KiB (122880 bytes)",
            field_path=".script",
        ),
        Cel(
            # Total on purpose: a duration that cannot be read is reported by its own rule.
            rule=f"""!has(self.timeout) || !has(self.maxRunTime)
                || !self.timeout.matches('{DURATION}') || !self.maxRunTime.matches('{DURATION}')
                || duration(self.maxRunTime) <= duration(self.timeout)""",
            message="maxRunTime is longer than timeout",
            message_expression=(
                "'maxRunTime ' + self.maxRunTime + ' is longer than timeout ' + self.timeout"
            ),
            field_path=".maxRunTime",
        ),
    )

    info: Info | None = None
    """Who this is for and why it exists. Changing it starts nothing."""

    rerun: Annotated[str, Keywords({"maxLength": 1024})] | None = None
    """Any text; changing it runs the Task again, for example 2026-11-24 or a ticket's number. That
    is how Git says again."""

    timeout: Duration | None = None
    """Longest time for a whole execution, waiting included, from its creation, for example 2h. It
    becomes the execution's deadline. Default: the operator's, 24h. Must be given when maxRunTime
    exceeds that."""

    depends_on: DependsOn | None = None
    """Names of Tasks in the same namespace that run first, in the same execution, with what they in
    turn depend on. At most 100."""

    trigger: Trigger | None = None
    """What starts it. OnChange: the latest state of what runs is run exactly once, states in
    between may be skipped. Manual: nothing but a TaskExecution or a schedule. Default: OnChange, or
    Manual with a schedule."""

    schedule: Schedule | None = None
    """When to run it again and again, as cron would."""

    concurrency_policy: ConcurrencyPolicy | None = None
    """When a run is due while one that taskmill made for this Task has not ended. Allow: both run.
    Forbid: a time of the schedule is skipped, a change waits. Replace: the older one is stopped.
    Queue: the new one waits for its turn. Default: Allow."""

    max_queued: Annotated[int, Keywords({"minimum": 0, "maximum": 100})] | None = None
    """How many runs may wait with concurrencyPolicy Queue, from 0 to 100; beyond that it is as with
    Forbid. Default: 10."""

    suspend: bool | None = None
    """True: nothing starts by change or schedule, and what waits for its turn goes on waiting; what
    runs is not touched. Times of the schedule meanwhile are skipped. Default: false."""

    history: History | None = None
    """How many finished executions that taskmill made for this Task are kept. Those that a person
    or another tool made are never deleted. Default: 3 that succeeded, 5 others."""


class LastExecution(Model):
    """The newest execution, in short."""

    name: Annotated[str, Keywords({"maxLength": 253})]
    """Name of the TaskExecution."""

    phase: Phase | None = None
    """Its phase: Pending, Running, Succeeded, Failed or Stopped."""

    reason: RecordedReason | None = Field(
        default=None, description=f"Why it waits or how it ended. {REASON_LIST}"
    )

    failure_message: Message | None = None
    """What went wrong and what to do about it, in one sentence; only when it failed."""

    started_at: Timestamp | None = None
    """When its first container started."""

    completed_at: Timestamp | None = None
    """When it ended."""


class LastTriggered(Model):
    """The state of what runs that was started last, by a change."""

    generation: Annotated[int, Keywords({"minimum": 0})]
    """The metadata.generation of that state."""

    hash: Annotated[str, Keywords({"maxLength": 128})]
    """Hash of what runs, with the version of the hash function before it."""


class SkippedTime(Model):
    """A time of the schedule at which nothing was started."""

    time: Timestamp
    """The time of the schedule."""

    message: Message
    """Why, in one sentence."""


class TaskStatus(Model):
    """What happened last. Written by the operator only."""

    phase: Phase | None = None
    """Phase of the newest execution: Pending, Running, Succeeded, Failed or Stopped. Absent: it
    never ran."""

    last_execution: LastExecution | None = None
    """The newest execution, in short."""

    active: Annotated[int, Keywords({"minimum": 0})] | None = None
    """Number of executions that have not ended."""

    last_triggered: LastTriggered | None = None
    """The state of what runs that was started last, by a change."""

    last_successful_time: Timestamp | None = None
    """When an execution last succeeded."""

    last_schedule_time: Timestamp | None = None
    """The latest time of the schedule at which a run was started."""

    next_schedule_time: Timestamp | None = None
    """The next time of the schedule; absent without one, and while suspended."""

    last_skipped: SkippedTime | None = None
    """The latest time of the schedule at which nothing was started, and why."""

    observed_generation: ObservedGeneration = None
    """The metadata.generation that this status is about."""

    conditions: Conditions | None = None
    """Ready, Reconciling (until the run of this generation ends) and Stalled (it failed or the spec
    is wrong), for kubectl wait and GitOps tools."""


class Task(Model):
    """A Task says what to run, and when.

    It runs as a Kubernetes Job. Its status says in one line what happened last, or why it has not
    started.
    """

    api_version: str = API_VERSION
    kind: str = "Task"
    metadata: ObjectMeta
    spec: TaskSpec
    """What to run, and when."""
    status: TaskStatus | None = None
    """What happened last. Written by the operator only."""


WHAT_RUNS: Final = frozenset(WhatRuns.model_fields) | {"rerun", "depends_on"}
"""Fields of `TaskSpec`, as named in Python, whose change is a new run."""
