"""Who takes part: what each is given to run, and how its verdict is read."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, Protocol

from bench.lab import ON_KWOK, Lab
from bench.metrics import JOB_CONTROLLER
from cluster.flows import Account
from cluster.process import ClusterError, Process, tail
from e2e.install import OPERATOR, install
from e2e.process import READY, OperatorProcess
from e2e.user import FINAL, IMAGE, execution, run_spec
from taskmill.api.pod import MAIN
from taskmill.kube.client import EXECUTIONS, JOBS, Resource

_PATIENCE = 900.0


class Contender(Protocol):
    """One way to run a container to completion. Adding one is a class like those below."""

    @property
    def name(self) -> str: ...
    @property
    def told(self) -> str:
        """How it is run, for the report."""

    @property
    def resource(self) -> Resource:
        """The kind that is submitted and gets the verdict."""

    @property
    def account(self) -> Account:
        """Whose requests are its own."""

    @property
    def container(self) -> str:
        """The container whose end decides."""

    def install(self) -> None:
        """Once on each cluster."""

    async def start(self) -> float:
        """Have its controller act; returns after how many seconds it did."""

    def stop(self) -> None:
        """The controller acts no longer, if it ever did."""

    def pid(self) -> int | None:
        """The controller's process; None when it is part of Kubernetes."""

    def manifest(self, name: str) -> dict[str, Any]: ...
    def ended(self, raw: dict[str, Any]) -> bool:
        """Whether this state of what was submitted holds the verdict."""

    def run_of(self, child: dict[str, Any]) -> str:
        """The name of the run that a Job or a pod is of."""


class Jobs:
    """Kubernetes alone."""

    name = "Jobs"
    told = "the Job controller alone"
    resource = JOBS
    account = JOB_CONTROLLER
    container = MAIN

    def install(self) -> None:
        pass

    async def start(self) -> float:
        return 0.0

    def stop(self) -> None:
        pass

    def pid(self) -> int | None:
        return None

    def manifest(self, name: str) -> dict[str, Any]:
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name},
            "spec": {
                "backoffLimit": 0,
                "template": {
                    "spec": {
                        "restartPolicy": "Never",
                        "containers": [{"name": MAIN, "image": IMAGE, "command": ["true"]}],
                        **ON_KWOK,
                    }
                },
            },
        }

    def ended(self, raw: dict[str, Any]) -> bool:
        conditions = raw.get("status", {}).get("conditions") or ()
        return any(c["type"] in ("Complete", "Failed") for c in conditions)

    def run_of(self, child: dict[str, Any]) -> str:
        labels = child["metadata"].get("labels") or {}
        return str(labels.get("batch.kubernetes.io/job-name") or child["metadata"]["name"])


class Taskmill:
    """This project; `runs` is the part of a Task that says what runs."""

    name = "taskmill"
    told = "one replica, as it comes"
    resource = EXECUTIONS
    account = OPERATOR
    container = MAIN

    def __init__(self, lab: Lab, runs: dict[str, Any] | None = None) -> None:
        self._lab = lab
        self._runs = runs or run_spec(command=["true"], podTemplate={"spec": ON_KWOK})
        self._process: OperatorProcess | None = None

    def install(self) -> None:
        install(self._lab.handle)

    async def start(self) -> float:
        log = self._lab.folder / "operator.log"
        log.unlink(missing_ok=True)
        kubeconfig = self._lab.kubeconfig(*OPERATOR)
        self._process = OperatorProcess(kubeconfig, log, TASKMILL_LOG_LEVEL="INFO")
        began = time.monotonic()
        self._process.spawn()
        await until_written(log, READY, self._process.pid)
        return time.monotonic() - began

    def stop(self) -> None:
        if self._process:
            self._process.stop()
            self._process = None

    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def manifest(self, name: str) -> dict[str, Any]:
        return execution(name, self._runs)

    def ended(self, raw: dict[str, Any]) -> bool:
        return raw.get("status", {}).get("phase") in FINAL

    def run_of(self, child: dict[str, Any]) -> str:
        return str(child["metadata"]["labels"]["taskmill.dev/execution"])


async def until_written(log: Path, words: str, pid: int) -> None:
    """Wait until a process has logged this."""
    deadline = time.monotonic() + _PATIENCE
    while not _written(log, words):
        if Process.observe(pid) is None or time.monotonic() > deadline:
            raise ClusterError(f"{words!r} is missing{tail(log)}")
        await asyncio.sleep(0.02)


def _written(log: Path, words: str) -> bool:
    return log.exists() and words in log.read_text(errors="replace")
