"""Jobs, pods and Events reduced to the facts a verdict needs, read once from the API's objects.

Only what is read here is kept in memory. Parsing is tolerant: whatever is missing or of another
shape is absent, because a strange pod must end in a sentence and never in an exception.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from taskmill.api.meta import parse_rfc3339
from taskmill.api.pod import MAIN

LONGEST_GRACE = 10**9
"""Seconds; a pod may ask for more than a moment can hold."""

Raw = Mapping[str, Any]


class Role(Enum):
    """What a container is for; init containers run before the others, sidecars beside them."""

    MAIN = "container"
    INIT = "init container"
    SIDECAR = "sidecar"


@dataclass(frozen=True, slots=True)
class Note:
    """A machine word and a sentence, as Kubernetes pairs them in states and conditions."""

    reason: str
    message: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """A container's end. `message` is the termination message or the tail of its log."""

    exit_code: int
    signal: int
    reason: str
    message: str
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Container:
    """One container: waiting, running since `started_at`, or ended."""

    name: str
    role: Role
    waiting: Note | None = None
    started_at: datetime | None = None
    ended: Ended | None = None
    ready: bool = False
    """What the kubelet said last; readiness probes are the pod's own affair."""
    restarts: int = 0
    """How often a native sidecar was started again."""
    ended_before: Ended | None = None
    """The end before its latest restart."""
    memory_limit: str = ""
    watched: bool = False
    """Whether the kubelet may kill it: for a probe or a hook that fails."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of an attempt."""

    name: str
    uid: str
    owner_uid: str
    step: str
    attempt: int
    phase: str
    reason: str
    message: str
    node: str
    created_at: datetime | None
    scheduled_at: datetime | None
    unscheduled: Note | None
    """PodScheduled=False: why no node takes it."""
    disruption: Note | None
    """DisruptionTarget=True: who is about to end it."""
    unready: Note | None
    """Ready=False: some container is not, or the node has fallen silent."""
    deleted_at: datetime | None
    """When its deletion was asked for, at the latest; the containers get their grace period from
    then on."""
    deleted_since: datetime | None
    """The same at the earliest: another moment only where nothing but the end of it was seen."""
    grace_period: timedelta
    """Between SIGTERM and SIGKILL."""
    memory_limit: str
    """Of all its containers together."""
    deadline_seconds: int | None
    """spec.activeDeadlineSeconds; 1 once taskmill has asked the kubelet to stop it."""
    containers: tuple[Container, ...]
    ended_first: bool = False
    """Whether the task's container was seen ended before the deletion."""

    @property
    def main(self) -> Container | None:
        """The task's own container."""
        for container in self.containers:
            if container.role is Role.MAIN:
                return container
        return None

    @property
    def deleting(self) -> bool:
        """Whether somebody has deleted it and its containers are ending."""
        return self.deleted_at is not None

    @property
    def ended(self) -> bool:
        """Whether no container of it will run again."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def ended_after_deletion(self) -> bool:
        """Whether the task's container ended after the deletion, by the second: because of it."""
        ended = self.main.ended if self.main else None
        at = ended.finished_at if ended else None
        return bool(at and self.deleted_at and at >= self.deleted_at and not self.ended_first)

    def after(self, before: Pod | None) -> Pod:
        """The pod with what only an earlier state of it told."""
        if before is None or self.deleted_at is None:
            return self
        if before.deleted_at is not None:
            return replace(
                self,
                deleted_at=before.deleted_at,
                deleted_since=before.deleted_since,
                ended_first=before.ended_first,
            )
        return replace(self, ended_first=bool(before.main and before.main.ended))


@dataclass(frozen=True, slots=True)
class Job:
    """The Job of one attempt."""

    name: str
    uid: str
    owner_uid: str
    step: str
    attempt: int
    created_at: datetime
    queued_at: datetime
    """Since when it waits to run: its creation, or when it was last suspended or resumed."""
    deleting: bool
    suspended: bool
    started_at: datetime | None
    """When its controller took it up, the last time it was resumed."""
    deadline_seconds: int | None
    """spec.activeDeadlineSeconds, which Kubernetes counts from then on."""
    failed: Note | None
    """Condition Failed or FailureTarget, whichever came first."""
    completed_at: datetime | None
    finished: bool
    """Complete or Failed: its controller is done with it."""


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes Event about a Job or pod."""

    reason: str
    message: str
    at: datetime | None


def _map(value: object) -> Raw:
    return value if isinstance(value, dict) else {}


def _maps(value: object) -> Iterator[Raw]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def _text(raw: Raw, key: str) -> str:
    value = raw.get(key)
    return value if isinstance(value, str) else ""


def _int(raw: Raw, key: str) -> int | None:
    value = raw.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(raw: Raw, key: str) -> int:
    text = _text(raw, key)
    return int(text) if text.isdecimal() else 0


def _time(raw: Raw, key: str) -> datetime | None:
    value = raw.get(key)
    if not isinstance(value, str):
        return None
    try:
        return parse_rfc3339(value)
    except ValueError:
        return None


def _owner_uid(meta: Raw) -> str:
    for reference in _maps(meta.get("ownerReferences")):
        if reference.get("controller") is True:
            return _text(reference, "uid")
    return ""


def _conditions(status: Raw) -> dict[tuple[str, str], Raw]:
    """The first of each type and status."""
    found: dict[tuple[str, str], Raw] = {}
    for condition in _maps(status.get("conditions")):
        kind, holds = condition.get("type"), condition.get("status")
        if isinstance(kind, str) and isinstance(holds, str):
            found.setdefault((kind, holds), condition)
    return found


def _note(conditions: Mapping[tuple[str, str], Raw], kind: str, holds: str) -> Note | None:
    condition = conditions.get((kind, holds))
    if condition is None:
        return None
    return Note(
        _text(condition, "reason"),
        _text(condition, "message"),
        _time(condition, "lastTransitionTime"),
    )


def parse_job(raw: Raw, *, step_label: str, attempt_label: str) -> Job | None:
    """Read a Job; None when it lacks what every stored object has."""
    meta = _map(raw.get("metadata"))
    created_at = _time(meta, "creationTimestamp")
    if created_at is None:
        return None
    labels, status = _map(meta.get("labels")), _map(raw.get("status"))
    conditions, spec = _conditions(status), _map(raw.get("spec"))
    failed = _note(conditions, "Failed", "True")
    finished = failed is not None or ("Complete", "True") in conditions
    turned = _note(conditions, "Suspended", "True") or _note(conditions, "Suspended", "False")
    return Job(
        name=_text(meta, "name"),
        uid=_text(meta, "uid"),
        owner_uid=_owner_uid(meta),
        step=_text(labels, step_label),
        attempt=_number(labels, attempt_label),
        created_at=created_at,
        queued_at=(turned and turned.at) or created_at,
        deleting="deletionTimestamp" in meta,
        # What is resumed counts as suspended until its controller has taken note: only then does
        # it say when it started anew. Of what is finished it takes no note any more.
        suspended=spec.get("suspend") is True
        or (not finished and ("Suspended", "True") in conditions),
        started_at=_time(status, "startTime"),
        deadline_seconds=_int(spec, "activeDeadlineSeconds"),
        failed=failed or _note(conditions, "FailureTarget", "True"),
        completed_at=_time(status, "completionTime"),
        finished=finished,
    )


def parse_pod(raw: Raw, *, step_label: str = "", attempt_label: str = "") -> Pod:
    """Read a pod."""
    meta, spec, status = (_map(raw.get(key)) for key in ("metadata", "spec", "status"))
    labels = _map(meta.get("labels"))
    conditions = _conditions(status)
    scheduled = _note(conditions, "PodScheduled", "True")
    deleted_since, deleted_at = _deletion(meta, spec)
    return Pod(
        name=_text(meta, "name"),
        uid=_text(meta, "uid"),
        owner_uid=_owner_uid(meta),
        step=_text(labels, step_label),
        attempt=_number(labels, attempt_label),
        phase=_text(status, "phase"),
        reason=_text(status, "reason"),
        message=_text(status, "message"),
        node=_text(spec, "nodeName"),
        created_at=_time(meta, "creationTimestamp"),
        scheduled_at=scheduled.at if scheduled else None,
        unscheduled=_note(conditions, "PodScheduled", "False"),
        disruption=_note(conditions, "DisruptionTarget", "True"),
        unready=_note(conditions, "Ready", "False"),
        deleted_at=deleted_at,
        deleted_since=deleted_since,
        grace_period=timedelta(
            seconds=min(max(0, _int(spec, "terminationGracePeriodSeconds") or 0), LONGEST_GRACE)
        ),
        memory_limit=_memory_limit(spec),
        deadline_seconds=_int(spec, "activeDeadlineSeconds"),
        containers=tuple(_containers(spec, status)),
    )


def _deletion(meta: Raw, spec: Raw) -> tuple[datetime | None, datetime | None]:
    """When the deletion was asked for, at the earliest and at the latest.

    The timestamp is the end of the grace period. The kubelet's last word sets the period to 0 and
    the timestamp to its own moment: of the time in between `Pod.after` knows more.
    """
    until = _time(meta, "deletionTimestamp")
    if until is None:
        return None, None
    grace = _int(meta, "deletionGracePeriodSeconds")
    try:
        since = until - timedelta(seconds=grace or _int(spec, "terminationGracePeriodSeconds") or 0)
    except OverflowError:
        since = until
    return since, until if grace == 0 else since


def _containers(spec: Raw, status: Raw) -> Iterator[Container]:
    for spec_key, status_key in (
        ("initContainers", "initContainerStatuses"),
        ("containers", "containerStatuses"),
    ):
        statuses = {_text(s, "name"): s for s in _maps(status.get(status_key))}
        for container in _maps(spec.get(spec_key)):
            name = _text(container, "name")
            if spec_key == "initContainers":
                role = Role.SIDECAR if container.get("restartPolicy") == "Always" else Role.INIT
            else:
                role = Role.MAIN if name == MAIN else Role.SIDECAR
            yield _container(name, role, container, statuses.get(name, {}))


def _container(name: str, role: Role, spec: Raw, status: Raw) -> Container:
    state, before = _map(status.get("state")), _map(status.get("lastState")).get("terminated")
    waiting, running, ended = (state.get(key) for key in ("waiting", "running", "terminated"))
    return Container(
        name=name,
        role=role,
        memory_limit=_memory_limit(spec),
        waiting=Note(_text(_map(waiting), "reason"), _text(_map(waiting), "message"))
        if isinstance(waiting, dict)
        else None,
        started_at=_time(_map(running), "startedAt"),
        ended=_ended(ended) if isinstance(ended, dict) else None,
        ready=status.get("ready") is True,
        restarts=_int(status, "restartCount") or 0,
        watched=any(key in spec for key in ("livenessProbe", "startupProbe", "lifecycle")),
        ended_before=_ended(before) if isinstance(before, dict) else None,
    )


def _memory_limit(spec: Raw) -> str:
    return str(_map(_map(spec.get("resources")).get("limits")).get("memory") or "")


def _ended(raw: Raw) -> Ended:
    exit_code = _int(raw, "exitCode")
    return Ended(
        # No exit code is no success.
        exit_code=-1 if exit_code is None else exit_code,
        signal=_int(raw, "signal") or 0,
        reason=_text(raw, "reason"),
        message=_text(raw, "message"),
        started_at=_time(raw, "startedAt"),
        finished_at=_time(raw, "finishedAt"),
    )


def parse_event(raw: Raw) -> Event:
    """Read a core/v1 Event."""
    at = _time(raw, "lastTimestamp") or _time(raw, "eventTime")
    series = _time(_map(raw.get("series")), "lastObservedTime")
    return Event(reason=_text(raw, "reason"), message=_text(raw, "message"), at=series or at)
