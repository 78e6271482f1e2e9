"""What each contender asks of the API server, apart from everybody else's requests."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from cluster.flows import Account, counts, flow_schema
from cluster.handle import Handle

JOB_CONTROLLER = Account("kube-system", "job-controller")
_WRITES = ("create", "update", "patch", "delete", "deletecollection")
_READS = ("get", "list", "watch")
_ANY = ("*",)
# Verbs, groups and resources, in the order in which the server asks whether a request is one.
_KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "leases": (_ANY, ("coordination.k8s.io",), _ANY),
    "events": (_WRITES, ("", "events.k8s.io"), ("events",)),
    "writes": (_WRITES, _ANY, _ANY),
    "reads": (_READS, _ANY, _ANY),
}
_FIRST = 490
_PREFIX = "bench-"


@dataclass
class Requests:
    """Counts so far, or between two moments."""

    all: Counter[str] = field(default_factory=Counter)
    """By verb and resource, whoever asked."""
    own: Counter[str] = field(default_factory=Counter)
    """By account and kind: `taskmill-operator writes`."""

    def __sub__(self, before: Requests) -> Requests:
        return Requests(self.all - before.all, self.own - before.own)


def separate(cluster: Handle, account: Account) -> None:
    """Have the server count what this account asks for by itself, from about now on."""
    cluster.apply(
        *(
            flow_schema(
                f"{_PREFIX}{account.name}-{kind}",
                account,
                precedence=_FIRST + number,
                verbs=verbs,
                groups=groups,
                resources=resources,
            )
            for number, (kind, (verbs, groups, resources)) in enumerate(_KINDS.items())
        )
    )


def requests(cluster: Handle) -> Requests:
    """All since the server started."""
    found = counts(cluster)
    own: Counter[str] = Counter()
    for flow, count in found.flows.items():
        if flow.startswith(_PREFIX):
            account, _, kind = flow.removeprefix(_PREFIX).rpartition("-")
            own[f"{account} {kind}"] += count
    return Requests(found.all, own)
