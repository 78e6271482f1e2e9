"""Dashboard, alerts and manifests ask for what the operator tells. Without a cluster."""

import re
import shutil
import subprocess

import pytest
import yaml

from docs import MONITORING, ROOT, documented_metrics
from monitoring import prometheus
from monitoring.queries import names, of_alerts, of_dashboard, panels
from taskmill.api.reasons import Phase

QUERIES = [*of_dashboard(), *of_alerts()]
SUFFIX = re.compile("_(bucket|count|sum)$")


def known():
    """Names of samples, as far as they are ours or every client's."""
    process = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
    return documented_metrics() | process


@pytest.mark.parametrize(("where", "expression"), QUERIES, ids=[where for where, _ in QUERIES])
def test_every_metric_that_is_asked_for_is_told(where, expression):
    asked = names(expression)
    assert asked
    assert {name if name in known() else SUFFIX.sub("", name) for name in asked} <= known()


def test_a_query_of_something_else_would_be_found():
    assert names("rate(taskmill_nothing_total[5m])") - known() == {"taskmill_nothing_total"}


def test_every_phase_that_is_asked_for_exists():
    asked = {p for _, query in QUERIES for p in re.findall(r'phase="(\w+)"', query)}
    assert asked
    assert asked <= set(Phase)


def test_the_dashboards_panels_have_titles_of_their_own_and_do_not_overlap():
    taken = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["title"] for panel in panels()}) == len(panels())


def test_the_alerts_fire_for_what_they_are_about_and_not_before(tmp_path):
    programs = prometheus.ensure()
    if programs is None:
        pytest.skip("needs promtool, which Debian has in its package prometheus")
    shutil.copy(MONITORING / "rules.yaml", tmp_path)
    shutil.copy(ROOT / "tests" / "monitoring" / "rules_test.yaml", tmp_path)
    for command in ("check", "test"):
        file = "rules.yaml" if command == "check" else "rules_test.yaml"
        done = subprocess.run(
            [programs / "promtool", command, "rules", file],
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("overlay", ["", "prometheus-operator"])
def test_the_manifests_are_built(overlay):
    done = subprocess.run(
        ["kubectl", "kustomize", MONITORING / overlay], check=True, capture_output=True, text=True
    )
    for made in yaml.safe_load_all(done.stdout):
        assert made["metadata"]["namespace"] == "taskmill-system"
