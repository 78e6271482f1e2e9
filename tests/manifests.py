"""manifests/ as kubectl's kustomize renders it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from cluster.settings import CHECKOUT

MANIFESTS = CHECKOUT / "manifests"


def rendered(name: str) -> list[dict[str, Any]]:
    """All objects of one folder of manifests/."""
    command = ["kubectl", "kustomize", str(MANIFESTS / name)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return list(objects(done.stdout))


def objects(text: str) -> Iterator[dict[str, Any]]:
    """The objects of a YAML stream."""
    yield from filter(None, yaml.safe_load_all(text))


def one(of: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """The one of that kind and name."""
    (found,) = (each for each in of if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def identity(of: dict[str, Any]) -> tuple[str, str, str]:
    """What tells it from all others."""
    meta = of["metadata"]
    return of["kind"], meta.get("namespace", ""), meta["name"]


def folders() -> list[Path]:
    """Every folder that kustomize can render."""
    return sorted(path.parent for path in MANIFESTS.rglob("kustomization.yaml"))
