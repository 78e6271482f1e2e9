"""What a pass decided.

The reconciler writes the status first and acts only once it is stored, so that a verdict is never
behind the deed; a lost action, but for an Event, is decided again by the next pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from taskmill.api.execution import TaskExecutionStatus
from taskmill.api.task import TaskStatus
from taskmill.plan.world import Trouble


@dataclass(frozen=True, slots=True)
class CreateJob:
    """Create the Job of an attempt; it may exist already."""

    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete a Job and, in the background, its pod."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class StopPod:
    """Have the kubelet end the pod's containers in place.

    They get SIGTERM and, after the grace period, SIGKILL; the pod stays with exit code and log.
    """

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class ReadChildren:
    """Read its Jobs and pods: what is decided next must not rest on a watch that is behind."""

    why: str
    """What `ExecutionWorld.asked` has from then on."""
    patience: timedelta
    """How long a server that cannot answer is asked again; then the watches have to do."""


@dataclass(frozen=True, slots=True)
class ReadEvents:
    """Look up the Events about an object that does not say by itself why it is stuck."""

    uid: str
    patient: bool = False
    """Whether nothing but words waits for them."""


@dataclass(frozen=True, slots=True)
class ReadLog:
    """Read the end of the log of a pod's main container."""

    pod: str
    uid: str


@dataclass(frozen=True, slots=True)
class TellEvent:
    """Record a Kubernetes Event about the object, at most once: what is lost is in the status."""

    name: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class CreateExecution:
    """Create a Task's execution; it may exist already."""

    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DeleteExecution:
    """Delete a finished execution; its Jobs and pods go with it."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class TryJob:
    """Ask the API server whether it would take the Job of a Task's generation."""

    body: dict[str, Any]
    generation: int


@dataclass(frozen=True, slots=True)
class LimitJob:
    """Set when Kubernetes itself ends a Job, in seconds from its start."""

    name: str
    uid: str
    deadline_seconds: int


Action = (
    CreateJob
    | DeleteJob
    | LimitJob
    | StopPod
    | ReadChildren
    | ReadEvents
    | ReadLog
    | TellEvent
    | CreateExecution
    | DeleteExecution
    | TryJob
)


@dataclass(frozen=True, slots=True)
class Decision:
    """Status to store (None: as it is), then actions in order, and when to look again."""

    status: TaskExecutionStatus | TaskStatus | None = None
    actions: tuple[Action, ...] = ()
    look_at: datetime | None = None
    troubles: tuple[Trouble, ...] = ()
    """What the next pass is to know of this one."""
    patience: timedelta = timedelta()
    """How much later the status may be stored in a crowd: a later one says all of it, too."""
