"""Operators of the tests' own, while the session's gives way."""

from collections.abc import Iterator

import pytest

from e2e.process import OperatorProcess


@pytest.fixture(scope="module")
def alone(operator_process: OperatorProcess) -> Iterator[None]:
    """The session's operator gives way: it would act everywhere."""
    operator_process.stop()
    yield
    operator_process.start()
