"""pytest fixtures for everything that needs a cluster; a conftest imports them by name.

Which cluster it is, in this order: the one in $KUBECONFIG when TASKMILL_TEST_CLUSTER=existing, a
new one by kind when Docker answers, else the local one (see local.py). A local cluster that runs
already is used and left running.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import build, preflight, queueing
from cluster.handle import Handle
from cluster.local import LocalCluster
from cluster.process import ClusterError, alone, wait_for
from cluster.settings import CHECKOUT, Settings

__all__ = [
    "cluster",
    "crds",
    "doomed_cluster",
    "doomed_namespace",
    "kueue",
    "local_cluster",
    "namespace",
    "pytest_collection_finish",
    "running_cluster",
]

_KIND_NAME = "taskmill-test"
_FIXTURES = {"cluster", "doomed_cluster", "local_cluster"}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds what the tests will need before the first one's clock starts, and visibly."""
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if not wanted & _FIXTURES or session.config.option.collectonly or which() != "local":
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    visibly = capture.global_and_fixture_disabled() if capture else contextlib.nullcontext()
    # What cannot be built is reported by the tests that need it.
    with visibly, contextlib.suppress(ClusterError):
        preflight.check()
        build.ensure(build.PAUSE, build.KUBE)
        build.ensure_kwok()
        if "kueue" in wanted:
            build.ensure(build.KUEUE)
        if "evaluators" in wanted:
            build.ensure(build.GITOPS)


@pytest.fixture(scope="session")
def local_cluster(running_cluster: Handle | LocalCluster) -> LocalCluster:
    """For what only a local cluster can: fake nodes, stopping components, loading images."""
    if isinstance(running_cluster, LocalCluster):
        return running_cluster
    pytest.skip("needs the local cluster")


@pytest.fixture(scope="module")
def kueue(local_cluster: LocalCluster) -> Iterator[None]:
    """A real Kueue, for as long as tests of this module need it."""
    with queueing.kueue(local_cluster):
        yield


@pytest.fixture(scope="session")
def cluster(running_cluster: Handle | LocalCluster) -> Handle:
    return running_cluster.handle if isinstance(running_cluster, LocalCluster) else running_cluster


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[Handle | LocalCluster]:
    match which():
        case "existing":
            yield _existing()
        case "kind":
            with kind() as handle:
                yield handle
        case _:
            with running(LocalCluster()) as local:
                yield local


@pytest.fixture(scope="session")
def doomed_cluster() -> Iterator[LocalCluster]:
    """One more, for what its node does not survive: soon given up as lost, shut down, starved."""
    if which() != "local":
        pytest.skip("needs a local cluster, on whose node nobody else depends")
    settings = Settings(monitor_grace=8, toleration=5, shutdown_grace=20)
    # Another session would be surprised by what this one does to the node.
    with alone(Path(__file__).parent, timeout=100), running(LocalCluster(1), settings) as local:
        # Where every node is lost, it is the network that is blamed, and no pod is evicted.
        local.kwok(1)
        yield local


@contextlib.contextmanager
def running(local: LocalCluster, settings: Settings | None = None) -> Iterator[LocalCluster]:
    """The local cluster, for as long as this lasts unless it ran before."""
    try:
        started = local.up(settings or Settings())
    except ClusterError as error:
        pytest.fail(str(error), pytrace=False)
    try:
        yield local
    finally:
        if started:
            local.down()


@pytest.fixture(scope="session")
def crds(cluster: Handle) -> list[str]:
    """The names of the project's kinds, which the cluster knows from here on."""
    if not any((CHECKOUT / "crds").glob("*.yaml")):
        return []
    where = f"--filename={CHECKOUT / 'crds'}"
    applied = cluster.kubectl("apply", "--server-side", "--force-conflicts", where, "-o", "name")
    names = [name for name in applied.stdout.split() if name.startswith("customresourcedefinition")]
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)
    return [name.partition("/")[2] for name in names]


@pytest.fixture
def namespace(cluster: Handle) -> Iterator[str]:
    """A namespace of the test's own, ready for pods. It is deleted behind the test's back."""
    with namespace_on(cluster) as name:
        yield name


@pytest.fixture
def doomed_namespace(doomed_cluster: LocalCluster) -> Iterator[str]:
    with namespace_on(doomed_cluster.handle) as name:
        yield name


@contextlib.contextmanager
def namespace_on(cluster: Handle) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex[:10]}"
    cluster.kubectl("create", "namespace", name)
    # A pod that comes before its service account is refused.
    wait_for(
        lambda: cluster.get("serviceaccount", "default", name),
        f"the service account of {name}",
        timeout=30,
    )
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


def which() -> str:
    """`existing`, `kind` or `local`."""
    if os.environ.get("TASKMILL_TEST_CLUSTER") == "existing":
        return "existing"
    return "kind" if shutil.which("kind") and _docker_answers() else "local"


def _existing() -> Handle:
    kubeconfig = os.environ.get("KUBECONFIG")
    if not kubeconfig:
        pytest.fail("TASKMILL_TEST_CLUSTER=existing needs KUBECONFIG", pytrace=False)
    return Handle(Path(kubeconfig))


def _docker_answers() -> bool:
    try:
        done = subprocess.run(["docker", "info"], check=False, capture_output=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


@contextlib.contextmanager
def kind() -> Iterator[Handle]:
    """A cluster by kind, for as long as this lasts."""
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = Path(folder, "kubeconfig")
        name, file = f"--name={_KIND_NAME}", f"--kubeconfig={kubeconfig}"
        config = f"--config={Path(__file__).with_name('kind.yaml')}"
        try:
            subprocess.run(
                ["kind", "create", "cluster", name, file, config, "--wait=180s"],
                check=True,
                timeout=900,
            )
            yield Handle(kubeconfig, cache=Path(folder, "cache"))
        finally:
            subprocess.run(["kind", "delete", "cluster", name, file], check=False, timeout=300)
