"""What is known of the attempt of a step: its Job, its pod and what they say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from taskmill.api.execution import Step
from taskmill.api.reasons import Reason
from taskmill.api.task import RunSpec
from taskmill.diagnose import words
from taskmill.diagnose.causes import diagnose
from taskmill.diagnose.ends import usual_payer
from taskmill.diagnose.facts import Job, Pod
from taskmill.diagnose.finding import Finding, Seen, Stage
from taskmill.plan.names import job_name
from taskmill.plan.world import ExecutionWorld, Refusal


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a step."""

    step: Step
    number: int
    job: Job | None
    pod: Pod | None
    finding: Finding

    @property
    def task(self) -> RunSpec:
        """What runs."""
        return self.step.task


def observe(world: ExecutionWorld, step: Step) -> Attempt:
    """The step's attempt as the world shows it."""
    known = next((s for s in world.execution.status.steps or () if s.id == step.id), None)
    number = (known.attempt if known else None) or 1
    job = _job(world, step, number)
    if job is None:
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
            finding = _uncreated(world)
        return Attempt(step, number, None, None, finding)
    pod = _pod(world, job)
    seen = Seen(
        job,
        pod,
        world.events,
        job_gone=job.uid in world.gone,
        pod_gone=pod is not None and pod.uid in world.gone,
    )
    return Attempt(step, number, job, pod, diagnose(seen))


def is_ours(world: ExecutionWorld, job: Job) -> bool:
    """Whether we created it: labels are for finding, whoever may create Jobs can forge them."""
    meta = world.execution.meta
    name = job_name(execution=meta.name, uid=meta.uid, step=job.step, attempt=job.attempt)
    return job.name == name and job.owner_uid == meta.uid


def _job(world: ExecutionWorld, step: Step, number: int) -> Job | None:
    for job in world.jobs:
        if job.step == step.id and job.attempt == number and is_ours(world, job):
            return job
    return None


def _pod(world: ExecutionWorld, job: Job) -> Pod | None:
    pods = [p for p in world.pods if p.owner_uid == job.uid and not _is_former(world, job, p)]
    # A pod that is there tells more than one that was; the newest more than an older one.
    return max(
        pods,
        key=lambda pod: (pod.uid not in world.gone, pod.created_at or job.created_at),
        default=None,
    )


def _is_former(world: ExecutionWorld, job: Job, pod: Pod) -> bool:
    """Whether the pod was taken away before its Job was resumed: it tells nothing any more."""
    over = pod.deleting or pod.uid in world.gone
    # A Job that has been resumed gets its first pod before it says when it started.
    before = pod.created_at and (not job.started_at or pod.created_at < job.started_at)
    return bool(over and before)


def _uncreated(world: ExecutionWorld) -> Finding:
    refused = world.refused
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
