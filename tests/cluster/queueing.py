"""Kueue, a queueing system for Jobs, as a part of the local cluster for as long as it is wanted."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import yaml

from cluster import build, components
from cluster.handle import KubectlError
from cluster.local import LocalCluster
from cluster.pki import Authority
from cluster.process import wait_for

_NAME = "kueue"
_QUEUE = "kueue.x-k8s.io/queue-name"
_GROUPS = {"batch", "kueue.x-k8s.io"}
_HOOKS = ("mutatingwebhookconfiguration", "validatingwebhookconfiguration")


@contextmanager
def kueue(cluster: LocalCluster) -> Iterator[None]:
    """Jobs that name a queue wait in it; all others are none of its business."""
    build.ensure(build.KUEUE)
    try:
        _start(cluster)
        yield
    finally:
        _stop(cluster)


def _start(cluster: LocalCluster) -> None:
    kinds = str(build.kueue_manifests() / "crd" / "bases")
    cluster.handle.kubectl("apply", "--server-side", "--force-conflicts", f"--filename={kinds}")
    cluster.handle.kubectl("wait", f"--filename={kinds}", "--for=condition=Established")
    _configure(cluster)
    cluster.restart(_NAME)
    cluster.handle.apply(*_webhooks(cluster))
    # It says that it is well before it knows what to answer.
    log = cluster.sandbox.log(_NAME)
    wait_for(lambda: _suspends(cluster), "Kueue to suspend a Job", timeout=30, log=log)


def _stop(cluster: LocalCluster) -> None:
    kubectl = cluster.handle.kubectl
    try:
        # While it is there to let go of its objects.
        kinds = f"--filename={build.kueue_manifests() / 'crd' / 'bases'}"
        kubectl("delete", kinds, "--ignore-not-found", "--timeout=60s")
    finally:
        for kind in _HOOKS:
            kubectl("delete", kind, _NAME, "--ignore-not-found")
        cluster.stop(_NAME)


def _configure(cluster: LocalCluster) -> None:
    folder, authority = cluster.folder / _NAME, Authority(cluster.folder / "pki")
    folder.mkdir(mode=0o700, exist_ok=True)
    configuration = json.dumps(components.kueue_configuration())
    (folder / components.KUEUE_CONFIGURATION).write_text(configuration)
    authority.issue(_NAME, "/CN=kueue", addresses=(f"IP:{cluster.sandbox.address}",))
    for ending in ("crt", "key"):
        shutil.copy(authority.folder / f"{_NAME}.{ending}", folder / f"tls.{ending}")


def _webhooks(cluster: LocalCluster) -> Iterator[dict[str, Any]]:
    """Those that come with it, but for kinds that this cluster has not, at its address here."""
    manifests = build.kueue_manifests() / "webhook" / "manifests.yaml"
    bundle = base64.b64encode((cluster.folder / "pki" / "ca.crt").read_bytes()).decode()
    server = f"https://{cluster.sandbox.address}:{components.KUEUE_WEBHOOKS}"
    for manifest in yaml.safe_load_all(manifests.read_text()):
        yield manifest | {
            "metadata": {"name": _NAME},
            "webhooks": [
                hook
                | {"clientConfig": {"url": server + _path(hook), "caBundle": bundle}}
                | _asked_about(hook)
                for hook in manifest["webhooks"]
                if _groups(hook) <= _GROUPS
            ],
        }


def _path(hook: Mapping[str, Any]) -> str:
    return str(hook["clientConfig"]["service"]["path"])


def _groups(hook: Mapping[str, Any]) -> set[str]:
    return {group for rule in hook["rules"] for group in rule["apiGroups"]}


def _asked_about(hook: Mapping[str, Any]) -> dict[str, Any]:
    """Of Jobs only those that it would manage: nobody else's wait for its answer."""
    if _groups(hook) != {"batch"}:
        return {}
    return {"objectSelector": {"matchExpressions": [{"key": _QUEUE, "operator": "Exists"}]}}


def _suspends(cluster: LocalCluster) -> bool:
    container = {"name": "main", "image": "none"}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "to-be-suspended", "namespace": "default", "labels": {_QUEUE: "any"}},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }
    tried = ("create", "--dry-run=server", "-o", "json", "--filename=-")
    try:
        answer = cluster.handle.kubectl(*tried, stdin=json.dumps(job)).stdout
    except KubectlError:
        return False
    return json.loads(answer)["spec"].get("suspend") is True
