"""A cluster of its own, in which the operator runs as a pod.

Not the one that the other tests share: the operator there is a process, and no two may act.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.fixtures import running, which
from cluster.handle import Handle
from cluster.local import LocalCluster
from cluster.process import alone
from e2e.incluster import world
from e2e.user import User
from image.build import VERSION

NUMBER = 2
NEXT = "next"
"""Another version, as far as the cluster can see: the same image under another tag."""


@pytest.fixture(scope="session")
def only_local() -> None:
    if which() != "local":
        pytest.skip("needs a local cluster, into which it can load the image")


@pytest.fixture(scope="session")
def home(only_local: None, operator_image: Path) -> Iterator[LocalCluster]:
    with alone(Path(__file__).parent, timeout=100), running(LocalCluster(NUMBER)) as local:
        local.load(operator_image)
        tags = local._store.tag("docker.io", "library/taskmill", VERSION)
        tags.with_name(NEXT).write_text(tags.read_text())
        yield local


@pytest.fixture(scope="session")
def cluster(home: LocalCluster) -> Handle:
    return home.handle


@dataclass(frozen=True)
class Before:
    """What there was before anything was installed."""

    inventory: set[str]


@pytest.fixture(scope="session")
def before(cluster: Handle) -> Before:
    """A cluster that has never seen taskmill, or has been rid of it."""
    world.uninstall(cluster)
    return Before(world.inventory(cluster))


@pytest.fixture
def installed(cluster: Handle, before: Before) -> Handle:
    """The whole installation, as it comes."""
    world.install(cluster)
    return cluster


@pytest.fixture
def user(cluster: Handle, namespace: str) -> Iterator[User]:
    someone = User(cluster, namespace)
    yield someone
    someone.close()
