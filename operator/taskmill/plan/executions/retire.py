"""What is over: nothing of it runs on, and it goes when its time has come."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from taskmill.api.duration import later
from taskmill.api.reasons import ConditionType, Reason
from taskmill.diagnose.facts import Job, Pod
from taskmill.plan.conditions import find
from taskmill.plan.decision import Action, Decision, DeleteExecution, DeleteJob, StopPod
from taskmill.plan.executions.attempt import family, is_former, is_ours
from taskmill.plan.executions.endings import CLOCK_GRAIN, ENDING_MARGIN, OF_ALL
from taskmill.plan.job import LONGEST
from taskmill.plan.world import ExecutionWorld

BY_OUR_HAND = OF_ALL | {Reason.MAX_RUN_TIME_EXCEEDED}
"""Endings after which the Job goes at once, the verdict being in status."""
LEAST_AGE = timedelta(minutes=2)
"""How long a finished execution stays at least: a late duplicate of the creation of its Job must
run into something."""


def retire(world: ExecutionWorld, now: datetime) -> Decision:
    """What is left to do of a finished execution."""
    execution = world.execution
    actions, look_at = leftovers(world, (), now)
    ttl = execution.spec.ttl_seconds_after_finished if execution.spec else None
    if ttl is not None and not execution.meta.deleting:
        kept = max(timedelta(seconds=min(ttl, LONGEST)), LEAST_AGE)
        goes_at = later(_ended_at(world, now), kept)
        if now >= goes_at:
            meta = execution.meta
            return Decision(None, (*actions, DeleteExecution(meta.name, meta.uid)))
        look_at = min(filter(None, [look_at, goes_at]))
    return Decision(None, actions, look_at)


def leftovers(
    world: ExecutionWorld, in_use: Collection[str], now: datetime
) -> tuple[tuple[Action, ...], datetime | None]:
    """What to do about the Jobs that are not `in_use` any more, and when to look again."""
    actions: list[Action] = []
    looks: list[datetime] = []
    final = world.execution.final
    reasons, pods_of = _reasons(world), family(world).pods
    latest = {step.id: step.attempt or 1 for step in world.execution.status.steps or ()}
    for job in world.jobs:
        if job.name in in_use or job.uid in world.gone or job.deleting or not is_ours(world, job):
            continue
        if not final and job.attempt > latest.get(job.step, 1):
            # Another process has come further than what we were told: it is of the next status.
            continue
        # A Job whose pod was taken away makes another one.
        pods = [pod for pod in pods_of.get(job.uid, []) if not is_former(world, job, pod)]
        # A Job that is suspended makes another one for each pod it took away.
        over = job.finished or (not job.suspended and any(_is_over(world, pod) for pod in pods))
        due_at = later(_ended_at(world, now), world.limits.job_retention) if final else None
        attempt = (job.step, job.attempt)
        # Until the end of the attempt is stored, its Job is all that proves it.
        told = final or attempt in reasons or job.attempt < latest.get(job.step, 1)
        by_us = reasons.get(attempt) in BY_OUR_HAND
        if (told and not over) or by_us or (due_at and now >= due_at):
            actions.append(DeleteJob(job.name, job.uid))
            continue
        if due_at:
            looks.append(due_at)
        for pod in pods:
            action, look = _end_sidecars(world, pod, job, now)
            actions.extend(filter(None, [action]))
            looks.extend(filter(None, [look]))
    return tuple(actions), min(looks, default=None)


def _reasons(world: ExecutionWorld) -> dict[tuple[str, int], Reason | None]:
    """How each attempt ended, as far as that is kept."""
    status = world.execution.status
    earlier = {(a.step, a.attempt): a.reason for a in status.attempts or ()}
    latest = {(s.id, s.attempt or 1): s.reason for s in status.steps or () if s.phase.final}
    return earlier | latest


def _ended_at(world: ExecutionWorld, now: datetime) -> datetime:
    # Not from the end of its containers: we may have been away for longer than the retention.
    status = world.execution.status
    told = find(status.conditions, ConditionType.FINISHED)
    return told.last_transition_time if told else status.completed_at or now


def _is_over(world: ExecutionWorld, pod: Pod) -> bool:
    """Whether the task's container will not run again: its Job makes no other pod after it."""
    return pod.ended or pod.uid in world.gone or bool(pod.main and pod.main.ended)


def _end_sidecars(
    world: ExecutionWorld, pod: Pod, job: Job, now: datetime
) -> tuple[StopPod | DeleteJob | None, datetime | None]:
    """What outlives the task's container gets its grace period and is stopped in place."""
    ended = pod.main.ended if pod.main else None
    stopped = pod.ended or pod.deleting or pod.uid in world.gone or pod.deadline_seconds == 1
    if ended is None or job.finished or stopped:
        return None, None
    told_at = _ended_at(world, now) if world.execution.final else ended.finished_at or now
    # A native sidecar is the kubelet's to end, and seconds are cut.
    at = later(told_at, pod.grace_period + CLOCK_GRAIN)
    if now < at:
        return None, at
    if now < later(at, ENDING_MARGIN):
        return StopPod(pod.name, pod.uid), None
    return DeleteJob(job.name, job.uid), None
