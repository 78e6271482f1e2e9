"""Whether a failed attempt is followed by another one, when, and with how much memory."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from taskmill.api.duration import parse_duration
from taskmill.api.execution import StepStatus
from taskmill.api.meta import rfc3339
from taskmill.api.reasons import Payer, Reason
from taskmill.api.task import (
    DEFAULT_BACKOFF,
    DEFAULT_BACKOFF_FACTOR,
    DEFAULT_BACKOFF_MAX,
    DEFAULT_INFRA_RETRIES,
    Backoff,
    Retry,
)
from taskmill.plan.executions import memory
from taskmill.plan.executions.attempt import Attempt
from taskmill.plan.names import digest

JITTER = 5
"""Up to one part in so many is added to a delay, so that what failed together does not return
together."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How an attempt failed."""

    reason: str
    payer: Payer | None
    exit_code: int | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Next:
    """What follows a failed attempt."""

    at: datetime | None = None
    """When the next attempt starts; None: there is none."""
    infra_retries: int = 0
    """How many attempts the cluster has made necessary, this one included."""
    memory_limit: str | None = None
    words: str = ""
    """For the sentence about the failure: which attempt follows, or why none does."""


def follow(
    attempt: Attempt, known: StepStatus | None, failure: Failure, *, uid: str, deadline: datetime
) -> Next:
    """What follows `failure`; `uid` is the execution's, `known` the step's stored status."""
    retry, infra = attempt.task.retry or Retry(), (known.infra_retries if known else None) or 0
    own = attempt.number - 1 - infra
    raised = known.memory_limit if known else None
    if failure.payer is Payer.INFRA:
        allowed, used = attempt.task.infra_retries, infra
        most = DEFAULT_INFRA_RETRIES if allowed is None else allowed
        infra += 1
    elif failure.payer is Payer.RETRY:
        most, used = retry.limit or 0, own
    else:
        return Next()
    if used >= most:
        return Next(
            words=f"it was attempt {attempt.number}, the last" if attempt.number > 1 else ""
        )
    if failure.payer is Payer.RETRY:
        if failure.reason == Reason.OOM_KILLED and retry.on_oom:
            limit = _limit(attempt)
            more = memory.raised(limit, retry.on_oom.memory_percent, str(retry.on_oom.max))
            if limit and more is None:
                return Next(words=f"it had all that retry.onOOM.max {retry.on_oom.max} allows")
            raised = more or raised
        elif retry.on_exit_codes and not _ended_with(failure, retry.on_exit_codes):
            code = failure.exit_code
            told = f"not tried again: {code} is not in retry.onExitCodes" if code else ""
            return Next(words=told)
    delay = _delay(retry.backoff or Backoff(), attempt.number, f"{uid}/{attempt.step.id}")
    # The stored moment has no fraction of a second.
    at = failure.at.replace(microsecond=0) + timedelta(seconds=ceil(delay.total_seconds()))
    if at >= deadline:
        return Next(words=f"the deadline {rfc3339(deadline)} leaves no time for another attempt")
    kind = "retry" if failure.payer is Payer.RETRY else "infra retry"
    words = f"attempt {attempt.number + 1} ({kind} {used + 1} of {most}) starts at {rfc3339(at)}"
    if raised and failure.reason == Reason.OOM_KILLED:
        words += f" with memory limit {raised}"
    return Next(at, infra, raised, words)


def _ended_with(failure: Failure, codes: Collection[int]) -> bool:
    """Whether its container ended with one of the codes, and not because its time was over."""
    own = failure.reason != Reason.MAX_RUN_TIME_EXCEEDED
    return own and failure.exit_code in codes


def _limit(attempt: Attempt) -> str:
    """The memory limit it had, as the API server made it; "" when it had none of its own."""
    main = attempt.pod.main if attempt.pod else None
    return main.memory_limit if main else ""


def _delay(backoff: Backoff, failures: int, seed: str) -> timedelta:
    initial = DEFAULT_BACKOFF if backoff.initial is None else parse_duration(backoff.initial)
    most = DEFAULT_BACKOFF_MAX if backoff.max is None else parse_duration(backoff.max)
    factor = backoff.factor or DEFAULT_BACKOFF_FACTOR
    # Beyond that many doublings any delay is capped; numbers would only grow.
    seconds = initial.total_seconds() * factor ** min(max(0, failures - 1), 60)
    share = int(digest(seed, str(failures), chars=8), 16) / 0xFFFFFFFF / JITTER
    return timedelta(seconds=min(seconds, most.total_seconds()) * (1 + share))
