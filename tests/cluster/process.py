"""Processes that outlive the command which started them, and bounded waiting."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")


class ClusterError(Exception):
    """Something a person has to read; the message is written for them."""


@dataclass(frozen=True)
class Process:
    """A process by id *and* start time: ids are used again, so an id alone proves nothing."""

    pid: int
    started: int

    @classmethod
    def observe(cls, pid: int) -> Process | None:
        """The process that has this id now; None when there is none or it has ended."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The name in brackets may hold anything, brackets too; the rest follows the last one.
        state, *rest = stat.rpartition(")")[2].split()
        return None if state in {"Z", "X"} else cls(pid, int(rest[18]))

    @classmethod
    def recorded(cls, file: Path) -> Process | None:
        """What `record` wrote; None when nothing was or it is damaged."""
        try:
            return cls(**json.loads(file.read_text()))
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
            return None

    def record(self, file: Path) -> None:
        file.write_text(json.dumps(asdict(self)))

    @property
    def alive(self) -> bool:
        return Process.observe(self.pid) == self

    def send(self, number: signal.Signals) -> None:
        """Signals the process, or nobody when it is gone."""
        try:
            # A file descriptor holds on to the process: between looking and signalling
            # its id cannot pass to another one.
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.alive:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)

    def stop(self, *, grace: float = 5.0) -> None:
        """Asks, waits, then insists."""
        self.send(signal.SIGTERM)
        try:
            wait_for(lambda: not self.alive, f"process {self.pid} to end", timeout=grace)
        except ClusterError:
            self.send(signal.SIGKILL)
            wait_for(lambda: not self.alive, f"process {self.pid} to be killed", timeout=10)


def only_child(pid: int) -> Process | None:
    """The one process that `pid` has started, once it has."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children:
            return Process.observe(int(children[0]))
    return None


def wait_for(
    look: Callable[[], Found | None], what: str, *, timeout: float, log: Path | None = None
) -> Found:
    """Looks until there is something to see, else says what was missing and how the log ends."""
    deadline = time.monotonic() + timeout
    pause = 0.02
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise ClusterError(f"waited {timeout:g} s for {what}{tail(log)}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)


@contextlib.contextmanager
def alone(folder: Path, *, timeout: float) -> Iterator[None]:
    """One command at a time in this folder; the next one waits for it."""
    descriptor = os.open(folder, os.O_RDONLY)

    def locked() -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    try:
        wait_for(locked, f"another command to be done in {folder}", timeout=timeout)
        yield
    finally:
        os.close(descriptor)


def tail(log: Path | None, lines: int = 20) -> str:
    """The last lines of a log, ready to be put behind a message."""
    if log is None:
        return ""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 64 * 1024))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return f"; it wrote no {log}"
    last = text.splitlines()[-lines:]
    return f"; the last lines of {log}:\n" + "\n".join(f"  {line}" for line in last)
