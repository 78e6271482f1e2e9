"""How many requests the operator makes, as the API server counts them."""

import time
from collections import Counter

from cluster.flows import counts, flow_schema
from cluster.handle import Handle
from e2e.install import OPERATOR
from e2e.user import User

_WRITES, _READS, _ASKS = (f"taskmill-operator-{kind}" for kind in ("writes", "reads", "asks"))
_ABOUT_RUNS = ("taskexecutions", "jobs", "pods", "pods/log")
_GROUPS = ("taskmill.dev", "batch", "")  # all but that of its Lease
OURS = {
    "POST taskexecutions",
    "PATCH taskexecutions/status",
    "PATCH tasks/status",
    "POST jobs",
}
"""Requests that nobody but the operator makes in these tests."""


def separate(cluster: Handle) -> None:
    """Have the server count the operator's requests by themselves, but for those of its Lease."""
    writes = ("create", "update", "patch", "delete")
    reads = ("get", "list")
    cluster.apply(
        flow_schema(_WRITES, OPERATOR, precedence=500, verbs=writes, groups=_GROUPS),
        *(
            flow_schema(
                name,
                OPERATOR,
                precedence=500,
                verbs=reads,
                groups=_GROUPS,
                resources=resources,
            )
            for name, resources in ((_READS, _ABOUT_RUNS), (_ASKS, ("events",)))
        ),
    )


def counted(cluster: Handle) -> Counter[str]:
    """Requests so far: `all` of the operator's writes, those of `OURS` by verb and resource, its
    `reads` about runs, and how often it `asks` for Events."""
    found = counts(cluster)
    told = Counter({what: count for what, count in found.all.items() if what in OURS})
    told.update(all=found.flows[_WRITES], reads=found.flows[_READS], asks=found.flows[_ASKS])
    return told


def quiet(cluster: Handle) -> Counter[str]:
    """The counts once they change no more."""
    known = counted(cluster)
    deadline = time.monotonic() + 60
    while True:
        time.sleep(2)
        if (now := counted(cluster)) == known:
            return now
        assert time.monotonic() < deadline, now - known
        known = now


def others(user: User) -> list[str]:
    """Namespaces of other tests that are still being emptied: that makes writes, too."""
    found = (n.metadata.name for n in user.core.list_namespace().items)
    return [name for name in found if name.startswith("test-") and name != user.namespace]
