"""Uninstalled as the page says, it leaves nothing behind, whatever ran at that moment."""

from __future__ import annotations

import pytest

from cluster.handle import Handle
from cluster.process import wait_for
from e2e.incluster import world
from e2e.incluster.conftest import Before
from e2e.user import User, execution, run_spec, task

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]


def test_it_leaves_nothing(before: Before, installed: Handle, user: User) -> None:
    user.apply(task("done", "true"), execution("runs", run_spec("sleep 600", gracePeriod="1s")))
    user.end_of("done")
    user.phase("runs", "Running")
    during = world.inventory(installed)
    for kind in ("Deployment", "Job", "Task", "ValidatingAdmissionPolicy", "ClusterRole"):
        assert any(line.startswith(f"{kind} ") for line in during - before.inventory), kind
    world.uninstall(installed)
    # The test's own namespace has nothing left in it, and goes like those of other tests.
    wait_for(lambda: not user.jobs() and not user.pods(), "Jobs to be gone", timeout=60)
    installed.kubectl("delete", "namespace", user.namespace)

    def left() -> set[str]:
        there = world.inventory(installed) ^ before.inventory
        return {line for line in there if not line.rpartition(" ")[2].startswith("test-")}

    wait_for(lambda: not left(), f"nothing to be left: {left()}", timeout=30)
