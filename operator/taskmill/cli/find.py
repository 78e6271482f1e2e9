"""Which execution a name on the command line means."""

from __future__ import annotations

from typing import Any

from taskmill.cli.exits import CliError
from taskmill.cli.kubeapi import KubeApi
from taskmill.kube.errors import Forbidden, NotFound
from taskmill.kube.resources import EXECUTIONS, TASKS

Raw = dict[str, Any]

_TASK = frozenset({"task", "tasks", "tmt", "tasks.taskmill.dev", "task.taskmill.dev"})
_EXECUTION = frozenset(
    {
        "te",
        "taskexecution",
        "taskexecutions",
        "taskexecution.taskmill.dev",
        "taskexecutions.taskmill.dev",
    }
)


def find_run(api: KubeApi, namespace: str, name: str) -> Raw:
    """The execution of that name; of `task/NAME`, and where only a Task is so called, its newest.

    Raises CliError when there is none.
    """
    kind, slash, bare = name.rpartition("/")
    if slash and kind.lower() not in _TASK | _EXECUTION:
        raise CliError(f"{name}: neither te/NAME nor task/NAME")
    if kind.lower() in _TASK:
        return _newest(api, namespace, bare) or _none(api, namespace, bare)
    try:
        return api.get(EXECUTIONS, namespace, bare)
    except NotFound as error:
        if error.details.get("name") != bare:
            raise  # of the kind itself
    newest = None if slash else _newest(api, namespace, bare)
    return newest or _none(api, namespace, bare)


def _newest(api: KubeApi, namespace: str, task: str) -> Raw | None:
    query = {"fieldSelector": f"spec.taskRef.name={task}"}
    return max(api.list(EXECUTIONS, namespace, query)["items"], key=age, default=None)


def age(raw: Raw) -> tuple[str, int, str]:
    """What executions are ordered by, oldest first."""
    generation = (raw.get("spec", {}).get("taskRef") or {}).get("generation") or 0
    return raw["metadata"]["creationTimestamp"], generation, raw["metadata"]["name"]


def _none(api: KubeApi, namespace: str, name: str) -> Raw:
    try:
        api.get(TASKS, namespace, name)
    except (NotFound, Forbidden):
        raise CliError(f"no execution and no Task called {name} in namespace {namespace}") from None
    raise CliError(
        f"Task {name} in namespace {namespace} has no execution yet; "
        f"start one with: kubectl task run {name}"
    )
