"""Requests as the API server counts them: what they were, and whose.

The request metrics know verb and resource but not who asked; the flow control knows who. So what
is to be counted by itself gets a FlowSchema of its own, at the priority level that it has anyway.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from cluster.handle import Handle

_ALL = ("*",)
_SAMPLE = re.compile(
    r"^(apiserver_request_total|apiserver_flowcontrol_dispatched_requests_total)"
    r"\{([^}]*)\} (\S+)$",
    re.MULTILINE,
)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class Account(NamedTuple):
    """A ServiceAccount."""

    namespace: str
    name: str


class Counts(NamedTuple):
    """Requests since the server started."""

    all: Counter[str]
    """By verb and resource, whoever asked: `PATCH taskexecutions/status`."""
    flows: Counter[str]
    """By the FlowSchema they came under; what one counted goes on counting under its name."""


def flow_schema(
    name: str,
    account: Account,
    *,
    precedence: int,
    verbs: Sequence[str] = _ALL,
    groups: Sequence[str] = _ALL,
    resources: Sequence[str] = _ALL,
) -> dict[str, Any]:
    """What has the server count these requests of an account by themselves, from about when it is
    applied; of two that fit, that of the lower precedence counts."""
    return {
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "FlowSchema",
        "metadata": {"name": name},
        "spec": {
            "matchingPrecedence": precedence,
            "priorityLevelConfiguration": {
                "name": "workload-high" if account.namespace == "kube-system" else "workload-low"
            },
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [
                {
                    "subjects": [{"kind": "ServiceAccount", "serviceAccount": account._asdict()}],
                    "resourceRules": [
                        {
                            "verbs": [*verbs],
                            "apiGroups": [*groups],
                            "resources": [*resources],
                            "namespaces": ["*"],
                            "clusterScope": True,
                        }
                    ],
                }
            ],
        },
    }


def counts(cluster: Handle) -> Counts:
    """Of now; the first request under a new FlowSchema is counted a moment after it."""
    found = Counts(Counter(), Counter())
    metrics = cluster.kubectl("get", "--raw", "/metrics").stdout
    for name, written, value in _SAMPLE.findall(metrics):
        labels, count = dict(_LABEL.findall(written)), int(float(value))
        if name == "apiserver_request_total":
            what = "/".join(filter(None, (labels["resource"], labels["subresource"])))
            found.all[f"{labels['verb']} {what}"] += count
        else:
            found.flows[labels["flow_schema"]] += count
    return found
