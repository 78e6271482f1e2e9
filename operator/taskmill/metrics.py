"""What Prometheus is told: counted where it happens, or looked up when somebody asks.

No label names an object or a namespace: phases, reasons and kinds are closed sets, so the number
of series does not grow with use. Of two replicas the one that acts counts what happens to
executions: sums over both are right.
"""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from taskmill.api.execution import AttemptStatus
from taskmill.api.reasons import REASONS, Payer, Phase, Reason
from taskmill.diagnose.facts import Job, Pod
from taskmill.kube.resources import Resource
from taskmill.plan.world import Execution

# When each series began would be one more series for each.
disable_created_metrics()  # type: ignore[no-untyped-call]

WAITS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14400)
DURATIONS = (1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10800, 21600, 43200, 86400)
LAGS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
REQUESTS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
PASSES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 10)
"""Upper bounds, in seconds."""

UNKNOWN = "Unknown"
"""For a reason that a newer taskmill wrote."""
OBJECTS = ("Task", "TaskExecution")
CAUSES = ("unreachable", "throttled", "refused", "bug")
"""Why a pass is run again."""


@dataclass(frozen=True, slots=True)
class Watch:
    """How one of the watches does."""

    resource: str
    silence: float
    """Seconds since the API server last said anything on it."""
    lists: int
    """How often everything was listed, because there was no place to watch from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is looked up at a scrape."""

    leader: bool = False
    executions: Tally[tuple[str, str]] = field(default_factory=Tally)
    """How many have this phase and reason."""
    queued: int = 0
    oldest: float = 0.0
    """Seconds."""
    watches: tuple[Watch, ...] = ()


class Metrics:
    """All metrics of one process, in a registry of their own. Counting never raises."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._leads: Callable[[], bool] = lambda: False
        self._clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        finished = Counter(
            "taskmill_executions_finished",
            "Executions that got their verdict.",
            ("phase", "reason"),
            registry=registry,
        )
        self._finished = {
            state: finished.labels(*state)
            for state in (
                (Phase.SUCCEEDED.value, ""),
                *((Phase.FAILED.value, reason) for reason in (*_FAILS, UNKNOWN)),
                *((Phase.STOPPED.value, reason) for reason in (*_STOPS, UNKNOWN)),
            )
        }
        duration = Histogram(
            "taskmill_execution_duration_seconds",
            "From an execution's creation until its end, waiting and retries included.",
            ("phase",),
            buckets=DURATIONS,
            registry=registry,
        )
        self._duration = {phase: duration.labels(phase) for phase in Phase if phase.final}
        self._queue = Histogram(
            "taskmill_execution_queue_seconds",
            "From an execution's creation until that of its first Job.",
            buckets=WAITS,
            registry=registry,
        )
        self._start = Histogram(
            "taskmill_execution_start_seconds",
            "From an execution's creation until its first container ran.",
            buckets=WAITS,
            registry=registry,
        )
        self._pod_start = Histogram(
            "taskmill_pod_start_seconds",
            "From a pod's creation until its container ran: a place, the image, volumes.",
            buckets=WAITS,
            registry=registry,
        )
        self._verdict_lag = Histogram(
            "taskmill_verdict_lag_seconds",
            "From the end of an execution's last container until the verdict is stored.",
            buckets=LAGS,
            registry=registry,
        )
        self._deadline_lag = Histogram(
            "taskmill_deadline_lag_seconds",
            "From a deadline that was enforced until that is stored.",
            buckets=LAGS,
            registry=registry,
        )
        retries = Counter(
            "taskmill_retries",
            "Further attempts of a step, by who pays for them.",
            ("payer",),
            registry=registry,
        )
        self._retries = {payer: retries.labels(payer.value) for payer in Payer}
        self._requests_total = Counter(
            "taskmill_api_requests",
            "Requests to the API server; code 0: no answer.",
            ("verb", "resource", "code"),
            registry=registry,
        )
        self._requests_seconds = Histogram(
            "taskmill_api_request_duration_seconds",
            "Until the API server's answer began.",
            ("verb", "resource"),
            buckets=REQUESTS,
            registry=registry,
        )
        self._requests: dict[tuple[str, Resource, int], tuple[Counter, Histogram]] = {}
        passes = Histogram(
            "taskmill_pass_duration_seconds",
            "One look at an object, with all that is done about it.",
            ("kind",),
            buckets=PASSES,
            registry=registry,
        )
        self._passes = {kind: passes.labels(kind) for kind in OBJECTS}
        failed = Counter(
            "taskmill_passes_failed",
            "Passes that have to be run again; cause bug is a bug in taskmill.",
            ("kind", "cause"),
            registry=registry,
        )
        self._failed = {
            (kind, cause): failed.labels(kind, cause) for kind in OBJECTS for cause in CAUSES
        }
        build = Gauge(
            "taskmill_build_info",
            "Always 1; which taskmill this is.",
            ("version",),
            registry=registry,
        )
        build.labels(metadata.version("taskmill")).set(1)

    def attach(
        self, *, look: Callable[[], Sight], leads: Callable[[], bool], clock: Callable[[], datetime]
    ) -> None:
        """Begin to count what happens to executions; `look` is called at each scrape."""
        self._leads, self._clock = leads, clock
        self.registry.register(_AtScrape(look))
        ProcessCollector(registry=self.registry)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """All metrics, and their Content-Type: OpenMetrics for who accepts that."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    # -- what happens --

    def execution_changed(self, before: Execution, after: Execution) -> None:
        """A newer state of an execution is known."""
        old, new = before.status, after.status
        if old.status_version == new.status_version or not self._leads():
            return
        now, created = self._clock(), after.meta.created_at
        if new.started_at and not old.started_at:
            self._start.observe(_seconds(created, new.started_at))
        overdue = Reason.DEADLINE_EXCEEDED
        if new.reason == overdue and old.reason != overdue and new.deadline:
            self._deadline_lag.observe(_seconds(new.deadline, now))
        if new.attempts:
            for attempt in _appended(old.attempts or (), new.attempts):
                self._retried(attempt)
        if new.phase is None or not new.phase.final or before.final:
            return
        told, _ = state = told_as(new.phase, new.reason)
        if finished := self._finished.get(state) or self._finished.get((told, UNKNOWN)):
            finished.inc()
        self._duration[new.phase].observe(_seconds(created, new.completed_at or now))
        if new.started_at and new.completed_at:
            self._verdict_lag.observe(_seconds(new.completed_at, now))

    def job_made(self, execution: Execution, job: Job) -> None:
        """An execution has its first Job."""
        if self._leads():
            self._queue.observe(_seconds(execution.meta.created_at, job.created_at))

    def pod_changed(self, before: Pod, after: Pod) -> None:
        """A newer state of a pod is known."""
        began = _began(after)
        if began and not _began(before) and after.created_at and self._leads():
            self._pod_start.observe(_seconds(after.created_at, began))

    def requested(self, verb: str, resource: Resource, code: int, seconds: float) -> None:
        """The API server answered, with code 0 it did not."""
        key = verb, resource, code
        if (bound := self._requests.get(key)) is None:
            plural = str(resource)
            bound = (
                self._requests_total.labels(verb, plural, str(code)),
                self._requests_seconds.labels(verb, plural),
            )
            self._requests[key] = bound
        count, histogram = bound
        count.inc()
        histogram.observe(seconds)

    def passed(self, kind: str, seconds: float) -> None:
        """A pass is over."""
        self._passes[kind].observe(seconds)

    def pass_failed(self, kind: str, cause: str) -> None:
        """It has to be run again; `cause` is one of `CAUSES`."""
        self._failed[kind, cause].inc()

    def _retried(self, attempt: AttemptStatus) -> None:
        row = REASONS.get(attempt.reason) if attempt.reason else None
        if row and row.payer:
            self._retries[row.payer].inc()


class _AtScrape(Collector):
    """What need not be counted, because it can be looked at."""

    def __init__(self, look: Callable[[], Sight]) -> None:
        self._look = look

    def collect(self) -> Iterator[Metric]:
        sight = self._look()
        yield GaugeMetricFamily(
            "taskmill_leader", "1 for the replica that acts, else 0.", value=sight.leader
        )
        executions = GaugeMetricFamily(
            "taskmill_executions",
            "Executions that exist, told by the replica that acts.",
            labels=("phase", "reason"),
        )
        if sight.leader:
            for phase in Phase:
                executions.add_metric((phase.value, ""), sight.executions[phase.value, ""])
            for (phase_told, reason), count in sorted(sight.executions.items()):
                if reason:
                    executions.add_metric((phase_told, reason), count)
        yield executions
        yield GaugeMetricFamily(
            "taskmill_queue_depth", "Objects that wait for a worker.", value=sight.queued
        )
        yield GaugeMetricFamily(
            "taskmill_queue_oldest_seconds",
            "How long the first of them has waited.",
            value=sight.oldest,
        )
        silence = GaugeMetricFamily(
            "taskmill_watch_silence_seconds",
            "Since the API server last said anything on a watch; it does so every minute.",
            labels=("resource",),
        )
        lists = CounterMetricFamily(
            "taskmill_watch_lists",
            "How often a watch had to list everything; once is its beginning.",
            labels=("resource",),
        )
        for watch in sight.watches:
            silence.add_metric((watch.resource,), watch.silence)
            lists.add_metric((watch.resource,), watch.lists)
        yield silence
        yield lists


_STOPS = (Reason.STOPPED.value, Reason.KILLED.value, Reason.REPLACED.value)
_FAILS = tuple(reason.value for reason in Reason if reason.value not in _STOPS)


def told_as(phase: Phase | None, reason: str | None) -> tuple[str, str]:
    """The labels for an execution: in a closed set whatever its status says."""
    known = not reason or reason in _REASONS
    return (phase or Phase.PENDING).value, (str(reason or "") if known else UNKNOWN)


_REASONS = frozenset(reason.value for reason in Reason)


def _appended(
    old: Iterable[AttemptStatus], new: tuple[AttemptStatus, ...]
) -> Iterator[AttemptStatus]:
    """What `new` has behind the last of `old`; its beginning may have been cut."""
    last = max((_which(attempt) for attempt in [*old][-1:]), default=None)
    for attempt in reversed(new):
        if _which(attempt) == last:
            return
        yield attempt


def _which(attempt: AttemptStatus) -> tuple[str, int]:
    return attempt.step, attempt.attempt


def _began(pod: Pod) -> datetime | None:
    """When the task's own container began."""
    main = pod.main
    if main is None:
        return None
    return main.started_at or (main.ended.started_at if main.ended else None)


def _seconds(since: datetime, until: datetime) -> float:
    """Other machines' clocks, and whole seconds: what ends before it begins took no time."""
    return max(0.0, (until - since).total_seconds())
