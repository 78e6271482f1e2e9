"""The frozen picture a decision is made from. Whatever a rule needs to know is a field here."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from taskmill.api.execution import TaskExecutionSpec, TaskExecutionStatus
from taskmill.api.reasons import Reason
from taskmill.api.task import DEFAULT_TIMEOUT, TaskSpec, TaskStatus
from taskmill.diagnose.facts import Event, Job, Pod
from taskmill.plan.names import ANNOTATION_SCHEDULED, ANNOTATION_TRIGGER


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
    def automatic(self) -> bool:
        """Whether taskmill made it, for a change of its Task or a time of its schedule."""
        marks = {ANNOTATION_TRIGGER, ANNOTATION_SCHEDULED}
        return bool(self.meta.task_uid) and not marks.isdisjoint(self.meta.annotations)

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
    unknown: bool = False
    """There was no answer: it may come through all the same, until then."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A cause that is fatal when it lasts, and since when this process has seen it."""

    job_uid: str
    reason: Reason
    since: datetime


@dataclass(frozen=True, slots=True)
class Heard:
    """The Events about a Job or pod, and when they were read."""

    events: tuple[Event, ...]
    at: datetime
    tentative: bool = False
    """They could not be read: a verdict asks once more."""


@dataclass(frozen=True, slots=True)
class Tried:
    """The API server's answer to a dry run of a Task's Job."""

    generation: int
    """Of the Task."""
    message: str
    """Why it would be refused; "" when it would not."""
    at: datetime


@dataclass(frozen=True, slots=True)
class ExecutionWorld:
    """Everything a decision about one execution looks at."""

    execution: Execution
    limits: Limits = Limits()
    tasks: Mapping[str, Task] = field(default_factory=dict)
    """The Task of taskRef and those it depends on, by name, as far as they exist."""
    owner_alive: bool = True
    """Whether it has no owner, or one that exists and is not being deleted."""
    jobs: tuple[Job, ...] = ()
    pods: tuple[Pod, ...] = ()
    gone: frozenset[str] = frozenset()
    """uids of the Jobs and pods above that were seen and exist no more."""
    rivals: tuple[Execution, ...] = ()
    """The other unfinished executions that taskmill made for the same Task."""
    heard: Mapping[str, Heard] = field(default_factory=dict)
    """Events by the uid of what they are about."""
    logs: Mapping[str, str] = field(default_factory=dict)
    """The end of the log of a pod's main container, by the pod's uid, where it was read."""
    asked: Container[str] = frozenset()
    """For what its Jobs and pods were read from the API, beside the watches."""
    refused: Mapping[str, Refused] = field(default_factory=dict)
    """By the name of the Job."""
    troubles: tuple[Trouble, ...] = ()
    """What the last pass said."""
    written_at: datetime | None = None
    """When this process last wrote the status."""

    @property
    def task(self) -> Task | None:
        """The Task of taskRef, when it exists."""
        spec = self.execution.spec
        return self.tasks.get(spec.task_ref.name) if spec and spec.task_ref else None


@dataclass(frozen=True, slots=True)
class TaskWorld:
    """Everything a decision about one Task looks at."""

    task: Task
    limits: Limits = Limits()
    executions: tuple[Execution, ...] = ()
    """All that name it in taskRef, whoever made them."""
    tasks: Mapping[str, Task] = field(default_factory=dict)
    """Itself and those it depends on, by name, as far as they exist."""
    refused: Mapping[str, Refused] = field(default_factory=dict)
    """Why an execution could not be created, by its name."""
    tried: Tried | None = None
    written_at: datetime | None = None
