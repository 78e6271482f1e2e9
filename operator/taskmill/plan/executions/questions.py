"""What is asked before an end is told: nothing rests on what was merely not seen.

Watches are behind, each by its own time; the kubelet tells of a pod before its container, and of
both before the Event that explains them. Each question is asked once, or for a few seconds.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from taskmill.api.execution import StepStatus
from taskmill.api.reasons import Reason
from taskmill.diagnose.ends import is_unexplained
from taskmill.diagnose.facts import Pod
from taskmill.diagnose.finding import Stage
from taskmill.plan import outputs
from taskmill.plan.decision import Action, ReadChildren, ReadEvents, ReadLog
from taskmill.plan.executions.attempt import Attempt
from taskmill.plan.executions.endings import STOPPED, Ending, recorded
from taskmill.plan.executions.standing import Round, Standing

DUE = timedelta(seconds=5)
"""How long what is due waits for an answer."""
SIGHT = timedelta(seconds=60)
"""How long it is not believed that something is gone which was merely not seen."""
EVENT_LATE = timedelta(seconds=5)
"""How long after a container's end an Event about it may come."""
END_LATE = timedelta(seconds=5)
"""How long after its pod was counted as failed a container's end may be told."""


def ask_before(
    this: Round, attempt: Attempt, known: StepStatus | None, ending: Ending
) -> Standing | None:
    """Before a clock decides: whether it has ended in time, and a watch is behind.

    Also of an attempt that has no Job: another process may have made it.
    """
    if recorded(known) or ending.reason in STOPPED:
        return None
    why, job = str(ending.reason), attempt.job
    if this.whole is None:
        if job is None:
            return None
        # The clocks of a Job that is resumed begin anew.
        why = f"{why} {job.uid} {job.queued_at:%FT%T}"
    actions: list[Action] = []
    if why not in this.world.asked:
        actions.append(ReadChildren(why, DUE))
    about = silent(attempt)
    heard = this.world.heard.get(about) if about else None
    if about and (heard is None or heard.tentative):
        # Another process may have heard why it does not start; what it heard died with it.
        actions.append(ReadEvents(about))
    return (
        Standing(attempt.step, known, attempt, held=True, actions=tuple(actions))
        if actions
        else None
    )


def silent(attempt: Attempt) -> str | None:
    """The uid of what does not say by itself why it does not go on; its Events may."""
    job, pod, stage = attempt.job, attempt.pod, attempt.finding.stage
    if job is None or job.suspended:
        return None
    if pod:
        return pod.uid if stage is Stage.STARTING else None
    # Of a Job that its controller has not taken up yet no Event says anything.
    return job.uid if stage in {Stage.QUEUED, Stage.STARTING} and job.started_at else None


def await_words(this: Round, attempt: Attempt, known: StepStatus | None) -> Standing | None:
    """Before the verdict: what explains it and comes by another way, or later, than the end."""
    held, pod = Standing(attempt.step, known, attempt, held=True), attempt.pod
    if pod is None:
        return _await_sight(this, attempt, known, held)
    return (
        _await_suspension(this, attempt, held)
        or _await_log(this, pod, held)
        or _await_end(this, pod, held)
        or (None if recorded(known) else _await_event(this, pod, held))
    )


def _await_sight(
    this: Round, attempt: Attempt, known: StepStatus | None, held: Standing
) -> Standing | None:
    """What must have been there and was not seen: one watch may be behind all others."""
    job = attempt.job
    if job is None:
        why = f"Job {known.job_name}" if known and known.job_name else ""
    else:
        over = (job.failed or job.completed_at) and job.uid not in this.world.gone
        why = f"pod of {job.uid}" if over else ""
    if not why or why in this.world.asked:
        return None
    return replace(held, actions=(ReadChildren(why, SIGHT),))


def _await_suspension(this: Round, attempt: Attempt, held: Standing) -> Standing | None:
    """Whether its Job was suspended: the watch of pods may be ahead of that of Jobs."""
    job, pod = attempt.job, attempt.pod
    if job is None or pod is None:
        return None
    # What ended well as it was taken away counts only where its Job counts it.
    taken = attempt.finding.succeeded and not job.finished and pod.ended_after_deletion
    if not taken and attempt.finding.reason is not Reason.DELETED:
        return None
    if job.deleting or job.uid in this.world.gone:
        return None
    why = f"end of {pod.uid}"
    return None if why in this.world.asked else replace(held, actions=(ReadChildren(why, SIGHT),))


def _await_log(this: Round, pod: Pod, held: Standing) -> Standing | None:
    """The log, where outputs have taken the place of its last words."""
    ended = pod.main.ended if pod.main else None
    if not ended or ended.exit_code == 0 or not this.world.limits.log_tail:
        return None
    if pod.uid in this.world.logs or pod.uid in this.world.gone:
        return None
    if not outputs.is_all_outputs(ended.message):
        return None
    return replace(held, actions=(ReadLog(pod.name, pod.uid),))


def _await_end(this: Round, pod: Pod, held: Standing) -> Standing | None:
    """The container's end, where the kubelet has told only the pod's and the Job has counted it."""
    main, job = pod.main, held.attempt.job if held.attempt else None
    if main is None or main.ended or not main.started_at or pod.uid in this.world.gone:
        return None
    if job is None or job.failed is None or not job.failed.at:
        return None
    until = job.failed.at + END_LATE
    return replace(held, look_at=until) if this.moment < until else None


def _await_event(this: Round, pod: Pod, held: Standing) -> Standing | None:
    """The Event about a probe or hook that had it killed."""
    heard = this.world.heard.get(pod.uid)
    if not is_unexplained(pod, heard.events if heard else ()):
        return None
    ended_at = pod.main.ended.finished_at if pod.main and pod.main.ended else None
    if ended_at is None and heard:
        # Made up by a kubelet that has lost it: there is nothing to count from.
        return None
    until = (ended_at or this.moment) + EVENT_LATE
    if heard is None or heard.at + EVENT_LATE / 5 <= this.moment < until:
        return replace(held, actions=(ReadEvents(pod.uid),))
    if this.moment < until:
        return replace(held, look_at=min(until, heard.at + EVENT_LATE / 5))
    return None
