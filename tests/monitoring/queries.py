"""The expressions of the dashboard and of the alerts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from docs import MONITORING

OURS = re.compile(r"\b(?:taskmill|process)_\w+")


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    return found


def of_dashboard(interval: str = "1m") -> Iterator[tuple[str, str]]:
    """Each query's panel and text, as Grafana sends it."""
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$__rate_interval", interval)


def of_alerts() -> Iterator[tuple[str, str]]:
    groups = yaml.safe_load((MONITORING / "rules.yaml").read_text())["groups"]
    for group in groups:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def names(expression: str) -> set[str]:
    """The metrics it asks for."""
    return set(OURS.findall(expression))
