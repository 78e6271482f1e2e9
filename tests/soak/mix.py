"""A steady mix of everything, bounded in number and rate: about three runs a second."""

import itertools
import time
from collections.abc import Callable
from functools import partial
from sched import scheduler
from typing import Any

from kubernetes.client import ApiException

from e2e.test_endings import at
from e2e.test_plans import ON_KWOK, plan, step
from e2e.test_retries import SOON
from e2e.user import GROUP, VERSION, User, execution, run_spec, task
from soak.ledger import NO_ANSWER

HOME = "soak"
TTL = 45
"""Seconds; taskmill keeps what has ended for two minutes at least."""
TRIED_AGAIN = 5.0

QUICK = run_spec("true", **ON_KWOK)
WAITS = {"podTemplate": {"spec": {"nodeSelector": {"type": "nowhere"}}}}
WAITING = run_spec("true", **WAITS)
"""For a node that is not there: that costs nobody anything."""
NO_SECRET = [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "missing", "key": "x"}}}]
HISTORY = {"history": {"succeeded": 1, "failed": 1}}
CHANGING = [
    *(task(f"change-{n}", "true", **HISTORY, **ON_KWOK) for n in range(4)),
    task("change-above", "true", dependsOn=["change-0"], **HISTORY, **ON_KWOK),
    task("change-fails", "exit 3", **HISTORY),
]
EACH_MINUTE = {"schedule": {"cron": "* * * * *"}, "timeout": "90s", **HISTORY}
SCHEDULED = [
    task(f"cron-{name.lower()}", "true", concurrencyPolicy=name, **EACH_MINUTE, **where)
    for name, where in {"Allow": ON_KWOK, "Forbid": WAITS, "Replace": WAITS, "Queue": WAITS}.items()
]
DELETED = ("gone", "cron")
"""Kinds that may go without a verdict; in a namespace that is deleted, any may."""

Act = Callable[[], object]


class Mix:
    """Does what is due, one after the other, in the namespace `HOME` and in short-lived ones."""

    def __init__(self, user: User) -> None:
        self.made: set[tuple[str, str]] = set()
        """Namespaces and names of the executions whose creation was answered."""
        self._user = user
        self._numbers = itertools.count(1)
        self._turns = itertools.cycle(CHANGING)
        self._due = scheduler(time.monotonic)
        self._ends = False
        user.apply(*CHANGING, *SCHEDULED)
        sides = [{**step(side, "", "first"), "task": QUICK} for side in ("left", "right")]
        steps = [{"id": "first", "task": QUICK}, *sides]
        long, tried = run_spec("sleep 600", gracePeriod="2s"), {"retry": {"limit": 2, **SOON}}
        for every, act in {
            0.8: lambda: self._run("plain", QUICK),
            2.0: self._change,
            3.0: lambda: self._post(plan(self._name("steps"), *steps)),
            4.0: lambda: self._run("late", WAITING, deadline=at(5)),
            5.0: lambda: self._stop(self._run("stop", WAITING), 3),
            6.0: lambda: self._delete("taskexecutions", self._run("gone", WAITING), 3),
            12.0: lambda: self._run("fails", run_spec("exit 3")),
            15.0: lambda: self._stop(self._run("secret", run_spec("true", env=NO_SECRET)), 8),
            20.0: self._invalid,
            25.0: lambda: self._post(plan(self._name("circle"), step("a", "true", "a"))),
            30.0: lambda: self._run("again", run_spec("exit 5", **tried)),
            35.0: lambda: self._stop(self._run("stop", long), 8),
            100.0: self._namespace,
        }.items():
            self._every(every, act)

    def go_on(self) -> None:
        """Do what is due by now."""
        self._due.run(blocking=False)

    def end(self) -> None:
        """Begin nothing more, and do at once what was to come later."""
        self._ends = True
        for scheduled in SCHEDULED:
            self._delete("tasks", scheduled["metadata"]["name"], 0)
        while not self._due.empty():
            first = self._due.queue[0]
            self._due.cancel(first)
            first.action()

    def _run(self, kind: str, runs: dict[str, Any], **spec: Any) -> str:
        return self._post(execution(self._name(kind), runs, **spec))

    def _change(self) -> None:
        rerun = {"spec": {"rerun": str(next(self._numbers))}}
        self._user.patch("tasks", next(self._turns)["metadata"]["name"], rerun)

    def _invalid(self) -> None:
        wrong = {"podTemplate": {"spec": {"nodeSelektor": {}}}}
        self._delete("tasks", self._post(task(self._name("invalid"), "true", **wrong)), 15)

    def _namespace(self) -> None:
        name = self._name(HOME)
        self._user.core.create_namespace({"metadata": {"name": name}})
        self._later(3, lambda: self._fill(name))
        self._later(60, lambda: self._user.core.delete_namespace(name))

    def _fill(self, namespace: str) -> None:
        for runs in (QUICK, QUICK, WAITING, WAITING):
            self._post(execution(self._name("plain"), runs), namespace)
        self._post(execution(self._name("plain"), taskRef={"name": "missing"}), namespace)
        for one in (CHANGING[0], SCHEDULED[0]):
            self._post(one, namespace)

    def _name(self, kind: str) -> str:
        return f"{kind}-{next(self._numbers)}"

    def _post(self, body: dict[str, Any], namespace: str = HOME) -> str:
        name, plural = str(body["metadata"]["name"]), f"{body['kind'].lower()}s"
        if plural == "taskexecutions":
            body["spec"]["ttlSecondsAfterFinished"] = TTL
        self._user.custom.create_namespaced_custom_object(GROUP, VERSION, namespace, plural, body)
        if plural == "taskexecutions":
            self.made.add((namespace, name))
        return name

    def _stop(self, name: str, after: float) -> None:
        stopped = {"spec": {"desiredPhase": "Stopped"}}
        self._later(after, lambda: self._user.patch("taskexecutions", name, stopped))

    def _delete(self, plural: str, name: str, after: float) -> None:
        delete = self._user.custom.delete_namespaced_custom_object
        self._later(after, partial(delete, GROUP, VERSION, HOME, plural, name))

    def _every(self, seconds: float, act: Act) -> None:
        def go() -> None:
            if not self._ends:
                self._due.enter(seconds, 1, go)
                _is_answered(act)

        self._due.enter(seconds, 1, go)

    def _later(self, seconds: float, act: Act) -> None:
        def go() -> None:
            if not _is_answered(act):
                self._later(TRIED_AGAIN, act)

        self._due.enter(seconds, 1, go)


def _is_answered(act: Act) -> bool:
    """Do it; False when the server is away. What it refuses for good is a mistake here."""
    try:
        act()
    except NO_ANSWER as error:
        status = error.status if isinstance(error, ApiException) else None
        if status in (400, 403, 422):
            raise
        return status in (404, 409)
    return True
