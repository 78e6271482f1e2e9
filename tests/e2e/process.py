"""The operator as a process of its own, under its own account, to be started and killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

READY = "ready: this replica acts"
WITHIN = 60.0


class OperatorProcess:
    """One operator. `kill` ends it as a crash would; a restarted one has the same identity."""

    program: tuple[str, ...] = ("-m", "taskmill")
    """What Python runs."""

    def __init__(self, kubeconfig: Path, log: Path, **settings: str) -> None:
        self.log = log
        self._env = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "TASKMILL_NAMESPACE": "taskmill-system",
            "TASKMILL_IDENTITY": "e2e",
            "TASKMILL_LOG_LEVEL": "DEBUG",
            "PYTHONUNBUFFERED": "1",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._offset = 0
        self.acts_since = 0.0
        """By the monotonic clock."""

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> "OperatorProcess":
        """Start it and wait until it acts."""
        self.spawn()
        self.await_ready()
        return self

    def spawn(self) -> None:
        """Start it and wait for nothing."""
        self._offset = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self.program, "operator"],
                env=self._env,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def await_ready(self) -> None:
        """Wait until it acts; one that does not is ended."""
        deadline = time.monotonic() + WITHIN
        try:
            while READY not in (written := self._written(self._offset)):
                assert self._process is not None
                assert self._process.poll() is None, f"the operator ended:\n{written}"
                assert time.monotonic() < deadline, f"not ready:\n{written}"
                time.sleep(0.05)
            self.acts_since = time.monotonic()
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL: no goodbye, the Lease stays held."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM: it gives the Lease back; returns its exit code."""
        return self._end(signal.SIGTERM)

    def written(self) -> str:
        """All it has logged."""
        return self._written(0)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(timeout=30)
        self._process = None
        return code

    def _written(self, offset: int) -> str:
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")
