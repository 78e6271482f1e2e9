"""After the verdict: nothing of the execution runs on, and its Job goes when its time has come."""

from __future__ import annotations

from datetime import datetime

from taskmill.api.reasons import ConditionType, Reason
from taskmill.diagnose.facts import Job, Pod
from taskmill.plan.attempt import is_ours
from taskmill.plan.conditions import find
from taskmill.plan.decision import Action, Decision, DeleteJob, StopPod
from taskmill.plan.endings import CLOCK_GRAIN, ENDING_MARGIN
from taskmill.plan.world import ExecutionWorld

OVERDUE = frozenset(
    {Reason.STOPPED, Reason.KILLED, Reason.DEADLINE_EXCEEDED, Reason.MAX_RUN_TIME_EXCEEDED}
)
"""Endings by our own hand: the Job goes at once, its verdict being in status."""


def retire(world: ExecutionWorld, now: datetime) -> Decision:
    """What is left to do of a finished execution."""
    status = world.execution.status
    # Not from the end of its containers: we may have been away for longer than the retention.
    told = find(status.conditions, ConditionType.FINISHED)
    ended_at = told.last_transition_time if told else status.completed_at or now
    due_at = ended_at + world.limits.job_retention
    actions: list[Action] = []
    look_at: datetime | None = None
    for job in world.jobs:
        if not is_ours(world, job) or job.uid in world.gone or job.deleting:
            continue
        pods = [p for p in world.pods if p.owner_uid == job.uid]
        over = job.finished or any(_is_over(world, pod) for pod in pods)
        if not over or status.reason in OVERDUE or now >= due_at:
            actions.append(DeleteJob(job.name, job.uid))
            continue
        looks = [due_at]
        for pod in pods:
            action, look = _end_sidecars(world, pod, job, ended_at, now)
            actions.extend(filter(None, [action]))
            looks.extend(filter(None, [look]))
        look_at = min(filter(None, [look_at, *looks]))
    return Decision(None, tuple(actions), look_at)


def _is_over(world: ExecutionWorld, pod: Pod) -> bool:
    """Whether the task's container will not run again: a Job of ours makes no second pod."""
    return pod.ended or pod.uid in world.gone or bool(pod.main and pod.main.ended)


def _end_sidecars(
    world: ExecutionWorld, pod: Pod, job: Job, ended_at: datetime, now: datetime
) -> tuple[StopPod | DeleteJob | None, datetime | None]:
    """What outlives the task's container gets its grace period and is stopped in place."""
    ended = pod.main.ended if pod.main else None
    stopped = pod.ended or pod.deleting or pod.uid in world.gone or pod.deadline_seconds == 1
    if ended is None or job.finished or stopped:
        return None, None
    # A native sidecar is the kubelet's to end, and seconds are cut.
    at = ended_at + pod.grace_period + CLOCK_GRAIN
    if now < at:
        return None, at
    if now < at + ENDING_MARGIN:
        return StopPod(pod.name, pod.uid), None
    return DeleteJob(job.name, job.uid), None
