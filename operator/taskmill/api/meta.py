"""What both kinds are made of: the base model, object metadata, conditions, moments.

Shapes follow `k8s.io/apimachinery/pkg/apis/meta/v1`. Knows neither Task nor TaskExecution.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    model_serializer,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema

from taskmill.api.group import GROUP, VERSION
from taskmill.api.schema import VALIDATIONS, Cel, Keywords, Schema, list_map

API_VERSION: Final = f"{GROUP}/{VERSION}"


_SETS: dict[frozenset[str], set[str]] = {}
"""Which fields were set, once for all instances: each set of its own takes 728 bytes."""
_SETS_KEPT = 4096
"""Far more than are usual; whoever writes Tasks could make millions."""


class Model(BaseModel):
    """Base of everything that is read from or written to the API.

    Frozen, named in camelCase outside and snake_case inside. Unknown fields are ignored: they are
    a newer version's. `model_dump(by_alias=True, exclude_none=True, mode="json")` gives API JSON.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )

    RULES: ClassVar[tuple[Cel, ...]] = ()
    """CEL rules over several fields. A subclass adds its own; the bases' are kept."""

    def model_post_init(self, _context: Any) -> None:
        """Half of the memory of an execution: pydantic copies the set before it changes it."""
        mine = self.__pydantic_fields_set__
        which = frozenset(mine)
        if (shared := _SETS.get(which)) is not None:
            object.__setattr__(self, "__pydantic_fields_set__", shared)
        elif len(_SETS) < _SETS_KEPT:
            _SETS[which] = mine

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> Schema:
        """Adds `RULES` of the class and its bases (`json_schema_extra` would not be inherited)."""
        out = handler.resolve_ref_schema(handler(core))
        lineage = [base for base in reversed(cls.__mro__) if "RULES" in vars(base)]
        rules = [rule.to_schema() for base in lineage for rule in vars(base)["RULES"]]
        if rules:
            out[VALIDATIONS] = rules
        return out

    def to_api(self) -> dict[str, Any]:
        """The model as the API's JSON: camelCase, nothing that is not set."""
        return self.model_dump(by_alias=True, exclude_none=True, mode="json")


# ---- moments ----


def parse_rfc3339(text: str) -> datetime:
    """Reads a moment, with or without fractions, at any offset, as UTC. ValueError otherwise."""
    return _as_utc(datetime.fromisoformat(text.upper()))


def rfc3339(moment: datetime) -> str:
    """Writes a moment the way Kubernetes does: UTC, whole seconds (cut, not rounded), a Z."""
    return _as_utc(moment).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def _as_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a moment needs an offset, such as 2026-11-24T12:00:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:  # within an offset of year 1 or 9999
        raise ValueError(f"no such moment in UTC: {moment}") from error


Timestamp = Annotated[
    datetime, AfterValidator(_as_utc), PlainSerializer(rfc3339, return_type=str, when_used="json")
]
"""A moment: timezone-aware UTC inside, RFC 3339 with whole seconds outside."""


# ---- metadata ----


class _OmitEmpty(Model):
    """Go's `omitempty`: metadata that is not set is not written, and reads as "" or 0."""

    @model_serializer(mode="wrap")
    def _omit_empty(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        return {key: value for key, value in written.items() if value or value is False}


class OwnerReference(Model):
    """The object that this one is deleted with."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(_OmitEmpty):
    """The part of an object's metadata that taskmill reads or writes."""

    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: tuple[OwnerReference, ...] | None = None
    finalizers: tuple[str, ...] | None = None


# ---- conditions ----


class Condition(Model):
    """One aspect of the state, in the form that Kubernetes and its tools share."""

    type: Annotated[str, Keywords({"maxLength": 316})]
    """What it is about, for example Ready or Failed."""

    status: Literal["True", "False", "Unknown"]
    """Whether it holds: True, False or Unknown."""

    reason: Annotated[str, Keywords({"maxLength": 1024})]
    """Why, in one CamelCase word, for example Succeeded or ImagePullFailed."""

    message: Annotated[str, Keywords({"maxLength": 32768})]
    """Why, in a sentence. May be empty."""

    last_transition_time: Timestamp
    """When `status` last changed, for example 2026-11-24T12:00:00Z."""

    observed_generation: Annotated[int, Keywords({"minimum": 0})] | None = None
    """The metadata.generation that this was said about."""


UNSEEN: Final = -1
"""What `observedGeneration` reads as before the operator has written a status.

kstatus takes an object without a status for one that is done, and Flux would not wait.
"""

ObservedGeneration = Annotated[
    Annotated[int, Keywords({"minimum": UNSEEN})] | None,
    BeforeValidator(lambda given: None if given == UNSEEN else given),
]
"""Of a status; None when nobody has written it."""


Conditions = Annotated[tuple[Condition, ...], list_map("type"), Keywords({"maxItems": 16})]
