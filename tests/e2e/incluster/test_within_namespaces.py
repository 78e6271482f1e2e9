"""An operator for some namespaces, without a right beyond them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cluster.fixtures import namespace_on
from cluster.handle import Handle
from cluster.process import wait_for
from e2e.incluster import world
from e2e.incluster.conftest import Before
from e2e.incluster.world import OURS
from e2e.install import ACCOUNT, APPLY, ROOT, SYSTEM
from e2e.user import User, execution, run_spec, task

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]


@pytest.fixture
def installed(cluster: Handle, before: Before) -> Iterator[Handle]:
    """What an administrator gives, and the rest by whoever administrates the namespaces."""
    world.uninstall(cluster)
    cluster.kubectl(*APPLY, "-f", str(ROOT / "crds"))
    cluster.kubectl("create", "namespace", SYSTEM)
    world.overlay(cluster, "namespaced")
    world.rolled_out(cluster)
    yield cluster
    cluster.kubectl("delete", "--ignore-not-found", "-k", str(ROOT / "manifests" / "namespaced"))


@pytest.fixture
def namespace() -> str:
    """The one that the overlay names."""
    return "default"


def test_it_works_in_its_namespace_and_leaves_others_alone(installed: Handle, user: User) -> None:
    with namespace_on(installed) as elsewhere:
        other = User(installed, elsewhere)
        try:
            other.apply(task("theirs", "true"), execution("theirs", run_spec("true")))
            user.apply(task("ours", "echo a=1 > $TASKMILL_OUTPUT; exit 3"))
            user.apply(execution("ours", run_spec("sleep 600", maxRunTime="2s", gracePeriod="1s")))
            assert user.end_of("ours")["status"]["reason"] == "Error"
            assert user.end("ours")["status"]["reason"] == "MaxRunTimeExceeded"
            user.kubectl("delete", "tmt,te", "--all")
            wait_for(lambda: not user.jobs(), "Jobs to be gone", timeout=30)
            unseen = {"observedGeneration": -1}
            assert other.execution("theirs")["status"] == unseen
            assert other.tasks("theirs")["status"] == unseen
            assert not other.jobs()
        finally:
            other.close()
        account = f"--as=system:serviceaccount:{SYSTEM}:{ACCOUNT}"
        for where, answer in (("default", "yes"), (elsewhere, "no"), (SYSTEM, "no")):
            can = ("auth", "can-i", "create", "jobs", account, f"--namespace={where}")
            assert installed.kubectl(*can, check=False).stdout.strip() == answer
        log = installed.kubectl("-n", SYSTEM, "logs", OURS).stdout
        assert "ready: this replica acts" in log
        assert "forbidden" not in log
