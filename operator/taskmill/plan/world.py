"""The frozen picture a decision is made from. Whatever a rule needs to know is a field here."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from taskmill.api.execution import TaskExecutionSpec, TaskExecutionStatus
from taskmill.api.reasons import Reason
from taskmill.api.task import DEFAULT_TIMEOUT, TaskSpec, TaskStatus
from taskmill.diagnose.facts import Event, Job, Pod


@dataclass(frozen=True, slots=True)
class Limits:
    """The operator's settings that decisions depend on."""

    timeout: timedelta = DEFAULT_TIMEOUT
    """Whole execution, where the Task gives none."""
    job_retention: timedelta = timedelta(hours=1)
    """How long a finished execution's Job and pod stay."""
    restricted: bool = False
    """Add the security context that Pod Security's `restricted` level asks for."""
    log_tail: bool = True
    """Quote the last line that a failing container printed."""


@dataclass(frozen=True, slots=True)
class Meta:
    """Identity and age of one of our objects."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    created_at: datetime
    deleting: bool = False
    task_name: str = ""
    task_uid: str = ""
    """The Task that owns it; "" when a person or another tool made it."""
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """A Task as read; `spec` is None and `invalid` says why when it cannot be understood."""

    meta: Meta
    spec: TaskSpec | None
    status: TaskStatus
    invalid: str = ""


@dataclass(frozen=True, slots=True)
class Execution:
    """A TaskExecution as read; `spec` is None and `invalid` says why as for a Task."""

    meta: Meta
    spec: TaskExecutionSpec | None
    status: TaskExecutionStatus
    invalid: str = ""

    @property
    def final(self) -> bool:
        """Whether it has its verdict."""
        return self.status.phase is not None and self.status.phase.final


class Refusal(Enum):
    """What a refused creation means for trying again."""

    QUOTA = "quota"
    """Tried again until there is room."""
    PASSING = "passing"
    """A conflict, a webhook that did not answer: tried again."""
    FINAL = "final"
    """It will be refused again."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The API server's answer to the creation of a Job or an execution."""

    kind: Refusal
    message: str
    since: datetime
    """When it was refused first, of this row of refusals."""
    again_at: datetime
    """When it may be tried again."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A cause that is fatal when it lasts, and since when this process has seen it."""

    job_uid: str
    reason: Reason
    since: datetime


@dataclass(frozen=True, slots=True)
class ExecutionWorld:
    """Everything a decision about one execution looks at."""

    execution: Execution
    limits: Limits = Limits()
    task: Task | None = None
    """The Task of taskRef, when it exists."""
    owner_alive: bool = True
    """Whether it has no owner, or one that exists and is not being deleted."""
    jobs: tuple[Job, ...] = ()
    pods: tuple[Pod, ...] = ()
    gone: frozenset[str] = frozenset()
    """uids of the Jobs and pods above that were seen and exist no more."""
    events: tuple[Event, ...] = ()
    events_at: datetime | None = None
    """When the Events were read."""
    refused: Refused | None = None
    trouble: Trouble | None = None
    """What the last pass said."""
    written_at: datetime | None = None
    """When this process last wrote the status."""


@dataclass(frozen=True, slots=True)
class TaskWorld:
    """Everything a decision about one Task looks at."""

    task: Task
    limits: Limits = Limits()
    executions: tuple[Execution, ...] = ()
    """All that name it in taskRef, whoever made them."""
    refused: Refused | None = None
    """Why its last execution could not be created."""
    written_at: datetime | None = None
