"""Waiting for what becomes of a run, and telling of it meanwhile."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, Queue
from typing import Any

from taskmill.cli.exits import CliError, Exit, of_run
from taskmill.cli.kubeapi import WATCH_SECONDS, KubeApi
from taskmill.cli.session import Session, note
from taskmill.cli.view import FINAL, Run, run_of
from taskmill.kube.errors import Forbidden, Gone, ServerError, Throttled, Unreachable
from taskmill.kube.resources import EXECUTIONS

Raw = dict[str, Any]

AWAY = (Unreachable, ServerError, Throttled)
"""What a later look may not meet again."""
POLL = 2.0
"""Seconds between two looks of those who may not watch."""
_PATIENCE = 60.0
"""Seconds for which a connection that was there may be away."""


def changes(
    api: KubeApi, namespace: str, name: str, *, within: float | None = None
) -> Iterator[Raw]:
    """The execution as it is, and whenever it changes, until it has ended or the time is over."""
    ends = time.monotonic() + within if within is not None else None
    version, seen = None, api.get(EXECUTIONS, namespace, name)
    while True:
        if version != (version := seen["metadata"]["resourceVersion"]):
            yield seen
        if is_final(seen):
            return
        left = WATCH_SECONDS if ends is None else min(WATCH_SECONDS, ends - time.monotonic())
        if left <= 0:
            return
        try:
            for later in _watched(api, namespace, seen, left):
                version = later["metadata"]["resourceVersion"]
                yield later
                if is_final(later):
                    return
        except Forbidden:
            time.sleep(min(POLL, left))
        except (Gone, *AWAY):
            time.sleep(min(POLL / 4, left))
        seen = patiently(lambda: api.get(EXECUTIONS, namespace, name))


def patiently(ask: Callable[[], Raw]) -> Raw:
    """The answer, although the API server may be away for a while."""
    ends = time.monotonic() + _PATIENCE
    while True:
        try:
            return ask()
        except AWAY:
            if time.monotonic() > ends:
                raise
            time.sleep(POLL)


def _watched(api: KubeApi, namespace: str, seen: Raw, seconds: float) -> Iterator[Raw]:
    meta = seen["metadata"]
    query = {
        "fieldSelector": f"metadata.name={meta['name']}",
        "resourceVersion": meta["resourceVersion"],
    }
    ends = time.monotonic() + seconds
    for event, raw in api.watch(EXECUTIONS, namespace, query, seconds):
        if event == "DELETED":
            raise CliError(f"{meta['name']} was deleted before it ended")
        if event != "BOOKMARK":
            yield raw
        if time.monotonic() >= ends:
            return


def is_final(raw: Raw) -> bool:
    """Whether an execution has ended."""
    return raw.get("status", {}).get("phase") in FINAL


def ticking(found: Iterator[Raw], seconds: float = 1.0) -> Iterator[Raw | None]:
    """What is found, and None whenever there was nothing for so long: clocks go on."""
    queue: Queue[Raw | Exception | None] = Queue()

    def feed() -> None:
        try:
            for raw in found:
                queue.put(raw)
            queue.put(None)
        except Exception as error:  # noqa: BLE001 - it is raised where it is awaited
            queue.put(error)

    threading.Thread(target=feed, daemon=True).start()
    while True:
        try:
            item = queue.get(timeout=seconds)
        except Empty:
            yield None
            continue
        if item is None:
            return
        if isinstance(item, Exception):
            raise item
        yield item


def await_end(
    session: Session, raw: Raw, *, within: float | None = None, quiet: bool = False
) -> Raw | None:
    """The execution once it has ended; None when the time was over before. Tells on stderr."""
    from taskmill.cli.show import change, in_a_line

    api, meta = session.api, raw["metadata"]
    before: Run | None = None
    seen = raw
    with going_on(session, meta["name"]), _line(quiet=quiet) as tell:
        for seen in changes(api, meta["namespace"], meta["name"], within=within):
            run = run_of(seen)
            if tell:
                tell(f"{run.name}: {in_a_line(run, api.now())}")
            elif not quiet:
                for line in change(before, run, api.now()):
                    note(line)
            before = run
    return seen if is_final(seen) else None


@contextmanager
def _line(*, quiet: bool) -> Iterator[Any]:
    """A line that moves, on a terminal; None elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from taskmill.cli.output import console

    err = console(stderr=True)
    with err.status("") as spinner:
        yield lambda text: spinner.update(text[: err.width - 4])


@contextmanager
def going_on(session: Session, name: str) -> Iterator[None]:
    """Ctrl-C ends the looking, not the run: say so."""
    try:
        yield
    except KeyboardInterrupt:
        note(f"\n{name} goes on. To stop it: {session.command('stop', name)}")
        raise


def exit_of(raw: Raw) -> Exit:
    """What an execution that has ended means for a script."""
    run = run_of(raw)
    return of_run(run.phase, run.reason)
