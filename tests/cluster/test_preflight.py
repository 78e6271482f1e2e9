"""What people are told when the local cluster cannot run; none of this needs one."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

import pytest

from cluster import cgroups, preflight
from cluster.local import LocalCluster
from cluster.process import ClusterError, Process, wait_for


def complaint() -> str:
    with pytest.raises(ClusterError) as caught:
        preflight.check()
    return str(caught.value)


def without(monkeypatch: pytest.MonkeyPatch, *programs: str) -> None:
    which = shutil.which
    monkeypatch.setattr(
        shutil,
        "which",
        lambda name, path=None: None if name in programs else which(name, path=path),
    )


def test_another_system_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert "It needs Linux, and this is Darwin" in complaint()


def test_root_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "It needs root" in complaint()


def test_a_missing_capability_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(preflight, "_capabilities", lambda: 0)
    assert "CAP_SYS_ADMIN" in complaint()


def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "go", "kubectl", "ctr", "conntrack")
    told = complaint()
    assert "It needs Go 1.26 or newer" in told
    assert "It needs kubectl" in told
    assert "apt-get install -y --no-install-recommends conntrack containerd" in told


def test_an_old_compiler_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho go version go1.19.8 linux/amd64\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert f"or newer, and {go} says: go version go1.19.8" in complaint()


def test_a_missing_filesystem_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "_has_overlay", lambda: False)
    assert "overlay" in complaint()


def test_somebody_elses_address_is_refused() -> None:
    with pytest.raises(ClusterError, match=r"the address 127\.0\.0\.1 .* is in use: lo has"):
        preflight.check_address("127.0.0.1", "taskmill0")


def test_another_checkouts_cluster_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TASKMILL_CLUSTER_DIR", str(tmp_path))
    cluster = LocalCluster(96)
    cluster.folder.mkdir()
    (cluster.folder / "settings.json").write_text('{"checkout": "/somewhere/else"}')
    process = Process.observe(os.getpid())
    assert process is not None
    process.record(cluster.folder / "init.json")
    for command in (cluster.up, cluster.down):
        with pytest.raises(ClusterError, match="started from another checkout, /somewhere/else"):
            command()


def test_a_process_id_that_was_used_again_is_not_signalled(tmp_path: Path) -> None:
    now = Process.observe(os.getpid())
    assert now is not None
    assert now.alive
    before = Process(now.pid, now.started - 1)
    before.record(tmp_path / "record")
    assert Process.recorded(tmp_path / "record") == before
    assert not before.alive
    before.stop()  # had it been signalled, this test would not go on


def test_waiting_ends_with_what_the_log_says(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("first\nno space left on device\n")
    with pytest.raises(ClusterError, match=r"(?s)waited 0.1 s for x;.*no space left on device"):
        wait_for(lambda: None, "x", timeout=0.1, log=log)


def test_version_two_cgroups_are_delegated(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids rdma\n")
    (tmp_path / "cgroup.subtree_control").write_text("memory pids\n")
    cgroups.delegate(tmp_path)
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +cpuset +hugetlb +io"
    (tmp_path / "cgroup.controllers").write_text("memory pids\n")
    with pytest.raises(ClusterError, match="has no controller cpu, cpuset"):
        cgroups.delegate(tmp_path)


def test_mounted_cgroups_are_told_apart(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "30 25 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
        "31 25 0:27 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n"
        "32 25 0:28 / /tmp rw - tmpfs tmpfs rw\n"
    )
    assert [(str(root), v2) for root, v2 in cgroups.hierarchies(mounts)] == [
        ("/sys/fs/cgroup/memory", False),
        ("/sys/fs/cgroup/unified", True),
    ]
