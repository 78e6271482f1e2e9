"""One way for a task to end, fail or hang: how it is brought about, and the sentence for it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cluster.handle import Handle
from cluster.local import LocalCluster
from e2e.user import User
from taskmill.plan.outputs import is_all_outputs

Json = dict[str, Any]
SENTENCE_BYTES = 1024
NAME = "run"
"""Of the execution; each case has a namespace of its own."""


class Scene(User):
    """The namespace of one case, and what can be done to what runs there."""

    def __init__(self, cluster: Handle, namespace: str, local: LocalCluster | None) -> None:
        super().__init__(cluster, namespace)
        self._local = local
        self.described = ""
        """What kubectl said of the Job while it waited."""
        self.undo = ExitStack()
        """What is to be taken back outside of the namespace."""

    def close(self) -> None:
        self.undo.close()
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")
        super().close()

    @property
    def local(self) -> LocalCluster:
        assert self._local is not None, "only on the local cluster"
        return self._local

    def running(self) -> Any:
        """The pod, once the execution runs."""
        self.phase(NAME, "Running", within=90)
        return self.pod()

    def pod(self) -> Any:
        """The pod, once there is one."""
        return self.wait(self.pods)[0]

    def job(self) -> Any:
        """The Job, once there is one."""
        return self.wait(self.jobs)[0]

    def status(self) -> Json:
        status: Json = self.execution(NAME).get("status", {})
        return status

    def told(self, reason: str, *, within: float = 60) -> Json:
        """The status, once it names this reason."""
        self.wait(lambda: self.status().get("reason") == reason, within=within)
        return self.status()

    def tells(self, message: str, *, within: float = 60) -> None:
        """Wait for a message that matches."""
        self.wait(lambda: matches(message, self.status().get("message", "")), within=within)

    def events(self) -> list[Json]:
        """The Events about the execution."""
        mine = f"involvedObject.uid={self.execution(NAME)['metadata']['uid']}"
        listed = self.core.list_namespaced_event(self.namespace, field_selector=mine).items
        return [{"type": e.type, "reason": e.reason, "message": e.message} for e in listed]

    def logs_behind_outputs(self) -> dict[str, str]:
        """The logs that say more than the termination message, by the uid of the pod."""
        return {
            pod.metadata.uid: self.core.read_namespaced_pod_log(
                pod.metadata.name, self.namespace, container="main", tail_lines=20
            )
            for pod in self.pods()
            for container in pod.status.container_statuses or ()
            if container.name == "main"
            and (ended := container.state.terminated)
            and ended.exit_code
            and is_all_outputs(ended.message or "")
        }

    def describe(self) -> None:
        """Keep what `kubectl describe job` says beyond its template, if there is a Job."""
        for job in self.jobs():
            text = self.kubectl("describe", "job", job.metadata.name, check=False)
            kept, inside = [], False
            for line in text.splitlines():
                if not line.startswith(" "):
                    inside = line.startswith(("Pods Statuses", "Conditions", "Events"))
                if inside:
                    kept.append(line.rstrip())
            self.described = "\n".join(kept)

    def stop(self) -> None:
        self.patch("taskexecutions", NAME, {"spec": {"desiredPhase": "Stopped"}})


Act = Callable[[Scene], None]


def nothing(_: Scene) -> None:
    """Nothing has to be done."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """In `sentence` and `waits` a `*` stands for what differs from run to run."""

    title: str
    runs: Json
    """What runs, and its clocks."""
    phase: str = "Failed"
    reason: str | None = None
    sentence: str = ""
    """The failureMessage."""
    waits: tuple[str, str] | None = None
    """Reason and message that are told before it ends."""
    given: Act = nothing
    """What is there before."""
    then: Act = nothing
    """What happens once it has been applied."""
    deadline: float | None = None
    """Seconds from now."""
    within: float = 60
    """Seconds it may take at most."""
    labels: dict[str, str] = field(default_factory=dict)
    """Of its namespace."""

    def __str__(self) -> str:
        return self.title.replace(" ", "-")

    def execution(self) -> Json:
        # Once: it is the first attempt that is looked at.
        runs = {"infraRetries": 0, **self.runs}
        spec: Json = {"plan": [{"id": "main", "task": runs}]}
        if self.deadline is not None:
            at = datetime.now(UTC) + timedelta(seconds=self.deadline)
            spec["deadline"] = at.isoformat(timespec="milliseconds")
        return {
            "apiVersion": "taskmill.dev/v1alpha1",
            "kind": "TaskExecution",
            "metadata": {"name": NAME},
            "spec": spec,
        }


def matches(pattern: str, text: str) -> bool:
    """Whether the text is the pattern, its stars standing for anything."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None


def scene_on(cluster: Handle, local: LocalCluster | None) -> Scene:
    """A namespace of its own, ready for pods; `close` deletes it."""
    namespace = f"case-{uuid.uuid4().hex[:10]}"
    cluster.kubectl("create", "namespace", namespace)
    scene = Scene(cluster, namespace, local)
    scene.wait(lambda: cluster.get("serviceaccount", "default", namespace))
    return scene


def play(case: Case, scene: Scene) -> None:
    """Bring it about; it has its verdict afterwards."""
    if case.labels:
        scene.core.patch_namespace(scene.namespace, {"metadata": {"labels": case.labels}})
    case.given(scene)
    scene.apply(case.execution())
    if case.waits:
        reason, message = case.waits
        scene.wait(
            lambda: (
                (s := scene.status()).get("reason") == (reason or None)
                and matches(message, s.get("message", ""))
            ),
            within=case.within,
        )
        scene.describe()
    case.then(scene)
    scene.end(NAME, within=case.within)


def verdict(case: Case, scene: Scene) -> Json:
    """The status, and the Events that tell of it."""
    status = scene.status()
    if case.phase == "Failed":
        scene.wait(lambda: status["failureMessage"] in [e["message"] for e in scene.events()])
    return status | {"events": scene.events()}


def check(case: Case, told: Json) -> None:
    """It is what it should be, in one sentence."""
    said = told.get("failureMessage", "")
    assert (told["phase"], told.get("reason"), said) == (case.phase, case.reason, said)
    assert matches(case.sentence, said), said
    assert len(said.encode()) <= SENTENCE_BYTES
    if case.phase == "Failed":
        assert {"type": "Warning", "reason": case.reason, "message": said} in told["events"]
    else:
        # Waiting for something refused is told, and a failed attempt; a success is not.
        told_of = {(case.waits or ("",))[0], *(a["reason"] for a in told.get("attempts", ()))}
        assert {event["reason"] for event in told["events"]} <= told_of
