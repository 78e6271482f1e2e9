"""What the simulation says of an execution is what a real cluster does with it."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import kubernetes

from e2e.user import User
from simulation import calm
from simulation.api import EPOCH, Api
from simulation.cluster import Behaviour
from taskmill.api.meta import API_VERSION, rfc3339
from taskmill.kube.resources import EXECUTIONS, JOBS, PODS
from taskmill.plan import names

Json = dict[str, Any]
IMAGE = "docker.io/library/busybox:latest"
NAME = calm.NAME
MARGIN = 10
"""Seconds by which a real container may start later."""


@dataclass(frozen=True)
class Scenario:
    """Steps (id, what they depend on, behaviour, more of their spec), and what a person does."""

    title: str
    steps: tuple[tuple[str, list[str], Behaviour, Json], ...]
    act: str = ""
    """Done once the first step runs."""
    deadline: float = 120

    def __str__(self) -> str:
        return self.title


def one(does: Behaviour, **spec: Any) -> tuple[tuple[str, list[str], Behaviour, Json], ...]:
    return (("a", [], does, spec),)


AGAIN = {"retry": {"limit": 2, "backoff": {"initial": "0s"}}, "infraRetries": 0}
QUICK, LONG = Behaviour(1), Behaviour(600)
SCENARIOS = (
    Scenario("it succeeds", one(QUICK)),
    Scenario("it fails", one(Behaviour(1, (3,)))),
    Scenario("it succeeds the third time", one(Behaviour(1, (3, 4, 0)), **AGAIN)),
    Scenario("it never succeeds", one(Behaviour(1, (3, 4, 5)), **AGAIN)),
    Scenario("it takes too long each time", one(LONG, maxRunTime="2s", **AGAIN)),
    Scenario("it misses its deadline", one(LONG), deadline=MARGIN),
    Scenario("it does not listen", one(replace(LONG, on_term=None)), deadline=MARGIN),
    Scenario("it is stopped", one(LONG), act="stop"),
    Scenario("it is stopped and ends well", one(replace(LONG, on_term=0)), act="stop"),
    Scenario("its Job is deleted", one(LONG, infraRetries=0), act="delete job"),
    Scenario("its pod is deleted", one(LONG, infraRetries=0), act="delete pod"),
    Scenario(
        "a diamond",
        (
            ("a", [], QUICK, {}),
            ("b", ["a"], QUICK, {}),
            ("c", ["a", "b"], QUICK, {}),
            ("d", ["b", "c"], QUICK, {}),
        ),
    ),
    Scenario(
        "a step in the middle fails",
        (("a", [], QUICK, {}), ("b", ["a"], Behaviour(1, (7,)), {}), ("c", ["b"], QUICK, {})),
    ),
)


def spec_of(scenario: Scenario, *, real: bool) -> Json:
    """What both are given; only the command differs."""
    begun = datetime.now(UTC) if real else EPOCH + timedelta(seconds=1)
    task = {"image": IMAGE, "imagePullPolicy": "IfNotPresent", "gracePeriod": "3s"}
    plan = []
    for step, below, does, more in scenario.steps:
        command = (
            {"script": script_of(does), "env": [ATTEMPT]} if real else {"command": does.command()}
        )
        plan.append({"id": step, "dependsOn": below, "task": {**task, **command, **more}})
    return {"plan": plan, "deadline": rfc3339(begun + timedelta(seconds=scenario.deadline))}


ATTEMPT = {
    "name": "ATTEMPT",
    "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{names.LABEL_ATTEMPT}']"}},
}


def script_of(does: Behaviour) -> str:
    """The same behaviour as a shell's."""
    trap = "trap '' TERM" if does.on_term is None else f"trap 'exit {does.on_term}' TERM"
    codes = " ".join(map(str, does.codes))
    return "\n".join(
        (
            trap,
            f"n=0; while [ $n -lt {int(does.seconds)} ]; do sleep 1 || true; n=$((n+1)); done",
            f"set -- {codes}; n=$ATTEMPT; [ $n -le $# ] || n=$#; shift $((n-1)); exit $1",
        )
    )


def made_since(user: User, version: str) -> dict[str, list[Json]]:
    """Each Job that was made, in order, by its execution: some are gone long since."""
    made: dict[str, list[Json]] = {}
    jobs, watch = user.batch.list_namespaced_job, kubernetes.watch.Watch()
    for event in watch.stream(jobs, user.namespace, resource_version=version, timeout_seconds=2):
        if event["type"] == "ADDED":
            raw = event["raw_object"]
            made.setdefault(raw["metadata"]["labels"][names.LABEL_EXECUTION], []).append(raw)
    return made


def really(user: User, name: str, act: str) -> None:
    """What a person does on the cluster."""
    of = f"{names.LABEL_EXECUTION}={name}"
    if act == "stop":
        user.patch("taskexecutions", name, {"spec": {"desiredPhase": "Stopped"}})
    else:
        user.kubectl("delete", act.removeprefix("delete "), "-l", of, "--wait=false")


def simulated(api: Api, act: str) -> bool:
    """The same in the simulation, once it runs; whether it is done."""
    phase = (api.get(EXECUTIONS, calm.NAMESPACE, NAME).get("status") or {}).get("phase")
    if not act:
        return True
    if phase != "Running":
        return False
    now = (api.now() - EPOCH).total_seconds()
    if act == "stop":
        body = {"spec": {"desiredPhase": "Stopped"}}
        api.patch(EXECUTIONS, calm.NAMESPACE, NAME, body, "person", now)
    else:
        resource = JOBS if act == "delete job" else PODS
        name = next(iter(api.all(resource)))["metadata"]["name"]
        api.delete(resource, calm.NAMESPACE, name, "person", now)
    return True


def test_the_real_cluster_does_the_same(user: User) -> None:
    """All of them side by side, each an execution of its own."""
    begun = user.batch.list_namespaced_job(user.namespace).metadata.resource_version
    named = {f"{NAME}-{number}": one for number, one in enumerate(SCENARIOS)}
    user.apply(*(_execution(name, spec_of(one, real=True)) for name, one in named.items()))
    for name, scenario in named.items():
        if scenario.act:
            user.phase(name, "Running", within=90)
            really(user, name, scenario.act)
    ended = {name: user.end(name, within=120)["status"] for name in named}
    made, differ = made_since(user, begun), {}
    for name, scenario in named.items():
        happened = calm.told(ended[name], made[name])
        act = partial(simulated, act=scenario.act)
        foreseen = calm.play(spec_of(scenario, real=False), act)
        if happened != foreseen:
            differ[str(scenario)] = {"real": happened, "simulated": foreseen}
    assert not differ


def _execution(name: str, spec: Json) -> Json:
    meta = {"name": name}
    return {"apiVersion": API_VERSION, "kind": "TaskExecution", "metadata": meta, "spec": spec}
