"""Container images from files of this machine: no engine, no registry, no network.

An image is written as a *docker archive* (what `docker save` writes), which containerd and
every engine can read. The same files give the same bytes: times, owners and order are fixed.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from cluster.process import ClusterError

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# What scripts of these packages are used to finding; gzip, tar and the like are left out.
_COREUTILS = """
    [ basename cat chgrp chmod chown cp cut date dd df dir dirname du echo env expr false head
    hostid id install join link ln ls md5sum mkdir mkfifo mknod mktemp mv nl nproc od paste
    printenv printf pwd readlink realpath rm rmdir seq sha256sum sha512sum shuf sleep sort split
    stat stty sync tac tail tee test timeout touch tr true truncate tty uname uniq unlink wc
    whoami yes
"""
_MERGED = ("bin", "sbin", "lib", "lib64")
_PASSWD = (
    "root:x:0:0:root:/root:/bin/bash\n"
    "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
)
_GROUP = "root:x:0:\ndaemon:x:1:\nnogroup:x:65534:\n"


@dataclass
class FileTree:
    """The files of one layer. Paths are absolute; folders on the way are made by themselves."""

    files: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)

    def add(self, path: str, content: bytes | str, mode: int = 0o644) -> None:
        self.files[path] = (content.encode() if isinstance(content, str) else content, mode)

    def unpack(self, root: Path) -> None:
        """The files and links below a folder of this machine."""
        for path, target in self.links.items():
            link = root / path.lstrip("/")
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
        for path, (content, mode) in self.files.items():
            file = root / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            file.chmod(mode)

    def layer(self) -> bytes:
        """The layer as a tar archive, in the order in which it can be unpacked."""
        folders = {"/tmp": 0o1777, "/dev": 0o755, "/proc": 0o755, "/sys": 0o755} | self.folders
        for path in (*self.files, *self.links, *folders):
            for parent in PurePosixPath(path).parents:
                folders.setdefault(str(parent), 0o755)
        folders.pop("/")
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for path, mode in sorted(folders.items()):
                tar.addfile(_entry(path, tarfile.DIRTYPE, mode))
            for path, (content, mode) in sorted(self.files.items()):
                entry = _entry(path, tarfile.REGTYPE, mode)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
            for path, target in sorted(self.links.items()):
                entry = _entry(path, tarfile.SYMTYPE, 0o777)
                entry.linkname = target
                tar.addfile(entry)
        return buffer.getvalue()


def _entry(path: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path.lstrip("/"))
    entry.type, entry.mode, entry.mtime = kind, mode, 0
    return entry


@dataclass(frozen=True)
class Image:
    """One image under one or more full names (`docker.io/library/x:1`).

    Its layers are those `below`, if any, and `tree`. `details` are what else its configuration
    says, spelled as there.
    """

    names: tuple[str, ...]
    tree: FileTree
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    )
    below: tuple[bytes, ...] = ()
    details: Mapping[str, object] = field(default_factory=dict)

    def write(self, archive: Path) -> Path:
        layers = {hashlib.sha256(one).hexdigest(): one for one in (*self.below, self.tree.layer())}
        config = json.dumps(
            {
                "architecture": _ARCHITECTURES[platform.machine()],
                "os": "linux",
                "created": "1970-01-01T00:00:00Z",
                "config": {
                    "Cmd": list(self.command),
                    "Env": [f"{name}={value}" for name, value in self.environment.items()],
                    **self.details,
                },
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{one}" for one in layers]},
            },
            sort_keys=True,
        ).encode()
        config_name = f"{hashlib.sha256(config).hexdigest()}.json"
        index = [
            {
                "Config": config_name,
                "RepoTags": list(self.names),
                "Layers": [f"{digest}/layer.tar" for digest in layers],
            }
        ]
        members = {
            config_name: config,
            **{f"{digest}/layer.tar": layer for digest, layer in layers.items()},
            "manifest.json": json.dumps(index).encode(),
        }
        with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as tar:
            for name, content in members.items():
                entry = _entry(name, tarfile.REGTYPE, 0o644)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        return archive


def pause(binary: Path) -> Image:
    """What holds a pod's namespaces open."""
    tree = FileTree()
    tree.add("/pause", binary.read_bytes(), 0o755)
    return Image(("localhost/pause:1",), tree, ("/pause",))


def busybox(binary: Path = Path("/bin/busybox")) -> Image:
    """Debian's static busybox under the names of the public image."""
    names = _run([str(binary), "--list"]).split()
    tree = FileTree()
    tree.add("/bin/busybox", binary.read_bytes(), 0o755)
    tree.links.update({f"/bin/{name}": "busybox" for name in names if name != "busybox"})
    tree.add("/etc/passwd", _PASSWD.replace("/bin/bash", "/bin/sh"))
    tree.add("/etc/group", _GROUP)
    tree.folders["/root"] = 0o700
    image = "docker.io/library/busybox"
    return Image((f"{image}:latest", f"{image}:1.36"), tree, ("sh",))


def ubuntu() -> Image:
    """Bash, dash and coreutils of this machine with their libraries, where Ubuntu has them."""
    tree = FileTree()
    tree.links.update({f"/{name}": f"usr/{name}" for name in _MERGED})
    tree.links["/usr/bin/sh"] = "dash"
    programs = [_program(name) for name in ("bash", "dash", "grep", "sed", *_COREUTILS.split())]
    for program in programs:
        tree.add(f"/usr/bin/{program.name}", program.read_bytes(), 0o755)
    for library in _libraries(programs):
        # Without merged folders the loader is /lib64/ld-linux; with them it is below /usr.
        path = str(library) if library.is_relative_to("/usr") else f"/usr{library}"
        tree.add(path, library.read_bytes(), 0o755)
    for package in ("bash", "coreutils", "dash", "grep", "libc6", "sed"):
        licence = Path("/usr/share/doc", package, "copyright")
        if licence.exists():
            tree.add(str(licence), licence.read_bytes())
    tree.add("/etc/passwd", _PASSWD)
    tree.add("/etc/group", _GROUP)
    tree.add("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
    tree.folders |= {"/root": 0o700, "/home": 0o755, "/usr/sbin": 0o755, "/var/tmp": 0o1777}
    return Image(("docker.io/library/ubuntu:latest",), tree, ("/bin/bash",))


def _program(name: str) -> Path:
    found = shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin")
    if found is None:
        raise ClusterError(f"the image ubuntu:latest needs the program {name} of this machine")
    return Path(found)


def _libraries(programs: Iterable[Path]) -> Sequence[Path]:
    """Every shared library and loader that these programs ask for."""
    report = _run(["ldd", *map(str, programs)])
    # Each line ends with the file and the address it was loaded at, in brackets.
    return sorted({Path(path) for path in re.findall(r"(/\S+) \(0x", report)})


def _run(command: list[str]) -> str:
    # ldd fails when one of many files is static, yet reports the others.
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60, env=os.environ | _PLAIN
    ).stdout


_PLAIN = {"LC_ALL": "C"}
