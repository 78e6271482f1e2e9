"""pydantic models -> structural OpenAPI v3, the dialect of CustomResourceDefinitions.

An allow-list: what the API server would refuse, prune or silently ignore raises `UnstructuralError`
here, with the path of the field. A keyword that gets lost is a rule that nobody enforces.

Bounds and rules live in the schema only (`Keywords`, `Cel`), not in pydantic: the API server is
the judge of what may be written, and the models must be able to read whatever it has stored, also
what an older and laxer CRD let in.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic_core import CoreSchema

Schema = dict[str, Any]

VALIDATIONS: Final = "x-kubernetes-validations"
PRESERVE_UNKNOWN: Final = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING: Final = "x-kubernetes-int-or-string"

# An object whose inside the API server neither knows nor prunes.
OPAQUE: Final[Mapping[str, Any]] = {"type": "object", PRESERVE_UNKNOWN: True}

_COPIED: Final = frozenset(
    {
        "type", "format", "description", "enum", "pattern", "nullable", "required",
        "minLength", "maxLength", "minimum", "maximum", "multipleOf",
        "minItems", "maxItems", "minProperties", "maxProperties",
        VALIDATIONS, PRESERVE_UNKNOWN, INT_OR_STRING,
        "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type",
    }
)  # fmt: skip
# Only what the server really checks: `duration` accepts "soon", `path` is unknown to it.
_FORMATS: Final = frozenset({"date-time", "int32", "int64"})
_NULL: Final[Schema] = {"type": "null"}


class UnstructuralError(TypeError):
    """A model says something that a structural schema cannot express."""


@dataclass(frozen=True, eq=False)  # `X | None` hashes its metadata, and a dict has no hash
class Keywords:
    """`Annotated[...]` marker: keywords of the schema, such as `maxLength`, for the API server."""

    keywords: Mapping[str, Any]

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> Schema:
        return {**handler(core), **copy.deepcopy(dict(self.keywords))}


@dataclass(frozen=True, eq=False, kw_only=True)
class Cel:
    """A validation rule: `Annotated[...]` marker of a field, or an item of a model's `RULES`.

    Write rules that are total. One that raises on stored data refuses every later write of that
    object, the operator's status included; one that only returns false does not.
    """

    rule: str
    message: str  # kept beside an expression: it is what people see when the expression fails
    message_expression: str | None = None
    field_path: str | None = None
    reason: Literal["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired"] | None = None

    def to_schema(self) -> Schema:
        """The rule as an item of `x-kubernetes-validations`."""
        written = {
            "rule": " ".join(self.rule.split()),
            "message": self.message,
            "messageExpression": self.message_expression,
            "fieldPath": self.field_path,
            "reason": self.reason,
        }
        return {key: value for key, value in written.items() if value is not None}

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> Schema:
        out = dict(handler(core))
        out[VALIDATIONS] = [*out.get(VALIDATIONS, []), self.to_schema()]
        return out


def list_map(*keys: str) -> Keywords:
    """A list whose items are told apart by `keys`: duplicates are refused, appliers merge."""
    return Keywords({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)})


def structural(model: type[BaseModel]) -> Schema:
    """The structural schema of a model, in the names of the API."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _convert(schema, defs=schema.get("$defs", {}), path=model.__name__, inside=())


def _convert(schema: Schema, *, defs: Schema, path: str, inside: tuple[str, ...]) -> Schema:
    schema, inside = _inline(schema, defs=defs, path=path, inside=inside)
    out: Schema = {}
    for keyword, value in schema.items():
        match keyword:
            case "properties":
                out[keyword] = {
                    name: _convert(below, defs=defs, path=f"{path}.{name}", inside=inside)
                    for name, below in value.items()
                }
            case "items":
                out[keyword] = _convert(value, defs=defs, path=f"{path}[]", inside=inside)
            case "additionalProperties" if isinstance(value, dict) and value:
                out[keyword] = _convert(value, defs=defs, path=f"{path}{{}}", inside=inside)
            case _:
                out |= _keyword(keyword, value, path=path)
    _check_type(out, path=path)
    if out.get("nullable") and "enum" in out:
        # The server lets null through no enum, not even through one that lists null.
        one_of = _one_of(out.pop("enum")).to_schema()
        out[VALIDATIONS] = [one_of, *out.get(VALIDATIONS, [])]
    return out


def _keyword(keyword: str, value: Any, *, path: str) -> Schema:
    """A keyword with nothing below it, in its structural form."""
    match keyword:
        case "title" | "$defs":
            return {}
        case "default" if value is None:
            return {}
        case "default":
            # It would appear in stored objects at once and change what Git is compared with.
            raise UnstructuralError(f"{path}: no defaults in the schema: {value!r}")
        case "additionalProperties":
            # `true` is accepted by the server, which then prunes below the first level.
            raise UnstructuralError(f"{path}: a map of anything must be declared opaque")
        case "format" if value not in _FORMATS:
            raise UnstructuralError(f"{path}: the API server does not check format {value!r}")
        case "const":
            return {"enum": [value]}
        case "exclusiveMinimum" | "exclusiveMaximum":
            return {keyword.replace("exclusiveM", "m"): value, keyword: True}
        case "description":
            return {keyword: unwrapped(value)}
        case _ if keyword in _COPIED:
            return {keyword: copy.deepcopy(value)}
        case _:
            raise UnstructuralError(f"{path}: no structural form of {keyword}: {value!r}")


def _inline(
    schema: Schema, *, defs: Schema, path: str, inside: tuple[str, ...]
) -> tuple[Schema, tuple[str, ...]]:
    """Replaces references and optionality by what they mean; what stands nearer the field wins."""
    schema = dict(schema)
    while "$ref" in schema or "anyOf" in schema:
        if "$ref" in schema:
            name = schema.pop("$ref").rsplit("/", 1)[1]
            if name in inside:
                raise UnstructuralError(f"{path}: {name} contains itself")
            inside = (*inside, name)
            below = defs[name]
        else:
            branches = schema.pop("anyOf")
            real = [branch for branch in branches if branch != _NULL]
            if len(real) != 1:
                raise UnstructuralError(f"{path}: a union has no structural form: {branches}")
            if len(real) < len(branches):
                # Server-side apply of `field: null`, which charts and Flux send, must pass.
                schema["nullable"] = True
            below = real[0]
        rules = [*below.get(VALIDATIONS, []), *schema.get(VALIDATIONS, [])]
        schema = {**below, **schema} | ({VALIDATIONS: rules} if rules else {})
    return schema, inside


def _check_type(out: Schema, *, path: str) -> None:
    if out.get(INT_OR_STRING):
        if "type" in out:
            raise UnstructuralError(f"{path}: int-or-string has no type beside it")
    elif not isinstance(out.get("type"), str):
        raise UnstructuralError(f"{path}: a type is missing")
    elif out["type"] == "object" and not out.keys() & {
        "properties", "additionalProperties", PRESERVE_UNKNOWN,
    }:  # fmt: skip
        raise UnstructuralError(f"{path}: the server would prune an object without properties")
    elif out["type"] == "array" and "items" not in out:
        raise UnstructuralError(f"{path}: a list must say what its items are")
    kinds = {type(value) for value in out.get("enum", [])}
    if kinds and kinds != {str}:
        raise UnstructuralError(f"{path}: an enum is of strings: {out['enum']}")


def _one_of(values: list[str]) -> Cel:
    """An enum, as a rule."""
    *others, last = values
    words = f"{', '.join(others)} or {last}" if others else last
    return Cel(rule=f"self in {values}", message=f"must be {words}")


def unwrapped(text: str) -> str:
    """One line per paragraph: `kubectl explain` wraps by itself."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n") if part.strip())
