"""What is known of the attempt of a step: its Job, its pod and what they say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from taskmill.api.execution import Step, StepStatus
from taskmill.api.reasons import Reason
from taskmill.api.task import RunSpec
from taskmill.diagnose import words
from taskmill.diagnose.causes import diagnose
from taskmill.diagnose.ends import usual_payer
from taskmill.diagnose.facts import Job, Pod
from taskmill.diagnose.finding import Finding, Seen, Stage
from taskmill.plan import outputs
from taskmill.plan.names import job_name
from taskmill.plan.world import ExecutionWorld, Refusal, Refused


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a step."""

    step: Step
    number: int
    job: Job | None
    pod: Pod | None
    finding: Finding
    refused: Refused | None = None
    """Why its Job could not be created."""

    @property
    def task(self) -> RunSpec:
        """What runs."""
        return self.step.task


@dataclass(frozen=True, slots=True)
class Family:
    """The Jobs and pods of a world, where they are found at once."""

    jobs: dict[str, Job]
    """Ours, by name."""
    pods: dict[str, list[Pod]]
    """By the uid of their Job."""
    pods_of_step: dict[str, list[Pod]]


def family(world: ExecutionWorld) -> Family:
    """Sort the world's Jobs and pods. Labels are for finding: whoever may create can forge them."""
    jobs: dict[str, Job] = {}
    for job in world.jobs:
        if job.owner_uid == world.execution.meta.uid:
            jobs.setdefault(job.name, job)
    pods: dict[str, list[Pod]] = {}
    of_step: dict[str, list[Pod]] = {}
    for pod in world.pods:
        pods.setdefault(pod.owner_uid, []).append(pod)
        of_step.setdefault(pod.step, []).append(pod)
    return Family(jobs, pods, of_step)


def name_of(world: ExecutionWorld, step: str, number: int) -> str:
    """Name of the Job of an attempt."""
    meta = world.execution.meta
    return job_name(execution=meta.name, uid=meta.uid, step=step, attempt=number)


def is_ours(world: ExecutionWorld, job: Job) -> bool:
    """Whether we created it."""
    name = name_of(world, job.step, job.attempt)
    return job.name == name and job.owner_uid == world.execution.meta.uid


def observe(world: ExecutionWorld, among: Family, step: Step, known: StepStatus | None) -> Attempt:
    """The step's newest attempt as the world shows it; `known` is its stored status."""
    number = (known.attempt if known else None) or 1
    name = name_of(world, step.id, number)
    job = among.jobs.get(name)
    if job is None or (job.step, job.attempt) != (step.id, number):
        refused = world.refused.get(name)
        if known and known.job_name:
            # It was deleted while nobody watched; the status remembers that it was there.
            finding = Finding(
                Stage.ENDED,
                Reason.DELETED,
                f"Job {known.job_name} was deleted",
                payer=usual_payer(Reason.DELETED),
                started_at=known.started_at,
            )
        else:
            finding = _uncreated(refused)
        return Attempt(step, number, None, None, finding, refused)
    pod = _pod(world, among.pods.get(job.uid, ()), job)
    heard = world.heard.get(pod.uid if pod else job.uid)
    seen = Seen(
        job,
        _with_log(world, pod),
        heard.events if heard else (),
        job_gone=job.uid in world.gone,
        pod_gone=pod is not None and pod.uid in world.gone,
    )
    return Attempt(step, number, job, pod, diagnose(seen))


def predecessor(world: ExecutionWorld, among: Family, attempt: Attempt) -> Pod | None:
    """A pod of an earlier attempt whose containers may still run."""
    for pod in among.pods_of_step.get(attempt.step.id, ()):
        earlier = pod.attempt < attempt.number
        if earlier and not pod.ended and pod.uid not in world.gone:
            return pod
    return None


def _pod(world: ExecutionWorld, pods: Iterable[Pod], job: Job) -> Pod | None:
    # A pod that is there tells more than one that was; the newest more than an older one.
    return max(
        (pod for pod in pods if not is_former(world, job, pod)),
        key=lambda pod: (pod.uid not in world.gone, pod.created_at or job.created_at),
        default=None,
    )


def is_former(world: ExecutionWorld, job: Job, pod: Pod) -> bool:
    """Whether the pod was taken away before its Job was resumed: it tells nothing any more."""
    gone = pod.uid in world.gone
    if not (pod.deleting or gone):
        return False
    if job.suspended and not (job.failed or job.finished):
        return _runs_again(pod, gone=gone)
    # A Job that has been resumed gets its first pod before it says when it started.
    before = pod.created_at and (not job.started_at or pod.created_at < job.started_at)
    since = pod.deleted_at and job.started_at and pod.deleted_at > job.started_at
    return bool(before and not since)


def _runs_again(pod: Pod, *, gone: bool) -> bool:
    """Whether a suspended Job, which counts no pod it took away, will make another for this one.

    What succeeded before it was taken away may have been built upon already: that Job is done.
    """
    ended = pod.main.ended if pod.main else None
    if ended and ended.exit_code == 0 and not pod.ended_after_deletion:
        return False
    return pod.ended or gone or pod.ended_after_deletion


def _with_log(world: ExecutionWorld, pod: Pod | None) -> Pod | None:
    """The pod with its last words: outputs are none, they may have come in the place of the log."""
    ended = pod.main.ended if pod and pod.main else None
    if pod is None or ended is None:
        return pod
    log = world.logs.get(pod.uid)
    if log is None and not outputs.parse(ended.message):
        return pod
    words = outputs.without(ended.message) if log is None else log
    containers = tuple(
        replace(c, ended=replace(c.ended, message=words)) if c is pod.main and c.ended else c
        for c in pod.containers
    )
    return replace(pod, containers=containers)


def _uncreated(refused: Refused | None) -> Finding:
    if refused is None:
        return Finding(Stage.QUEUED)
    reason = {
        Refusal.QUOTA: Reason.QUOTA_EXCEEDED,
        Refusal.PASSING: Reason.QUEUED,
        Refusal.FINAL: Reason.REJECTED,
    }[refused.kind]
    told = f"the API server refused its Job: {words.refusal(refused.message)}"
    return Finding(
        Stage.QUEUED,
        reason,
        words.advised(reason, told),
        since=refused.since,
        fails_after=timedelta() if refused.kind is Refusal.FINAL else None,
    )
