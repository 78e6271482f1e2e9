"""Ways to break the operator, each of which a history must find."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

from taskmill.diagnose.facts import Job, parse_job
from taskmill.kube.lease import Elector
from taskmill.kube.listwatch import ListWatch
from taskmill.plan import names
from taskmill.plan.executions import questions, steps
from taskmill.reconcile import cache
from taskmill.reconcile.cache import Cache
from taskmill.reconcile.outage import Outage
from taskmill.reconcile.queue import WorkQueue
from taskmill.reconcile.reconciler import Reconciler


@dataclass(frozen=True)
class Mutation:
    """One thing taken out of the operator, or put in."""

    story: str
    seed: int
    """A history that finds it."""
    broken: Callable[[], AbstractContextManager[Any]]

    def __str__(self) -> str:
        return self.story


def _in_place_of(owner: Any, name: str, new: Any) -> Callable[[], AbstractContextManager[Any]]:
    return lambda: mock.patch.object(owner, name, new)


def _nothing(*_: Any, **__: Any) -> None:
    return None


async def _no(*_: Any, **__: Any) -> bool:
    return False


async def _store_blindly(self: Any, key: Any, meta: Any, status: Any, now: Any) -> None:
    loose = mock.Mock(wraps=meta, uid=meta.uid, resource_version=None)
    await _STORE(self, key, loose, status, now)


_STORE = Reconciler._store


def _random_name(**_: Any) -> str:
    return f"job-{uuid.uuid4().hex[:8]}"


def _keep_place(self: Any, error: Exception) -> float:
    self._place = self._place or "1"
    return 1.0


def _drop_when_busy(self: Any, key: Any) -> None:
    if key not in self._busy:
        _ADD(self, key)


_ADD = WorkQueue.add


_EXTEND = Elector._extend


def _believe_resumed(raw: Any, **labels: Any) -> Job | None:
    job = parse_job(raw, **labels)
    return job and replace(job, suspended=raw["spec"].get("suspend") is True)


MUTATIONS = (
    Mutation(
        "a leader believes in its Lease for a minute",
        10,
        _in_place_of(
            Elector,
            "_extend",
            lambda self, until: _EXTEND(self, until + 60 if until > 0 else until),
        ),
    ),
    Mutation(
        "a status is written over whatever is there",
        250,
        _in_place_of(Reconciler, "_store", _store_blindly),
    ),
    Mutation(
        "the name of a Job is made up anew each time",
        1,
        _in_place_of(names, "job_name", _random_name),
    ),
    Mutation(
        "a change that comes during a pass is forgotten",
        1,
        _in_place_of(WorkQueue, "add", _drop_when_busy),
    ),
    Mutation(
        "what a step depends on is not looked at",
        1,
        _in_place_of(steps, "_succeeded", lambda _: True),
    ),
    Mutation(
        "the next attempt does not wait for the pod of the one before",
        342,
        _in_place_of(steps, "predecessor", lambda *_: None),
    ),
    Mutation(
        "what has vanished is not remembered",
        2,
        _in_place_of(Cache, "bury", lambda *_: None),
    ),
    Mutation(
        "a watch that is too far behind tries on from where it was",
        1,
        _in_place_of(ListWatch, "_delay_after", _keep_place),
    ),
    Mutation(
        "a clock decides by what a watch said last",
        108,
        _in_place_of(steps, "ask_before", _nothing),
    ),
    Mutation(
        "a pod that was never seen counts as deleted",
        415,
        _in_place_of(questions, "_await_sight", _nothing),
    ),
    Mutation(
        "what is met while a Task is read anew is looked at by nobody",
        13,
        _in_place_of(Reconciler, "_meet", lambda self, run: self._cache.observe_execution(run)),
    ),
    Mutation(
        "what a Job controller says of a pod is believed before the kubelet",
        4,
        _in_place_of(questions, "_await_end", _nothing),
    ),
    Mutation(
        "a Job counts as made that was not",
        4,
        _in_place_of(Reconciler, "_create_jobs", _no),
    ),
    Mutation(
        "nothing is read anew after another process has acted",
        466,
        _in_place_of(Reconciler, "_reread", _no),
    ),
    Mutation(
        "a pass goes on writing after it has lost the Lease",
        122,
        _in_place_of(Reconciler, "_check_leading", _nothing),
    ),
    Mutation(
        "what waited for an outage to end is not looked at",
        993,
        _in_place_of(Outage, "over", _nothing),
    ),
    Mutation(
        "a Job that is resumed has started, before its controller says so",
        66,
        _in_place_of(cache, "parse_job", _believe_resumed),
    ),
    Mutation(
        "a pod that was taken away counts as deleted, whatever its Job may say",
        3545,
        _in_place_of(questions, "_await_suspension", _nothing),
    ),
)
