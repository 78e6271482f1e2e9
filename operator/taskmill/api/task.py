"""Task: what to run. It lives in Git; the operator writes only its status.

Three layers, so that each place carries what means something there:
`WhatRuns` (a change of it is a new run) < `RunSpec` (plus clocks; a step of a plan) < `TaskSpec`.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from taskmill.api.container import (
    NOT_EMPTY,
    Arguments,
    Env,
    EnvFrom,
    ImagePullPolicy,
    Resources,
    ServiceAccountName,
)
from taskmill.api.duration import PATTERN as DURATION
from taskmill.api.duration import Duration, DurationOrZero
from taskmill.api.meta import API_VERSION, Conditions, Model, ObjectMeta, Timestamp
from taskmill.api.pod import PodTemplate
from taskmill.api.reasons import Phase, Reason
from taskmill.api.schema import Cel, Keywords

# What holds where a Task says nothing. Never written into the CRD: a default that appears in
# stored objects would look like a change of what runs.
DEFAULT_GRACE_PERIOD: Final = timedelta(seconds=30)
DEFAULT_START_TIMEOUT: Final = timedelta(minutes=10)
DEFAULT_TIMEOUT: Final = timedelta(hours=24)  # the operator's setting may say otherwise

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
Message = Annotated[str, Keywords({"maxLength": 1024})]

# The schema has no enum of reasons: a CRD older than the operator would refuse its verdicts.
RecordedReason = Annotated[
    Reason,
    PlainValidator(Reason.of),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "maxLength": 63}),
]
REASON_LIST: Final = "One of " + ", ".join(Reason) + "; a newer taskmill may know more."


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

    trigger: Trigger | None = None
    """What starts it. OnChange: the latest state of what runs is run exactly once, states in
    between may be skipped. Manual: nothing but a TaskExecution. Default: OnChange."""


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

    observed_generation: Annotated[int, Keywords({"minimum": 0})] | None = None
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


WHAT_RUNS: Final = frozenset(WhatRuns.model_fields) | {"rerun"}
"""Fields of `TaskSpec`, as named in Python, whose change is a new run."""
