"""The namespace controller: what is in a namespace goes first, in any order, then itself."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from simulation.cluster import Cluster
from simulation.net import Place
from taskmill.kube.resources import EVENTS, EXECUTIONS, JOBS, PODS, TASKS, Resource

CONTENT = (TASKS, EXECUTIONS, JOBS, PODS, EVENTS)
LONGEST = 4.0
"""Seconds until a kind is looked at."""


class Namespaces:
    """Deletes them."""

    def __init__(self, place: Place, cluster: Cluster, dice: random.Random) -> None:
        self._place, self._cluster, self._dice = place, cluster, dice

    def delete(self, namespace: str, then: Callable[[], None]) -> None:
        """Begin with it; `then` is done once it is gone."""
        self._place.api.closing.add(namespace)
        self._empty(namespace, then)

    def _empty(self, namespace: str, then: Callable[[], None]) -> None:
        api = self._place.api
        if not any(self._inside(namespace, resource) for resource in CONTENT):
            api.closing.discard(namespace)
            api.absent.add(namespace)
            then()
            return
        for resource in CONTENT:
            self._later(partial(self._delete_all, namespace, resource))
        self._place.later(LONGEST, lambda: self._empty(namespace, then))

    def _later(self, what: Callable[[], None]) -> None:
        self._place.later(self._dice.uniform(0, LONGEST), what)

    def _delete_all(self, namespace: str, resource: Resource) -> None:
        for name in self._inside(namespace, resource):
            if thing := self._place.api.find(resource, namespace, name):
                self._cluster.delete(resource, thing, "namespaces")

    def _inside(self, namespace: str, resource: Resource) -> list[str]:
        things = (thing["metadata"] for thing in self._place.api.all(resource))
        return [meta["name"] for meta in things if meta["namespace"] == namespace]
