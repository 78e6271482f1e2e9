"""The operator's settings: read once from the environment, validated, free of secrets."""

import os
import re
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple, Self

from taskmill.api.duration import parse_duration
from taskmill.api.task import DEFAULT_TIMEOUT
from taskmill.plan.world import Limits

PREFIX = "TASKMILL_"
LEAST_RETENTION = timedelta(minutes=2)
"""A Job's name is what a late duplicate of its creation runs into."""

LAST_PORT = 65535
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)


class SettingsError(ValueError):
    """A setting that cannot be used; says which and why."""


class Address(NamedTuple):
    """Where to listen; a host of "" means every interface, a port of 0 any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each is read from the environment variable TASKMILL_<NAME>."""

    namespace: str
    """Where the operator's Lease lives."""
    namespaces: tuple[str, ...]
    """Where it looks for Tasks and runs; empty: everywhere."""
    identity: str
    """Who holds the Lease. A restarted process of the same identity takes over at once, so it must
    differ between processes that may run at the same time; the manifests give the pod's uid."""
    limits: Limits
    log_level: str
    log_format: str
    """`text` or `json`."""
    health_address: Address | None
    """Where /healthz, /readyz and /metrics answer; None: nowhere."""

    @classmethod
    def from_environment(
        cls, env: Mapping[str, str] | None = None, *, namespace: str | None = None
    ) -> Self:
        """Read all; `namespace` is the one of the credentials. SettingsError names a bad one."""
        env = os.environ if env is None else env
        retention = _duration(env, "JOB_RETENTION", Limits().job_retention)
        if retention < LEAST_RETENTION:
            raise SettingsError(f"{PREFIX}JOB_RETENTION must be at least 2m")
        return cls(
            namespace=env.get(f"{PREFIX}NAMESPACE") or namespace or "taskmill-system",
            namespaces=_namespaces(env, "NAMESPACES"),
            identity=env.get(f"{PREFIX}IDENTITY") or f"{socket.gethostname()}-{uuid.uuid4()}",
            limits=Limits(
                timeout=_duration(env, "TIMEOUT", DEFAULT_TIMEOUT),
                job_retention=retention,
                restricted=_choice(env, "POD_SECURITY", ("", "restricted")) == "restricted",
                log_tail=_choice(env, "LOG_TAIL", ("on", "off")) == "on",
            ),
            log_level=_choice(env, "LOG_LEVEL", ("INFO", "DEBUG", "WARNING", "ERROR")),
            log_format=_choice(env, "LOG_FORMAT", ("text", "json")),
            health_address=_address(env, "HEALTH_ADDRESS"),
        )


def _duration(env: Mapping[str, str], name: str, default: timedelta) -> timedelta:
    given = env.get(PREFIX + name)
    if not given:
        return default
    try:
        value = parse_duration(given)
    except ValueError as error:
        raise SettingsError(f"{PREFIX}{name}: {error}") from None
    if not value:
        raise SettingsError(f"{PREFIX}{name} must be longer than 0s")
    return value


def _namespaces(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    names = [part.strip() for part in env.get(PREFIX + name, "").split(",")]
    given = tuple(dict.fromkeys(filter(None, names)))
    for one in given:
        if not _NAMESPACE.fullmatch(one):
            raise SettingsError(
                f"{PREFIX}{name}: {one!r} is no name of a namespace; "
                "names are given in full, with commas between them"
            )
    return given


def _address(env: Mapping[str, str], name: str) -> Address | None:
    given = env.get(PREFIX + name)
    if not given:
        return None
    host, colon, port = given.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > LAST_PORT:
        raise SettingsError(f"{PREFIX}{name} is {given!r} and must be host:port or :port")
    return Address(host.removeprefix("[").removesuffix("]"), int(port))


def _choice(env: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    given = env.get(PREFIX + name, choices[0])
    if given not in choices:
        options = ", ".join(repr(choice) for choice in choices)
        raise SettingsError(f"{PREFIX}{name} is {given!r} and must be one of {options}")
    return given
