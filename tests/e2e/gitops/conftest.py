"""The programs that GitOps tools decide with."""

import pytest

from cluster import build


@pytest.fixture(scope="session")
def evaluators() -> None:
    build.ensure(build.GITOPS)
