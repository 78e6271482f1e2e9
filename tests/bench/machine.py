"""On what it was measured."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.sizes import ROOT


def described() -> dict[str, Any]:
    processor = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal: +(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return {
        "cores": os.cpu_count(),
        "processor": processor.group(1) if processor else platform.machine(),
        "memory GiB": round(int(memory.group(1)) / 2**20) if memory else None,
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "Kubernetes": _locked("kube", "k8s.io/kubernetes"),
        "kwok": _locked("kwok", "sigs.k8s.io/kwok"),
        # Others' work beside it.
        "load before": os.getloadavg()[0],
    }


def moment() -> dict[str, Any]:
    """Of what, and when."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "operator", "crds", "manifests")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "--short", "HEAD") + ("+changes" if changed else ""),
    }


def _locked(module: str, name: str) -> str:
    text = (ROOT / "tests" / "cluster" / module / "go.mod").read_text()
    found = re.search(rf"^\s*(?:require )?{re.escape(name)} (v\S+)", text, re.MULTILINE)
    return found.group(1) if found else "?"


def _git(*args: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), *args], check=False, capture_output=True, text=True
    )
    return done.stdout.strip()
