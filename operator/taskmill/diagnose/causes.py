"""The ordered table of causes: the first that recognises what it sees speaks.

The order is that of the table of reasons in `api/reasons.py`, with running and waiting behind all
ends. Reason and sentence are always born together. To teach taskmill a new cause, write one
function in `ends.py` or `waits.py` and put it into `CAUSES` where it belongs, with the source of
its rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from taskmill.diagnose import ends, waits, words
from taskmill.diagnose.finding import Finding, Seen


@dataclass(frozen=True, slots=True)
class Cause:
    """One row: how it is recognised, and where it is written that it means that."""

    recognise: Callable[[Seen], Finding | None]
    source: str


CAUSES: tuple[Cause, ...] = (
    Cause(ends.succeeded, "container `main` terminated with exit code 0; else the pod's phase"),
    Cause(waits.suspended, "Job spec.suspend (KEP-2232): its pods are deleted, nothing has failed"),
    Cause(ends.disrupted, "pod status.reason (kubelet); condition DisruptionTarget (KEP-3329)"),
    Cause(ends.refused_by_node, "pod Failed with a reason and no container: kubelet admission"),
    Cause(ends.overran_backstop, "pod or Job reason DeadlineExceeded: activeDeadlineSeconds"),
    Cause(
        ends.other_container_failed,
        "pod Failed before `main` ended, another container terminated with an exit code",
    ),
    Cause(
        waits.ending,
        "pod phase Failed or Ready=False, PodFailed, or Running without any container, and `main`"
        " has no end yet; or `main` was killed and the pod is still said to run",
    ),
    Cause(
        ends.deleted_while_running,
        "`main` terminated after metadata.deletionTimestamp less its grace period",
    ),
    Cause(ends.forgotten, "container reason ContainerStatusUnknown: the kubelet cannot find it"),
    Cause(ends.out_of_memory, "container reason OOMKilled: the kernel's OOM killer in its cgroup"),
    Cause(
        ends.start_failed,
        "container reason StartError or ContainerCannotRun; exit codes 126 and 127 (POSIX shell,"
        " 2.8.2) with the shell's words",
    ),
    Cause(ends.error, "container `main` terminated: exit code, 128 + n for signal n"),
    Cause(ends.failed_without_words, "pod phase Failed"),
    Cause(ends.gone, "Job or pod deleted; Job condition Failed without a pod"),
    Cause(
        waits.lost_from_sight,
        "pod condition Ready=False without a reason, which the node controller writes;"
        " DisruptionTarget by the taint manager",
    ),
    Cause(waits.running, "container `main` running"),
    Cause(
        waits.held_up,
        "container waiting: InvalidImageName, ErrImagePull, ImagePullBackOff,"
        " CreateContainerConfigError, CreateContainerError",
    ),
    Cause(waits.mount, "Events FailedMount, FailedAttachVolume: the pod itself does not tell"),
    Cause(waits.sandbox, "Event FailedCreatePodSandBox: the pod itself does not tell"),
    Cause(waits.sidecar_fails, "sidecar waiting: CrashLoopBackOff, with its last end"),
    Cause(waits.starting, "pod spec.nodeName"),
    Cause(waits.gated, "pod condition PodScheduled=False, SchedulingGated (KEP-3521)"),
    Cause(waits.unschedulable, "pod condition PodScheduled=False, Unschedulable"),
    Cause(waits.not_created, "Job Event FailedCreate: the Job itself does not tell"),
    Cause(waits.waiting, "a Job and no more"),
)


def diagnose(seen: Seen) -> Finding:
    """What the attempt is doing or how it ended; the first cause that applies."""
    finding = next(filter(None, (cause.recognise(seen) for cause in CAUSES)))
    told = words.advised(finding.reason, finding.sentence)
    return finding if told == finding.sentence else replace(finding, sentence=told)
