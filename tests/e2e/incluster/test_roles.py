"""Who may do what with our kinds, by Kubernetes' own roles and by the policy on approved Tasks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.handle import Handle
from cluster.process import wait_for
from e2e.incluster import world
from e2e.incluster.world import MANIFESTS
from e2e.plugin import Person as Shell
from e2e.plugin import account, put_on_path
from e2e.user import User, execution, run_spec, task

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

FORBIDDEN = "(Forbidden)"


class Person:
    """Somebody with rights of their own."""

    def __init__(self, name: str, user: User) -> None:
        self._name, self._user = name, user

    def tries(self, *args: str, stdin: dict[str, Any] | None = None) -> str:
        """What kubectl says, whether it was allowed or not."""
        body = None if stdin is None else json.dumps(stdin)
        return self._user.kubectl(f"--as={self._name}", *args, stdin=body, check=False)

    def creates(self, body: dict[str, Any], *args: str) -> str:
        return self.tries("create", "-f", "-", *args, stdin=body)

    def may_soon(self, *args: str) -> None:
        """The API server takes a moment to go by new roles."""
        wait_for(lambda: "yes" in self.tries("auth", "can-i", *args), f"{args}", timeout=20)


@pytest.fixture
def people(installed: Handle, user: User) -> Iterator[dict[str, Person]]:
    """By the role that each has in the test's namespace."""
    with world.bound(user.cluster, user.namespace, reader="view", writer="edit", boss="admin"):
        found = {name: Person(name, user) for name in ("reader", "writer", "boss")}
        found["reader"].may_soon("list", "taskexecutions.taskmill.dev")
        for name in ("writer", "boss"):
            found[name].may_soon("create", "taskexecutions.taskmill.dev")
        yield found


def test_who_has_view_sees_and_no_more(user: User, people: dict[str, Person]) -> None:
    user.apply(task("one", "true"))
    run = user.end_of("one")["metadata"]["name"]
    reader = people["reader"]
    assert run in reader.tries("get", "tmt,te")
    assert FORBIDDEN in reader.creates(task("two", "true"))
    assert FORBIDDEN in reader.creates(execution("two", taskRef={"name": "one"}))
    assert FORBIDDEN in reader.tries("delete", "te", run)
    assert FORBIDDEN in reader.tries("get", "te", "--all-namespaces")


@pytest.mark.parametrize("role", ["writer", "boss"])
def test_who_has_edit_creates_and_deletes_but_writes_no_verdict(
    role: str, user: User, people: dict[str, Person]
) -> None:
    person = people[role]
    assert "created" in person.creates(task("one", "sleep 600", gracePeriod="1s"))
    run = user.wait(lambda: user.executions("one"))[0]["metadata"]["name"]
    user.phase(run, "Running")
    verdict = ("--subresource=status", "--type=merge", '-p={"status":{"phase":"Succeeded"}}')
    assert FORBIDDEN in person.tries("patch", "te", run, *verdict)
    assert FORBIDDEN in person.tries("patch", "tmt", "one", *verdict)
    assert "patched" in person.tries(
        "patch", "te", run, "--type=merge", '-p={"spec":{"desiredPhase":"Stopped"}}'
    )
    user.phase(run, "Stopped")
    assert "deleted" in person.tries("delete", "tmt", "one")
    assert FORBIDDEN in person.tries("get", "te", "--namespace=default")


@pytest.fixture
def approved(installed: Handle, people: dict[str, Person], user: User) -> Iterator[Person]:
    """Somebody who may start what is approved, where that is told apart."""
    world.overlay(installed, "approved")
    with world.bound(installed, user.namespace, starter="taskmill-starter"):
        starter = Person("starter", user)
        starter.may_soon("create", "taskexecutions.taskmill.dev")
        people["writer"].may_soon("run-anything", "taskexecutions.taskmill.dev")
        anything = execution("anything", run_spec("true"))
        in_force = (lambda: FORBIDDEN in starter.creates(anything, "--dry-run=server"),)
        wait_for(*in_force, "the policy to be in force", timeout=30)
        yield starter
    installed.kubectl("delete", "-k", str(MANIFESTS / "approved"))


def test_approved_tasks_are_started_as_they_are_and_nothing_else_is(
    user: User, approved: Person, people: dict[str, Person]
) -> None:
    # The operator is under the same policy, and freezes plans.
    user.apply(task("one", "true"), task("whole", "true", trigger="Manual", dependsOn=["one"]))
    assert user.end_of("one")["status"]["phase"] == "Succeeded"

    assert "created" in approved.creates(execution("as-it-is", taskRef={"name": "whole"}))
    assert user.end("as-it-is")["status"]["phase"] == "Succeeded"

    told = approved.creates(execution("x", run_spec("true")))
    assert (
        "starter may only start Tasks as they are here (spec.taskRef): plan, env and args" in told
    )
    assert f"run-anything on taskexecutions.taskmill.dev in the namespace {user.namespace}" in told
    ref = {"taskRef": {"name": "one"}}
    for more in ({"env": [{"name": "A", "value": "b"}]}, {"args": ["a"]}):
        assert FORBIDDEN in approved.creates(execution("x", **ref, **more))
        assert "created" in people["writer"].creates(
            execution("x", **ref, **more), "--dry-run=server"
        )
    plan = {"plan": [{"id": "main", "task": run_spec("true")}]}
    for more in (plan, {"args": ["a"]}):
        later = json.dumps({"spec": more})
        told = approved.tries("patch", "te", "as-it-is", "--type=merge", f"-p={later}")
        assert "is invalid" in told
    assert FORBIDDEN in approved.creates(task("two", "true"))
    assert FORBIDDEN in approved.tries(
        "patch", "tmt", "one", "--type=merge", '-p={"spec":{"script":"false"}}'
    )


def test_the_plugin_starts_what_is_approved_for_who_may_start_no_more(
    user: User, approved: Person, tmp_path: Path
) -> None:
    put_on_path(tmp_path)
    starter = Shell(user.cluster.kubeconfig, tmp_path)
    mine = ("--as=starter", f"--namespace={user.namespace}")
    user.apply(
        task("one", "true", trigger="Manual"),
        task("whole", "true", trigger="Manual", dependsOn=["one"]),
    )
    done = starter.task("run", "whole", "--wait", *mine)
    assert "a policy lets you start Tasks only as they are" in done.stderr
    assert "Succeeded" in done.stdout + done.stderr
    anything = ("run", f"--image={run_spec('true')['image']}", *mine, "--", "true")
    assert "may only start Tasks as they are here" in starter.task(*anything, exits=2).stderr
    with_env = ("run", "whole", "--env=A=b", *mine)
    assert "plan, env and args take the verb" in starter.task(*with_env, exits=2).stderr

    runs = {"apiGroups": ["taskmill.dev"], "resources": ["taskexecutions"]}
    path = tmp_path / "blind.yaml"
    account(
        user.cluster,
        user.namespace,
        "blind",
        ({**runs, "verbs": ["create", "get", "list", "watch"]},),
        path,
    )
    done = Shell(path, tmp_path).task("run", "whole", "--wait")
    assert "the operator reads the Task instead" in done.stderr
