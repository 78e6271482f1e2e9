"""An API server with nothing behind it but memory: versions, conflicts, watches, owners, status.

What it answers is what the real one answers, in the same words where somebody reads them;
`test_honesty.py` compares.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from taskmill.api.meta import rfc3339
from taskmill.kube.errors import ApiError, error_from_status
from taskmill.kube.resources import EXECUTIONS, PODS, TASKS, Resource

Json = dict[str, Any]
EPOCH = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
SUBRESOURCE = frozenset({EXECUTIONS, TASKS})
"""Kinds whose status is written apart from the rest."""


def refusal(code: int, reason: str, message: str, *causes: Json) -> ApiError:
    """The error that the client makes of such an answer."""
    status = {"code": code, "reason": reason, "message": message, "details": {"causes": causes}}
    return error_from_status(status)


@dataclass(frozen=True)
class Change:
    """One line of the server's history."""

    version: int
    at: float
    kind: str
    """ADDED, MODIFIED or DELETED."""
    resource: Resource
    old: Json | None
    new: Json
    author: str
    sent_at: float
    """When its author sent it."""

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        meta = self.new["metadata"]
        return meta["namespace"], meta["name"]

    @cached_property
    def line(self) -> bytes:
        """As a watch sends it."""
        return json.dumps({"type": self.kind, "object": self.new}).encode() + b"\n"


class Api:
    """The store; all methods are one moment. `author` and `sent_at` go into its history."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._uids = itertools.count(1)
        self._things: dict[Resource, dict[tuple[str, str], Json]] = {}
        self.version = 1
        self.compacted = 0
        """Changes up to this version are forgotten."""
        self._logs: dict[Resource, list[Change]] = {}
        self.listeners: list[Callable[[Change], None]] = []
        self.webhooks: list[Callable[[Resource, Json], Json]] = []
        """They may change what is created."""
        self.closing: set[str] = set()
        """Namespaces that are being deleted."""
        self.absent: set[str] = set()
        """Namespaces that are no more."""

    def seconds(self) -> float:
        """Of the simulation's clock."""
        return self._clock()

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self._clock())

    def stamp(self, later: float = 0) -> str:
        """Now, as objects carry it: whole seconds."""
        return rfc3339(self.now() + timedelta(seconds=later))

    # -- reads --

    def log(self, resource: Resource) -> list[Change]:
        """All that happened to a kind, in order."""
        return self._logs.setdefault(resource, [])

    def find(self, resource: Resource, namespace: str, name: str) -> Json | None:
        return self._things.get(resource, {}).get((namespace, name))

    def get(self, resource: Resource, namespace: str, name: str) -> Json:
        found = self.find(resource, namespace, name)
        if found is None:
            raise refusal(404, "NotFound", f'{resource} "{name}" not found')
        return found

    def list(self, resource: Resource, selects: Callable[[Json], bool]) -> list[Json]:
        return [thing for thing in self._things.get(resource, {}).values() if selects(thing)]

    def all(self, resource: Resource) -> Iterator[Json]:
        yield from self._things.get(resource, {}).values()

    # -- writes --

    def demand_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        """Nothing new belongs into one that goes away."""
        if namespace in self.absent:
            raise refusal(404, "NotFound", f'namespaces "{namespace}" not found')
        if namespace in self.closing:
            why = f"unable to create new content in namespace {namespace}"
            message = f'{resource} "{name}" is forbidden: {why} because it is being terminated'
            cause = {"reason": "NamespaceTerminating", "message": f"namespace {namespace} is going"}
            raise refusal(403, "Forbidden", message, cause)

    def create(
        self, resource: Resource, namespace: str, body: Json, author: str, at: float
    ) -> Json:
        name = body["metadata"]["name"]
        self.demand_namespace(resource, namespace, name)
        if self.find(resource, namespace, name):
            raise refusal(409, "AlreadyExists", f'{resource} "{name}" already exists')
        for webhook in self.webhooks:
            body = webhook(resource, body)
        thing = {key: value for key, value in body.items() if key != "metadata"}
        if resource in SUBRESOURCE:
            thing.pop("status", None)
        thing["metadata"] = {
            **body["metadata"],
            "namespace": namespace,
            "uid": f"uid-{next(self._uids)}",
            "generation": 1,
            "creationTimestamp": self.stamp(),
        }
        return self._put("ADDED", resource, None, thing, author, at)

    def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Json,
        author: str,
        at: float,
        *,
        subresource: str | None = None,
    ) -> Json:
        old = self.get(resource, namespace, name)
        wanted = body.get("metadata") or {}
        self._demand_version(resource, old, wanted)
        uid = wanted.get("uid")
        if uid is not None and uid != old["metadata"]["uid"]:
            message = f'{resource} "{name}" is invalid: metadata.uid: Invalid value: "{uid}"'
            raise refusal(422, "Invalid", f"{message}: field is immutable")
        part = {k: v for k, v in body.items() if k != "metadata"}
        if subresource:
            part = {"status": part.get("status")}
        elif resource in SUBRESOURCE:
            part.pop("status", None)
        if labels := wanted.get("labels"):
            part["metadata"] = {"labels": labels}
        return self._change(resource, old, merged(old, part), author, at)

    def replace(
        self, resource: Resource, namespace: str, name: str, body: Json, author: str, at: float
    ) -> Json:
        old = self.get(resource, namespace, name)
        self._demand_version(resource, old, body["metadata"])
        return self._change(resource, old, {**old, "spec": body["spec"]}, author, at)

    def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        author: str,
        at: float,
        *,
        uid: str | None = None,
        foreground: bool = False,
    ) -> None:
        old = self.get(resource, namespace, name)
        if uid is not None and uid != old["metadata"]["uid"]:
            told = f"UID in precondition: {uid}, UID in object meta: {old['metadata']['uid']}"
            message = f'Operation cannot be fulfilled on {resource} "{name}": Precondition failed: '
            raise refusal(409, "Conflict", message + told)
        grace = 0.0
        if resource is PODS and old["spec"].get("nodeName"):
            grace = old["spec"]["terminationGracePeriodSeconds"]
        finalizers = list(old["metadata"].get("finalizers") or ())
        if foreground:
            finalizers.append("foregroundDeletion")
        if grace or finalizers:
            self._mark(resource, old, finalizers, grace, author, at)
        else:
            self.remove(resource, old, author, at)

    def finalize(self, resource: Resource, thing: Json, finalizer: str, author: str) -> None:
        """Take a finalizer off; what waited for that alone is gone."""
        old = self.find(resource, thing["metadata"]["namespace"], thing["metadata"]["name"])
        if old is None or finalizer not in (old["metadata"].get("finalizers") or ()):
            return
        left = [one for one in old["metadata"]["finalizers"] if one != finalizer]
        new = {**old, "metadata": {**old["metadata"], "finalizers": left}}
        stored = self._put("MODIFIED", resource, old, new, author, self._clock())
        over = resource is not PODS or not old["spec"].get("nodeName")
        if not left and "deletionTimestamp" in stored["metadata"] and over:
            self.remove(resource, stored, author, self._clock())

    def remove(self, resource: Resource, old: Json, author: str, at: float) -> None:
        """It is no more."""
        del self._things[resource][_key(old)]
        self._put("DELETED", resource, old, old, author, at)

    def status(self, resource: Resource, thing: Json, author: str, **fields: Any) -> None:
        """A controller writes into the status of what may be gone by now."""
        meta = thing["metadata"]
        known = self.find(resource, meta["namespace"], meta["name"])
        if known is not None and known["metadata"]["uid"] == meta["uid"]:
            status = {**(known.get("status") or {}), **fields}
            self._change(resource, known, {**known, "status": status}, author, self._clock())

    def compact(self) -> None:
        """Forget the past: watches that are behind get 410."""
        self.compacted = self.version

    def _mark(
        self,
        resource: Resource,
        old: Json,
        finalizers: Sequence[str],
        grace: float,
        author: str,
        at: float,
    ) -> None:
        if "deletionTimestamp" in old["metadata"]:
            return
        meta = {
            **old["metadata"],
            "finalizers": finalizers,
            "deletionTimestamp": self.stamp(grace),
            "deletionGracePeriodSeconds": grace,
        }
        self._put("MODIFIED", resource, old, {**old, "metadata": meta}, author, at)

    @staticmethod
    def _demand_version(resource: Resource, old: Json, meta: Json) -> None:
        version = meta.get("resourceVersion")
        if version is not None and version != old["metadata"]["resourceVersion"]:
            name = old["metadata"]["name"]
            message = f'Operation cannot be fulfilled on {resource} "{name}"'
            raise refusal(409, "Conflict", f"{message}: the object has been modified")

    def _change(self, resource: Resource, old: Json, new: Json, author: str, at: float) -> Json:
        if new == old:
            return old
        if new.get("spec") != old.get("spec"):
            meta = {**new["metadata"], "generation": old["metadata"]["generation"] + 1}
            new = {**new, "metadata": meta}
        return self._put("MODIFIED", resource, old, new, author, at)

    def _put(
        self, kind: str, resource: Resource, old: Json | None, new: Json, author: str, at: float
    ) -> Json:
        self.version += 1
        new = {**new, "metadata": {**new["metadata"], "resourceVersion": str(self.version)}}
        if kind != "DELETED":
            self._things.setdefault(resource, {})[_key(new)] = new
        change = Change(self.version, self._clock(), kind, resource, old, new, author, at)
        self.log(resource).append(change)
        for tell in tuple(self.listeners):
            tell(change)
        return new


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def owned_by(thing: Json) -> str:
    """The uid of its controller."""
    for owner in thing["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner["uid"])
    return ""


def selector(labels: str | None, fields: str | None) -> Callable[[Json], bool]:
    """What a list or watch with these selectors shows."""

    def selects(thing: Json) -> bool:
        if labels:
            key, _, value = labels.partition("=")
            found = (thing["metadata"].get("labels") or {}).get(key)
            if found is None or (value and found != value):
                return False
        return not fields or thing["involvedObject"]["uid"] == fields.partition("=")[2]

    return selects


def _key(thing: Json) -> tuple[str, str]:
    return thing["metadata"]["namespace"], thing["metadata"]["name"]
