"""The operator as a part of the local cluster; `make demo` leaves it running there."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from cluster.local import LocalCluster
from cluster.process import ClusterError, wait_for
from e2e.install import SYSTEM, write_kubeconfig
from e2e.process import READY

NAME = "operator"


def start(cluster: LocalCluster) -> None:
    """Start it, in place of one that runs already, and wait until it acts."""
    stop(cluster)
    kubeconfig, log = cluster.folder / "operator.conf", cluster.sandbox.log(NAME)
    write_kubeconfig(cluster.handle, kubeconfig, duration="24h")
    log.unlink(missing_ok=True)
    settings = {
        "KUBECONFIG": str(kubeconfig),
        "TASKMILL_NAMESPACE": SYSTEM,
        "TASKMILL_IDENTITY": "resident",
    }
    variables = [f"{name}={value}" for name, value in settings.items()]
    cluster.sandbox.start_beside(
        NAME, ["env", *variables, sys.executable, "-m", "taskmill", "operator"]
    )

    def acts() -> bool:
        if not runs(cluster):
            raise ClusterError(f"the operator ended:\n{log.read_text()}")
        return READY in log.read_text()

    wait_for(acts, "the operator to act", timeout=60, log=log)


def stop(cluster: LocalCluster) -> None:
    """End it, if it runs."""
    cluster.sandbox.stop(NAME)


@contextmanager
def paused(cluster: LocalCluster) -> Iterator[None]:
    """Give way to another operator for a while: only one of them may act."""
    ran = runs(cluster)
    stop(cluster)
    try:
        yield
    finally:
        if ran:
            start(cluster)


def runs(cluster: LocalCluster) -> bool:
    """Whether it runs."""
    return cluster.sandbox.process(NAME) is not None
