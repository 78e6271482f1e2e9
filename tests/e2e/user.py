"""What a user does in one namespace, through the official client: an independent witness."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import kubernetes

from cluster.handle import Handle

GROUP, VERSION = "taskmill.dev", "v1alpha1"
IMAGE = "docker.io/library/busybox:latest"
FINAL = ("Succeeded", "Failed", "Stopped")
T = TypeVar("T")


def run_spec(script: str | None = None, **fields: Any) -> dict[str, Any]:
    """What runs, in busybox."""
    given = {} if script is None else {"script": script}
    return {"image": IMAGE, "imagePullPolicy": "IfNotPresent", **given, **fields}


def with_last_words(script: str) -> str:
    """`script`, which stays a second longer when it ends.

    A busy container runtime copies what was printed last into the log after it told of the end,
    and the kubelet takes the last line from there, once.
    """
    return f"trap 'sleep 1' EXIT; {script}"


def task(name: str, script: str | None = None, **fields: Any) -> dict[str, Any]:
    """A Task."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Task",
        "metadata": {"name": name},
        "spec": run_spec(script, **fields),
    }


def execution(name: str, runs: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A TaskExecution; with `runs`, of an inline plan of the one step `main`."""
    plan = {"plan": [{"id": "main", "task": runs}]} if runs else {}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "TaskExecution",
        "metadata": {"name": name},
        "spec": {**plan, **spec},
    }


def condition(obj: dict[str, Any], kind: str) -> dict[str, Any]:
    """The condition of that type; {} when there is none."""
    conditions = obj.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind), {})


class User:
    """A person at work in one namespace."""

    def __init__(self, cluster: Handle, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        api = kubernetes.config.new_client_from_config(str(cluster.kubeconfig))
        self._api = api
        self.custom = kubernetes.client.CustomObjectsApi(api)
        self.core = kubernetes.client.CoreV1Api(api)
        self.batch = kubernetes.client.BatchV1Api(api)

    def close(self) -> None:
        self._api.close()

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True) -> str:
        """What `kubectl` prints."""
        done = self.cluster.kubectl("-n", self.namespace, *args, stdin=stdin, check=check)
        return done.stdout + done.stderr

    def apply(self, *objects: dict[str, Any]) -> None:
        self.cluster.apply(
            *({**o, "metadata": {"namespace": self.namespace, **o["metadata"]}} for o in objects)
        )

    def patch(self, plural: str, name: str, body: dict[str, Any]) -> None:
        self.custom.patch_namespaced_custom_object(
            GROUP, VERSION, self.namespace, plural, name, body
        )

    def tasks(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.custom.get_namespaced_custom_object(
            GROUP, VERSION, self.namespace, "tasks", name
        )
        return found

    def execution(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.custom.get_namespaced_custom_object(
            GROUP, VERSION, self.namespace, "taskexecutions", name
        )
        return found

    def executions(self, of: str | None = None) -> list[dict[str, Any]]:
        """All, or those of one Task; oldest first."""
        listed = self.custom.list_namespaced_custom_object(
            GROUP, VERSION, self.namespace, "taskexecutions"
        )["items"]
        mine = [e for e in listed if of is None or e["spec"].get("taskRef", {}).get("name") == of]
        # Several may be made in one second.
        return sorted(
            mine,
            key=lambda e: (
                e["metadata"]["creationTimestamp"],
                e["spec"].get("taskRef", {}).get("generation", 0),
            ),
        )

    def jobs(self) -> list[Any]:
        return list(self.batch.list_namespaced_job(self.namespace).items)

    def pods(self) -> list[Any]:
        return list(self.core.list_namespaced_pod(self.namespace).items)

    def wait(self, what: Callable[[], T], *, within: float = 60.0) -> T:
        """The first true answer."""
        deadline = time.monotonic() + within
        while not (answer := what()):
            assert time.monotonic() < deadline, f"not within {within} s; last answer {answer!r}"
            time.sleep(0.1)
        return answer

    def phase(self, name: str, *phases: str, within: float = 60.0) -> dict[str, Any]:
        """The execution once it is in one of these phases."""
        deadline = time.monotonic() + within
        while True:
            seen = self.execution(name)
            if seen.get("status", {}).get("phase") in phases:
                return seen
            assert time.monotonic() < deadline, f"{name} not {phases}: {seen.get('status')}"
            time.sleep(0.1)

    def end(self, name: str, *, within: float = 60.0) -> dict[str, Any]:
        """The execution once it has a verdict."""
        return self.phase(name, *FINAL, within=within)

    def end_of(self, name: str, *, runs: int = 1, within: float = 60.0) -> dict[str, Any]:
        """The newest execution of a Task that has had that many, once it has a verdict."""
        self.wait(lambda: len(self.executions(name)) >= runs, within=within)
        return self.end(self.executions(name)[-1]["metadata"]["name"], within=within)
