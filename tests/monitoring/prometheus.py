"""Debian's Prometheus, unpacked and not installed: its package wants a web server's fonts, too."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from cluster.build import PROGRAMS

PACKAGE = "prometheus"
FOLDER = PROGRAMS / "prometheus"


def ensure() -> Path | None:
    """The folder of prometheus and promtool; None where they cannot be had."""
    if not (FOLDER / "promtool").exists() and not _fetched():
        found = shutil.which("promtool")
        return Path(found).parent if found and shutil.which("prometheus") else None
    return FOLDER


def _fetched() -> bool:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return False
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        _run("apt-get", "-q", "download", PACKAGE)
        (archive,) = FOLDER.glob("*.deb")
        _run("dpkg-deb", "-x", str(archive), "whole")
    except (subprocess.CalledProcessError, ValueError):
        return False
    for name in ("prometheus", "promtool"):
        (FOLDER / "whole" / "usr" / "bin" / name).rename(FOLDER / name)
    shutil.rmtree(FOLDER / "whole")
    archive.unlink()
    return True


def _run(*command: str) -> None:
    subprocess.run(command, cwd=FOLDER, check=True, capture_output=True, timeout=300)
