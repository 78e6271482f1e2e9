"""What the image has of Python packages: those of operator/requirements.lock, and ours."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from cluster.images import FileTree
from cluster.process import ClusterError
from cluster.settings import CHECKOUT

REQUIREMENTS = CHECKOUT / "operator" / "requirements.lock"
SITE = "/usr/local/lib/python3.11/dist-packages"
"""Where Debian's Python looks without being told."""

# From what the oldest kernel headers of wheels ask for to the glibc of Debian 12.
_PLATFORMS = ("2_36", "2_34", "2_31", "2_28", "2_17", "2_12", "2_5")
_SOURCES = (".pyi", ".pyx", ".pxd", ".c", ".h", ".cpp")


def fetch(cache: Path) -> list[Path]:
    """The wheels of the lock for the image's Python, from the cache or through pip."""
    cache.mkdir(parents=True, exist_ok=True)
    try:
        _download(cache, "--no-index")
    except ClusterError:  # not all of them are there
        _download(cache)
    return sorted(cache.glob("*.whl"))


def _download(cache: Path, *options: str) -> None:
    """pip checks every digest, wherever a file comes from."""
    platforms = (f"--platform=manylinux_{glibc}_x86_64" for glibc in _PLATFORMS)
    _run(
        *("-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
        *("--require-hashes", "--only-binary=:all:", "--python-version=3.11"),
        *("--implementation=cp", *platforms),
        *("--requirement", str(REQUIREMENTS), "--dest", str(cache), "--find-links", str(cache)),
        *options,
    )


def ours() -> bytes:
    """Our own wheel, as it is here."""
    with tempfile.TemporaryDirectory() as folder:
        _run("-m", "hatchling", "build", "--target", "wheel", "--directory", folder)
        return next(Path(folder).glob("*.whl")).read_bytes()


def add(wheels: Iterable[Path], to: FileTree) -> None:
    """Their files, but for tests, sources of what is compiled, and scripts."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                parts = info.filename.split("/")
                if parts[0].endswith(".data"):
                    if parts[1] not in {"purelib", "platlib"}:
                        continue
                    parts = parts[2:]
                in_tests = {"tests", "test"}.intersection(parts[:-1])
                if info.is_dir() or in_tests or parts[-1].endswith(_SOURCES):
                    continue
                to.add(f"{SITE}/{'/'.join(parts)}", archive.read(info))


def _run(*command: str) -> None:
    done = subprocess.run(
        [sys.executable, *command],
        check=False,
        capture_output=True,
        text=True,
        timeout=900,
        cwd=CHECKOUT,
    )
    if done.returncode:
        raise ClusterError(f"{' '.join(command[:3])} failed:\n{done.stdout}{done.stderr}")
