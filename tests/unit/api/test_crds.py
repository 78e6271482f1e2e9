"""The generated definitions: committed as generated, described, bounded, without traps."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from taskmill import api
from taskmill.api.crds import EXECUTION, HEADER, TASK, manifests, render
from taskmill.api.pod import OWNED_OF_POD

ROOT = Path(__file__).parents[3]
NAMES = ["taskexecutions.yaml", "tasks.yaml"]
MANIFESTS = manifests()


def root(name: str) -> dict[str, Any]:
    [version] = MANIFESTS[name]["spec"]["versions"]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return schema


def walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of a definition, with its path."""
    yield path, schema
    for name, below in schema.get("properties", {}).items():
        yield from walk(below, f"{path}.{name}")
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from walk(schema["additionalProperties"], f"{path}{{}}")


def ours(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same without the envelope, which is the server's."""
    for path, schema in walk(root(name)):
        if path.startswith((".spec", ".status")):
            yield path, schema


def test_there_are_two():
    assert sorted(MANIFESTS) == NAMES
    assert sorted(path.name for path in (ROOT / "crds").iterdir()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_file_is_what_the_models_say(name):
    assert (ROOT / "crds" / name).read_text() == render(MANIFESTS[name]), "run: taskmill crds crds"


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_small_plain_and_marked(name):
    text = render(MANIFESTS[name])
    assert text.startswith(HEADER)
    assert len(text.encode()) < 200 * 1024
    assert not re.search(r"(^|[:-]) [&*]", text, re.MULTILINE), "anchors or aliases"


@pytest.mark.parametrize(
    "trap", ["y", "n", "on", "1e3", "0o17", "1_000", "1:30", "~", "2026-11-24"]
)
def test_what_yaml_1_1_would_take_for_something_else_survives(trap):
    definition = {"properties": {trap: {"enum": [trap]}}}
    assert yaml.safe_load(render(definition)) == definition


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_described_in_sentences(name):
    assert re.match(r"A \w+ is|A \w+ says", root(name)["description"])
    for path, schema in ours(name):
        if path.endswith("[]") and schema.get("type") in ("string", "integer"):
            continue  # the list says it
        if path.endswith("{}"):
            continue  # the map says it
        text = schema.get("description", "")
        assert re.fullmatch(r"[A-Z].{8,}\.", text), f"{path}: {text!r}"


@pytest.mark.parametrize("name", NAMES)
def test_the_words_of_an_enum_are_told_where_the_rule_hides_them(name):
    for path, schema in ours(name):
        for rule in schema.get("x-kubernetes-validations", []):
            for word in re.findall(r"'(\w+)'", rule["rule"]) if "self in" in rule["rule"] else ():
                assert word in schema["description"], path


# Laid over taskmill's pod, a null would take these away from it.
KEPT = {"containers", *OWNED_OF_POD}


@pytest.mark.parametrize("name", NAMES)
def test_optional_fields_are_nullable_and_required_ones_are_not(name):
    for path, schema in ours(name):
        for field, below in schema.get("properties", {}).items():
            if field.startswith("$"):
                continue  # it is never stored
            kept = path.endswith(".podTemplate.spec") and field in KEPT
            kept = kept or field == "restartPolicyRules"
            optional = field not in schema.get("required", []) and not kept
            assert below.get("nullable", False) == optional, f"{path}.{field}"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_has_a_default_but_a_status_that_nobody_has_written(name):
    found = {path: schema["default"] for path, schema in walk(root(name)) if "default" in schema}
    assert found == {".status": {"observedGeneration": -1}}


@pytest.mark.parametrize("name", NAMES)
def test_there_is_no_rule_at_the_root_nor_on_metadata_but_its_name(name):
    ruled = {path for path, schema in walk(root(name)) if "x-kubernetes-validations" in schema}
    assert "" not in ruled
    assert {path for path in ruled if path.startswith(".metadata")} == {".metadata.name"}
    assert root(name)["properties"]["metadata"].keys() == {"type", "properties"}


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_has_a_sentence_of_its_own(name):
    for path, schema in walk(root(name)):
        for rule in schema.get("x-kubernetes-validations", []):
            assert len(rule["message"]) > 10, path
            assert "\n" not in rule["rule"], path


@pytest.mark.parametrize("name", NAMES)
def test_lists_and_maps_and_strings_of_the_spec_are_bounded(name):
    for path, schema in ours(name):
        if not path.startswith(".spec"):
            continue
        match schema.get("type"):
            case "array":
                assert "maxItems" in schema, path
            case "object" if "additionalProperties" in schema:
                assert "maxProperties" in schema, path
            case "string" if "enum" not in schema and "format" not in schema:
                rules = schema.get("x-kubernetes-validations", [])
                listed = any(rule["rule"].startswith("self in ") for rule in rules)
                assert "maxLength" in schema or listed, path


@pytest.mark.parametrize("name", NAMES)
def test_patterns_have_no_look_around_and_no_unicode_classes(name):
    for path, schema in walk(root(name)):
        text = schema.get("pattern", "") + str(schema.get("x-kubernetes-validations", ""))
        assert not re.search(r"\(\?[=!<]|\\[dwsDWS]", text), path


def test_what_comes_with_later_issues_is_not_accepted_yet():
    fields = {path.rsplit(".", 1)[-1] for name in NAMES for path, _ in ours(name)}
    assert not fields & {"artifacts", "logUrl"}


@pytest.mark.parametrize("kind", [TASK, EXECUTION])
def test_the_message_is_the_last_column_and_always_shown(kind):
    assert kind.columns[-1].name == "Message"
    assert not kind.columns[-1].wide
    assert len(kind.selectable) <= 8


def test_the_room_does_no_io_and_imports_no_other_room():
    allowed = {
        "collections", "copy", "dataclasses", "datetime", "enum", "inspect", "pydantic",
        "pydantic_core", "re", "taskmill", "types", "typing", "yaml",
    }  # fmt: skip
    for path in Path(api.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert name.split(".")[0] in allowed, path
                assert not name.startswith("taskmill") or name.startswith("taskmill.api"), path
            assert not (isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow"}), path
