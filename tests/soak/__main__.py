"""`make soak`: the operator under a steady mix of everything; nothing of it may grow.

TASKMILL_SOAK_MINUTES says for how long, 30 by default. In the middle third the API server is
restarted every five minutes, and has forgotten the past: the first third and the last compare. It
is restarted while all warms up, too: what is listed anew takes the most memory there ever is.
"""

import json
import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cluster.local import LocalCluster
from cluster.settings import Settings
from e2e.faults.weather import restart_forgetful
from e2e.install import install, write_kubeconfig
from e2e.process import OperatorProcess
from e2e.user import User
from soak.judge import COUNTS, Sample, growth
from soak.ledger import GONE, Ledger
from soak.mix import DELETED, HOME, Mix
from soak.sampler import EVERY, FIGURES

MINUTES = int(os.environ.get("TASKMILL_SOAK_MINUTES", "30"))
SHAKEN_AFTER = {1, 3, *range(MINUTES // 3, 2 * MINUTES // 3, 5)}
NUMBER = 4
"""Of a cluster of its own."""
SETTLES = 60.0
SHOWN = ("memory", *COUNTS)


class Operator(OperatorProcess):
    """The operator, sampled."""

    program = ("-m", "soak.sampler")

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None


class Soak:
    """One operator and one mix, from the first run to the judgement."""

    def __init__(self, cluster: LocalCluster, folder: Path) -> None:
        self._cluster = cluster
        self._figures = folder / "figures"
        install(cluster.handle)
        config = folder / "operator.conf"
        write_kubeconfig(cluster.handle, config, duration=f"{MINUTES + 30}m")
        settings = {"TASKMILL_LOG_LEVEL": "INFO", "TASKMILL_JOB_RETENTION": "2m"}
        settings[FIGURES] = str(self._figures)
        self.operator = Operator(config, folder / "log", **settings)
        cluster.handle.kubectl("create", "namespace", HOME)
        self._user = User(cluster.handle, HOME)
        self._ledger = Ledger(User(cluster.handle, HOME))

    def run(self) -> list[str]:
        """What is wrong, in the end."""
        self.operator.start()
        self._ledger.start()
        mix, began = Mix(self._user), time.time()
        print(f"| minute | begun | ended | {' | '.join(SHOWN)} | |\n|{'---|' * (len(SHOWN) + 4)}")
        for minute in range(MINUTES):
            shaken = minute in SHAKEN_AFTER
            if shaken:
                restart_forgetful(self._cluster)
            while time.time() < began + 60 * (minute + 1):
                mix.go_on()
                time.sleep(0.05)
            self._tell(minute + 1, "API server restarted" if shaken else "")
            if not self.operator.runs:
                return [f"it ended:\n{self.operator.written()[-2000:]}"]
        ended = time.time()
        mix.end()
        wrong = [*self._lost(mix)]
        for words, count in sorted(self._ledger.totals().items()):
            print(f"- {words}: {count}")
        for words, flat in growth(self._samples(), began, ended):
            print(f"- {words}: {'flat' if flat else 'NOT FLAT'}")
            wrong += [] if flat else [words]
        return [*wrong, *self._held(), *self._logged()]

    def _tell(self, minute: int, note: str) -> None:
        runs, last = self._ledger.runs, self._samples()[-1]
        figures = " | ".join(f"{last[name]:.0f}" for name in SHOWN)
        ended = sum(bool(run.verdict) for run in runs)
        print(f"| {minute} | {len(runs)} | {ended} | {figures} | {note} |", flush=True)

    def _samples(self) -> list[Sample]:
        return [json.loads(line) for line in self._figures.read_text().splitlines()]

    def _lost(self, mix: Mix) -> Iterator[str]:
        """Those that were never seen, or have no verdict though nobody deleted them."""
        with suppress(AssertionError):  # told below
            self._user.wait(lambda: all(run.verdict for run in self._ledger.runs), within=SETTLES)
        runs = self._ledger.runs
        for namespace, name in mix.made - {(run.namespace, run.name) for run in runs}:
            # What is deleted soon may have come and gone while nobody could watch.
            if name.partition("-")[0] not in DELETED:
                yield f"{namespace}/{name} was made and never seen"
        for run in runs:
            kept = run.namespace == HOME and run.kind not in DELETED
            if not run.verdict or (kept and run.verdict == GONE):
                yield f"{run.namespace}/{run.name}: {run.verdict or 'no verdict'}"

    def _held(self) -> Iterator[str]:
        """What it still has in memory when all is deleted."""
        self._ledger.close()
        self._cluster.handle.kubectl("delete", "namespace", HOME, "--timeout=100s")
        time.sleep(2 * EVERY)
        for name, size in self._samples()[-1]["held"].items():
            if size:
                yield f"held when all is deleted: {size} in {name}"

    def _logged(self) -> Iterator[str]:
        for bad in ("Traceback", "a bug in taskmill"):
            if bad in self.operator.written():
                yield f"it logged {bad!r}"
        if not self.operator.runs or self.operator.stop():
            yield "it ended, and not well"


def main() -> int:
    # An end from outside, too, stops the cluster.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    cluster = LocalCluster(NUMBER)
    try:
        # The Job controller's usual 20 requests a second would be what is measured.
        cluster.up(Settings(qps=100))
        cluster.kwok(2)
        with tempfile.TemporaryDirectory() as folder:
            soak = Soak(cluster, Path(folder))
            try:
                wrong = soak.run()
            finally:
                if soak.operator.runs:
                    soak.operator.kill()
    finally:
        cluster.down()
    print("\n".join(wrong) or "nothing grows, and no execution was lost")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
