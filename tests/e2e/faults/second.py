"""A second API server on the same etcd, which hears late of what has changed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGUSR1

from cluster import components, health
from cluster.local import LocalCluster
from cluster.process import wait_for

_PORT, _ETCD_PORT = 6444, 2389
_SERVER, _WAY = "late-apiserver", "late-etcd"
_WITHIN = 120.0


@contextmanager
def late_server(local: LocalCluster, least: float, most: float) -> Iterator[str]:
    """Where it is reached; its watches are between so many seconds late.

    It reads and writes what there is, as the first one does.
    """
    sandbox, url = local.sandbox, f"https://{local.sandbox.address}:{_PORT}"
    script = str(Path(__file__).with_name("late_etcd.py"))
    try:
        sandbox.start_beside(_WAY, [sys.executable, script, str(_ETCD_PORT), str(least), str(most)])
        sandbox.start(_SERVER, _command(local))
        ready = f"{url}/readyz"
        log = sandbox.log(_SERVER)
        wait_for(lambda: health.answers(ready), f"{_SERVER} to be ready", timeout=_WITHIN, log=log)
        # Not before: it needs its own watches to begin.
        way = sandbox.process(_WAY)
        assert way
        way.send(SIGUSR1)
        yield url
    finally:
        for name in (_SERVER, _WAY):
            sandbox.stop(name)


def _command(local: LocalCluster) -> list[str]:
    usual = components.command("apiserver", address=local.sandbox.address, settings=local.settings)
    others = {
        "--etcd-servers": f"http://127.0.0.1:{_ETCD_PORT}",
        "--secure-port": str(_PORT),
        # The one that all others use stays the cluster's own.
        "--endpoint-reconciler-type": "none",
    }
    kept = [word for word in usual if word.partition("=")[0] not in others]
    return [*kept, *(f"{name}={value}" for name, value in others.items())]
