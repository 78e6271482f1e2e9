"""Debian packages for the image: locked by digest, had through this machine's own apt.

apt keeps its lists and packages in a folder of ours, so it takes no root and changes nothing of
the machine; where packages come from is the machine's configuration, and in no file here.
"""

from __future__ import annotations

import fnmatch
import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cluster.images import FileTree
from cluster.process import ClusterError

LOCK = Path(__file__).with_name("debian.lock.json")
PACKAGES = (
    "libbz2-1.0",
    "libc6",
    "libexpat1",
    "libffi8",
    "libgcc-s1",
    "liblzma5",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libssl3",
    "libstdc++6",
    "libuuid1",
    "python3.11-minimal",
    "zlib1g",
)
_ARCHITECTURE = "amd64"
_LIB = "usr/lib/x86_64-linux-gnu"
_DYNLOAD = "usr/lib/python3*/lib-dynload"
# What no operator needs of these packages. Their copyright notices stay.
_LEFT_OUT = (
    "etc/*",
    "usr/share/[!d]*",
    "usr/share/doc/*/[!c]*",
    "usr/share/doc/*/changelog*",
    "usr/lib/valgrind/*",
    *(f"usr/lib/python3*/{name}/*" for name in ("idlelib", "lib2to3", "tkinter", "pydoc_data")),
    *(f"usr/lib/python3*/{name}/*" for name in ("ensurepip", "distutils", "test", "turtledemo")),
    "usr/lib/python3*/config-*",
    *(f"{_DYNLOAD}/{name}*" for name in ("_test", "_ctypes_test", "xx", "audioop", "nis")),
    *(f"{_DYNLOAD}/{name}*" for name in ("_curses", "readline", "_dbm", "_sqlite3", "_crypt")),
    *(f"{_LIB}/{name}/*" for name in ("gconv", "audit", "ossl-modules", "engines-3")),
    *(f"{_LIB}/{name}*" for name in ("libmemusage", "libpcprofile", "libc_malloc_debug")),
    *(f"{_LIB}/{name}*" for name in ("libnss_hesiod", "libnss_compat", "libnsl", "libmvec")),
)


class SupersededError(ClusterError):
    """Debian offers a newer version only of something that is locked."""


@dataclass(frozen=True)
class Package:
    """One Debian package in one version, and what its file must be."""

    name: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        """As apt names it."""
        version = urllib.parse.quote(self.version, safe="+~.-")
        return f"{self.name}_{version.lower()}_{_ARCHITECTURE}.deb"


def locked() -> list[Package]:
    """What the lock says."""
    return [Package(**one) for one in json.loads(LOCK.read_text())]


def lock(packages: Sequence[Package]) -> None:
    """Write it."""
    LOCK.write_text(json.dumps([asdict(one) for one in packages], indent=1) + "\n")


def offered(cache: Path) -> list[Package]:
    """The versions that this machine's apt has today."""
    apt = _Apt(cache)
    apt.update()
    return sorted(_shown(apt.run("--print-uris", "download", *PACKAGES)), key=lambda p: p.name)


def _refuse_superseded(packages: Sequence[Package], apt: _Apt) -> None:
    shown = apt.run("madison", *(one.name for one in packages), program="apt-cache")
    there = {tuple(cell.strip() for cell in line.split("|")[:2]) for line in shown.splitlines()}
    gone = [f"{p.name} {p.version}" for p in packages if (p.name, p.version) not in there]
    if gone:
        raise SupersededError(
            f"this machine's Debian does not offer {', '.join(gone)} any more; "
            "`make image-lock` takes what it offers"
        )


def fetch(packages: Sequence[Package], cache: Path) -> list[Path]:
    """Their files, from the cache or through apt, each checked against its digest."""
    cache.mkdir(parents=True, exist_ok=True)
    if missing := [one for one in packages if not _is_as_locked(one, cache)]:
        apt = _Apt(cache)
        apt.update()
        _refuse_superseded(missing, apt)
        apt.run("download", *(f"{one.name}={one.version}" for one in missing))
        for one in missing:
            if not _is_as_locked(one, cache):
                raise ClusterError(f"{one.name} {one.version} is not what {LOCK.name} says")
    return [cache / one.file for one in packages]


def tree(files: Sequence[Path]) -> FileTree:
    """What these packages contain, and what their scripts would have made."""
    made = FileTree()
    made.links |= {f"/{name}": f"usr/{name}" for name in ("bin", "lib", "lib64", "sbin")}
    made.folders |= {"/usr/sbin": 0o755, "/run": 0o755, "/home": 0o755}
    for file in files:
        _unpack(file, made)
    made.links["/usr/bin/python3"] = "python3.11"
    made.add("/etc/nsswitch.conf", "hosts: files dns\n")
    made.add("/etc/passwd", _people("/nonexistent:/nonexistent"))
    made.add("/etc/group", _people(""))
    made.add("/etc/os-release", 'PRETTY_NAME="taskmill on Debian 12"\nID=debian\nVERSION_ID="12"\n')
    return made


def _people(rest: str) -> str:
    lines = (("root", 0), ("nonroot", 65532))
    if rest:
        return "".join(f"{name}:x:{uid}:{uid}:{name}:{rest}\n" for name, uid in lines)
    return "".join(f"{name}:x:{uid}:\n" for name, uid in lines)


def _unpack(deb: Path, into: FileTree) -> None:
    data = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", str(deb)], check=True, capture_output=True, timeout=60
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            path = _merged(member.name)
            if member.isdir() or any(fnmatch.fnmatchcase(path, left) for left in _LEFT_OUT):
                continue
            if member.issym():
                into.links[f"/{path}"] = member.linkname
            elif content := tar.extractfile(member):  # of a hard link, that of its target
                into.add(f"/{path}", content.read(), 0o755 if member.mode & 0o111 else 0o644)


def _merged(path: str) -> str:
    """Where it is with merged folders, which older packages do not know of."""
    return re.sub(r"^(bin|sbin|lib|lib64)/", r"usr/\1/", path.removeprefix("./"))


def _is_as_locked(package: Package, cache: Path) -> bool:
    file = cache / package.file
    return file.exists() and hashlib.sha256(file.read_bytes()).hexdigest() == package.sha256


def _shown(report: str) -> Iterator[Package]:
    """From the lines 'ADDRESS' FILE SIZE SHA256:DIGEST."""
    for line in report.splitlines():
        _, file, _, digest = line.split()
        name, version, _ = urllib.parse.unquote(file).split("_")
        yield Package(name, version, digest.removeprefix("SHA256:"))


class _Apt:
    """This machine's apt, with a folder of its own for what it remembers."""

    def __init__(self, cache: Path) -> None:
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            raise ClusterError(
                "it needs Debian's apt-get and dpkg-deb; elsewhere use operator/Dockerfile"
            )
        self._cache = cache
        state = cache.absolute() / "apt"
        (state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        (state / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        (state / "status").touch()
        settings = {
            "Dir::State::Lists": state / "lists",
            "Dir::State::status": state / "status",
            "Dir::Cache": state,
            "APT::Architecture": _ARCHITECTURE,
            "APT::Sandbox::User": "",
            "Debug::NoLocking": "1",
            "Acquire::Languages": "none",
        }
        pairs = (("-o", f"{name}={value}") for name, value in settings.items())
        self._options = ["-qq", *(part for pair in pairs for part in pair)]

    def update(self) -> None:
        self.run("update")

    def run(self, *args: str, program: str = "apt-get") -> str:
        done = subprocess.run(
            [program, *self._options, *args],
            check=False,
            capture_output=True,
            text=True,
            timeout=600,
            cwd=self._cache,
        )
        if done.returncode:
            raise ClusterError(f"{program} {args[0]} failed:\n{done.stderr.strip()}")
        return done.stdout
