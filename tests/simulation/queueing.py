"""Kueue in small: its webhook suspends Jobs as they come; they are admitted, and evicted again."""

from __future__ import annotations

import random
from collections.abc import Callable

from simulation.api import Api, Change, Json
from simulation.net import Place
from taskmill.kube.resources import JOBS, Resource

WAITS = (0.3, 2.0, 2.0, 8.0, 25.0)
"""Seconds until there is room."""
STAYS = (1.5, 3.0, 6.0, 12.0)
"""Seconds until it is needed by others."""
OVER = {"Complete", "Failed"}


class Queue:
    """Takes in `share` of all Jobs, and evicts `evicted` of those it admits; a share each."""

    def __init__(self, place: Place, dice: random.Random, *, share: float, evicted: float) -> None:
        self._place, self._dice = place, dice
        self._share, self._evicted = share, evicted
        self.tell: Callable[[str], None] = lambda _: None
        self.on_evict: Callable[[Json], None] = lambda _: None
        place.api.webhooks.append(self._admitted)
        place.api.listeners.append(self._heard)

    def _admitted(self, resource: Resource, body: Json) -> Json:
        if resource is not JOBS or self._dice.random() >= self._share:
            return body
        return {**body, "spec": {**body["spec"], "suspend": True}}

    def _heard(self, change: Change) -> None:
        if change.resource is JOBS and change.kind == "ADDED" and change.new["spec"].get("suspend"):
            self._resume_in(self._dice.choice(WAITS), change.new)

    def _resume_in(self, seconds: float, job: Json) -> None:
        self._place.later(seconds, lambda: self._resume(job))

    def _resume(self, job: Json) -> None:
        if self._patch(job, suspend=False) and self._dice.random() < self._evicted:
            self._place.later(self._dice.choice(STAYS), lambda: self._evict(job))

    def _evict(self, job: Json) -> None:
        if not self._patch(job, suspend=True):
            return
        self.on_evict(job)
        api = self._place.api
        # As Kueue does it, by which Kubernetes lets it change the template; a person does not.
        if self._dice.random() < 0.75:
            self._place.later(self._dice.uniform(0, 0.1), lambda: _forget_start(api, job))
        # The same second would not do: pods are told apart by when they were made.
        self._resume_in(1.0 + self._dice.choice(WAITS), job)

    def _patch(self, job: Json, *, suspend: bool) -> bool:
        api, meta = self._place.api, job["metadata"]
        known = api.find(JOBS, meta["namespace"], meta["name"])
        if known is None or known["metadata"]["uid"] != meta["uid"]:
            return False
        conditions = (known.get("status") or {}).get("conditions") or ()
        if OVER & {c["type"] for c in conditions} or known["spec"].get("suspend") is suspend:
            return False
        self.tell(f"the queue {'suspends' if suspend else 'admits'} Job {meta['name']}")
        body = {"spec": {"suspend": suspend}}
        api.patch(JOBS, meta["namespace"], meta["name"], body, "queue", api.seconds())
        return True


def _forget_start(api: Api, job: Json) -> None:
    known = api.find(JOBS, job["metadata"]["namespace"], job["metadata"]["name"])
    if known is not None and known["spec"].get("suspend"):
        api.status(JOBS, job, "queue", startTime=None)
