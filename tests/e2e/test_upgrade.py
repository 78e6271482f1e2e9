"""Another version of the operator takes over: it adopts what is there and starts nothing."""

from collections.abc import Iterator

import pytest

from cluster.local import LocalCluster
from e2e.process import OperatorProcess
from e2e.test_plans import ON_KWOK
from e2e.user import User, task

pytestmark = pytest.mark.cluster

_NEWER = """
from taskmill.__main__ import main
from taskmill.plan import names

former = names.trigger_hash
names.TRIGGER_VERSION = "v2"
names.trigger_hash = lambda runs: former({**runs, "of": "another version"})
raise SystemExit(main())
"""
NEWER = ("-c", _NEWER)
"""An operator whose hash of what runs is another one."""

DONE, LIVE = 50, 50


@pytest.fixture
def back_to_ours(operator: OperatorProcess) -> Iterator[None]:
    yield
    operator.stop()
    operator.program = OperatorProcess.program
    operator.start()


@pytest.mark.timeout(240)
def test_a_newer_hash_starts_nothing_of_100_tasks_and_ends_none_of_50_live_runs(
    user: User, operator: OperatorProcess, local_cluster: LocalCluster, back_to_ours: None
) -> None:
    local_cluster.kwok(2)
    nowhere = {"podTemplate": {"spec": {"nodeSelector": {"nowhere": "yet"}}}}
    names = [f"done-{n}" for n in range(DONE)] + [f"live-{n}" for n in range(LIVE)]
    user.apply(
        *(task(name, "true", **(ON_KWOK if name.startswith("done") else nowhere)) for name in names)
    )

    def phases() -> list[str]:
        return [e.get("status", {}).get("phase", "") for e in user.executions()]

    def settled() -> bool:
        now = phases()
        return now.count("Succeeded") == DONE and now.count("Pending") == LIVE

    user.wait(settled, within=100)
    jobs = {job.metadata.uid for job in user.jobs()}
    runs = {run["metadata"]["uid"] for run in user.executions()}
    for program, version in ((NEWER, "v2:"), (OperatorProcess.program, "v1:")):
        operator.stop()
        operator.program = program
        operator.start()

        def adopted(version: str = version) -> bool:
            told = [user.tasks(name)["status"]["lastTriggered"]["hash"] for name in names]
            return all(one.startswith(version) for one in told)

        user.wait(adopted, within=60)
        assert {job.metadata.uid for job in user.jobs()} == jobs
        assert {run["metadata"]["uid"] for run in user.executions()} == runs
        assert settled()
