"""What a Task says about its container in Kubernetes' own words: arguments, environment, resources.

Shapes and names are those of `k8s.io/api/core/v1`, as far as a Task has them.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import WithJsonSchema

from taskmill.api.meta import Model
from taskmill.api.schema import INT_OR_STRING, Cel, Keywords, list_map

# ---- leaves ----

_DNS_SUBDOMAIN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
ServiceAccountName = Annotated[
    str,
    Keywords({"maxLength": 253}),
    Cel(
        rule=f"self.matches('{_DNS_SUBDOMAIN}')",
        message="must be the name of a ServiceAccount, such as builder",
    ),
]
NOT_EMPTY: Final = Cel(rule="self != ''", message="must not be empty")
ObjectName = Annotated[str, Keywords({"maxLength": 253}), NOT_EMPTY]
Quantity = Annotated[
    int | str,
    WithJsonSchema({INT_OR_STRING: True, "maxLength": 32}),
    Cel(
        rule=("type(self) == int ? self >= 0 : isQuantity(self) && sign(quantity(self)) >= 0"),
        message="must be a quantity of zero or more, such as 500m, 2 or 1Gi",
    ),
]
Argument = Annotated[str, Keywords({"maxLength": 131072})]
Arguments = Annotated[tuple[Argument, ...], Keywords({"maxItems": 1024})]


class ImagePullPolicy(StrEnum):
    """When the image is pulled."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


# ---- environment ----


class KeyRef(Model):
    """A key of a Secret or a ConfigMap in the same namespace."""

    name: ObjectName
    """Name of the Secret or ConfigMap, for example registry-login."""

    key: ObjectName
    """Key in its data, for example password."""

    optional: bool | None = None
    """True: start without the variable when the object or the key does not exist. Default: false,
    the task waits and then fails with ConfigError."""


class FieldRef(Model):
    """A field of the pod itself."""

    field_path: Annotated[str, Keywords({"maxLength": 256}), NOT_EMPTY]
    """Path of the field, for example metadata.name or status.podIP."""

    api_version: Annotated[str, Keywords({"maxLength": 32})] | None = None
    """Version that the path is written in. Default: v1."""


class ResourceFieldRef(Model):
    """A resource request or limit of a container of the pod."""

    resource: Annotated[str, Keywords({"maxLength": 64}), NOT_EMPTY]
    """The resource, for example limits.memory."""

    container_name: Annotated[str, Keywords({"maxLength": 63})] | None = None
    """Name of the container. Default: the task's own, main."""

    divisor: Quantity | None = None
    """Unit of the result as a quantity, for example 1Mi. Default: 1."""


class OutputRef(Model):
    """What an earlier step of the same execution wrote to $TASKMILL_OUTPUT."""

    step: Annotated[str, Keywords({"maxLength": 63}), NOT_EMPTY]
    """Id of the step, which this one must depend on; in a Task, the name of a Task in dependsOn."""

    key: Annotated[str, Keywords({"maxLength": 63}), NOT_EMPTY]
    """Key of the line KEY=VALUE, for example version."""


class ValueFrom(Model):
    """Where the value of an environment variable comes from. Exactly one source."""

    RULES: ClassVar[tuple[Cel, ...]] = (
        Cel(
            rule=" + ".join(
                f"(has(self.{source}) ? 1 : 0)"
                for source in (
                    "secretKeyRef",
                    "configMapKeyRef",
                    "fieldRef",
                    "resourceFieldRef",
                    "output",
                )
            )
            + " == 1",
            message=(
                "exactly one of secretKeyRef, configMapKeyRef, fieldRef, resourceFieldRef"
                " and output must be given"
            ),
        ),
    )

    secret_key_ref: KeyRef | None = None
    """A key of a Secret."""

    config_map_key_ref: KeyRef | None = None
    """A key of a ConfigMap."""

    field_ref: FieldRef | None = None
    """A field of the pod, for example metadata.name."""

    resource_field_ref: ResourceFieldRef | None = None
    """A resource request or limit of a container, for example limits.memory."""

    output: OutputRef | None = None
    """What an earlier step wrote to $TASKMILL_OUTPUT; the value reaches the process as written."""


EnvName = Annotated[
    str,
    Keywords({"maxLength": 200}),
    Cel(
        rule="self != '' && !self.contains('=')",
        message="must be a name without '=', such as CARGO_HOME",
    ),
]


class EnvVar(Model):
    """An environment variable."""

    RULES: ClassVar[tuple[Cel, ...]] = (
        Cel(
            rule="!has(self.value) || !has(self.valueFrom)",
            message="value and valueFrom cannot both be given",
        ),
    )

    name: EnvName
    """Name of the variable, for example CARGO_HOME."""

    value: Argument | None = None
    """Its value, up to 128 KiB. $(NAME) stands for a variable that comes before it, $$ for one $.
    Default: empty."""

    value_from: ValueFrom | None = None
    """Source of the value, instead of `value`."""


class ObjectRef(Model):
    """A Secret or a ConfigMap in the same namespace."""

    name: ObjectName
    """Name of the object, for example build-settings."""

    optional: bool | None = None
    """True: start without it when it does not exist. Default: false."""


class EnvFrom(Model):
    """All keys of a Secret or a ConfigMap as environment variables."""

    RULES: ClassVar[tuple[Cel, ...]] = (
        Cel(
            rule="has(self.secretRef) != has(self.configMapRef)",
            message="exactly one of secretRef and configMapRef must be given",
        ),
    )

    prefix: Annotated[str, Keywords({"maxLength": 253})] | None = None
    """Put before each key, for example DB_. Default: none."""

    secret_ref: ObjectRef | None = None
    """The Secret."""

    config_map_ref: ObjectRef | None = None
    """The ConfigMap."""


Env = Annotated[tuple[EnvVar, ...], list_map("name"), Keywords({"maxItems": 100})]


# ---- resources ----

Quantities = Annotated[dict[str, Quantity], Keywords({"maxProperties": 16})]


class Resources(Model):
    """CPU, memory and other resources, as in a container."""

    RULES: ClassVar[tuple[Cel, ...]] = (
        Cel(
            # Total on purpose: a quantity that cannot be read is reported by its own rule.
            rule="""!has(self.limits) || !has(self.requests) || self.requests.all(r,
                !(r in self.limits)
                || !isQuantity(string(self.requests[r])) || !isQuantity(string(self.limits[r]))
                || quantity(string(self.requests[r]))
                    .compareTo(quantity(string(self.limits[r]))) <= 0)""",
            message="a request cannot be larger than the limit of the same resource",
            field_path=".requests",
        ),
    )

    limits: Quantities | None = None
    """The most that the task may use, as quantities, for example {cpu: 2, memory: 1Gi}. Beyond the
    memory limit it ends with OOMKilled. Default: no limit but the namespace's."""

    requests: Quantities | None = None
    """What a node must have free, as quantities, for example {cpu: 500m, memory: 256Mi}. Default:
    the limit of the same resource."""
