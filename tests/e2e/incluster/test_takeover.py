"""Versions and replicas follow one another under load: nothing is lost, nothing is run twice."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cluster.handle import Handle
from cluster.process import wait_for
from e2e.incluster import world
from e2e.incluster.conftest import NEXT, Before
from e2e.incluster.world import OURS
from e2e.install import ACCOUNT, APPLY, ROOT, SYSTEM
from e2e.user import GROUP, VERSION, User, execution, run_spec

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

LONG = [f"long-{number}" for number in range(4)]
"""Runs that last until they are told to end."""
EVERY, MOST = 0.3, 50
"""Seconds between two runs that are asked for meanwhile, and at most so many in all."""


@contextmanager
def under_load(user: User) -> Iterator[None]:
    """Some runs last all the while, others are asked for all the time; each ends well, once."""
    script = "until [ -e /tmp/end ]; do sleep 0.2; done"
    user.apply(*(execution(name, run_spec(script)) for name in LONG))
    for name in LONG:
        user.phase(name, "Running")
    former = {pod.metadata.uid: pod.metadata.name for pod in user.pods()}
    assert len(former) == len(LONG)
    names = list(LONG)
    enough = threading.Event()

    def ask() -> None:
        while not enough.wait(EVERY) and len(names) < MOST:
            name = f"short-{len(names)}"
            user.custom.create_namespaced_custom_object(
                GROUP, VERSION, user.namespace, "taskexecutions", execution(name, run_spec("true"))
            )
            names.append(name)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
        # Both sides of what happened are under load.
        time.sleep(2)
    finally:
        enough.set()
        asking.join()
    assert len(names) > 2 * len(LONG)
    for pod in former.values():
        user.kubectl("exec", pod, "--", "touch", "/tmp/end")
    for name in names:
        status = user.end(name, within=90)["status"]
        assert status["phase"] == "Succeeded", status
        assert not status.get("attempts"), status
    by_run = "taskmill.dev/execution"
    jobs, pods = (
        Counter(o.metadata.labels[by_run] for o in of) for of in (user.jobs(), user.pods())
    )
    assert jobs == pods == dict.fromkeys(names, 1)
    assert former.keys() <= {pod.metadata.uid for pod in user.pods()}


def test_an_upgrade_loses_nothing_and_runs_nothing_twice(installed: Handle, user: User) -> None:
    former = world.leader(installed)
    with under_load(user):
        image = f"operator=docker.io/library/taskmill:{NEXT}"
        installed.kubectl("-n", SYSTEM, "set", "image", OURS, image)
        world.rolled_out(installed)
    assert former not in world.operators(installed)


@pytest.fixture
def two(cluster: Handle, before: Before) -> Iterator[Handle]:
    cluster.kubectl(*APPLY, "-f", str(ROOT / "crds"))
    world.overlay(cluster, "ha")
    world.rolled_out(cluster)
    yield cluster
    cluster.kubectl("-n", SYSTEM, "delete", "pdb", ACCOUNT)


def test_of_two_replicas_the_other_takes_over(two: Handle, user: User) -> None:
    def steady() -> dict[str, str] | None:
        there = world.operators(two)
        return there if len(there) == 2 else None

    replicas = wait_for(steady, "the former replica to be gone", timeout=30)
    leader = wait_for(
        lambda: one if (one := world.leader(two)) in replicas else None,
        "one of the two to act",
        timeout=30,
    )
    budget = two.get("pdb", ACCOUNT, SYSTEM)
    assert budget
    assert (budget["status"]["expectedPods"], budget["status"]["disruptionsAllowed"]) == (2, 1)
    (other,) = replicas.keys() - {leader}
    with under_load(user):
        two.kubectl("-n", SYSTEM, "delete", "pod", replicas[leader], "--wait=false")
        wait_for(lambda: world.leader(two) == other, "the other to act", timeout=30)
