"""A request to the API server, and what kind of call it is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

_VERBS = {"POST": "create", "PUT": "replace", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True, order=True)
class Site:
    """A kind of call: what a place in the operator's source looks like from outside."""

    verb: str
    resource: str
    subresource: str = ""
    detail: str = ""
    """`dry run`, or `of one` for a list that is selected by the value of something."""

    def __str__(self) -> str:
        what = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{self.verb} {what}" + (f" ({self.detail})" if self.detail else "")

    @property
    def writes(self) -> bool:
        """Whether it may change something."""
        return self.verb in _VERBS.values() and self.detail != "dry run"


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as it came."""

    site: Site
    method: str
    path: str
    query: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, method: str, path: str, query: Mapping[str, str], body: bytes) -> "Call":
        """With its site."""
        return cls(_site(method, path, query), method, path, query, body)

    @property
    def watches(self) -> bool:
        """Whether its answer is a stream without an end."""
        return self.site.verb == "watch"

    @property
    def phase(self) -> str:
        """The phase it writes; "" when it writes none."""
        if self.site.subresource != "status":
            return ""
        return str(json.loads(self.body).get("status", {}).get("phase", ""))

    def mentions(self, word: str) -> bool:
        """Whether a name or a uid is anywhere in it."""
        told = (self.path, *self.query.values())
        return any(word in part for part in told) or word.encode() in self.body


def whole(path: str) -> tuple[str, str] | None:
    """`/apis/group/version` and plural, of a path to all objects of a kind in all namespaces."""
    parts = path.strip("/").split("/")
    head = {"api": 2, "apis": 3}.get(parts[0], len(parts))
    if len(parts) != head + 1:
        return None
    return "/" + "/".join(parts[:head]), parts[head]


def _site(method: str, path: str, query: Mapping[str, str]) -> Site:
    parts = path.strip("/").split("/")
    rest = parts[{"api": 2, "apis": 3}.get(parts[0], len(parts)) :]
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        rest = rest[2:]
    if not rest:
        return Site("get", path)
    resource, name, subresource = (*rest, "", "")[:3]
    verb = _VERBS.get(method) or ("get" if name else "list")
    if query.get("watch") in {"true", "1"}:
        verb = "watch"
    selectors = query.get("labelSelector", "") + query.get("fieldSelector", "")
    detail = "of one" if "=" in selectors else ""
    return Site(verb, resource, subresource, "dry run" if "dryRun" in query else detail)
