"""The generated pages say what the code and the records say; what the others show can be used."""

from typing import Any

import pytest

from docs import examples, pages
from taskmill.api import crds
from taskmill.api.execution import TaskExecutionSpec
from taskmill.api.meta import API_VERSION
from taskmill.api.task import TaskSpec
from taskmill.plan.overlay import problem

EXAMPLES = examples()
SPECS = {"Task": TaskSpec, "TaskExecution": TaskExecutionSpec}


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_a_generated_page_is_up_to_date(path):
    assert path.read_text() == pages()[path], "run `make docs`"


@pytest.mark.parametrize("where", EXAMPLES)
def test_an_example_is_what_the_models_read(where: str) -> None:
    shown = EXAMPLES[where]
    assert shown["apiVersion"] == API_VERSION
    spec = SPECS[shown["kind"]].model_validate(shown["spec"])
    runs = [spec] if isinstance(spec, TaskSpec) else [step.task for step in spec.plan or ()]
    assert [problem(run.pod_template) for run in runs] == [""] * len(runs)


@pytest.mark.parametrize("where", EXAMPLES)
def test_an_example_has_no_field_that_is_not_there(where: str) -> None:
    shown = EXAMPLES[where]
    definitions = {crd["spec"]["names"]["kind"]: crd for crd in crds.manifests().values()}
    version = definitions[shown["kind"]]["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert list(_unknown(shown["spec"], schema, "spec")) == []


def _unknown(value: Any, schema: dict[str, Any], path: str) -> Any:
    """Paths of fields that the schema does not know."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _unknown(item, schema["items"], f"{path}[{number}]")
    elif isinstance(value, dict):
        known = schema.get("properties", {})
        more = schema.get("additionalProperties")
        for name, one in value.items():
            if name in known:
                yield from _unknown(one, known[name], f"{path}.{name}")
            elif not more and not schema.get("x-kubernetes-preserve-unknown-fields"):
                yield f"{path}.{name}"
