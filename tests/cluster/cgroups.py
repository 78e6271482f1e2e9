"""The cgroup below which a cluster's pods live, on cgroup v1, v2 and both at once."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from pathlib import Path

from cluster.process import ClusterError

_NEEDED = ("cpu", "cpuset", "memory", "pids")
_WANTED = ("hugetlb", "io")


def hierarchies(mounts: Path = Path("/proc/self/mountinfo")) -> Iterator[tuple[Path, bool]]:
    """Where cgroups are mounted, and whether that is a v2 tree. A hybrid has both."""
    for line in mounts.read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind = after.split()[0]
        if kind in {"cgroup", "cgroup2"}:
            yield Path(before.split()[4]), kind == "cgroup2"


def create(name: str) -> None:
    """Makes the cgroup in every hierarchy: the kubelet wants to find it, not to make it."""
    found = list(hierarchies())
    if not found:
        raise ClusterError("no cgroups are mounted on this machine (see /sys/fs/cgroup)")
    for root, v2 in found:
        # In a hybrid the v2 tree is there for systemd and has no controllers: nothing to delegate.
        if v2 and len(found) == 1:
            delegate(root)
        (root / name).mkdir(exist_ok=True)
        if v2 and len(found) == 1:
            delegate(root / name)


def delegate(cgroup: Path) -> None:
    """Lets the children of a v2 cgroup be limited, too."""
    there = (cgroup / "cgroup.controllers").read_text().split()
    if missing := [name for name in _NEEDED if name not in there]:
        raise ClusterError(f"cgroup v2: {cgroup} has no controller {', '.join(missing)}")
    enabled = (cgroup / "cgroup.subtree_control").read_text().split()
    wanted = [name for name in (*_NEEDED, *_WANTED) if name in there and name not in enabled]
    if not wanted:
        return
    try:
        (cgroup / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in wanted))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        raise ClusterError(
            f"cgroup v2: {cgroup} holds processes of its own, so the controllers "
            f"{', '.join(wanted)} cannot be enabled below it; inside a container, start it with "
            "an init that moves itself into a child cgroup (Docker: --cgroupns=host)"
        ) from error


def remove(name: str, *, timeout: float = 10) -> None:
    """Removes the cgroup and all below it. Processes in it must have ended or be ending."""
    deadline = time.monotonic() + timeout
    for root, _ in hierarchies():
        top = root / name
        while top.exists():
            for cgroup in sorted((p for p in top.rglob("*") if p.is_dir()), reverse=True):
                _rmdir(cgroup)
            if _rmdir(top):
                break
            if time.monotonic() > deadline:
                raise ClusterError(f"cgroup {top} is still in use")
            time.sleep(0.05)


def _rmdir(cgroup: Path) -> bool:
    try:
        cgroup.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
