"""Phases, and the closed set of reasons: the only place where a reason is written.

`REASONS` is the table that documentation is generated from and that retries are paid by.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from types import MappingProxyType
from typing import Final, Self


class _AsNamed(StrEnum):
    """Members whose `auto()` value is the name as Kubernetes spells it: NODE_LOST, NodeLost."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[str]) -> str:
        del start, count, last_values
        return "".join(word.capitalize() for word in name.split("_"))


class Phase(_AsNamed):
    """Where an execution, or one step of it, is in its life."""

    PENDING = auto()
    """Waiting to run: for room, an image, a volume, a start."""
    RUNNING = auto()
    """Its container runs."""
    SUCCEEDED = auto()
    """Ended well."""
    FAILED = auto()
    """Ended otherwise; the reason says why."""
    STOPPED = auto()
    """Ended because somebody asked for it."""

    @property
    def final(self) -> bool:
        """Whether nothing can follow."""
        # Asked some thousand times in a pass over a large plan.
        return self is not Phase.PENDING and self is not Phase.RUNNING


class Payer(StrEnum):
    """Whose count of attempts pays for another one."""

    RETRY = "retry"
    """The task's own `retry.limit`."""
    INFRA = "infraRetries"
    """The cluster's `infraRetries`."""


class Reason(_AsNamed):
    """Why an execution waits or how it ended. `REASONS` explains each member."""

    STOPPED = auto()
    KILLED = auto()
    DEADLINE_EXCEEDED = auto()
    MAX_RUN_TIME_EXCEEDED = auto()
    EVICTED = auto()
    PREEMPTED = auto()
    NODE_SHUTDOWN = auto()
    NODE_LOST = auto()
    OOM_KILLED = "OOMKilled"
    START_FAILED = auto()
    ERROR = auto()
    INIT_FAILED = auto()
    SIDECAR_FAILED = auto()
    INVALID_IMAGE_NAME = auto()
    IMAGE_PULL_FAILED = auto()
    CONFIG_ERROR = auto()
    MOUNT_FAILED = auto()
    UNSCHEDULABLE = auto()
    QUOTA_EXCEEDED = auto()
    QUEUED = auto()
    REJECTED = auto()
    DELETED = auto()
    ARTIFACT_FAILED = auto()
    DEPENDENCY_FAILED = auto()
    SKIPPED = auto()
    REPLACED = auto()
    WAITING_FOR_TASK = auto()
    WAITING_FOR_SLOT = auto()
    INVALID_TASK = auto()
    INTERNAL_ERROR = auto()

    @classmethod
    def of(cls, recorded: object) -> Self:
        """The reason that a status records. One of a newer taskmill is kept as it is written.

        Such a stranger is equal to its text, and no member; `REASONS` does not know it.
        """
        if not isinstance(recorded, str):
            raise ValueError(f"a reason is text: {recorded!r}")  # noqa: TRY004 (pydantic's word)
        try:
            return cls(recorded)
        except ValueError:
            stranger = str.__new__(cls, recorded)
            stranger._name_ = stranger._value_ = recorded
            return stranger


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One row of the table of reasons."""

    description: str
    """What it means to the reader of a status, in one line."""
    evidence: str
    """What it is concluded from."""
    fails: str | None
    """When it ends the attempt; None: it does not by itself."""
    payer: Payer | None = None
    """Who pays for another attempt; None: there is none."""


_AT_ONCE: Final = "at once"
_WITH_POD: Final = "with the pod"
_QUEUE: Final = "after queueTimeout"

# In order of precedence: when two could be said, the upper one is.
REASONS: Final[Mapping[Reason, Explanation]] = MappingProxyType({
    Reason.STOPPED: Explanation(
        description="Stopped on request; it ended within gracePeriod.",
        evidence="desiredPhase: Stopped, and the container ended in time",
        fails=None,
    ),
    Reason.KILLED: Explanation(
        description="Stopped on request; it ignored SIGTERM and was killed after gracePeriod.",
        evidence="desiredPhase: Stopped, and the container needed SIGKILL",
        fails=None,
    ),
    Reason.DEADLINE_EXCEEDED: Explanation(
        description="The deadline of the execution passed; the message says what it was doing.",
        evidence="the execution's deadline",
        fails=_AT_ONCE,
    ),
    Reason.MAX_RUN_TIME_EXCEEDED: Explanation(
        description="One attempt ran for longer than maxRunTime.",
        evidence="time since the container started",
        fails=_AT_ONCE,
        payer=Payer.RETRY,
    ),
    Reason.EVICTED: Explanation(
        description="The node or a drain evicted the pod, or the node refused to take it.",
        evidence="the pod's reason, or DisruptionTarget and its reason",
        fails=_WITH_POD,
        payer=Payer.INFRA,  # but for the task's own storage limits: the verdict says so
    ),
    Reason.PREEMPTED: Explanation(
        description="The pod made room for one of higher priority.",
        evidence="the pod's reason, or DisruptionTarget and its reason",
        fails=_WITH_POD,
        payer=Payer.INFRA,
    ),
    Reason.NODE_SHUTDOWN: Explanation(
        description="The node was shut down.",
        evidence="the pod's reason, or DisruptionTarget and its reason",
        fails=_WITH_POD,
        payer=Payer.INFRA,
    ),
    Reason.NODE_LOST: Explanation(
        description="The node is gone or nobody reaches it.",
        evidence="the node is unreachable, or the pod's reason",
        fails=_WITH_POD,
        payer=Payer.INFRA,
    ),
    Reason.OOM_KILLED: Explanation(
        description="The container reached its memory limit and was killed.",
        evidence="the container's reason",
        fails=_AT_ONCE,
        payer=Payer.RETRY,
    ),
    Reason.START_FAILED: Explanation(
        description="It could not be started: the command, the pod's network, an init container.",
        evidence="StartError; exit codes 126 and 127 with the shell's words; startTimeout",
        fails="at once, or after startTimeout",
    ),
    Reason.ERROR: Explanation(
        description="The command ended with an exit code other than 0, or by a signal.",
        evidence="exit code, or signal (128 + its number)",
        fails=_AT_ONCE,
        payer=Payer.RETRY,
    ),
    Reason.INIT_FAILED: Explanation(
        description="An init container failed before the task's own started.",
        evidence="the init container's end",
        fails=_AT_ONCE,
        payer=Payer.RETRY,
    ),
    Reason.SIDECAR_FAILED: Explanation(
        description="A sidecar failed and the task's container never ran.",
        evidence="the sidecar's end, or that it is started again and again",
        fails="with the pod, or after startTimeout",
        payer=Payer.RETRY,
    ),
    Reason.INVALID_IMAGE_NAME: Explanation(
        description="The image's name cannot be read.",
        evidence="the container's waiting reason",
        fails=_AT_ONCE,
    ),
    Reason.IMAGE_PULL_FAILED: Explanation(
        description="The image cannot be pulled: not found, not allowed, or no answer.",
        evidence="ImagePullBackOff and its message",
        fails="after 1 minute when not found or not allowed, else after startTimeout",
        payer=Payer.INFRA,  # but for an image that is not there: the verdict says so
    ),
    Reason.CONFIG_ERROR: Explanation(
        description="A Secret, a ConfigMap or a key is missing, or the image runs as root.",
        evidence="CreateContainerConfigError, CreateContainerError; FailedCreate for an account",
        fails="after 30 s, unless transient",
    ),
    Reason.MOUNT_FAILED: Explanation(
        description="A volume cannot be attached or mounted.",
        evidence="Events FailedMount, FailedAttachVolume",
        fails="after startTimeout",
    ),
    Reason.UNSCHEDULABLE: Explanation(
        description="No node has room for the pod, or none may take it.",
        evidence="PodScheduled=False, for 15 s",
        fails=_QUEUE,
    ),
    Reason.QUOTA_EXCEEDED: Explanation(
        description="The namespace's quota has no room for the pod.",
        evidence="FailedCreate with quota",
        fails=_QUEUE,
    ),
    Reason.QUEUED: Explanation(
        description="A queue such as Kueue, or a scheduling gate, holds it back.",
        evidence="the Job is suspended, or the pod is gated",
        fails=_QUEUE,
    ),
    Reason.REJECTED: Explanation(
        description="The API server refused the Job or its pod: Pod Security, a webhook, an error.",
        evidence="any other refusal by the API server",
        fails=_AT_ONCE,
    ),
    Reason.DELETED: Explanation(
        description="Somebody else deleted the Job or its pod.",
        evidence="the Job or the pod is gone",
        fails=_AT_ONCE,
        payer=Payer.INFRA,
    ),
    Reason.ARTIFACT_FAILED: Explanation(
        description="An artifact could not be stored.",
        evidence="the artifact's upload",
        fails=_AT_ONCE,
        payer=Payer.INFRA,
    ),
    Reason.DEPENDENCY_FAILED: Explanation(
        description="A step that it depends on did not succeed.",
        evidence="the plan",
        fails=_AT_ONCE,
    ),
    Reason.SKIPPED: Explanation(
        description="Not run: the policy for overlapping runs forbade it.",
        evidence="concurrencyPolicy",
        fails=None,
    ),
    Reason.REPLACED: Explanation(
        description="Stopped because a newer run of the same Task took its place.",
        evidence="concurrencyPolicy",
        fails=None,
    ),
    Reason.WAITING_FOR_TASK: Explanation(
        description="Waiting for a Task that does not exist yet.",
        evidence="a reference that does not resolve",
        fails=None,
    ),
    Reason.WAITING_FOR_SLOT: Explanation(
        description="Waiting for other runs of the same Task to end.",
        evidence="concurrencyPolicy",
        fails=None,
    ),
    Reason.INVALID_TASK: Explanation(
        description="The spec cannot be run; the message says what to change.",
        evidence="the spec",
        fails=_AT_ONCE,
    ),
    Reason.INTERNAL_ERROR: Explanation(
        description="A bug in taskmill; the message says how to report it.",
        evidence="an exception of taskmill's own",
        fails=_AT_ONCE,
    ),
})  # fmt: skip


class ConditionType(_AsNamed):
    """The types of conditions that taskmill writes."""

    COMPLETE = auto()
    """The execution succeeded (as in a Job)."""
    FAILED = auto()
    """The execution failed or was stopped (as in a Job)."""
    FINISHED = auto()
    """The execution ended, however: `kubectl wait --for=condition=Finished` always returns."""
    FAILURE_TARGET = auto()
    """The verdict is known, containers are still ending (as in a Job)."""
    RECONCILING = auto()
    """kstatus: the latest spec is being worked on."""
    STALLED = auto()
    """kstatus: the latest spec failed or is wrong, and waiting will not help."""
    READY = auto()
    """The latest spec did what it should."""
