"""Logs of a run's steps, as its pods have them: all at once, or as they grow, until its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from queue import Empty, Queue

from taskmill.cli.kubeapi import KubeApi, Raw
from taskmill.cli.loglines import Position
from taskmill.cli.moments import moment
from taskmill.cli.session import note
from taskmill.cli.view import FINAL, run_of
from taskmill.cli.waiting import patiently
from taskmill.cli.words import missing_right
from taskmill.kube.errors import ApiError, Forbidden, Invalid, NotFound
from taskmill.kube.resources import EXECUTIONS, PODS
from taskmill.plan.names import LABEL_ATTEMPT, LABEL_EXECUTION_UID, LABEL_STEP

MAIN = "main"
LOOK_EVERY = 1.0
"""Seconds between two looks at which pods there are; each log is read from its beginning."""
CUTS = 5
"""Times that reading the log of what has ended may fail."""
_WAITING = 1000
"""Lines that wait for whom we print to."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log of a step."""

    step: str
    attempt: int
    text: bytes
    """With its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Which logs are wanted."""

    step: str = ""
    """"": of all steps."""
    attempt: int = 0
    """0: the newest, counted back by `back`."""
    back: int = 0


@dataclass(slots=True)
class Source:
    """The log of one attempt of a step."""

    pod: str
    step: str
    attempt: int
    started: bool
    ended: bool
    since: str = ""
    position: Position = field(default_factory=Position)
    cuts: int = 0
    reads: bool = False
    done: bool = False


class Logs:
    """The logs of one run."""

    def __init__(self, api: KubeApi, raw: Raw, which: Which) -> None:
        self._api, self._which = api, which
        self._run = run_of(raw)
        self._sources: dict[str, Source] = {}
        self._queue: Queue[Line | Source | Exception] = Queue(_WAITING)
        self._first: dict[str, int] = {}
        self._may_list = True

    def read(self) -> Iterator[Line]:
        """What there is now."""
        self._look()
        for source in self._wanted():
            try:
                for text in self._api.log(self._run.namespace, source.pod, {"container": MAIN}):
                    yield Line(source.step, source.attempt, text)
            except (NotFound, Invalid):
                continue  # gone meanwhile, or not started

    def follow(self) -> Iterator[Line]:
        """What there is and what comes, of steps too that start later, until the run has ended."""
        looked = 0.0
        while True:
            if time.monotonic() >= looked + LOOK_EVERY:
                # Its end first: what it left is then in the look that comes after.
                self._run = run_of(patiently(self._again))
                self._look()
                looked = time.monotonic()
                self._begin()
                if self._is_over():
                    return
            try:
                item = self._queue.get(timeout=max(0.01, looked + LOOK_EVERY - time.monotonic()))
            except Empty:
                continue
            if isinstance(item, Exception):
                raise item
            if isinstance(item, Source):
                item.reads = False
            else:
                yield item

    def _again(self) -> Raw:
        return self._api.get(EXECUTIONS, self._run.namespace, self._run.name)

    def missing(self) -> list[str]:
        """Steps that have run and have no log any more, in words."""
        there = {source.step for source in self._sources.values()}
        return [
            step.id
            for step in self._run.steps
            if step.started and step.id not in there and self._which.step in ("", step.id)
        ]

    # ---- which pods ----

    def _look(self) -> None:
        """See which pods there are, and how they stand."""
        found = self._pods()
        for source in found:
            known = self._sources.setdefault(source.pod, source)
            known.started, known.ended = source.started, source.ended
        names = {source.pod for source in found}
        for source in self._sources.values():
            # What is gone has said all that it will.
            source.ended = source.ended or source.pod not in names
            source.done = source.done or (source.pod not in names and not source.reads)
        for source in found:
            newest = self._first.get(source.step, 0)
            if not self._which.attempt and not self._streaming:
                self._first[source.step] = max(newest, source.attempt)

    @property
    def _streaming(self) -> bool:
        return any(source.reads or source.done for source in self._sources.values())

    def _pods(self) -> list[Source]:
        if self._may_list:
            query = {"labelSelector": f"{LABEL_EXECUTION_UID}={self._run.uid}"}
            try:
                pods = self._api.list(PODS, self._run.namespace, query)["items"]
                return [_source(pod) for pod in pods if LABEL_STEP in pod["metadata"]["labels"]]
            except Forbidden as error:
                note(f"note: {missing_right(error)}; only what the status names is shown")
                self._may_list = False
        return [
            Source(step.pod, step.id, step.attempt, bool(step.started), step.phase in FINAL)
            for step in self._run.steps
            if step.pod
        ]

    def _wanted(self) -> list[Source]:
        """In the order of the plan, started and asked for."""
        place = {step.id: number for number, step in enumerate(self._run.steps)}
        mine = [
            source
            for source in self._sources.values()
            if source.started and self._which.step in ("", source.step) and self._is_of(source)
        ]
        return sorted(mine, key=lambda one: (place.get(one.step, 0), one.since, one.attempt))

    def _is_of(self, source: Source) -> bool:
        if self._which.attempt:
            return source.attempt == self._which.attempt
        newest = self._first.get(source.step, source.attempt)
        if self._which.back:
            return source.attempt == newest - self._which.back
        return source.attempt >= newest

    # ---- streams ----

    def _begin(self) -> None:
        for source in self._wanted():
            if not source.reads and not source.done:
                source.reads = True
                threading.Thread(target=self._stream, args=(source,), daemon=True).start()

    def _stream(self, source: Source) -> None:
        """Read on until the stream ends; what has ended is read once more, to its very end."""
        ended = source.ended
        query = {"container": MAIN, **source.position.query}
        if not ended:
            query["follow"] = "true"
        source.position.reopen()
        try:
            for raw in self._api.log(self._run.namespace, source.pod, query):
                if (text := source.position.take(raw)) is not None:
                    self._queue.put(Line(source.step, source.attempt, text))
        except (Forbidden, NotFound) as error:
            if isinstance(error, Forbidden):
                self._queue.put(error)
            ended = True
        except ApiError:
            # The next look takes it up where it was cut.
            source.cuts += 1
            ended = ended and source.cuts > CUTS
        except Exception as error:  # noqa: BLE001 - it is raised where it is awaited
            self._queue.put(error)
        source.done = ended
        self._queue.put(source)

    def _is_over(self) -> bool:
        waits = any(source.reads or not source.done for source in self._wanted())
        return self._run.final and not waits and self._queue.empty()


def _source(pod: Raw) -> Source:
    labels = pod["metadata"]["labels"]
    states = [
        one.get("state") or {}
        for one in pod.get("status", {}).get("containerStatuses") or ()
        if one["name"] == MAIN
    ]
    state = states[0] if states else {}
    ended = "terminated" in state or pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    began = (state.get("terminated") or state.get("running") or {}).get("startedAt")
    return Source(
        pod["metadata"]["name"],
        labels[LABEL_STEP],
        int(labels.get(LABEL_ATTEMPT) or 1),
        started=moment(began) is not None,
        ended=ended,
        since=began or "",
    )
