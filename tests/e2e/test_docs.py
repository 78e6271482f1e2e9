"""The API server takes each manifest that the documentation shows."""

import json

import pytest

from docs import examples
from e2e.user import User, task
from taskmill.api.meta import rfc3339

pytestmark = pytest.mark.cluster

EXAMPLES = examples()


def test_the_api_server_takes_every_example(user: User) -> None:
    assert {shown["kind"] for shown in EXAMPLES.values()} == {"Task", "TaskExecution"}
    answers = {
        where: user.kubectl(
            *("create", "--dry-run=server", "--validate=strict", "-o", "name", "-f", "-"),
            stdin=json.dumps(shown, default=rfc3339),
            check=False,
        )
        for where, shown in EXAMPLES.items()
    }
    refused = {where: said for where, said in answers.items() if not _is_taken(said)}
    assert refused == {}


def test_what_is_wrong_is_refused(user: User) -> None:
    """Else the test above could not fail."""
    wrong = task("wrong", "true", retyr={"limit": 1})
    said = user.kubectl(
        *("create", "--dry-run=server", "--validate=strict", "-f", "-"),
        stdin=json.dumps(wrong),
        check=False,
    )
    assert 'unknown field "spec.retyr"' in said


def _is_taken(said: str) -> bool:
    return said.startswith(("task.taskmill.dev/", "taskexecution.taskmill.dev/"))
