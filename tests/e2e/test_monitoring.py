"""A real Prometheus scrapes a real operator: every query of the dashboard has an answer."""

import json
import re
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs import MONITORING
from e2e.process import OperatorProcess
from e2e.test_metrics import measured, way
from e2e.test_replicas import Replica
from e2e.user import User, execution, run_spec
from monitoring import prometheus
from monitoring.queries import of_alerts, of_dashboard

__all__ = ["measured", "way"]

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

ONLY_IN_TROUBLE = {"API errors"}
"""Panels of what need not happen."""


class Prometheus:
    """One that scrapes one operator each second and knows the alerts."""

    def __init__(self, folder: Path, operator: OperatorProcess) -> None:
        programs = prometheus.ensure()
        if programs is None:
            pytest.skip("needs Debian's prometheus")
        *_, port = re.findall(r"health is told on port (\d+)", operator.written())
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(MONITORING / "rules.yaml")],
            "scrape_configs": [
                {"job_name": "any", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        with (folder / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    programs / "prometheus",
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                ],
                stderr=log,
            )

    def get(self, path: str, **query: str) -> Any:
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def values(self, query: str) -> list[Any]:
        found: list[Any] = self.get("query", query=query)["result"]
        return found


@pytest.fixture
def scraped(measured: Replica, tmp_path: Path) -> Iterator[Prometheus]:
    made = Prometheus(tmp_path, measured.process)
    yield made
    made.process.terminate()
    made.process.wait(timeout=30)


def test_every_query_of_the_dashboard_has_an_answer_and_no_alert_cries(
    scraped: Prometheus, user: User
) -> None:
    def answers() -> bool:
        try:
            return bool(scraped.values("taskmill_leader == 1"))
        except OSError:
            return False

    user.wait(answers)
    # What is there from the beginning grows from a first value.
    again = run_spec("exit 3", retry={"limit": 1, "backoff": {"initial": "1s"}})
    user.apply(execution("well", run_spec("sleep 1")), execution("fails", again))
    for name in ("well", "fails"):
        user.end(name)
    silent = dict(of_dashboard())
    assert len(silent) > 20

    def left() -> bool:
        for title, query in of_dashboard():
            if scraped.values(query):
                silent.pop(title, None)
        return set(silent) <= ONLY_IN_TROUBLE

    user.wait(left)
    for where, query in of_alerts():
        assert scraped.values(query) == [], where
    told = scraped.get("rules")["groups"][0]["rules"]
    assert [(rule["name"], rule["health"]) for rule in told] == [
        (where, "ok") for where, _ in of_alerts()
    ]
    (target,) = scraped.get("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
