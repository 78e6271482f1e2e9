"""What the API server says of a run, read without the models.

Those take a third of a second to import, and refuse what a newer server may say; here what is
missing or strange is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from taskmill.api.reasons import Phase
from taskmill.cli.moments import moment

Raw = Mapping[str, Any]
FINAL = frozenset(str(phase) for phase in Phase if phase.final)


def _state(phase: str, reason: str) -> str:
    """Phase and reason, once where both are the same word."""
    return " ".join(dict.fromkeys(filter(None, (phase, reason))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the plan and where it stands."""

    id: str
    label: str = ""
    after: tuple[str, ...] = ()
    """Ids of those it depends on."""
    level: int = 0
    """Length of the longest way to it from a step that depends on nothing."""
    phase: str = ""
    """"" while it has not started."""
    reason: str = ""
    message: str = ""
    """What went wrong."""
    exit_code: int | None = None
    attempt: int = 0
    """Number of the newest; 0 before the first."""
    next_attempt: datetime | None = None
    job: str = ""
    pod: str = ""
    node: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    output: tuple[tuple[str, str], ...] = ()

    @property
    def state(self) -> str:
        """Phase and reason; "" while it has not started."""
        return _state(self.phase, self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How an earlier attempt of a step ended."""

    step: str
    number: int
    reason: str
    message: str
    job: str
    started: datetime | None
    ended: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One TaskExecution."""

    namespace: str
    name: str
    uid: str
    task: str
    """"" for one without a Task."""
    generation: int
    """Of the Task that its plan was made from; 0 when nobody says."""
    phase: str
    reason: str
    message: str
    """What it is doing or waits for, or what went wrong."""
    stopping: bool
    created: datetime | None
    started: datetime | None
    ended: datetime | None
    deadline: datetime | None
    started_by: str
    steps: tuple[Step, ...]
    """All of the plan, each behind those it depends on."""
    attempts: tuple[Attempt, ...]

    @property
    def state(self) -> str:
        """Phase and reason."""
        return _state(self.phase, self.reason)

    @property
    def final(self) -> bool:
        """Whether it has ended."""
        return self.phase in FINAL


def run_of(raw: Raw) -> Run:
    """Read a TaskExecution."""
    meta, spec, status = _map(raw, "metadata"), _map(raw, "spec"), _map(raw, "status")
    reference = _map(spec, "taskRef")
    return Run(
        namespace=_text(meta, "namespace"),
        name=_text(meta, "name"),
        uid=_text(meta, "uid"),
        task=_text(reference, "name"),
        generation=_number(reference, "generation") or 0,
        phase=_text(status, "phase") or Phase.PENDING,
        reason=_text(status, "reason"),
        message=_text(status, "failureMessage") or _text(status, "message"),
        stopping="desiredPhase" in spec,
        created=moment(meta.get("creationTimestamp")),
        started=moment(status.get("startedAt")),
        ended=moment(status.get("completedAt")),
        deadline=moment(status.get("deadline") or spec.get("deadline")),
        started_by=_text(spec, "startedBy"),
        steps=_steps(list(_items(spec, "plan")) or list(_items(status, "plan")), status),
        attempts=tuple(_attempt(one) for one in _items(status, "attempts")),
    )


def levels(after: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """How many steps, one behind the other, come before each.

    In an order in which each comes behind what it depends on; a circle, which no plan that runs
    has, ends up on level 0.
    """
    found: dict[str, int] = {}
    left = dict(after)
    while ready := [one for one, below in left.items() if all(id_ not in left for id_ in below)]:
        for one in ready:
            below = (found[id_] + 1 for id_ in left[one] if id_ in found)
            found[one] = max(below, default=0)
        for one in ready:
            del left[one]
    return found | dict.fromkeys(left, 0)


def _steps(plan: Sequence[Raw], status: Raw) -> tuple[Step, ...]:
    by_id = {_text(one, "id"): one for one in plan}
    told = {_text(one, "id"): one for one in _items(status, "steps")}
    after = {id_: _texts(one, "dependsOn") for id_, one in by_id.items()}
    # What has a status and is in no plan that we know is shown all the same.
    after |= {id_: () for id_ in told if id_ not in after}
    return tuple(
        _step(id_, by_id.get(id_, {}), told.get(id_, {}), level)
        for id_, level in levels(after).items()
    )


def _step(id_: str, planned: Raw, told: Raw, level: int) -> Step:
    output = _map(told, "output")
    return Step(
        id=id_,
        label=_text(planned, "label"),
        after=_texts(planned, "dependsOn"),
        level=level,
        phase=_text(told, "phase"),
        reason=_text(told, "reason"),
        message=_text(told, "failureMessage"),
        exit_code=_number(told, "exitCode"),
        attempt=_number(told, "attempt") or (1 if told else 0),
        next_attempt=moment(told.get("nextAttemptAt")),
        job=_text(told, "jobName"),
        pod=_text(told, "podName"),
        node=_text(told, "node"),
        started=moment(told.get("startedAt")),
        ended=moment(told.get("completedAt")),
        output=tuple((str(key), str(value)) for key, value in output.items()),
    )


def _attempt(told: Raw) -> Attempt:
    return Attempt(
        step=_text(told, "step"),
        number=_number(told, "attempt") or 0,
        reason=_text(told, "reason"),
        message=_text(told, "message"),
        job=_text(told, "jobName"),
        started=moment(told.get("startedAt")),
        ended=moment(told.get("completedAt")),
    )


def _map(raw: Raw, key: str) -> Raw:
    value = raw.get(key)
    return value if isinstance(value, dict) else {}


def _items(raw: Raw, key: str) -> Iterator[Raw]:
    value = raw.get(key)
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else iter(())


def _text(raw: Raw, key: str) -> str:
    value = raw.get(key)
    return value if isinstance(value, str) else ""


def _texts(raw: Raw, key: str) -> tuple[str, ...]:
    value = raw.get(key)
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _number(raw: Raw, key: str) -> int | None:
    value = raw.get(key)
    return value if isinstance(value, int) else None
