"""The operator's metrics as Prometheus would read them, with a parser of Prometheus' own."""

import re
import urllib.request
from collections.abc import Mapping

from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from e2e.process import OperatorProcess

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def fetched(operator: OperatorProcess, accept: str = OPENMETRICS) -> tuple[str, str]:
    """The text, and its Content-Type."""
    *_, port = re.findall(r"health is told on port (\d+)", operator.written())
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode(), answer.headers["Content-Type"]


class Scrape:
    """One scrape; labels that are not asked for are summed over."""

    def __init__(self, operator: OperatorProcess) -> None:
        text, _ = fetched(operator)
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples: list[Sample] = [
            sample for family in self.families.values() for sample in family.samples
        ]

    def names(self) -> set[str]:
        """Of all samples."""
        return {sample.name for sample in self.samples}

    def value(self, name: str, **labels: str) -> float:
        """The sum of all samples of that name and these labels; KeyError when there is none."""
        found = [s.value for s in self.samples if s.name == name and _has(s.labels, labels)]
        if not found:
            raise KeyError(f"{name}{labels}")
        return sum(found)


def grown(before: Scrape, after: Scrape, name: str, **labels: str) -> float:
    """By how much it has grown; what was not there before was nothing."""
    try:
        old = before.value(name, **labels)
    except KeyError:
        old = 0.0
    return after.value(name, **labels) - old


def _has(all_of_them: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return wanted.items() <= all_of_them.items()
