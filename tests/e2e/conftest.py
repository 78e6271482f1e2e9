"""A cluster with taskmill installed as its manifests say, and its operator running."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from cluster.handle import Handle
from cluster.local import LocalCluster
from e2e import resident
from e2e.install import install, write_kubeconfig
from e2e.process import OperatorProcess
from e2e.user import User


@pytest.fixture(scope="session")
def operator_kubeconfig(cluster: Handle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The operator's own account and nothing more."""
    install(cluster)
    path = tmp_path_factory.mktemp("operator") / "kubeconfig"
    write_kubeconfig(cluster, path, duration="3h")
    return path


@pytest.fixture(scope="session")
def operator_process(
    operator_kubeconfig: Path,
    running_cluster: Handle | LocalCluster,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[OperatorProcess]:
    log = tmp_path_factory.mktemp("log") / "operator.log"
    local = running_cluster if isinstance(running_cluster, LocalCluster) else None
    with resident.paused(local) if local else nullcontext():
        process = OperatorProcess(operator_kubeconfig, log).start()
        yield process
        assert process.stop() == 0
    assert "a bug in taskmill" not in process.written()
    assert "Traceback" not in process.written()


@pytest.fixture
def operator(operator_process: OperatorProcess) -> OperatorProcess:
    """The running operator; a test that ends it starts it again."""
    return operator_process


@pytest.fixture
def user(cluster: Handle, operator: OperatorProcess, namespace: str) -> Iterator[User]:
    someone = User(cluster, namespace)
    yield someone
    someone.close()
