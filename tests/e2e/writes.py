"""How many requests the operator makes, as the API server counts them.

The server's request metrics know verb and resource but not who asked; its flow control knows who.
A FlowSchema of their own counts the operator's writes, another one its reads about runs, and the
request metrics say what the writes were.
"""

import re
import time
from collections import Counter

from cluster.handle import Handle
from e2e.install import ACCOUNT, SYSTEM
from e2e.user import User

FLOWS = {
    "taskmill-operator-writes": (
        "all",
        ["create", "update", "patch", "delete"],
        ["*"],
    ),
    "taskmill-operator-reads": (
        "reads",
        ["get", "list"],
        ["taskexecutions", "jobs", "pods", "pods/log", "events"],
    ),
}
"""Of each FlowSchema: what it counts, and by which verbs and resources."""
_SAMPLE = re.compile(r"^(?P<name>\w+)\{(?P<labels>[^}]*)\} (?P<count>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')

OURS = {
    ("POST", "taskexecutions"),
    ("PATCH", "taskexecutions/status"),
    ("PATCH", "tasks/status"),
    ("POST", "jobs"),
}
"""Requests that nobody but the operator makes in these tests."""


def separate(cluster: Handle) -> None:
    """Have the server count the operator's requests by themselves, but for those of its Lease."""
    cluster.apply(
        *(
            {
                "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
                "kind": "FlowSchema",
                "metadata": {"name": name},
                "spec": {
                    "matchingPrecedence": 500,
                    "priorityLevelConfiguration": {"name": "workload-low"},
                    "distinguisherMethod": {"type": "ByUser"},
                    "rules": [
                        {
                            "subjects": [
                                {
                                    "kind": "ServiceAccount",
                                    "serviceAccount": {"name": ACCOUNT, "namespace": SYSTEM},
                                }
                            ],
                            "resourceRules": [
                                {
                                    "verbs": verbs,
                                    "apiGroups": ["taskmill.dev", "batch", ""],
                                    "resources": resources,
                                    "namespaces": ["*"],
                                }
                            ],
                        }
                    ],
                },
            }
            for name, (_, verbs, resources) in FLOWS.items()
        )
    )


def counted(cluster: Handle) -> Counter[str]:
    """Requests so far: `all` of the operator's writes, those of `OURS` by verb and resource, and
    its `reads`."""
    metrics = cluster.kubectl("get", "--raw", "/metrics").stdout
    counts: Counter[str] = Counter()
    for sample in _SAMPLE.finditer(metrics):
        labels, count = dict(_LABEL.findall(sample["labels"])), int(float(sample["count"]))
        if sample["name"] == "apiserver_flowcontrol_dispatched_requests_total":
            if flow := FLOWS.get(labels["flow_schema"]):
                counts[flow[0]] += count
        elif sample["name"] == "apiserver_request_total":
            what = "/".join(filter(None, (labels["resource"], labels["subresource"])))
            if (labels["verb"], what) in OURS:
                counts[f"{labels['verb']} {what}"] += count
    return counts


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
