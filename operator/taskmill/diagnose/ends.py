"""How an attempt ended: by its own container, its pod's or node's fate, or another hand.

Each function recognises one cause; `causes.py` has their order and the sources of their rules.
"""

from __future__ import annotations

import re
import signal as signals
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from taskmill.api.reasons import REASONS, Payer, Reason
from taskmill.diagnose import words
from taskmill.diagnose.facts import Container, Ended, Event, Pod, Role
from taskmill.diagnose.finding import Finding, Seen, Stage
from taskmill.diagnose.text import last_line, quote

A_MOMENT = timedelta(seconds=2)
"""Containers that are ended together end no further apart, in whole seconds."""
NOT_EXECUTABLE, NOT_FOUND = 126, 127
"""Exit codes by which shells and runtimes say that the command could not be started."""


# -- disruptions -----------------------------------------------------------------------------------

DISRUPTIONS: Final = {
    "PreemptionByScheduler": Reason.PREEMPTED,
    "EvictionByEvictionAPI": Reason.EVICTED,
    "DeletionByTaintManager": Reason.NODE_LOST,
    "DeletionByPodGC": Reason.NODE_LOST,
    "TerminationByKubelet": Reason.EVICTED,
}
"""Reasons of the condition DisruptionTarget."""

KUBELET_ENDS: Final = {
    "Evicted": Reason.EVICTED,
    "Terminated": Reason.NODE_SHUTDOWN,
    "NodeShutdown": Reason.NODE_SHUTDOWN,
    "Shutdown": Reason.NODE_SHUTDOWN,
    "NodeLost": Reason.NODE_LOST,
    "Preempting": Reason.PREEMPTED,
}
"""status.reason of a pod that the kubelet ended by itself."""

UNKNOWN: Final = "ContainerStatusUnknown"

OWN_LIMIT = re.compile(
    r"usage (of emptydir volume .*)?exceeds|exceeded its local ephemeral storage", re.IGNORECASE
)
"""An eviction that the task brought upon itself."""


def disrupted(seen: Seen) -> Finding | None:
    """Evicted, preempted, its node shut down or lost: told with the pod's end."""
    pod = seen.pod
    if not pod or not (_is_over(seen) or seen.pod_gone):
        return None
    reason, said = _disruption(pod)
    if reason is None:
        return None
    finding = _end(pod, reason, words.followed(_fate(pod, reason), words.admission(said)))
    if reason is Reason.EVICTED and OWN_LIMIT.search(said):
        return replace(finding, payer=Payer.RETRY)
    return finding


def _fate(pod: Pod, reason: Reason) -> str:
    node = f"node {pod.node}" if pod.node else "its node"
    return {
        Reason.EVICTED: f"evicted from {node}",
        Reason.PREEMPTED: f"preempted on {node}",
        Reason.NODE_SHUTDOWN: f"{node} was shut down",
        Reason.NODE_LOST: f"{node} was lost",
    }[reason]


def _disruption(pod: Pod) -> tuple[Reason | None, str]:
    reason = KUBELET_ENDS.get(pod.reason)
    if reason and not _ended_before(pod):
        return reason, pod.message
    ended = _main_end(pod)
    # The taint manager marks pods that ended long before, too.
    ended_at = ended.finished_at if ended else None
    note = pod.disruption
    if note and not (ended_at and note.at and ended_at < note.at):
        return DISRUPTIONS.get(note.reason, Reason.EVICTED), note.message or note.reason
    return None, ""


def _ended_before(pod: Pod) -> bool:
    """Whether the task's container had ended by itself when its pod was ended for others' sake."""
    main = _main_end(pod)
    if not main or not main.finished_at or main.exit_code in STOPPED_CODES:
        return False
    others = [c.ended.finished_at for c in pod.containers if c.ended and c.ended is not main]
    return any(at and at > main.finished_at + A_MOMENT for at in others)


def _ended_before_backstop(seen: Seen, pod: Pod) -> bool:
    """Whether it had ended by itself before the Job controller ended what was left of its pod."""
    main, failed = _main_end(pod), seen.job.failed
    if not main or not main.finished_at or not failed or not failed.at:
        return False
    own = main.exit_code not in STOPPED_CODES
    return own and main.finished_at + pod.grace_period + A_MOMENT < failed.at


def refused_by_node(seen: Seen) -> Finding | None:
    """The kubelet did not admit the pod (OutOfcpu, UnexpectedAdmissionError, NodeAffinity)."""
    pod = seen.pod
    if not pod or pod.phase != "Failed" or not pod.reason or pod.reason == "DeadlineExceeded":
        return None
    if any(c.started_at or (c.ended and c.ended.started_at) for c in pod.containers):
        return None
    refusal = words.followed(pod.reason, words.admission(pod.message))
    return _end(pod, Reason.EVICTED, f"node {pod.node} refused the pod: {refusal}")


def overran_backstop(seen: Seen) -> Finding | None:
    """Kubernetes enforced a backstop while nobody else did."""
    if seen.pod and (_ended_before(seen.pod) or _ended_before_backstop(seen, seen.pod)):
        return None
    if seen.pod and _has_failed(seen) and seen.pod.reason == "DeadlineExceeded":
        main = seen.pod.main
        ran = main is not None and (main.started_at or main.ended)
        reason = Reason.MAX_RUN_TIME_EXCEEDED if ran else Reason.START_FAILED
        return _end(seen.pod, reason, "stopped by the kubelet: overdue")
    if seen.job.failed and seen.job.failed.reason == "DeadlineExceeded":
        return Finding(
            Stage.ENDED,
            Reason.DEADLINE_EXCEEDED,
            "stopped by the Job controller: overdue",
            finished_at=seen.job.failed.at,
        )
    return None


def deleted_while_running(seen: Seen) -> Finding | None:
    """Somebody deleted the pod and the container ended of it."""
    pod = seen.pod
    ended = _main_end(pod)
    if not pod or not ended or not pod.deleted_at:
        return None
    if ended.reason == UNKNOWN:
        return _end(pod, Reason.DELETED, f"pod {pod.name} was deleted")
    before = ended.finished_at is not None and ended.finished_at < pod.deleted_at
    if before and (ended.exit_code not in STOPPED_CODES or ended.reason == "OOMKilled"):
        return None
    since = pod.deleted_since
    if ended.finished_at and since and ended.finished_at + A_MOMENT < since:
        return None
    told = f"pod {pod.name} was deleted while it ran; it ended with {words.outcome(ended)}"
    return _end(pod, Reason.DELETED, told)


def forgotten(seen: Seen) -> Finding | None:
    """The node lost track of the container."""
    pod = seen.pod
    ended = _main_end(pod)
    if not pod or not ended or ended.reason != UNKNOWN:
        return None
    said = quote(ended.message) or "the node lost track of the container"
    return _end(pod, Reason.NODE_LOST, f"node {pod.node}: {said}")


# -- the end of the task's own container -----------------------------------------------------------


def succeeded(seen: Seen) -> Finding | None:
    """The task's container ended with 0: nothing else matters any more."""
    if ended := _main_end(seen.pod):
        if ended.exit_code != 0:
            return None
        return Finding(
            Stage.ENDED,
            succeeded=True,
            exit_code=0,
            started_at=ended.started_at,
            finished_at=ended.finished_at,
        )
    if (seen.pod and seen.pod.phase == "Succeeded") or seen.job.completed_at:
        # The container's end was never seen; its pod or Job remembers.
        return Finding(Stage.ENDED, succeeded=True, finished_at=seen.job.completed_at)
    return None


def out_of_memory(seen: Seen) -> Finding | None:
    """The kernel killed the task's container, or a process of it, for its memory."""
    pod = seen.pod
    main = pod.main if pod else None
    if not pod or not main or not main.ended or main.ended.reason != "OOMKilled":
        return None
    return _end(pod, Reason.OOM_KILLED, _memory(pod, main, main.ended))


def _memory(pod: Pod, container: Container, ended: Ended) -> str:
    limit = container.memory_limit or pod.memory_limit
    whose = "memory limit" if container.memory_limit else "the pod's memory limit"
    if ended.exit_code == words.SIGKILL_CODE:
        what = f"{whose} {limit} reached" if limit else "the node ran out of memory"
        return f"OOMKilled: {what} (exit code {ended.exit_code})"
    # Without group kill (cgroup v1) one process dies and its parent goes on.
    what = f"its {whose.removeprefix('the ')} {limit}" if limit else "the node's memory"
    return f"OOMKilled: a process was killed for {what}; then {words.outcome(ended)}"


NOT_STARTED = re.compile(
    r"not found|no such file|permission denied|cannot execute|exec format error|is a directory",
    re.IGNORECASE,
)
"""How shells say that a command could not be started."""


def start_failed(seen: Seen) -> Finding | None:
    """The command could not be started, in the runtime's or the shell's words."""
    pod = seen.pod
    ended = _main_end(pod)
    if not pod or not ended:
        return None
    if ended.reason in ("StartError", "ContainerCannotRun"):
        said = words.runtime(ended.message) or "the command could not be started"
    else:
        said = last_line(ended.message)
        if ended.exit_code not in (NOT_EXECUTABLE, NOT_FOUND) or not NOT_STARTED.search(said):
            return None
    return _end(pod, Reason.START_FAILED, f"exit code {ended.exit_code}: {said}")


def error(seen: Seen) -> Finding | None:
    """The task's own failure: an exit code or a signal, and its last words."""
    pod = seen.pod
    ended = _main_end(pod)
    if not pod or not ended:
        return None
    sentence = words.outcome(ended)
    if ended.exit_code in STOPPED_CODES and (why := _killed_for(seen.events)):
        sentence = f"{sentence}; it was killed: {why}"
    if first := _failed_before(pod, ended):
        sentence = f"{sentence}; {words.called(first)} had ended before with {_end_of(pod, first)}"
    return _end(pod, Reason.ERROR, sentence)


def _killed_for(events: Iterable[Event]) -> str:
    """The probe or hook for whose failure the kubelet ended it; only Events tell."""
    for event in reversed(tuple(events)):
        readiness = event.message.startswith("Readiness")
        if event.reason in ("Unhealthy", "FailedPostStartHook") and not readiness:
            return quote(event.message)
    return ""


def is_unexplained(pod: Pod, events: Iterable[Event]) -> bool:
    """Whether an Event may yet say for what its container was killed."""
    main = pod.main
    ended = main.ended if main else None
    killed = bool(main and ended and main.watched and ended.exit_code in STOPPED_CODES)
    return killed and not _killed_for(events)


def _failed_before(pod: Pod, main: Ended) -> Container | None:
    """A sidecar whose failure may be what the task's container died of."""
    for container in pod.containers:
        ended = container.ended or container.ended_before
        if container.role is not Role.SIDECAR:
            continue
        stopped = ended and ended.exit_code in STOPPED_CODES and ended.reason != "OOMKilled"
        if not ended or ended.exit_code == 0 or stopped:
            continue
        if ended.finished_at and main.finished_at and ended.finished_at < main.finished_at:
            return container
    return None


STOPPED_CODES: Final = (
    words.SIGKILL_CODE,
    words.SIGNAL_BASE + signals.SIGTERM,
)
"""How a sidecar ends when the kubelet stops it."""


# -- the end of another container, or of the pod ---------------------------------------------------


def other_container_failed(seen: Seen) -> Finding | None:
    """An init container or sidecar ended the pod before the task's container could run."""
    pod = seen.pod
    if not pod or not _has_failed(seen) or _main_end(pod) or pod.deleting:
        return None
    for role, reason in ((Role.INIT, Reason.INIT_FAILED), (Role.SIDECAR, Reason.SIDECAR_FAILED)):
        for container in pod.containers:
            if container.role is role and container.ended and container.ended.exit_code != 0:
                return _end(pod, reason, f"{words.of(container)}{_end_of(pod, container)}")
    return None


def _end_of(pod: Pod, container: Container) -> str:
    ended = container.ended
    if ended is None:
        return "no known end"
    if ended.reason == "OOMKilled":
        return _memory(pod, container, ended)
    if ended.reason in ("StartError", "ContainerCannotRun"):
        return f"exit code {ended.exit_code}: {words.runtime(ended.message)}"
    return words.outcome(ended)


def failed_without_words(seen: Seen) -> Finding | None:
    """The pod failed and none of its containers says why."""
    pod = seen.pod
    if not pod or not _has_failed(seen) or not (pod.reason or is_settled(seen)):
        return None
    if pod.deleting and not pod.reason:
        return _end(pod, Reason.DELETED, f"pod {pod.name} was deleted")
    said = words.followed(pod.reason, quote(pod.message)) or "it does not say why"
    return _end(pod, Reason.ERROR, f"pod {pod.name} failed: {said}")


def gone(seen: Seen) -> Finding | None:
    """Job or pod were removed by another hand."""
    if seen.job_gone or seen.job.deleting:
        return Finding(
            Stage.ENDED,
            Reason.DELETED,
            f"Job {seen.job.name} was deleted",
            payer=usual_payer(Reason.DELETED),
        )
    if seen.pod_gone and seen.pod:
        return _end(seen.pod, Reason.DELETED, f"pod {seen.pod.name} was deleted")
    if seen.job.failed and not seen.pod:
        note = seen.job.failed
        # The Job controller counts a pod that is gone as failed, and says no more.
        vanished = note.reason == "BackoffLimitExceeded"
        reason = Reason.DELETED if vanished else Reason.ERROR
        told = words.followed(note.reason, quote(note.message))
        return Finding(
            Stage.ENDED,
            reason,
            "its pod was deleted" if vanished else f"Job {seen.job.name} failed: {told}",
            payer=usual_payer(reason),
            finished_at=note.at,
        )
    return None


# -- findings --------------------------------------------------------------------------------------


def usual_payer(reason: Reason) -> Payer | None:
    """Who pays, by the table of reasons."""
    return REASONS[reason].payer


def _main_end(pod: Pod | None) -> Ended | None:
    main = pod.main if pod else None
    return main.ended if main else None


def _is_over(seen: Seen) -> bool:
    return _main_end(seen.pod) is not None or _has_failed(seen)


def _has_failed(seen: Seen) -> bool:
    """Whether the pod is Failed and its containers are not still told to run."""
    pod = seen.pod
    if not pod or pod.phase != "Failed":
        return False
    return is_settled(seen) or not (pod.main and pod.main.started_at)


def is_settled(seen: Seen) -> bool:
    """Whether nobody will tell more of the pod: it is gone, or its Job has counted it."""
    return seen.pod_gone or seen.job.failed is not None


def _end(pod: Pod, reason: Reason, sentence: str) -> Finding:
    ended = _main_end(pod)
    finding = Finding(Stage.ENDED, reason, sentence, payer=usual_payer(reason))
    # Of a container that it does not find the kubelet makes up an exit code.
    if ended is None or ended.reason == UNKNOWN:
        return finding
    number = ended.signal or max(ended.exit_code - words.SIGNAL_BASE, 0)
    return replace(
        finding,
        outcome=words.outcome(ended),
        last_words=last_line(ended.message),
        exit_code=ended.exit_code if ended.exit_code >= 0 else None,
        signal=number if words.signal_name(number) else None,
        started_at=ended.started_at,
        finished_at=ended.finished_at,
    )
