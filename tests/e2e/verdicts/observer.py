"""What the API server told while a case was played, to be kept and played again without it."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kubernetes
import urllib3

from cluster.handle import Handle
from e2e.verdicts.case import Case, Json, Scene
from taskmill.reconcile.merge import merge_patch

RECORDED = Path(__file__).with_name("recorded")
OURS = "taskmill.dev/execution-uid"
FINISHED_WITHIN = 5
"""Seconds until a Job has its condition."""


def recording() -> bool:
    """Whether somebody asked for a record."""
    return bool(os.environ.get("TASKMILL_RECORD"))


class Observer:
    """Watches the whole cluster until the process ends, and keeps what it sees by namespace."""

    def __init__(self, cluster: Handle) -> None:
        self._moments: dict[str, list[Json]] = defaultdict(list)
        self._known: dict[tuple[str, str, str], Json] = {}
        self._lock = threading.Lock()
        self._gone = False
        api = kubernetes.config.new_client_from_config(str(cluster.kubeconfig))
        core, batch = kubernetes.client.CoreV1Api(api), kubernetes.client.BatchV1Api(api)
        custom = kubernetes.client.CustomObjectsApi(api)
        ours = ("taskmill.dev", "v1alpha1", "taskexecutions")
        self._watch("Job", batch.list_job_for_all_namespaces, label_selector=OURS)
        self._watch("Pod", core.list_pod_for_all_namespaces, label_selector=OURS)
        self._watch("Event", core.list_event_for_all_namespaces)
        self._watch(
            "TaskExecution", lambda **more: custom.list_cluster_custom_object(*ours, **more)
        )

    def _watch(self, kind: str, listed: Callable[..., Any], **selector: str) -> None:
        def run() -> None:
            # Until the cluster is gone.
            while not self._gone:
                stream = kubernetes.watch.Watch().stream(listed, timeout_seconds=3600, **selector)
                try:
                    for event in stream:
                        self._saw(kind, event["type"], event["raw_object"])
                except urllib3.exceptions.HTTPError:
                    self._gone = True

        threading.Thread(target=run, daemon=True).start()

    def _saw(self, kind: str, how: str, raw: Json) -> None:
        meta = raw["metadata"]
        if kind == "Event" and raw.get("source", {}).get("component") == "taskmill":
            return
        with self._lock:
            key = (kind, meta["namespace"], meta["uid"])
            new = {} if how == "DELETED" and key not in self._known else _reduced(kind, raw)
            patch = merge_patch(self._known.get(key, {}), new)
            self._known[key] = new
            moment: Json = {"at": _now(), "kind": kind, "uid": meta["uid"], "patch": patch}
            if how == "DELETED":
                moment["deleted"] = True
            elif not patch:
                return
            self._moments[meta["namespace"]].append(moment)

    def keep(self, case: Case, scene: Scene) -> None:
        """Write the case's fixture anew."""
        time.sleep(0.5)  # what is under way still belongs to it
        if not scene.described:
            for _ in range(FINISHED_WITHIN):
                if all(job.status.conditions for job in scene.jobs()):
                    break
                time.sleep(1)
            scene.describe()
        RECORDED.mkdir(exist_ok=True)
        with self._lock:
            moments = list(self._moments[scene.namespace])
        fixture = {
            "title": case.title,
            "logs": scene.logs_behind_outputs(),
            "status": scene.status(),
            "describe": scene.described,
            "moments": moments,
        }
        lines = [
            f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
            for key, value in fixture.items()
            if key != "moments"
        ]
        told = ",\n".join(f"  {json.dumps(m, ensure_ascii=False)}" for m in moments)
        lines.append(f' "moments": [\n{told}\n ]')
        text = "{\n" + ",\n".join(lines) + "\n}\n"
        (RECORDED / f"{case}.json").write_text(text.replace(scene.namespace, "team"))


DULL = {
    "apiVersion", "kind", "managedFields", "resourceVersion", "selfLink", "annotations",
    "image", "imageID", "containerID", "volumeMounts", "podIP", "podIPs", "hostIP", "hostIPs",
    "reportingComponent", "reportingInstance", "lastProbeTime", "observedGeneration",
    "dnsPolicy", "schedulerName", "enableServiceLinks", "qosClass", "allocatedResources",
    "uncountedTerminatedPods", "tolerations", "terminationMessagePath",
}  # fmt: skip
"""Fields that tell nothing about how something went."""


def _reduced(kind: str, raw: Json) -> Json:
    if kind != "TaskExecution":
        reduced: Json = _without_dull(raw)
        return reduced
    # What was asked for, whole. Its status is the operator's, who is to decide it again.
    return {"metadata": _without_dull(raw["metadata"]), "spec": raw["spec"]}


def _without_dull(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_dull(v) for key, v in value.items() if key not in DULL}
    return [_without_dull(item) for item in value] if isinstance(value, list) else value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
