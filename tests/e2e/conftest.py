"""A cluster with taskmill installed as its manifests say, and its operator running."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.fixtures import (
    cluster,
    crds,
    local_cluster,
    namespace,
    pytest_collection_finish,
    running_cluster,
)
from cluster.handle import Handle
from cluster.local import CHECKOUT
from e2e.process import OperatorProcess
from e2e.user import User

__all__ = [
    "cluster",
    "crds",
    "local_cluster",
    "namespace",
    "pytest_collection_finish",
    "running_cluster",
]

ACCOUNT = "taskmill-operator"
SYSTEM = "taskmill-system"


@pytest.fixture(scope="session")
def operator_kubeconfig(
    cluster: Handle, crds: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The operator's own account and nothing more."""
    cluster.kubectl(
        "apply", "--server-side", "--force-conflicts", "-k", str(CHECKOUT / "manifests" / "base")
    )
    token = cluster.kubectl("create", "token", ACCOUNT, "-n", SYSTEM, "--duration=3h").stdout
    config = json.loads(cluster.kubectl("config", "view", "--raw", "--minify", "-o", "json").stdout)
    config["users"][0]["user"] = {"token": token.strip()}
    path = tmp_path_factory.mktemp("operator") / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(config))
    return path


@pytest.fixture(scope="session")
def operator_process(
    operator_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    log = tmp_path_factory.mktemp("log") / "operator.log"
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
