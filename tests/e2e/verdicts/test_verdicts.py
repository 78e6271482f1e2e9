"""Every way a task can end, fail or hang, by real pods: each says so in one sentence.

The cases are played side by side. With TASKMILL_RECORD=1 what the API server told of each is
written to recorded/, from where unit tests play it again.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from cluster.handle import Handle
from cluster.local import LocalCluster
from e2e.process import OperatorProcess
from e2e.verdicts import beside, clocks, exits, hands, queues, starts
from e2e.verdicts.case import Case, Json, check, play, scene_on, verdict
from e2e.verdicts.observer import Observer, recording

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

CASES = [case for room in (exits, starts, queues, clocks, hands, beside) for case in room.CASES]
AT_ONCE = 12
"""Cases side by side."""


@pytest.fixture(scope="module")
def plays(
    request: pytest.FixtureRequest,
    cluster: Handle,
    running_cluster: Handle | LocalCluster,
    operator_process: OperatorProcess,
) -> Iterator[dict[Case, Future[Json]]]:
    """All cases of this session, the longest first."""
    wanted = {
        item.callspec.params["case"]
        for item in request.session.items
        if item.path == request.path and hasattr(item, "callspec")
    }
    local = running_cluster if isinstance(running_cluster, LocalCluster) else None
    observer = Observer(cluster) if recording() else None

    def run(case: Case) -> Json:
        scene = scene_on(cluster, local)
        try:
            play(case, scene)
            told = verdict(case, scene)
            if observer:
                observer.keep(case, scene)
        finally:
            scene.close()
        return told

    order = sorted((c for c in CASES if c in wanted), key=lambda c: -c.within)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {case: pool.submit(run, case) for case in order}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_says_so_in_one_sentence(case: Case, plays: dict[Case, Future[Json]]) -> None:
    check(case, plays[case].result())


def test_each_case_has_a_title_of_its_own() -> None:
    assert len({case.title for case in CASES}) == len(CASES)
