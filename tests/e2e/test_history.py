"""How long finished executions are kept, and that their end starts nothing."""

from typing import Any

import pytest

from e2e.user import GROUP, VERSION, User, execution, run_spec, task

pytestmark = pytest.mark.cluster

LONG_AGO = "2026-01-01T00:00:00Z"


def age(user: User, name: str) -> None:
    """Make it as if it had ended long ago."""
    ended = user.end(name)
    conditions = [{**c, "lastTransitionTime": LONG_AGO} for c in ended["status"]["conditions"]]
    user.custom.patch_namespaced_custom_object_status(
        GROUP,
        VERSION,
        user.namespace,
        "taskexecutions",
        name,
        {"status": {"conditions": conditions}},
    )


def automatic(user: User, name: str) -> list[dict[str, Any]]:
    return [e for e in user.executions(name) if "ownerReferences" in e["metadata"]]


def names(runs: list[dict[str, Any]]) -> list[str]:
    return [run["metadata"]["name"] for run in runs]


def test_of_what_taskmill_made_the_newest_are_kept(user: User) -> None:
    history = {"succeeded": 1, "failed": 0}
    for runs, script in enumerate(("true", "exit 3", "true; true"), start=1):
        user.apply(task("kept", script, history=history))
        user.end_of("kept", runs=runs)
    user.apply(execution("mine", taskRef={"name": "kept"}))
    user.end("mine")
    made = names(automatic(user, "kept"))
    assert len(made) == 3, "what has only just ended is kept"
    for name in (*made, "mine"):
        age(user, name)
    user.wait(lambda: names(automatic(user, "kept")) == made[-1:])
    assert user.execution("mine")["status"]["phase"] == "Succeeded"
    # The Jobs of what is deleted go with it; nothing runs again.
    user.wait(
        lambda: {j.metadata.labels["taskmill.dev/execution"] for j in user.jobs()} <= {"mine"}
    )
    told = user.tasks("kept")["status"]
    assert (told["phase"], told["active"]) == ("Succeeded", 0)
    assert len(user.executions("kept")) == 2


def test_what_somebody_made_goes_only_when_asked_for(user: User) -> None:
    user.apply(
        execution("for-ever", run_spec("true")),
        execution("for-now", run_spec("true"), ttlSecondsAfterFinished=1),
    )
    for name in ("for-ever", "for-now"):
        age(user, name)
    user.wait(lambda: names(user.executions()) == ["for-ever"])
    user.wait(lambda: not user.jobs())
