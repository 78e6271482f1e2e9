"""taskmill in a cluster as docs/install.md says: installed, looked at, and taken away again."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from cluster.handle import Handle
from cluster.process import wait_for
from e2e.install import ACCOUNT, APPLY, ROOT, SYSTEM

MANIFESTS = ROOT / "manifests"
OURS = f"deployment/{ACCOUNT}"
_COMES_AND_GOES = ("events", "leases.coordination.k8s.io", "endpoints", "componentstatuses")


def install(cluster: Handle) -> None:
    """What the first command says."""
    cluster.kubectl(*APPLY, "-f", str(MANIFESTS / "install.yaml"))
    rolled_out(cluster)


def overlay(cluster: Handle, name: str) -> None:
    """One of the folders."""
    cluster.kubectl(*APPLY, "-k", str(MANIFESTS / name))


def rolled_out(cluster: Handle) -> None:
    """All replicas are those that were asked for last, and one of them acts."""
    cluster.kubectl("-n", SYSTEM, "rollout", "status", OURS, "--timeout=90s")
    wait_for(lambda: leader(cluster) in operators(cluster), "a replica to act", timeout=30)


def uninstall(cluster: Handle) -> None:
    """As the page says: what runs goes first, while there is someone to end it."""
    kinds = "tasks.taskmill.dev,taskexecutions.taskmill.dev"
    cluster.kubectl("delete", kinds, "--all", "--all-namespaces", "--ignore-not-found", check=False)
    cluster.kubectl("delete", "--ignore-not-found", "-f", str(MANIFESTS / "install.yaml"))


def operators(cluster: Handle) -> dict[str, str]:
    """The names of its pods that are not ending, by uid."""
    selector = f"--selector=app.kubernetes.io/name={ACCOUNT}"
    told = cluster.kubectl("-n", SYSTEM, "get", "pods", selector, "-o", "json").stdout
    metas = [pod["metadata"] for pod in json.loads(told)["items"]]
    return {meta["uid"]: meta["name"] for meta in metas if "deletionTimestamp" not in meta}


def leader(cluster: Handle) -> str:
    """The uid of the pod that acts."""
    lease = cluster.get("lease", ACCOUNT, SYSTEM)
    return str(lease["spec"].get("holderIdentity") or "") if lease else ""


def inventory(cluster: Handle) -> set[str]:
    """All there is in the cluster, in all namespaces, and what its own roles may do."""
    kinds = cluster.kubectl("api-resources", "--verbs=list", "-o", "name").stdout.split()
    listed = ",".join(kind for kind in kinds if kind not in _COMES_AND_GOES)
    columns = "custom-columns=K:.kind,N:.metadata.namespace,M:.metadata.name"
    told = cluster.kubectl("get", listed, "--all-namespaces", "--no-headers", "-o", columns).stdout
    roles = (cluster.get("clusterrole", name) or {} for name in ("view", "edit", "admin"))
    rules = {json.dumps(role["metadata"]["name"]) + json.dumps(role["rules"]) for role in roles}
    return {" ".join(line.split()) for line in told.splitlines()} | rules


@contextlib.contextmanager
def bound(cluster: Handle, namespace: str, **roles: str) -> Iterator[None]:
    """People by that name, with that ClusterRole in the namespace."""
    group = "rbac.authorization.k8s.io"
    made: list[dict[str, Any]] = [
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": person, "namespace": namespace},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "User", "apiGroup": group, "name": person}],
        }
        for person, role in roles.items()
    ]
    cluster.apply(*made)
    yield
    cluster.kubectl("-n", namespace, "delete", "rolebinding", *roles)
