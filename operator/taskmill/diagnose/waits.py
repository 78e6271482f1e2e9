"""Why an attempt has not ended yet: it runs, or what it waits for.

Each function recognises one cause; `causes.py` has their order and the sources of their rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from taskmill.api.reasons import Reason
from taskmill.diagnose import words
from taskmill.diagnose.ends import STOPPED_CODES, is_settled, usual_payer
from taskmill.diagnose.facts import Container, Ended, Event, Note, Pod, Role
from taskmill.diagnose.finding import Finding, Seen, Stage
from taskmill.diagnose.text import quote

AT_ONCE = timedelta()
SETTLE = timedelta(seconds=30)
"""A Secret or ConfigMap applied together with the Task may be seconds late."""
PULL_AGAIN = timedelta(minutes=1)
"""A registry that says "not found" is asked again for this long: the push may be under way."""
SCHEDULER_DOUBT = timedelta(seconds=15)
"""Unschedulable is common for moments (kstatus waits as long before believing it)."""


def suspended(seen: Seen) -> Finding | None:
    """A queueing system has not let it in, or has taken its pod away again: the same attempt."""
    taken = seen.pod is None or seen.pod_gone or seen.pod.deleting
    if not seen.job.suspended or not taken or seen.job_gone or seen.job.failed:
        return None
    return _queue(seen, Reason.QUEUED, f"Job {seen.job.name} is suspended: waiting its turn")


# -- ending ----------------------------------------------------------------------------------------


def ending(seen: Seen) -> Finding | None:
    """The pod has failed, or its container was killed, and the kubelet has yet to say why.

    It tells of a pod's end in several steps, up to three seconds apart.
    """
    pod = seen.pod
    if not pod or seen.pod_gone:
        return None
    ended = pod.main.ended if pod.main else None
    failing = pod.phase == "Failed" or (pod.unready and pod.unready.reason == "PodFailed")
    # Only a container that the kubelet has lost is not started in a pod that runs.
    lost = pod.phase == "Running" and not ended and not (pod.main and pod.main.started_at)
    half_told = _is_unexplained(pod, ended) if ended else failing
    if lost or (half_told and not is_settled(seen)):
        started = ended.started_at if ended else pod.main.started_at if pod.main else None
        ran = started or ended or pod.phase == "Running"
        # For a moment only: not worth a write while it was running.
        told = "" if ran else "its pod has failed; waiting for the node to say why"
        return Finding(
            Stage.RUNNING if ran else Stage.STARTING,
            Reason.NODE_LOST if _is_silent(pod) else None,
            f"node {pod.node} does not answer" if _is_silent(pod) else told,
            since=started or pod.scheduled_at or seen.job.created_at,
            started_at=started,
        )
    return None


def _is_unexplained(pod: Pod, main: Ended) -> bool:
    """Killed by a signal, the last container of a pod that is said to run."""
    over = pod.ended or pod.deleting or any(c.started_at for c in pod.containers)
    return main.exit_code in STOPPED_CODES and main.reason != "OOMKilled" and not over


# -- running ---------------------------------------------------------------------------------------


def lost_from_sight(seen: Seen) -> Finding | None:
    """It runs, as far as anybody knows: its node has fallen silent."""
    pod, running_ = seen.pod, running(seen)
    if not pod or not running_:
        return None
    if pod.disruption and pod.disruption.reason == "DeletionByTaintManager" and pod.deleting:
        told = f"node {pod.node} does not answer and its pod was given up; waiting for it to end"
    elif _is_silent(pod) and not pod.deleting:
        told = f"node {pod.node} does not answer; its container may be running on"
    else:
        return None
    return replace(running_, reason=Reason.NODE_LOST, sentence=told)


def _is_silent(pod: Pod) -> bool:
    """The node controller gives no reason; the kubelet always does."""
    return pod.unready is not None and not pod.unready.reason


def running(seen: Seen) -> Finding | None:
    """The task's container runs; what ails the others is told beside it."""
    pod = seen.pod
    main = pod.main if pod else None
    if not pod or not main or not main.started_at:
        return None
    return Finding(
        Stage.RUNNING,
        sentence=next(_ailments(pod), ""),
        since=main.started_at,
        started_at=main.started_at,
    )


def _ailments(pod: Pod) -> Iterator[str]:
    for container in pod.containers:
        if container.role is not Role.SIDECAR:
            continue
        note = container.waiting
        if failed := _failure(container):
            yield f"{words.of(container)}{words.outcome(failed)}"
        elif note and note.reason in PULLING:
            yield f"{words.of(container)}{words.pull(note.message) or CANNOT_PULL}"


def _failure(sidecar: Container) -> Ended | None:
    """Its last end, when that was a failure: the same while it is down, waits and is up again."""
    ended = sidecar.ended or sidecar.ended_before
    return ended if ended and ended.exit_code != 0 else None


# -- starting --------------------------------------------------------------------------------------

PULLING = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"})
CANNOT_PULL = "the image cannot be pulled"
PERMANENT_PULL = re.compile(
    r"not found|unauthorized|denied|forbidden|authentication required|no such image"
    r"|does not exist|manifest unknown|no match for platform",
    re.IGNORECASE,
)
NOT_THERE = re.compile(r"not found|no such image|does not exist|manifest unknown", re.IGNORECASE)
MOUNTED = frozenset({"Pulling", "Pulled", "Created", "Started"})
"""Events that come only once all volumes are mounted."""
TRANSIENT_CONFIG = re.compile(
    r"context deadline exceeded|failed to create subPath directory|is reserved for"
    r"|failed to sync (secret|configmap) cache",
    re.IGNORECASE,
)


def held_up(seen: Seen) -> Finding | None:
    """An image that cannot be pulled, or a container that cannot be made: what is fatal first."""
    found = (_image(seen, *held) or _configuration(seen, *held) for held in _waiting(seen))
    return min(filter(None, found), key=_patience, default=None)


def _patience(finding: Finding) -> timedelta:
    return timedelta.max if finding.fails_after is None else finding.fails_after


def _image(seen: Seen, container: Container, note: Note) -> Finding | None:
    """The image's name is wrong, or it cannot be pulled."""
    if note.reason == "InvalidImageName":
        told = f"{words.of(container)}{words.image_name(note.message) or note.reason}"
        return _start(seen, Reason.INVALID_IMAGE_NAME, told, AT_ONCE)
    if note.reason == "ErrImageNeverPull":
        told = f"{words.of(container)}{words.followed(note.reason, quote(note.message))}"
        return _without_payer(_start(seen, Reason.IMAGE_PULL_FAILED, told, AT_ONCE))
    return _pull(seen, container, note) if note.reason in PULLING else None


def _pull(seen: Seen, container: Container, note: Note) -> Finding:
    said = words.pull(note.message)
    # A host that does not resolve or answer may do so soon: only the registry's own refusal
    # shortens the wait.
    patience = PULL_AGAIN if PERMANENT_PULL.search(said) else None
    told = f"{words.of(container)}{said or CANNOT_PULL}{_missing_secrets(seen)}"
    finding = _start(seen, Reason.IMAGE_PULL_FAILED, told, patience)
    return _without_payer(finding) if NOT_THERE.search(said) else finding


def _missing_secrets(seen: Seen) -> str:
    for event in reversed(seen.events):
        if event.reason == "FailedToRetrieveImagePullSecret":
            named = re.search(r"\(([^)]*)\)", event.message)
            return f"; pull secret {named[1] if named else 'of the pod'} does not exist"
    return ""


def _configuration(seen: Seen, container: Container, note: Note) -> Finding | None:
    """A Secret, ConfigMap or key is missing, or the container may not run as it is."""
    if note.reason not in ("CreateContainerConfigError", "CreateContainerError"):
        return None
    told = f"{words.of(container)}{words.configuration(note.message) or note.reason}"
    patience = None if TRANSIENT_CONFIG.search(note.message) else SETTLE
    return _start(seen, Reason.CONFIG_ERROR, told, patience)


def mount(seen: Seen) -> Finding | None:
    """A volume cannot be mounted; only Events tell."""
    event = _latest(seen, {"FailedMount", "FailedAttachVolume"})
    if event is None:
        return None
    return _start(seen, Reason.MOUNT_FAILED, words.mount(event.message) or event.reason, None)


def sandbox(seen: Seen) -> Finding | None:
    """The pod's network or runtime class fails; only Events tell."""
    event = _latest(seen, {"FailedCreatePodSandBox", "NetworkNotReady"})
    if event is None:
        return None
    told = words.followed(event.reason, words.runtime(event.message))
    return _start(seen, Reason.START_FAILED, told, None)


def _latest(seen: Seen, reasons: set[str]) -> Event | None:
    """The last such Event, while no container has come any further."""
    pod = seen.pod
    if not pod or not pod.node or any(c.started_at or c.ended for c in pod.containers):
        return None
    for event in reversed(seen.events):
        if event.reason in MOUNTED:
            return None
        if event.reason in reasons:
            return event
    return None


def sidecar_fails(seen: Seen) -> Finding | None:
    """A sidecar that must be ready first ends again and again."""
    for container in seen.pod.containers if seen.pod else ():
        failed = _failure(container) if container.role is Role.SIDECAR else None
        if failed and not container.ready:
            told = f"{words.of(container)}{words.outcome(failed)}; it is started again"
            return _start(seen, Reason.SIDECAR_FAILED, told, None)
    return None


def starting(seen: Seen) -> Finding | None:
    """On its node, nothing wrong known."""
    pod = seen.pod
    if not pod or not pod.node:
        return None
    for container in pod.containers:
        if container.role is Role.INIT and container.started_at:
            return _start(seen, None, f"{words.called(container)} is running", None)
    return _start(seen, None, f"starting on {pod.node}", None)


# -- queued ----------------------------------------------------------------------------------------


def gated(seen: Seen) -> Finding | None:
    """Scheduling gates keep the pod from the scheduler."""
    note = seen.pod.unscheduled if seen.pod else None
    if note and note.reason == "SchedulingGated":
        return _queue(seen, Reason.QUEUED, "the pod's scheduling gates are closed")
    return None


def unschedulable(seen: Seen) -> Finding | None:
    """No node takes the pod."""
    note = seen.pod.unscheduled if seen.pod else None
    if note and note.reason == "Unschedulable":
        told = f"Unschedulable: {words.scheduler(note.message)}"
        finding = _queue(seen, Reason.UNSCHEDULABLE, told)
        waited = (note.at or seen.job.queued_at) - seen.job.queued_at
        return replace(finding, shown_after=waited + SCHEDULER_DOUBT)
    return None


def not_created(seen: Seen) -> Finding | None:
    """The Job exists and its pod is refused."""
    if seen.pod:
        return None
    for event in reversed(seen.events):
        if event.reason == "SuccessfulCreate":
            break
        if event.reason == "FailedCreate":
            return _refused_pod(seen, event)
    return None


def _refused_pod(seen: Seen, event: Event) -> Finding:
    """What a FailedCreate event of the Job means."""
    said = words.creation(event.message)
    told = words.followed("its pod was refused", said)
    if "exceeded quota" in said:
        return _queue(seen, Reason.QUOTA_EXCEEDED, told)
    if "serviceaccount" in said and "not found" in said:
        return _queue(seen, Reason.CONFIG_ERROR, told, SETTLE)
    if words.PASSING.search(said):
        return _queue(seen, Reason.QUEUED, told)
    if "forbidden" in event.message or "denied" in said or "is invalid" in said:
        return _queue(seen, Reason.REJECTED, told, AT_ONCE)
    return _queue(seen, Reason.QUEUED, told)


def waiting(seen: Seen) -> Finding:
    """Nothing known yet but that it has not started."""
    what = "waiting for a node" if seen.pod else "waiting for its pod to be created"
    return _queue(seen, None, what)


# -- findings --------------------------------------------------------------------------------------


def _waiting(seen: Seen) -> Iterator[tuple[Container, Note]]:
    for container in seen.pod.containers if seen.pod else ():
        if container.waiting:
            yield container, container.waiting


def _without_payer(finding: Finding) -> Finding:
    """Another attempt would find the same."""
    return replace(finding, payer=None)


def _start(
    seen: Seen, reason: Reason | None, sentence: str, fails_after: timedelta | None
) -> Finding:
    pod = seen.pod
    since = (pod.scheduled_at or pod.created_at) if pod else None
    return Finding(
        Stage.STARTING,
        reason,
        sentence,
        since=since or seen.job.created_at,
        fails_after=fails_after,
        payer=usual_payer(reason) if reason else None,
    )


def _queue(
    seen: Seen, reason: Reason | None, sentence: str, fails_after: timedelta | None = None
) -> Finding:
    return Finding(
        Stage.QUEUED,
        reason,
        sentence,
        since=seen.job.queued_at,
        fails_after=fails_after,
        payer=usual_payer(reason) if reason else None,
    )
