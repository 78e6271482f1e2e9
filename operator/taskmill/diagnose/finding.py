"""What one attempt is doing, or how it ended: the answer of `diagnose`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from taskmill.api.reasons import Payer, Reason
from taskmill.diagnose.facts import Event, Job, Pod


class Stage(Enum):
    """How far an attempt has come; each stage has its own clock."""

    QUEUED = "queued"
    """Not on a node: queueTimeout."""
    STARTING = "starting"
    """On a node, the container not yet started: startTimeout."""
    RUNNING = "running"
    """The container runs: maxRunTime."""
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a verdict may look at."""

    job: Job
    pod: Pod | None = None
    events: tuple[Event, ...] = ()
    """Events about the pod, or about the Job while it has no pod; oldest first."""
    job_gone: bool = False
    pod_gone: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What the attempt is doing, or how it ended.

    `sentence` says it in words, without the step's name; empty for a success and for a container
    that simply runs. `reason` is None for those and for ordinary waiting.
    """

    stage: Stage
    reason: Reason | None = None
    sentence: str = ""
    since: datetime | None = None
    """When the stage began, by the server's clock."""
    fails_after: timedelta | None = None
    """How long this cause may last before it is fatal by itself; None: as long as the stage may."""
    shown_after: timedelta = timedelta()
    """How long after `since` this cause is worth believing."""
    payer: Payer | None = None
    """Who pays for another attempt, once this one has failed of it."""
    succeeded: bool = False
    outcome: str = ""
    """How its container ended and its last words, whatever ended it."""
    last_words: str = ""
    """The last line that its container printed, when it failed."""
    exit_code: int | None = None
    signal: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
