"""Two clusters come and go beside each other, and the machine is as it was before.

Other programs start processes and open links on any machine all the time, so this happens in a
machine within the machine: with processes, network, mounts and a /run of its own, in which
nothing but the clusters lives. Run as a program, this file does the work in there.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import cgroups
from cluster.local import LocalCluster
from cluster.process import ClusterError, wait_for
from cluster.settings import Settings

FIRST, SECOND = 97, 98
POD = """{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "busy"}, "spec": {"containers": [
    {"name": "main", "image": "busybox", "command": ["sleep", "3600"]}]}}"""
SETTINGS = (
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/route_localnet",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)
# Where a cluster that is less careful makes folders; what is in them may be another one's.
SHARED = ("/etc", "/etc/cni", "/opt", "/usr/libexec", "/var/lib", "/var/log")
OWN = (Path("/run"), Path(os.environ.get("TMPDIR", "/tmp")))


@pytest.mark.cluster
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("local_cluster")
def test_clusters_leave_nothing_behind(tmp_path: Path) -> None:
    world = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--net"]
    # The shell stays as the first process in there, to collect children that lost their parent.
    script = 'mount -t tmpfs tmpfs /run && "$0" "$@"; exit $?'
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [*world, "sh", "-c", script, sys.executable, __file__],
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ
        | {
            "PYTHONPATH": str(tests),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TASKMILL_CLUSTER_DIR": str(tmp_path / "clusters"),
            "TMPDIR": str(tmp_path),
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "left: {}", done.stdout


def main() -> None:
    before = traces()
    first, second = LocalCluster(FIRST), LocalCluster(SECOND)
    try:
        for cluster, settings in ((first, Settings()), (second, Settings(shutdown_grace=5))):
            assert cluster.up(settings)
            cluster.handle.kubectl("apply", "-f", "-", stdin=POD)
            cluster.handle.kubectl("wait", "pod/busy", "--for=condition=Ready", "--timeout=60s")
        second.kwok(1)
        during = traces()
        for kind in ("processes", "namespaces", "links", "cgroups", "files"):
            # What cannot see a cluster would not miss one either.
            assert during[kind] - before[kind], kind
        assert second.down()
        assert all(part.well for part in first.parts())
        pod = first.handle.get("pod", "busy", "default")
        assert pod is not None
        assert pod["status"]["phase"] == "Running"
    finally:
        first.down()
        second.down()

    def left() -> dict[str, list[str]]:
        found = {kind: sorted(now ^ before[kind]) for kind, now in traces().items()}
        return {kind: names for kind, names in found.items() if names}

    # The kernel takes a dead network apart in its own time.
    with contextlib.suppress(ClusterError):
        wait_for(lambda: not left(), "the kernel to tidy up", timeout=10)
    print("left:", json.dumps(left(), indent=1))


def traces() -> dict[str, set[str]]:
    """Everything that a cluster could leave its mark on."""
    return {
        "processes": set(_processes()),
        "mounts": set(Path("/proc/self/mountinfo").read_text().splitlines()),
        "namespaces": set(_lines("lsns", "--noheadings", "--output", "TYPE,NS")),
        "links": {line.split(":")[1].strip() for line in _lines("ip", "-o", "link")},
        "addresses": set(_lines("ip", "-o", "address")),
        "routes": set(_lines("ip", "route", "show", "table", "all")),
        "iptables": {line for line in _lines("iptables-save") if not line.startswith("#")},
        "cgroups": set(_cgroups()),
        "files": set(_files()),
        "settings": {f"{name}={_read(Path('/proc/sys', name))}" for name in SETTINGS},
    }


def _processes() -> Iterator[str]:
    """All but the shell and the one that looks."""
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) not in (1, os.getpid()):
            yield f"{folder.name} {_read(folder / 'comm')}"


def _cgroups() -> Iterator[str]:
    """Those of these two clusters; cgroups are the one thing that has no world of its own."""
    for root, _ in cgroups.hierarchies():
        for number in (FIRST, SECOND):
            yield from map(str, root.glob(f"**/taskmill-{number}"))


def _files() -> Iterator[str]:
    for folder in map(Path, SHARED):
        yield from map(str, folder.glob("*"))
    for folder in OWN:
        yield from map(str, folder.rglob("*"))


def _lines(*command: str) -> list[str]:
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    # Counters of packets are no traces, nor is the number of the process that looks.
    return [re.sub(r"\[\d+:\d+\]", "", line) for line in done.stdout.splitlines()]


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        return ""


if __name__ == "__main__":
    main()
