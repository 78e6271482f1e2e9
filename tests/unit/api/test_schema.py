"""The converter says what a model says, or refuses; it never loses a rule."""

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, Field, Json, SecretBytes, WithJsonSchema

from taskmill.api.meta import Model
from taskmill.api.schema import OPAQUE, VALIDATIONS, Cel, Keywords, UnstructuralError, structural


def converted(annotation: Any, default: Any = ...) -> dict[str, Any]:
    """The schema of a field of that type."""
    model = type(
        "Holder", (BaseModel,), {"__annotations__": {"field": annotation}, "field": default}
    )
    properties: dict[str, Any] = structural(model)["properties"]
    return properties["field"]


class Node(BaseModel):
    below: "Node | None" = None


class Inner(BaseModel):
    """The class's words."""

    name: str


class Color(StrEnum):
    RED = "red"
    BLUE = "blue"


class Ruled(Model):
    """A base with a rule."""

    RULES: ClassVar[tuple[Cel, ...]] = (Cel(rule="self.a != ''", message="a is empty"),)
    a: str


class MoreRuled(Ruled):
    """Adds a rule."""

    RULES: ClassVar[tuple[Cel, ...]] = (Cel(rule="self.b != ''", message="b is empty"),)
    b: str


@pytest.mark.parametrize(
    ("annotation", "default", "complaint"),
    [
        (str, "x", "no defaults in the schema"),
        (bool | None, False, "no defaults in the schema"),
        (int | str, ..., "a union has no structural form"),
        (Inner | Node, ..., "a union has no structural form"),
        (Decimal, ..., "a union has no structural form"),
        (dict[str, Any], ..., "a map of anything must be declared opaque"),
        (dict, ..., "a map of anything must be declared opaque"),
        (Any, ..., "a type is missing"),
        (Json[Any], ..., "no structural form of contentMediaType"),
        (tuple[str, int], ..., "no structural form of prefixItems"),
        (set[str], ..., "no structural form of uniqueItems"),
        (timedelta, ..., "does not check format 'duration'"),
        (Path, ..., "does not check format 'path'"),
        (SecretBytes, ..., "does not check format 'password'"),
        (dict[Annotated[str, Field(max_length=3)], str], ..., "no structural form of propertyNam"),
        (dict[Annotated[str, Field(pattern="a")], str], ..., "no structural form of patternProp"),
        (Literal["a", 1], ..., "a type is missing"),
        (Literal[1, 2], ..., "an enum is of strings"),
        (list[Any], ..., "a type is missing"),
        (Node, ..., "Node contains itself"),
        (Annotated[str, Field(deprecated=True)], ..., "no structural form of deprecated"),
        (Annotated[str, Field(examples=["a"])], ..., "no structural form of examples"),
        (Annotated[str, WithJsonSchema({"type": "object"})], ..., "would prune an object"),
        (Annotated[str, WithJsonSchema({"type": "array"})], ..., "must say what its items are"),
    ],
)
def test_what_has_no_structural_form_is_refused_by_path(annotation, default, complaint):
    with pytest.raises(UnstructuralError, match=complaint) as refused:
        converted(annotation, default)
    assert str(refused.value).startswith("Holder.field")


@pytest.mark.parametrize(
    ("annotation", "default", "schema"),
    [
        (str, ..., {"type": "string"}),
        (str | None, None, {"type": "string", "nullable": True}),
        (datetime, ..., {"type": "string", "format": "date-time"}),
        (Color, ..., {"type": "string", "enum": ["red", "blue"]}),
        (Literal["a"], ..., {"type": "string", "enum": ["a"]}),
        (
            Annotated[int, Field(gt=0, lt=9)],
            ...,
            {
                "type": "integer",
                "minimum": 0,
                "exclusiveMinimum": True,
                "maximum": 9,
                "exclusiveMaximum": True,
            },
        ),
        (tuple[str, ...], ..., {"type": "array", "items": {"type": "string"}}),
        (dict[str, str], ..., {"type": "object", "additionalProperties": {"type": "string"}}),
        (Annotated[dict[str, Any], WithJsonSchema(dict(OPAQUE))], ..., dict(OPAQUE)),
        (
            Annotated[str, Keywords({"maxLength": 3}), Cel(rule="true", message="m")] | None,
            None,
            {
                "type": "string",
                "maxLength": 3,
                "nullable": True,
                VALIDATIONS: [{"rule": "true", "message": "m"}],
            },
        ),
    ],
)
def test_what_has_a_structural_form_gets_it(annotation, default, schema):
    assert converted(annotation, default) == schema


def test_an_optional_enum_becomes_a_rule_because_the_server_refuses_null_in_enums():
    assert converted(Color | None, None) == {
        "type": "string",
        "nullable": True,
        VALIDATIONS: [{"rule": "self in ['red', 'blue']", "message": "must be red or blue"}],
    }


def test_the_words_of_a_field_win_over_those_of_its_class():
    assert converted(Inner)["description"] == "The class's words."
    described = converted(Annotated[Inner, Field(description="The\nfield's.\n\nMore.")])
    assert described["description"] == "The field's.\n\nMore."


def test_a_subclass_keeps_the_rules_of_its_bases():
    rules = [rule["message"] for rule in structural(MoreRuled)[VALIDATIONS]]
    assert rules == ["a is empty", "b is empty"]
    assert len(structural(Ruled)[VALIDATIONS]) == 1


def test_rules_of_a_class_and_of_a_field_of_it_are_joined():
    field = converted(Annotated[Ruled, Cel(rule="self.a != 'b'", message="a is b")])
    assert [rule["message"] for rule in field[VALIDATIONS]] == ["a is empty", "a is b"]


def test_the_model_may_be_converted_twice_with_the_same_result():
    assert structural(MoreRuled) == structural(MoreRuled)
