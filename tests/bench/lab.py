"""The cluster of one lane: fresh, with known limits, and gone afterwards."""

from __future__ import annotations

import json
import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import yaml

from cluster import build, components
from cluster.local import LocalCluster
from cluster.process import wait_for
from cluster.settings import Settings
from taskmill.kube.auth import Credentials
from taskmill.kube.client import KubeClient

QPS = 500
"""Requests a second that controllers and scheduler may make: more than two cores can serve."""
RAISED = Settings(qps=QPS)
DEFAULT = Settings()
NODES = 5
ON_KWOK: dict[str, Any] = {
    "nodeSelector": {"type": "kwok"},
    "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
}
"""Of a pod: on a node that is played, where pods start and succeed at once."""
LIVE = {"taskmill-bench": "live"}
"""Labels of a pod that is played too, and never ends."""
_COMPLETE = "pod-complete"
_OTHER_OWNERS = ["Workflow", "TaskRun"]
_STAGES = "bench-stages.yaml"


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class Lab:
    """One cluster of the bench's own, as long as its `with` lasts."""

    def __init__(self, settings: Settings = RAISED, *, nodes: int = NODES) -> None:
        number = int(os.environ.get("TASKMILL_BENCH_CLUSTER") or 5)
        self.settings = settings
        self.nodes = nodes
        self.cluster = LocalCluster(number, say=say)
        self.handle = self.cluster.handle
        self._folder = tempfile.TemporaryDirectory(prefix="taskmill-bench-")
        self.folder = Path(self._folder.name)

    def __enter__(self) -> Self:
        # What an interrupted bench left behind would be measured along.
        self.cluster.down()
        try:
            self.cluster.up(self.settings)
            if self.nodes:
                self._start_kwok()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.cluster.down()
        self._folder.cleanup()

    def _start_kwok(self) -> None:
        build.ensure_kwok()
        (self.cluster.folder / _STAGES).write_text(_stages())
        address = self.cluster.sandbox.address
        usual = components.command("kwok", address=address, settings=self.settings)
        ours = [f"--config={components.STATE}/{_STAGES}"]
        kept = [part for part in usual if not part.startswith("--config=")]
        self.cluster.sandbox.start("kwok", kept + ours)
        self.cluster.kwok(self.nodes)

    def client(self) -> KubeClient:
        """The administrator's, whom the server does not throttle."""
        return KubeClient(Credentials.from_kubeconfig(self.cluster.kubeconfig), timeout=60.0)

    def pids(self) -> dict[str, int]:
        """The processes whose cost is measured, the bench's own among them."""
        names = ("apiserver", "etcd", "controller-manager", "scheduler", "kwok")
        found = {name: self.cluster.sandbox.process(name) for name in names}
        return {name: p.pid for name, p in found.items() if p} | {"bench": os.getpid()}

    def make_namespace(self, name: str) -> None:
        self.handle.kubectl("create", "namespace", name)
        # A pod that comes before its service account is refused.
        wait_for(
            lambda: self.handle.get("serviceaccount", "default", name),
            f"the service account of {name}",
            timeout=60,
        )

    def empty_namespace(self, name: str) -> None:
        """Remove it with all that is in it."""
        self.handle.kubectl("delete", "namespace", name, "--timeout=900s", timeout=960)

    def give_all_rights(self, namespace: str, account: str) -> None:
        """An account of a contender's own, so that its requests can be told from others'."""
        rbac = "rbac.authorization.k8s.io"
        self.handle.apply(
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": account, "namespace": namespace},
            },
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": f"bench-{account}"},
                "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
            },
        )

    def kubeconfig(self, namespace: str, account: str) -> Path:
        """A file with the way to the cluster as this account, in its namespace."""
        token = self.handle.kubectl("create", "token", account, "-n", namespace, "--duration=24h")
        config = json.loads(
            self.handle.kubectl("config", "view", "--raw", "--minify", "-o", "json").stdout
        )
        config["users"][0]["user"] = {"token": token.stdout.strip()}
        config["contexts"][0]["context"]["namespace"] = namespace
        path = self.folder / f"{account}.conf"
        path.touch(mode=0o600)
        path.write_text(json.dumps(config))
        return path

    def described(self) -> dict[str, Any]:
        """What the controllers were told, for the report."""
        command = components.command(
            "controller-manager", address=self.cluster.sandbox.address, settings=self.settings
        )
        wanted = ("--kube-api-qps", "--kube-api-burst", "--concurrent-job-syncs")
        return {
            "kwok nodes": self.nodes,
            "flags of the controller manager": [f for f in command if f.startswith(wanted)],
            "settings": {k: v for k, v in asdict(self.settings).items() if k != "checkout" and v},
        }


def _stages() -> str:
    """The usual ones, but that a pod labelled so goes on running, and that not only Jobs' end."""
    stages = list(yaml.safe_load_all(build.STAGES.read_text()))
    [(label, value)] = LIVE.items()
    for stage in stages:
        if stage["metadata"]["name"] == _COMPLETE:
            selected = stage["spec"]["selector"]["matchExpressions"]
            for one in selected:
                if one.get("values") == ["Job"]:
                    one["values"] += _OTHER_OWNERS
            selected.append(
                {"key": f'.metadata.labels["{label}"]', "operator": "NotIn", "values": [value]}
            )
    return yaml.safe_dump_all(stages)
