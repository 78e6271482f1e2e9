"""What the cluster itself promises to the tests that run on it."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from cluster import build, images
from cluster.components import NODE
from cluster.handle import Handle, KubectlError
from cluster.local import LocalCluster
from cluster.process import wait_for

pytestmark = pytest.mark.cluster


def pod(name: str, image: str, *command: str, **spec: Any) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "main", "image": image}
    if command:
        container["command"] = list(command)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"restartPolicy": "Never", "containers": [container]} | spec,
    }


def run(cluster: Handle, namespace: str, body: dict[str, Any]) -> None:
    body["metadata"]["namespace"] = namespace
    cluster.apply(body)


def finished(cluster: Handle, namespace: str, name: str, phase: str = "Succeeded") -> str:
    """Waits for the pod's end and returns its log."""
    cluster.kubectl(
        "wait", f"pod/{name}", f"--namespace={namespace}",
        f"--for=jsonpath={{.status.phase}}={phase}", "--timeout=30s",
    )  # fmt: skip
    return cluster.kubectl("logs", name, f"--namespace={namespace}").stdout


def waiting_reason(cluster: Handle, namespace: str, name: str) -> str:
    found = cluster.get("pod", name, namespace)
    statuses = found["status"].get("containerStatuses", []) if found else []
    return statuses[0]["state"].get("waiting", {}).get("reason", "") if statuses else ""


def test_the_node_is_ready(local_cluster: LocalCluster) -> None:
    node = local_cluster.handle.get("node", NODE)
    assert node is not None
    assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.36.4"
    versions = json.loads(local_cluster.handle.kubectl("version", "-o", "json").stdout)
    assert versions["serverVersion"]["gitVersion"] == "v1.36.4"
    assert all(part.well for part in local_cluster.parts())


def test_starting_a_running_cluster_changes_nothing(local_cluster: LocalCluster) -> None:
    before = list(local_cluster.parts())
    assert not local_cluster.up(local_cluster.settings)
    assert list(local_cluster.parts()) == before


def test_a_pod_runs_to_its_end(cluster: Handle, namespace: str) -> None:
    run(cluster, namespace, pod("hello", "busybox:1.36", "echo", "hello"))
    assert finished(cluster, namespace, "hello") == "hello\n"


def test_ubuntu_latest_is_pulled_and_has_a_real_bash(cluster: Handle, namespace: str) -> None:
    script = 'ls && du /usr && echo "$BASH_VERSION" && cat /etc/passwd && sh -c "echo from dash"'
    run(cluster, namespace, pod("ubuntu", "ubuntu:latest", "/bin/bash", "-c", script))
    told = finished(cluster, namespace, "ubuntu")
    created = cluster.get("pod", "ubuntu", namespace)
    assert created is not None
    assert created["spec"]["containers"][0]["imagePullPolicy"] == "Always"
    assert {"bin", "etc", "home", "usr"} <= set(told.split())
    assert re.search(r"^\d{4,}\t/usr$", told, re.MULTILINE)
    assert re.search(r"^\d+\.\d+\.\d+", told, re.MULTILINE)
    assert "root:x:0:0:" in told
    assert "from dash" in told


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("nowhere-to-be-found", "not found"),
        ("docker.io/private/tool:1", "pull access denied"),
        ("registry.invalid/x", "lookup registry.invalid"),
    ],
)
def test_a_pull_that_cannot_work_fails_at_once(
    local_cluster: LocalCluster, namespace: str, image: str, message: str
) -> None:
    cluster = local_cluster.handle
    run(cluster, namespace, pod("stuck", image))
    began = time.monotonic()
    wait_for(
        lambda: waiting_reason(cluster, namespace, "stuck") in {"ErrImagePull", "ImagePullBackOff"},
        "the pull to fail",
        timeout=15,
    )
    assert time.monotonic() - began < 10

    def told() -> str:
        where = f"--namespace={namespace}"
        events = cluster.kubectl("get", "events", where, "-o", "jsonpath={.items[*].message}")
        return events.stdout if message in events.stdout else ""

    assert wait_for(told, f"an event that says {message!r}", timeout=10)


def test_nothing_leaves_the_machine_and_this_machine_is_reached(
    local_cluster: LocalCluster, namespace: str
) -> None:
    host = local_cluster.sandbox.host_address
    # By number, TCP and at once; by name; to a Service that nobody serves; to one that is served.
    script = f"""
        try() {{ timeout 5 bash -c "exec 3<>/dev/tcp/$1" 2>&1; echo "$1: $?"; }}
        try 192.0.2.1/80; try example.com/80; try 10.96.0.77/80; try 10.96.0.1/443
        try {host}/1; echo "took $SECONDS"
    """
    run(local_cluster.handle, namespace, pod("out", "ubuntu", "/bin/bash", "-c", script))
    told = finished(local_cluster.handle, namespace, "out")
    assert re.search(r"unreachable\n.*192\.0\.2\.1/80: 1$", told, re.DOTALL | re.MULTILINE), told
    assert "example.com/80: 1\n" in told, told
    assert "10.96.0.77/80: 1\n" in told, told
    assert "10.96.0.1/443: 0\n" in told, told
    # Refused by this machine's own kernel, so it got there.
    assert re.search(rf"{host}/1: Connection refused", told), told
    assert int(told.split()[-1]) <= 5, told


def test_blocking_an_owners_deletion_needs_a_right_to_it(cluster: Handle, namespace: str) -> None:
    where = f"--namespace={namespace}"
    cluster.kubectl("create", "serviceaccount", "clerk", where)
    account = f"--serviceaccount={namespace}:clerk"
    cluster.kubectl("create", "role", "clerk", where, "--verb=create", "--resource=secrets")
    cluster.kubectl("create", "rolebinding", "clerk", where, "--role=clerk", account)
    template = {"spec": pod("x", "busybox")["spec"]}
    cluster.apply(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "owner", "namespace": namespace},
            "spec": {"suspend": True, "template": template},
        }
    )
    owner = cluster.get("job", "owner", namespace)
    assert owner is not None
    reference = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": "owner",
        "uid": owner["metadata"]["uid"],
        "blockOwnerDeletion": True,
    }
    owned = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "owned", "namespace": namespace, "ownerReferences": [reference]},
    }
    clerk = f"--as=system:serviceaccount:{namespace}:clerk"
    with pytest.raises(KubectlError, match="cannot set blockOwnerDeletion"):
        cluster.kubectl("create", clerk, "-f", "-", stdin=json.dumps(owned))
    del reference["blockOwnerDeletion"]
    cluster.kubectl("create", clerk, "-f", "-", stdin=json.dumps(owned))


def test_metrics_are_the_administrators_to_read(cluster: Handle) -> None:
    assert "apiserver_request_total{" in cluster.kubectl("get", "--raw", "/metrics").stdout


def test_jobs_on_fake_nodes_complete(local_cluster: LocalCluster, namespace: str) -> None:
    local_cluster.kwok(2)
    cluster = local_cluster.handle
    body = pod("x", "no/such:image")["spec"] | {
        "nodeSelector": {"type": "kwok"},
        "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
    }
    names = [f"fake-{number}" for number in range(20)]
    cluster.apply(
        *(
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"template": {"spec": body}},
            }
            for name in names
        )
    )
    where = f"--namespace={namespace}"
    jobs = [f"job/{name}" for name in names]
    cluster.kubectl("wait", *jobs, where, "--for=condition=Complete", "--timeout=60s")
    pods = cluster.kubectl("get", "pods", where, "-o", "jsonpath={.items[*].spec.nodeName}").stdout
    assert all(name.startswith("kwok-") for name in pods.split())


def test_no_pod_lands_on_a_fake_node_by_chance(local_cluster: LocalCluster, namespace: str) -> None:
    local_cluster.kwok(1)
    run(local_cluster.handle, namespace, pod("real", "busybox", "true"))
    finished(local_cluster.handle, namespace, "real")
    found = local_cluster.handle.get("pod", "real", namespace)
    assert found is not None
    assert found["spec"]["nodeName"] == NODE


def test_an_image_of_ones_own_is_pulled_by_its_name(
    local_cluster: LocalCluster, namespace: str, tmp_path: Any
) -> None:
    image = images.pause(build.PAUSE.binary)
    image = images.Image(("example.test/team/own:1",), image.tree, image.command)
    assert local_cluster.load(image.write(tmp_path / "own.tar")) == ["example.test/team/own:1"]
    run(local_cluster.handle, namespace, pod("own", "example.test/team/own:1"))
    local_cluster.handle.kubectl(
        "wait", "pod/own", f"--namespace={namespace}", "--for=condition=Ready", "--timeout=30s"
    )


def test_an_image_is_the_same_bytes_each_time(tmp_path: Any) -> None:
    first, second = (images.ubuntu().write(tmp_path / name) for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


def test_a_component_can_be_lost_and_comes_back(local_cluster: LocalCluster) -> None:
    local_cluster.stop("scheduler")
    assert [part.name for part in local_cluster.parts() if not part.well] == ["scheduler"]
    local_cluster.restart("scheduler")
    assert all(part.well for part in local_cluster.parts())


def test_the_kinds_of_the_project_are_established(cluster: Handle, crds: list[str]) -> None:
    for name in crds:
        assert cluster.get("crd", name) is not None
