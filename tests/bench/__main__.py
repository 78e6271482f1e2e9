"""`make bench`: latencies and writes per run on the local cluster, with real containers."""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kubernetes
import urllib3

from cluster.local import LocalCluster
from e2e import resident
from e2e.install import install, write_kubeconfig
from e2e.process import OperatorProcess
from e2e.user import FINAL, GROUP, VERSION, User, execution, run_spec
from e2e.writes import counted, separate

RUNS = 20


@dataclass
class Seen:
    """When one observer saw what of one run, on one clock."""

    created: float = 0.0
    job: float = 0.0
    container_ended: float = 0.0
    verdict: float = 0.0
    job_condition: float = 0.0


@dataclass
class Observer:
    """Watches executions, Jobs and pods of a namespace beside the operator."""

    user: User
    runs: dict[str, Seen] = field(default_factory=dict)
    _watches: list[kubernetes.watch.Watch] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        user = self.user
        self._follow(user.batch.list_namespaced_job, self._job)
        self._follow(user.core.list_namespaced_pod, self._pod)
        self._follow(
            user.custom.list_namespaced_custom_object,
            self._execution,
            group=GROUP,
            version=VERSION,
            plural="taskexecutions",
        )

    def stop(self) -> None:
        for watch in self._watches:
            watch.stop()

    def _follow(self, listing: Any, tell: Any, **which: str) -> None:
        watch = kubernetes.watch.Watch()
        self._watches.append(watch)

        def follow() -> None:
            where = {"namespace": self.user.namespace, "timeout_seconds": 600, **which}
            # At the end the connection is closed under it.
            with suppress(urllib3.exceptions.ProtocolError):
                for event in watch.stream(listing, **where):
                    tell(event["raw_object"], time.perf_counter())

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _run(self, name: str) -> Seen:
        return self.runs.setdefault(name, Seen())

    def _execution(self, raw: dict[str, Any], now: float) -> None:
        run = self._run(raw["metadata"]["name"])
        run.created = run.created or now
        if raw.get("status", {}).get("phase") in FINAL:
            run.verdict = run.verdict or now

    def _job(self, raw: dict[str, Any], now: float) -> None:
        run = self._run(raw["metadata"]["labels"]["taskmill.dev/execution"])
        run.job = run.job or now
        conditions = raw.get("status", {}).get("conditions") or ()
        if any(c["type"] in ("Complete", "Failed") for c in conditions):
            run.job_condition = run.job_condition or now

    def _pod(self, raw: dict[str, Any], now: float) -> None:
        run = self._run(raw["metadata"]["labels"]["taskmill.dev/execution"])
        for status in raw.get("status", {}).get("containerStatuses") or ():
            if "terminated" in status["state"]:
                run.container_ended = run.container_ended or now


def main() -> int:
    cluster = LocalCluster()
    started = cluster.up()
    try:
        with tempfile.TemporaryDirectory() as folder, resident.paused(cluster):
            measure(cluster, Path(folder))
    finally:
        if started:
            cluster.down()
    return 0


def measure(cluster: LocalCluster, folder: Path) -> None:
    handle = cluster.handle
    install(handle)
    write_kubeconfig(handle, folder / "operator.conf", duration="1h")
    operator = OperatorProcess(folder / "operator.conf", folder / "log", TASKMILL_LOG_LEVEL="INFO")
    operator.start()
    handle.kubectl("create", "namespace", "bench")
    user = User(handle, "bench")
    observer = Observer(user)
    try:
        user.wait(lambda: handle.get("serviceaccount", "default", "bench"))
        observer.start()
        separate(handle)
        time.sleep(2)  # the watches are open, the server knows whom to count
        before = counted(handle)
        for number in range(RUNS):
            name = f"run-{number}"
            body = execution(name, run_spec("sleep 2"))
            user.custom.create_namespaced_custom_object(
                GROUP, VERSION, "bench", "taskexecutions", body
            )
            user.wait(lambda name=name: name in observer.runs and observer.runs[name].job_condition)
        time.sleep(2)
        report(list(observer.runs.values()), counted(handle) - before)
    finally:
        observer.stop()
        handle.kubectl("delete", "namespace", "bench", "--timeout=120s")
        user.close()
        operator.stop()


def report(runs: list[Seen], writes: Any) -> None:
    rows = {
        "execution created -> Job created": [run.job - run.created for run in runs],
        "container's end visible -> verdict": [run.verdict - run.container_ended for run in runs],
        "container's end visible -> Job's own condition": [
            run.job_condition - run.container_ended for run in runs
        ],
    }
    print(f"\n{len(runs)} runs, one after the other; milliseconds\n")
    print(f"| {'':48} | median | min | max |\n|---|---|---|---|")
    for name, seconds in rows.items():
        values = [1000 * value for value in seconds]
        figures = (statistics.median(values), min(values), max(values))
        print(f"| {name:48} | " + " | ".join(f"{value:.0f}" for value in figures) + " |")
    print("\nwrites per run, from the API server's metrics\n")
    for what, count in sorted(writes.items()):
        print(f"- {what}: {count / len(runs):.2f}")


if __name__ == "__main__":
    sys.exit(main())
