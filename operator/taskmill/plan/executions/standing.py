"""Where one step of a plan stands after a look at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from taskmill.api.execution import AttemptStatus, Step, StepStatus
from taskmill.api.reasons import Phase
from taskmill.plan.decision import Action, CreateJob
from taskmill.plan.executions.attempt import Attempt, Family
from taskmill.plan.executions.endings import Whole
from taskmill.plan.world import ExecutionWorld, Trouble


@dataclass(frozen=True, slots=True)
class Standing:
    """One step after a look at it. What is not final has its newest attempt."""

    step: Step
    status: StepStatus | None = None
    """Its next status; None: not started."""
    attempt: Attempt | None = None
    words: str = ""
    """What it waits for, without its name."""
    must: bool = False
    """Its status has to be stored before anything is done."""
    held: bool = False
    """It has ended, and what explains that is still to come: nothing is said of it until then."""
    may_follow: bool = False
    """It is being stopped, and another attempt comes after."""
    record: AttemptStatus | None = None
    """The attempt that has just been followed by another one."""
    creation: CreateJob | None = None
    """The Job to create, unless the execution comes to its end."""
    actions: tuple[Action, ...] = ()
    look_at: datetime | None = None
    trouble: Trouble | None = None

    @property
    def final(self) -> bool:
        """Whether it has its verdict."""
        return self.status is not None and self.status.phase.final

    @property
    def active(self) -> bool:
        """Whether something of it exists, or is to be made, whose end must be awaited."""
        return self.attempt is not None and not self.final

    @property
    def certain(self) -> bool:
        """Whether it cannot succeed any more."""
        status = self.status
        if status is None or status.phase is Phase.SUCCEEDED:
            return False
        return self.final or (status.stopping_since is not None and not self.may_follow)


@dataclass(frozen=True, slots=True)
class Round:
    """What all steps of one pass have in common."""

    world: ExecutionWorld
    among: Family
    whole: Whole | None
    deadline: datetime
    moment: datetime
    last: Mapping[str, AttemptStatus]
    """The newest earlier attempt of each step, as far as it is kept."""
