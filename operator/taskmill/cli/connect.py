"""The way to the cluster as the user's own kubeconfig has it, as kubectl would take it.

What needs no library is read by our own room, in a tenth of the time that the official client
takes to import; that one is asked for what is left, OpenID Connect and other `auth-provider`s.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from taskmill.kube.errors import CredentialsError
from taskmill.kube.identity import Identity, load_identity, read_pem
from taskmill.kube.kubeconfig import Entry, find_entry, read_kubeconfig
from taskmill.kube.tls import Tls


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the user said on the command line; "" and () where nothing."""

    namespace: str = ""
    context: str = ""
    kubeconfig: str = ""
    as_user: str = ""
    as_groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where the API server is and who we are there."""

    server: str
    context: str
    namespace: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    """A name may come more than once."""
    tls: ssl.SSLContext | None
    server_name: str | None
    proxy: str | None


def connect(wanted: Wanted, env: Mapping[str, str] | None = None) -> Access:
    """Read the kubeconfig. Raises CredentialsError, with what to do."""
    env = os.environ if env is None else env
    entry = _entry(wanted, env)
    server = str(entry.cluster.get("server") or "").rstrip("/")
    if not server:
        raise CredentialsError(f"kubeconfig cluster {entry.cluster_name!r} has no server")
    identity = _identity(entry, wanted.kubeconfig)
    tls = Tls(
        ca=read_pem(entry.cluster, "certificate-authority"),
        certificate=identity.certificate,
        key=identity.key,
        insecure=bool(entry.cluster.get("insecure-skip-tls-verify")),
        server_name=entry.cluster.get("tls-server-name"),
    )
    return Access(
        server=server,
        context=entry.context,
        namespace=wanted.namespace or entry.namespace or "default",
        headers=(*identity.headers().items(), *_impersonation(entry.user, wanted)),
        tls=tls.build() if server.startswith("https://") else None,
        server_name=tls.server_name,
        proxy=entry.cluster.get("proxy-url") or _proxy(server, env),
    )


def _entry(wanted: Wanted, env: Mapping[str, str]) -> Entry:
    context = wanted.context or None
    if wanted.kubeconfig:
        return read_kubeconfig([Path(wanted.kubeconfig)], context=context)
    return find_entry(env, context=context)


def _identity(entry: Entry, kubeconfig: str) -> Identity:
    if entry.user.get("auth-provider"):
        return _from_provider(entry, kubeconfig)
    # Whom to impersonate is said in headers, and proves nothing.
    user = {key: value for key, value in entry.user.items() if key not in _AS}
    return load_identity(replace(entry, user=user), interactive=True)


def _from_provider(entry: Entry, kubeconfig: str) -> Identity:
    """As the official client logs in; it writes a renewed token back, as kubectl does."""
    from kubernetes.client import Configuration  # half a second
    from kubernetes.config import ConfigException, load_kube_config

    configuration = Configuration()
    try:
        load_kube_config(  # type: ignore[no-untyped-call]
            config_file=kubeconfig or None,
            context=entry.context,
            client_configuration=configuration,
        )
    except (ConfigException, OSError, ValueError) as error:
        raise CredentialsError(f"kubeconfig user {entry.user_name!r}: {error}") from None
    token = str(configuration.get_api_key_with_prefix("BearerToken", "authorization") or "")
    if not token:
        name = entry.user["auth-provider"].get("name")
        raise CredentialsError(
            f"kubeconfig user {entry.user_name!r}: auth-provider {name!r} gives no token; "
            "log in anew, or use an exec plugin"
        )
    return Identity(token=token.removeprefix("Bearer "))


_AS = ("as", "as-groups", "as-uid", "as-user-extra")


def _impersonation(user: Mapping[str, Any], wanted: Wanted) -> Iterator[tuple[str, str]]:
    name = wanted.as_user or str(user.get("as") or "")
    groups = wanted.as_groups or tuple(user.get("as-groups") or ())
    if groups and not name:
        raise CredentialsError("--as-group needs --as")
    if name:
        yield "Impersonate-User", name
    yield from (("Impersonate-Group", group) for group in groups)


def _proxy(server: str, env: Mapping[str, str]) -> str | None:
    if not any(name.lower() in ("https_proxy", "http_proxy", "all_proxy") for name in env):
        return None
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass  # rarely needed

    split = urlsplit(server)
    proxies = getproxies()
    if proxy_bypass(split.netloc) or _within(split.hostname or "", proxies.get("no", "")):
        return None
    return proxies.get(split.scheme) or proxies.get("all")


def _within(host: str, exceptions: str) -> bool:
    """Whether an address is in one of the networks of $NO_PROXY, which Go's clients look at."""
    from ipaddress import ip_address, ip_network

    for one in exceptions.split(","):
        try:
            if ip_address(host) in ip_network(one.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False
