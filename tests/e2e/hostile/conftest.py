"""What the operator has to stand, judged the same way each time."""

from collections.abc import Iterator

import pytest

from cluster.handle import Handle
from e2e.hostile.judge import Judge, undisturbed
from e2e.process import OperatorProcess


@pytest.fixture
def judge(operator: OperatorProcess, cluster: Handle) -> Iterator[Judge]:
    """Somebody else is served meanwhile, and the operator meets no bug of its own."""
    judged, pid = Judge.of(operator), operator.pid
    with undisturbed(cluster):
        yield judged
    assert operator.pid == pid
    assert not judged.bugs(), judged.bugs()
