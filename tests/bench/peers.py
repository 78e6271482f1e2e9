"""Other systems, measured along where somebody gives their controllers:

    TASKMILL_BENCH_ARGO=/path/workflow-controller
    TASKMILL_BENCH_ARGO_MANIFESTS=/path/manifests/base/crds/full
    TASKMILL_BENCH_ARGO_VERSION=v4.1.2
    TASKMILL_BENCH_TEKTON=/path/controller
    TASKMILL_BENCH_TEKTON_MANIFESTS=/path/config
    TASKMILL_BENCH_TEKTON_VERSION=v1.9.6

Manifests are a file or a folder; of all that is in there the namespaces, CustomResourceDefinitions
and ConfigMaps are applied. There are no webhooks. Workers are as many as taskmill has, and the
requests a second as many as the Job controller may make.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from bench.contenders import Contender
from bench.lab import ON_KWOK, QPS, Lab, say
from cluster.flows import Account
from cluster.handle import Handle
from e2e.user import IMAGE
from taskmill.kube.client import Resource
from taskmill.reconcile.engine import WORKERS

# It wants a name for each; on a node that is played nobody pulls them.
_TEKTON_IMAGES = (
    "entrypoint-image",
    "sidecarlogresults-image",
    "nop-image",
    "shell-image",
    "shell-image-win",
    "workingdirinit-image",
)
_KINDS = ("Namespace", "CustomResourceDefinition", "ConfigMap")


class _Peer:
    """A controller that is one program, under an account of its own that may do anything."""

    name: str
    resource: Resource
    namespace: str
    pod_label: str
    container = "main"

    def __init__(self, lab: Lab, variable: str) -> None:
        self._lab = lab
        self._program = Path(os.environ[variable])
        self._manifests = Path(os.environ[f"{variable}_MANIFESTS"])
        self._version = os.environ.get(f"{variable}_VERSION", "of unknown version")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def account(self) -> Account:
        return Account(self.namespace, f"bench-{self.namespace}")

    @property
    def told(self) -> str:
        return f"{self._version}, one replica without its webhooks, `{' '.join(self._flags())}`"

    def install(self) -> None:
        _apply(self._lab.handle, _documents(self._manifests))
        self._lab.handle.apply(*self._objects())
        self._lab.give_all_rights(*self.account)

    async def start(self) -> float:
        self._spawn(self._lab.kubeconfig(*self.account))
        # When it acts is not told; the first runs do not count.
        return 0.0

    def _spawn(self, kubeconfig: Path) -> None:
        with (self._lab.folder / f"{self.namespace}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._program), *self._flags(), f"--kubeconfig={kubeconfig}"],
                env={**os.environ, **self._environment()},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self._lab.folder,
            )

    def stop(self) -> None:
        if process := self._process:
            self._process = None
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def run_of(self, child: dict[str, Any]) -> str:
        return str(child["metadata"]["labels"][self.pod_label])

    def _objects(self) -> list[dict[str, Any]]:
        namespace = {"name": self.namespace}
        return [{"apiVersion": "v1", "kind": "Namespace", "metadata": namespace}]

    def _flags(self) -> list[str]:
        raise NotImplementedError

    def _environment(self) -> dict[str, str]:
        raise NotImplementedError


class Argo(_Peer):
    """Argo Workflows."""

    name = "Argo"
    resource = Resource("argoproj.io", "v1alpha1", "workflows")
    namespace = "argo"
    pod_label = "workflows.argoproj.io/workflow"

    def manifest(self, name: str) -> dict[str, Any]:
        main = {"name": "main", "container": {"image": IMAGE, "command": ["true"]}}
        return {
            "apiVersion": self.resource.api_version,
            "kind": "Workflow",
            "metadata": {"name": name},
            "spec": {"entrypoint": "main", "templates": [main], **ON_KWOK},
        }

    def ended(self, raw: dict[str, Any]) -> bool:
        return raw.get("status", {}).get("phase") in ("Succeeded", "Failed", "Error")

    def _objects(self) -> list[dict[str, Any]]:
        where = {"name": "workflow-controller-configmap", "namespace": self.namespace}
        return [*super()._objects(), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": where}]

    def _flags(self) -> list[str]:
        return [
            f"--qps={QPS}",
            f"--burst={2 * QPS}",
            f"--workflow-workers={WORKERS}",
            "--executor-image=argoexec",
        ]

    def _environment(self) -> dict[str, str]:
        return {"LEADER_ELECTION_DISABLE": "true"}


class Tekton(_Peer):
    """Tekton Pipelines, a TaskRun."""

    name = "Tekton"
    resource = Resource("tekton.dev", "v1", "taskruns")
    namespace = "tekton-pipelines"
    pod_label = "tekton.dev/taskRun"
    container = "step-main"

    def manifest(self, name: str) -> dict[str, Any]:
        step = {"name": "main", "image": IMAGE, "command": ["true"]}
        return {
            "apiVersion": self.resource.api_version,
            "kind": "TaskRun",
            "metadata": {"name": name},
            "spec": {"taskSpec": {"steps": [step]}, "podTemplate": ON_KWOK},
        }

    def ended(self, raw: dict[str, Any]) -> bool:
        conditions = raw.get("status", {}).get("conditions") or ()
        return any(c["type"] == "Succeeded" and c["status"] != "Unknown" for c in conditions)

    def _flags(self) -> list[str]:
        return [
            # It takes them twice.
            f"--kube-api-qps={QPS // 2}",
            f"--kube-api-burst={QPS}",
            f"--threads-per-controller={WORKERS}",
            "--disable-ha",
            *(f"--{image}=none" for image in _TEKTON_IMAGES),
        ]

    def _environment(self) -> dict[str, str]:
        return {
            "SYSTEM_NAMESPACE": self.namespace,
            "CONFIG_LOGGING_NAME": "config-logging",
            "CONFIG_OBSERVABILITY_NAME": "config-observability",
            "CONFIG_LEADERELECTION_NAME": "config-leader-election-controller",
            "METRICS_DOMAIN": "tekton.dev/pipeline",
        }


_PEERS: tuple[type[Argo | Tekton], ...] = (Argo, Tekton)


def peers(lab: Lab) -> list[Contender]:
    """Those whose programs are given."""
    found: list[Contender] = []
    for peer in _PEERS:
        variable = f"TASKMILL_BENCH_{peer.name.upper()}"
        if os.environ.get(variable):
            found.append(peer(lab, variable))
        else:
            say(f"{peer.name} does not take part: {variable} is not set")
    return found


def _documents(manifests: Path) -> Iterator[dict[str, Any]]:
    files = sorted(manifests.rglob("*.yaml")) if manifests.is_dir() else [manifests]
    for file in files:
        for document in yaml.safe_load_all(file.read_text()):
            if document and document.get("kind") in _KINDS:
                yield document


def _apply(cluster: Handle, documents: Iterator[dict[str, Any]]) -> None:
    # Namespaces first, for what is in them.
    ordered = sorted(documents, key=lambda one: _KINDS.index(one["kind"]))
    cluster.apply(*ordered)
    crds = [f"crd/{o['metadata']['name']}" for o in ordered if o["kind"] == _KINDS[1]]
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", *crds)
