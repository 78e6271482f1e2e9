"""Installed with one command, it runs what is asked of it, in a container that can do little."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from cluster.handle import Handle
from cluster.process import wait_for
from e2e.incluster import world
from e2e.incluster.world import MANIFESTS, OURS
from e2e.install import SYSTEM
from e2e.user import User

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

SEED = yaml.safe_load((MANIFESTS / "samples" / "tutorial.yaml").read_text())
PROBE = """
import errno, json, os
def refusal(path):
    try:
        open(path, "w").close()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "none"
lines = open("/proc/1/status").read().splitlines()
status = dict(line.split(":\\t") for line in lines if ":\\t" in line)
print(json.dumps({
    "ids": [os.getuid(), os.getgid()],
    "root": refusal("/x"),
    "home": refusal("/usr/local/lib/python3.11/dist-packages/taskmill/x"),
    "tmp": refusal("/tmp/x"),
    "shells": [p for p in ("/bin/sh", "/bin/bash", "/usr/bin/dash") if os.path.exists(p)],
    **{name: status[name] for name in ("CapEff", "NoNewPrivs", "Seccomp")},
}))
"""


def test_the_seeds_task_succeeds(installed: Handle, user: User) -> None:
    user.apply(SEED)
    ended = user.end_of("tutorial")
    assert ended["status"]["phase"] == "Succeeded"
    (pod,) = user.pods()
    assert "/usr" in user.kubectl("logs", pod.metadata.name)


def probe(cluster: Handle) -> dict[str, Any]:
    """What the operator's own container may do, asked within it."""
    python = ("/usr/bin/python3.11", "-I", "-c", PROBE)
    told: dict[str, Any] = json.loads(
        cluster.kubectl("-n", SYSTEM, "exec", OURS, "--", *python).stdout
    )
    return told


def test_its_container_writes_nowhere_is_not_root_and_has_no_shell(installed: Handle) -> None:
    assert probe(installed) == {
        "ids": [65532, 65532],
        "root": "EROFS",
        "home": "EROFS",
        "tmp": "EROFS",
        "shells": [],
        "CapEff": "0000000000000000",
        "NoNewPrivs": "1",
        "Seccomp": "2",
    }


def test_it_is_installed_again_without_any_change(installed: Handle) -> None:
    former = world.operators(installed)
    world.install(installed)
    assert world.operators(installed) == former


def test_its_metrics_are_found_by_the_service_that_is_scraped(installed: Handle) -> None:
    world.overlay(installed, "monitoring")
    try:
        slices = wait_for(lambda: _endpoints(installed), "the Service to have a pod", timeout=30)
        (uid,) = {target["targetRef"]["uid"] for found in slices for target in found["endpoints"]}
        pod = world.operators(installed)[uid]
        path = f"/api/v1/namespaces/{SYSTEM}/pods/{pod}:8080/proxy/metrics"
        assert "taskmill_leader 1.0" in installed.kubectl("get", "--raw", path).stdout
    finally:
        installed.kubectl("delete", "-k", str(MANIFESTS / "monitoring"))


def _endpoints(cluster: Handle) -> list[dict[str, Any]]:
    service = "kubernetes.io/service-name=taskmill-operator-metrics"
    told = cluster.kubectl(
        "-n", SYSTEM, "get", "endpointslices", "-l", service, "-o", "json"
    ).stdout
    return [found for found in json.loads(told)["items"] if found.get("endpoints")]


@pytest.mark.parametrize("name", ["networkpolicy", "flowcontrol"])
def test_the_api_server_takes_what_is_optional(name: str, installed: Handle) -> None:
    strict = ("--server-side", "--dry-run=server", "--validate=strict")
    installed.kubectl("apply", *strict, "-k", str(MANIFESTS / name))
