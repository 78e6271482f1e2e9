"""Says, in one sentence each, why the local cluster cannot run here."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from cluster.process import ClusterError

GO = (1, 26)
# Debian's package for each program that is needed from it.
_PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "/usr/lib/cni/host-local": "containernetworking-plugins",
    "/usr/lib/cni/portmap": "containernetworking-plugins",
    "/bin/busybox": "busybox-static",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "openssl": "openssl",
    "bash": "bash",
    "ls": "coreutils",
    "ldd": "libc-bin",
    "unshare": "util-linux",
    "nsenter": "util-linux",
}
_CAP_SYS_ADMIN = 21
_SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def missing_packages() -> list[str]:
    """The Debian packages that have to be installed, in alphabetical order."""
    return sorted({package for program, package in _PACKAGES.items() if not _has(program)})


def install_packages() -> None:
    """Installs what is missing; the caller has been asked to."""
    packages = missing_packages()
    if not packages:
        return
    if not Path("/etc/debian_version").exists() or os.geteuid() != 0:
        raise ClusterError(f"only root on Debian can install {' '.join(packages)}")
    print(f"installing {' '.join(packages)}", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    # Debian starts a package's service at once; the cluster runs a containerd of its own.
    with _PolicyNoServices():
        for command in (
            ["apt-get", "update", "-q"],
            ["apt-get", "install", "-qy", "--no-install-recommends", *packages],
        ):
            done = subprocess.run(
                command, check=False, capture_output=True, text=True, timeout=900, env=environment
            )
            if done.returncode:
                raise ClusterError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


class _PolicyNoServices:
    """While this holds, installing a package starts no service."""

    _file = Path("/usr/sbin/policy-rc.d")

    def __enter__(self) -> None:
        self._ours = not self._file.exists()
        if self._ours:
            self._file.write_text("#!/bin/sh\nexit 101\n")
            self._file.chmod(0o755)

    def __exit__(self, *_: object) -> None:
        if self._ours:
            self._file.unlink(missing_ok=True)


def check() -> None:
    """Raises with everything that is missing, so that nobody has to find out one by one."""
    problems = list(_problems())
    if problems:
        raise ClusterError("the local cluster cannot run here:\n- " + "\n- ".join(problems))


def _problems() -> Iterator[str]:
    if platform.system() != "Linux":
        yield f"It needs Linux, and this is {platform.system()}; use kind or an existing cluster."
        return
    if os.geteuid() != 0:
        yield "It needs root, because it makes namespaces, mounts and cgroups."
    elif not _capabilities() >> _CAP_SYS_ADMIN & 1:
        yield (
            "It needs the capability CAP_SYS_ADMIN, which root does not have here; "
            "a container has to be started privileged."
        )
    yield from _go_problems()
    if not _has("kubectl"):
        yield "It needs kubectl on the PATH (https://kubernetes.io/docs/tasks/tools/)."
    if packages := missing_packages():
        install = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
        yield f"Debian packages are missing: {install}"
    if not _has_overlay():
        yield "The kernel has no overlay filesystem, which containerd needs (modprobe overlay)."


def check_address(address: str, link: str) -> None:
    """Refuses an address that is somebody else's."""
    report = subprocess.run(
        ["ip", "-o", "-4", "address", "show"],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    ).stdout
    for line in report.splitlines():
        _, name, _, taken, *_ = line.split()
        if name.partition("@")[0] == link or taken.partition("/")[0] == address:
            raise ClusterError(
                f"the address {address} or the interface {link} is in use: {name} has {taken}, "
                "perhaps another taskmill cluster that was started from another checkout"
            )


def _go_problems() -> Iterator[str]:
    wanted = ".".join(map(str, GO))
    if not _has("go"):
        yield f"It needs Go {wanted} or newer on the PATH (https://go.dev/dl/)."
        return
    told = subprocess.run(
        ["go", "version"],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        # Else go may answer for a version that it would still have to fetch.
        env=os.environ | {"GOTOOLCHAIN": "local"},
    ).stdout.strip()
    found = re.search(r"go(\d+)\.(\d+)", told)
    if found is None or tuple(map(int, found.groups())) < GO:
        yield f"It needs Go {wanted} or newer, and {shutil.which('go')} says: {told or 'nothing'}"


def _has(program: str) -> bool:
    return shutil.which(program, path=_SBIN) is not None


def _has_overlay() -> bool:
    def known() -> bool:
        return "\toverlay\n" in Path("/proc/filesystems").read_text()

    if not known() and os.geteuid() == 0 and _has("modprobe"):
        subprocess.run(["modprobe", "overlay"], check=False, capture_output=True, timeout=30)
    return known()


def _capabilities() -> int:
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return int(found[1], 16) if found else 0
