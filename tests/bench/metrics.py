"""Requests as the API server counts them: what they were, and whose.

The request metrics know verb and resource but not who asked; the flow control knows who. So each
client that matters gets FlowSchemas of its own, at the priority level that it has anyway.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from cluster.handle import Handle

Account = tuple[str, str]
"""Namespace and name of a ServiceAccount."""
JOB_CONTROLLER: Account = ("kube-system", "job-controller")
_WRITES = ["create", "update", "patch", "delete", "deletecollection"]
_READS = ["get", "list", "watch"]
# In the order in which the server asks whether a request is one of these.
_KINDS: dict[str, tuple[list[str], list[str], list[str]]] = {
    "leases": (["*"], ["coordination.k8s.io"], ["*"]),
    "events": (_WRITES, ["", "events.k8s.io"], ["events"]),
    "writes": (_WRITES, ["*"], ["*"]),
    "reads": (_READS, ["*"], ["*"]),
}
_SAMPLE = re.compile(
    r"^(apiserver_request_total|apiserver_flowcontrol_dispatched_requests_total)"
    r"\{([^}]*)\} (\S+)$",
    re.MULTILINE,
)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
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
    cluster.apply(*(_schema(account, kind, number) for number, kind in enumerate(_KINDS)))


def _schema(account: Account, kind: str, number: int) -> dict[str, Any]:
    namespace, name = account
    verbs, groups, resources = _KINDS[kind]
    return {
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "FlowSchema",
        "metadata": {"name": f"{_PREFIX}{name}-{kind}"},
        "spec": {
            "matchingPrecedence": 490 + number,
            "priorityLevelConfiguration": {
                "name": "workload-high" if namespace == "kube-system" else "workload-low"
            },
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [
                {
                    "subjects": [
                        {
                            "kind": "ServiceAccount",
                            "serviceAccount": {"name": name, "namespace": namespace},
                        }
                    ],
                    "resourceRules": [
                        {
                            "verbs": verbs,
                            "apiGroups": groups,
                            "resources": resources,
                            "namespaces": ["*"],
                            "clusterScope": True,
                        }
                    ],
                }
            ],
        },
    }


def requests(cluster: Handle) -> Requests:
    """All since the server started."""
    counts = Requests()
    metrics = cluster.kubectl("get", "--raw", "/metrics").stdout
    for name, written, value in _SAMPLE.findall(metrics):
        labels, count = dict(_LABEL.findall(written)), int(float(value))
        if name == "apiserver_request_total":
            what = "/".join(filter(None, (labels["resource"], labels["subresource"])))
            counts.all[f"{labels['verb']} {what}"] += count
        elif labels["flow_schema"].startswith(_PREFIX):
            account, _, kind = labels["flow_schema"].removeprefix(_PREFIX).rpartition("-")
            counts.own[f"{account} {kind}"] += count
    return counts
