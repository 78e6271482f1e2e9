"""What is run while the operator dies, and how it ended; nothing of it depends on when."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from e2e.faults.call import Site
from e2e.faults.witness import JsonObject, Witness
from e2e.test_endings import at
from e2e.test_history import LONG_AGO
from e2e.user import FINAL, GROUP, VERSION, User, execution, run_spec, task

_SOON = {"backoff": {"initial": "1s", "factor": 1}}
_ATTEMPT = [
    {
        "name": "ATTEMPT",
        "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['taskmill.dev/attempt']"}},
    }
]
_TOO_LONG = 90000
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_HASH = re.compile(r"NAME(-main)?-[0-9a-f]{10}(-[0-9a-z]{5})?")


def _nothing(user: User, witness: Witness, name: str) -> None:
    """Nobody does anything."""


def _over(witness: Witness, name: str) -> bool:
    executions = witness.all("taskexecutions", prefix=name)
    return bool(executions) and all(map(is_final, executions))


def _cleared(witness: Witness, name: str) -> bool:
    """It is over, and its Jobs are gone with all else that was to go."""
    return _over(witness, name) and not witness.there("jobs", prefix=name)


@dataclass(frozen=True)
class Scenario:
    """One thing to run, under a name of its own each time."""

    name: str
    make: Callable[[str], JsonObject]
    meanwhile: Callable[[User, Witness, str], None] = _nothing
    """What somebody does as it goes on; called again and again."""
    done: Callable[[Witness, str], bool] = _over
    """Whether all that was to come of it has come."""
    loses: Site | None = None
    """The first such call is applied and not answered, and no watch tells what it made."""


@dataclass(frozen=True)
class Outcome:
    """How it ended, without times and names."""

    verdicts: tuple[tuple[tuple[str, ...], ...], ...]
    """Of each execution: every verdict it ever had."""
    steps: tuple[tuple[object, ...], ...]
    attempts: tuple[tuple[object, ...], ...]
    jobs: tuple[tuple[tuple[str, str], int], ...]
    pods: tuple[tuple[tuple[str, str], int], ...]
    left: tuple[str, ...]
    """Which of its Jobs and executions are still there."""
    limited: bool
    """Whether Kubernetes' own clock stands above every Job that is there."""
    task: tuple[object, ...]


def outcome(witness: Witness, name: str) -> Outcome:
    """How the one of that name ended."""
    executions = witness.all("taskexecutions", prefix=name)
    statuses = [one.get("status", {}) for one in executions]
    jobs = witness.there("jobs", prefix=name)
    limits = [one["spec"].get("activeDeadlineSeconds", _TOO_LONG) for one in jobs]
    told = [one.get("status", {}) for one in witness.there("tasks", prefix=name)]
    kept = [
        f"{one['kind']} {_plain(one['metadata'].get('labels', {}).get(f'{GROUP}/step', ''), name)}"
        for one in (*jobs, *witness.there("taskexecutions", prefix=name))
    ]
    return Outcome(
        verdicts=tuple(
            tuple(tuple(_plain(word, name) for word in said) for said in witness.verdicts(one))
            for one in executions
        ),
        steps=tuple(
            (
                _plain(s["id"], name),
                s["phase"],
                s.get("reason"),
                s.get("attempt"),
                s.get("exitCode"),
            )
            for status in statuses
            for s in status.get("steps", ())
        ),
        attempts=tuple(
            (_plain(a["step"], name), a["attempt"], a.get("reason"))
            for status in statuses
            for a in status.get("attempts", ())
        ),
        jobs=tuple(sorted(witness.attempts("jobs", name).items())),
        pods=tuple(sorted(witness.attempts("pods", name).items())),
        left=tuple(sorted(kept)),
        limited=all(limit < _TOO_LONG for limit in limits),
        task=tuple((one.get("phase"), one.get("active")) for one in told),
    )


def is_final(thing: JsonObject) -> bool:
    """Whether it has its verdict."""
    return thing.get("status", {}).get("phase") in FINAL


def running(witness: Witness, name: str) -> bool:
    """Whether it is told to run."""
    executions = witness.all("taskexecutions", prefix=name)
    return any(one.get("status", {}).get("phase") == "Running" for one in executions)


def _plain(text: str, name: str) -> str:
    return _HASH.sub("POD", _MOMENT.sub("TIME", text.replace(name, "NAME")))


def _two_steps(name: str) -> JsonObject:
    first = {"id": "first", "task": run_spec("sleep 1")}
    then = {"id": "then", "dependsOn": ["first"], "task": run_spec("sleep 1")}
    return execution(name, plan=[first, then])


def _stop(user: User, witness: Witness, name: str) -> None:
    wanted = witness.all("taskexecutions", prefix=name)[0]["spec"].get("desiredPhase")
    if wanted is None and running(witness, name):
        user.patch("taskexecutions", name, {"spec": {"desiredPhase": "Stopped"}})


def _loosen(user: User, witness: Witness, name: str) -> None:
    """As when a queue resumes a Job: its clock ends later than it should."""
    for job in witness.there("jobs", prefix=name):
        loosened = "loosened" in job["metadata"].get("annotations", {})
        if running(witness, name) and not loosened:
            user.batch.patch_namespaced_job(
                job["metadata"]["name"],
                user.namespace,
                {
                    "metadata": {"annotations": {"loosened": ""}},
                    "spec": {"activeDeadlineSeconds": _TOO_LONG + 1},
                },
            )


def _age(user: User, witness: Witness, name: str) -> None:
    """As if it had ended long ago."""
    for one in witness.there("taskexecutions", prefix=name):
        conditions = one.get("status", {}).get("conditions", [])
        aged = [{**c, "lastTransitionTime": LONG_AGO} for c in conditions]
        if is_final(one) and conditions != aged:
            status: dict[str, Any] = {"status": {"conditions": aged}}
            user.custom.patch_namespaced_custom_object_status(
                GROUP, VERSION, user.namespace, "taskexecutions", one["metadata"]["name"], status
            )


_LAST_WORDS = 'echo "k=v" >> "$TASKMILL_OUTPUT"; echo "disk full"; sleep 1; exit 4'
_MISSING = {
    "volumes": [{"name": "none", "secret": {"secretName": "none"}}],
    "containers": [{"name": "main", "volumeMounts": [{"name": "none", "mountPath": "/none"}]}],
}
_LABELLED = {"metadata": {"labels": {"who": "me"}}}

SCENARIOS = (
    Scenario("plain", lambda name: execution(name, run_spec("sleep 1"))),
    Scenario("words", lambda name: execution(name, run_spec(_LAST_WORDS))),
    Scenario(
        "again",
        lambda name: execution(
            name,
            run_spec(
                'sleep 1; test "$ATTEMPT" = 2 || exit 7', env=_ATTEMPT, retry={"limit": 2, **_SOON}
            ),
        ),
    ),
    Scenario("steps", _two_steps),
    Scenario(
        "stop",
        lambda name: execution(name, run_spec("sleep 600", gracePeriod="15s")),
        _stop,
        _cleared,
    ),
    Scenario(
        "late",
        lambda name: execution(name, run_spec("sleep 600", gracePeriod="15s"), deadline=at(20)),
        done=_cleared,
    ),
    Scenario(
        "limit",
        lambda name: execution(name, run_spec("sleep 12"), deadline=at(300)),
        _loosen,
    ),
    Scenario(
        "mount",
        lambda name: execution(
            name, run_spec("true", startTimeout="8s", podTemplate={"spec": _MISSING})
        ),
        done=_cleared,
    ),
    Scenario(
        "change",
        lambda name: task(name, "sleep 1", podTemplate=_LABELLED, history={"succeeded": 0}),
        _age,
        _cleared,
    ),
    Scenario(
        "twice",
        lambda name: execution(name, run_spec("sleep 1")),
        loses=Site("create", "jobs"),
    ),
)
