"""The ordered causes: the first that recognises what it sees speaks.

The order is that of the table in `api/reasons.py`. A cause is a function from `Seen` to a
`Finding`, or None when it does not apply; reason and sentence are always born together. To teach
taskmill a new cause, write one function and put it into `CAUSES` where it belongs.
"""

from __future__ import annotations

import re
import signal as signals
from collections.abc import Callable
from datetime import timedelta

from taskmill.api.reasons import Reason
from taskmill.diagnose.facts import Container, Ended, Event, Note, Pod, Role
from taskmill.diagnose.finding import Finding, Seen, Stage
from taskmill.diagnose.text import clean, last_line, quote

Cause = Callable[[Seen], Finding | None]

AT_ONCE = timedelta()
SETTLE = timedelta(seconds=30)
"""A Secret or ConfigMap applied together with the Task may be seconds late."""
PULL_AGAIN = timedelta(minutes=1)
"""A registry that says "not found" is asked again for this long: the push may be under way."""
SCHEDULER_DOUBT = timedelta(seconds=15)
"""Unschedulable is common for moments (kstatus waits as long before believing it)."""

SIGNAL_BASE = 128
"""Shells and container runtimes report an end by signal n as exit code 128+n."""
SIGKILL_CODE = SIGNAL_BASE + signals.SIGKILL
SIGTERM_CODE = SIGNAL_BASE + signals.SIGTERM
NOT_EXECUTABLE, NOT_FOUND = 126, 127
"""Exit codes by which shells and runtimes say that the command could not be started."""


# -- the end of the task's own container, or of its pod ------------------------------------------


def succeeded(seen: Seen) -> Finding | None:
    """The main container ended with 0: nothing else matters any more."""
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


def suspended(seen: Seen) -> Finding | None:
    """A queueing system has not let it in, or has taken its pod away again: the same attempt."""
    taken = seen.pod is None or seen.pod_gone or seen.pod.deleting
    if not seen.job.suspended or not taken or seen.job_gone:
        return None
    return _queue(seen, Reason.QUEUED, f"Job {seen.job.name} is suspended: waiting its turn")


DISRUPTIONS = {
    # Reasons of the DisruptionTarget condition (KEP-3329).
    "PreemptionByScheduler": Reason.PREEMPTED,
    "EvictionByEvictionAPI": Reason.EVICTED,
    "DeletionByTaintManager": Reason.NODE_LOST,
    "DeletionByPodGC": Reason.NODE_LOST,
    "TerminationByKubelet": Reason.EVICTED,
}

KUBELET_ENDS = {
    # status.reason of a pod the kubelet ended by itself.
    "Evicted": Reason.EVICTED,
    "Terminated": Reason.NODE_SHUTDOWN,
    "NodeShutdown": Reason.NODE_SHUTDOWN,
    "Shutdown": Reason.NODE_SHUTDOWN,
    "NodeLost": Reason.NODE_LOST,
}


def disrupted(seen: Seen) -> Finding | None:
    """Evicted, preempted, its node shut down or lost: not the task's fault, told with the pod."""
    pod = seen.pod
    if not pod or not (_is_over(pod) or seen.pod_gone):
        return None
    reason = KUBELET_ENDS.get(pod.reason)
    said = pod.message
    if reason is None and pod.disruption:
        reason = DISRUPTIONS.get(pod.disruption.reason, Reason.EVICTED)
        said = pod.disruption.message or pod.disruption.reason
    if reason is None and (ended := _main_end(pod)) and ended.reason == "ContainerStatusUnknown":
        reason, said = Reason.NODE_LOST, ended.message or "the node lost track of the container"
    if reason is None:
        return None
    return _end(pod, reason, f"{_on(pod)}: {quote(said)}" if said else _on(pod))


def refused_by_node(seen: Seen) -> Finding | None:
    """The kubelet did not admit the pod (OutOfcpu, UnexpectedAdmissionError, NodeAffinity)."""
    pod = seen.pod
    if not pod or pod.phase != "Failed" or not pod.reason or pod.reason == "DeadlineExceeded":
        return None
    if any(c.ended or c.started_at for c in pod.containers):
        return None
    return _end(
        pod, Reason.EVICTED, f"{_on(pod)} refused the pod: {pod.reason}: {quote(pod.message)}"
    )


def overran_backstop(seen: Seen) -> Finding | None:
    """Kubernetes enforced a backstop while nobody else did."""
    if seen.pod and seen.pod.phase == "Failed" and seen.pod.reason == "DeadlineExceeded":
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
    if pod and ended and pod.deleting and ended.exit_code in (SIGKILL_CODE, SIGTERM_CODE):
        return _end(pod, Reason.DELETED, f"pod {pod.name} was deleted while it ran")
    return None


def out_of_memory(seen: Seen) -> Finding | None:
    """The kernel killed the main container for its memory."""
    pod = seen.pod
    ended = _main_end(pod)
    if not pod or not ended or ended.reason != "OOMKilled":
        return None
    main = pod.main
    limit = main.memory_limit if main else ""
    what = f"memory limit {limit} reached" if limit else "the node ran out of memory"
    return _end(
        pod,
        Reason.OOM_KILLED,
        f"OOMKilled: {what} (exit code {ended.exit_code}); raise resources.limits.memory",
    )


def start_failed(seen: Seen) -> Finding | None:
    """The command could not be started."""
    pod = seen.pod
    ended = _main_end(pod)
    if not pod or not ended:
        return None
    told = ended.reason in ("StartError", "ContainerCannotRun")
    if not told and ended.exit_code not in (NOT_EXECUTABLE, NOT_FOUND):
        return None
    words = _runtime_words(ended.message) if told else last_line(ended.message)
    default = {
        NOT_EXECUTABLE: "the command cannot be executed",
        NOT_FOUND: "the command was not found",
    }.get(ended.exit_code, "the command could not be started")
    return _end(pod, Reason.START_FAILED, f"exit code {ended.exit_code}: {words or default}")


def error(seen: Seen) -> Finding | None:
    """The task's own failure: an exit code or a signal, and its last words."""
    pod = seen.pod
    ended = _main_end(pod)
    if not pod or not ended:
        return None
    return _end(pod, Reason.ERROR, _outcome(ended))


def other_container_failed(seen: Seen) -> Finding | None:
    """An init container or sidecar ended the pod before the task's container could run."""
    pod = seen.pod
    if not pod or pod.phase != "Failed" or _main_end(pod):
        return None
    for role, reason in ((Role.INIT, Reason.INIT_FAILED), (Role.SIDECAR, Reason.SIDECAR_FAILED)):
        for container in pod.containers:
            if container.role is role and container.ended and container.ended.exit_code != 0:
                what = f"{role.value} {container.name}: {_outcome(container.ended)}"
                return _end(pod, reason, what)
    return None


def failed_without_words(seen: Seen) -> Finding | None:
    """The pod failed and none of its containers says why."""
    pod = seen.pod
    if not pod or pod.phase != "Failed":
        return None
    said = ": ".join(filter(None, (pod.reason, quote(pod.message)))) or "it does not say why"
    return _end(pod, Reason.ERROR, f"pod {pod.name} failed: {said}")


def gone(seen: Seen) -> Finding | None:
    """Job or pod were removed by another hand."""
    if seen.job_gone or seen.job.deleting:
        return Finding(Stage.ENDED, Reason.DELETED, f"Job {seen.job.name} was deleted")
    if seen.pod_gone and seen.pod:
        return _end(seen.pod, Reason.DELETED, f"pod {seen.pod.name} was deleted")
    if seen.job.failed and not seen.pod:
        note = seen.job.failed
        if note.reason == "BackoffLimitExceeded":
            return Finding(Stage.ENDED, Reason.DELETED, "its pod was deleted", finished_at=note.at)
        return Finding(
            Stage.ENDED,
            Reason.ERROR,
            f"Job {seen.job.name} failed: {note.reason}: {quote(note.message)}",
            finished_at=note.at,
        )
    return None


# -- running, or why not yet ----------------------------------------------------------------------


def running(seen: Seen) -> Finding | None:
    """The main container runs."""
    main = seen.pod.main if seen.pod else None
    if main and main.started_at:
        return Finding(Stage.RUNNING, since=main.started_at, started_at=main.started_at)
    return None


PERMANENT_PULL = re.compile(
    r"not found|unauthorized|denied|forbidden|authentication required|no such image"
    r"|does not exist|manifest unknown|no match for platform",
    re.IGNORECASE,
)
MOUNTED = frozenset({"Pulling", "Pulled", "Created", "Started"})
"""Events that come only once all volumes are mounted."""
TRANSIENT_CONFIG = re.compile(
    r"context deadline exceeded|failed to create subPath directory|is reserved for"
    r"|failed to sync (secret|configmap) cache",
    re.IGNORECASE,
)


def image(seen: Seen) -> Finding | None:
    """The image's name is wrong, or it cannot be pulled."""
    for container in _waiting(seen):
        note = container.waiting
        assert note is not None  # noqa: S101 - what _waiting promises
        if note.reason in ("InvalidImageName", "ErrImageNeverPull"):
            return _start(
                seen,
                Reason.INVALID_IMAGE_NAME
                if note.reason == "InvalidImageName"
                else Reason.IMAGE_PULL_FAILED,
                f"{_of(container)}{note.reason}: {quote(note.message)}",
                AT_ONCE,
            )
        if note.reason in ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"):
            words = _pull_words(note.message)
            # A host that does not resolve or answer may do so soon: only the registry's own
            # refusal shortens the wait.
            refused = PERMANENT_PULL.search(words)
            return _start(
                seen,
                Reason.IMAGE_PULL_FAILED,
                f"{_of(container)}{words or 'the image cannot be pulled'}",
                PULL_AGAIN if refused else None,
            )
    return None


def configuration(seen: Seen) -> Finding | None:
    """A Secret, ConfigMap or key is missing, or the container may not run as it is."""
    for container in _waiting(seen):
        note = container.waiting
        assert note is not None  # noqa: S101 - what _waiting promises
        if note.reason in ("CreateContainerConfigError", "CreateContainerError"):
            words = quote(note.message) or note.reason
            transient = TRANSIENT_CONFIG.search(note.message)
            return _start(
                seen,
                Reason.CONFIG_ERROR,
                f"{_of(container)}{words}",
                None if transient else SETTLE,
            )
    return None


def mount(seen: Seen) -> Finding | None:
    """A volume cannot be mounted; only Events tell."""
    if (
        not seen.pod
        or not seen.pod.node
        or any(c.started_at or c.ended for c in seen.pod.containers)
    ):
        return None
    for event in reversed(seen.events):
        if event.reason in MOUNTED:
            break
        if event.reason in ("FailedMount", "FailedAttachVolume"):
            return _start(seen, Reason.MOUNT_FAILED, quote(event.message) or event.reason, None)
    return None


def starting(seen: Seen) -> Finding | None:
    """On its node, nothing wrong known."""
    pod = seen.pod
    if not pod or not pod.node:
        return None
    for container in pod.containers:
        if container.role is Role.INIT and container.started_at:
            return _start(seen, None, f"init container {container.name} is running", None)
    return _start(seen, None, f"starting on {pod.node}", None)


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
        return Finding(
            Stage.QUEUED,
            Reason.UNSCHEDULABLE,
            f"Unschedulable: {_scheduler_words(note)}",
            since=seen.job.created_at,
            shown_after=SCHEDULER_DOUBT,
        )
    return None


def not_created(seen: Seen) -> Finding | None:
    """The Job exists and its pod is refused."""
    if seen.pod:
        return None
    for event in reversed(seen.events):
        if event.reason == "SuccessfulCreate":
            break
        if event.reason == "FailedCreate":
            return refused_pod(seen, event)
    return None


def refused_pod(seen: Seen, event: Event) -> Finding:
    """What a FailedCreate event of the Job means."""
    words = quote(re.sub(r'^Error creating: (pods "[^"]*" is forbidden: )?', "", event.message))
    words = words or "its pod was refused without a word"
    if "exceeded quota" in words:
        return _queue(seen, Reason.QUOTA_EXCEEDED, words)
    if "serviceaccount" in words and "not found" in words:
        return _queue(seen, Reason.CONFIG_ERROR, words, SETTLE)
    if "forbidden" in event.message or "denied the request" in words or "is invalid" in words:
        return _queue(seen, Reason.REJECTED, words, AT_ONCE)
    return _queue(seen, Reason.QUEUED, words)


def waiting(seen: Seen) -> Finding:
    """Nothing known yet but that it has not started."""
    what = "waiting for a node" if seen.pod else "waiting for its pod to be created"
    return _queue(seen, None, what)


CAUSES: tuple[Cause, ...] = (
    succeeded,
    suspended,
    disrupted,
    refused_by_node,
    overran_backstop,
    deleted_while_running,
    out_of_memory,
    start_failed,
    error,
    other_container_failed,
    failed_without_words,
    gone,
    running,
    image,
    configuration,
    mount,
    starting,
    gated,
    unschedulable,
    not_created,
)


def diagnose(seen: Seen) -> Finding:
    """What the attempt is doing or how it ended; the first cause that applies."""
    for cause in CAUSES:
        if finding := cause(seen):
            return finding
    return waiting(seen)


# -- words -----------------------------------------------------------------------------------------


def signal_name(number: int) -> str:
    """`SIGTERM` for 15; "" for no signal Linux knows."""
    try:
        return signals.Signals(number).name
    except ValueError:
        return ""


def describe_exit(ended: Ended) -> str:
    """`exit code 3`, `exit code 143 (SIGTERM)`, or what is known when there is no code."""
    code = ended.exit_code
    if code < 0:
        return ended.reason or "it ended without an exit code"
    name = signal_name(ended.signal or code - SIGNAL_BASE)
    if code == SIGKILL_CODE:
        return f"exit code {code} (killed by SIGKILL, possibly out of memory)"
    return f"exit code {code} ({name})" if name else f"exit code {code}"


def _outcome(ended: Ended) -> str:
    """How a container ended, and the last line it printed."""
    what, words = describe_exit(ended), last_line(ended.message)
    return f"{what}: {words}" if words else what


def _pull_words(message: str) -> str:
    """The registry's answer without the kubelet's and containerd's wrapping.

    The kubelet alternates between ErrImagePull and ImagePullBackOff; both must read the same, or
    each change would be a write.
    """
    words = clean(message)
    words = re.sub(r'^Back-off pulling image "[^"]*"(: ErrImagePull)?:? ?', "", words)
    words = re.sub(r"^(rpc error: code = \w+ desc = )", "", words)
    words = re.sub(
        r'^failed to pull and unpack image "(?P<image>[^"]*)": failed to (resolve reference'
        r' "[^"]*"|copy): ',
        r"cannot pull \g<image>: ",
        words,
    )
    words = re.sub(r'failed to do request: \w+ "[^"]*": ', "", words)
    words = re.sub(r"dial tcp: lookup (\S+) on \S+: ", r"lookup \1: ", words)
    words = re.sub(r"read udp \S+->\S+ ", "", words)
    return quote(words)


def _scheduler_words(note: Note) -> str:
    # The second sentence, about preemption, repeats the first for whoever is not the scheduler.
    return quote(note.message.split(" preemption: ")[0]).rstrip(" ,")


def _runtime_words(message: str) -> str:
    """What runc says of a command it cannot start, without the layers above it."""
    words = clean(message)
    words = re.sub(r"^.*?OCI runtime create failed: ", "", words)
    words = re.sub(r"^runc create failed: unable to start container process: ", "", words)
    words = re.sub(r"^error during container init: ", "", words)
    return quote(words.removesuffix(": unknown"))


def _of(container: Container) -> str:
    return "" if container.role is Role.MAIN else f"{container.role.value} {container.name}: "


def _on(pod: Pod) -> str:
    return f"node {pod.node}" if pod.node else f"pod {pod.name}"


def _waiting(seen: Seen) -> list[Container]:
    return [c for c in seen.pod.containers if c.waiting] if seen.pod else []


def _main_end(pod: Pod | None) -> Ended | None:
    main = pod.main if pod else None
    return main.ended if main else None


def _is_over(pod: Pod) -> bool:
    return pod.ended or _main_end(pod) is not None


def _end(pod: Pod, reason: Reason, sentence: str) -> Finding:
    ended = _main_end(pod)
    if ended is None:
        return Finding(Stage.ENDED, reason, sentence)
    number = ended.signal or max(ended.exit_code - SIGNAL_BASE, 0)
    return Finding(
        Stage.ENDED,
        reason,
        sentence,
        outcome=_outcome(ended),
        exit_code=ended.exit_code if ended.exit_code >= 0 else None,
        signal=number if signal_name(number) else None,
        started_at=ended.started_at,
        finished_at=ended.finished_at,
    )


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
    )


def _queue(
    seen: Seen, reason: Reason | None, sentence: str, fails_after: timedelta | None = None
) -> Finding:
    return Finding(
        Stage.QUEUED, reason, sentence, since=seen.job.created_at, fails_after=fails_after
    )
