"""Which cluster and which user: from a kubeconfig, or the pod's service account.

Both end in the same `Entry`, spelled as a kubeconfig spells it, with absolute paths. Files
that hold secrets are named here, not read.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from taskmill.kube.errors import CredentialsError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_CLUSTER_FILES = ("certificate-authority",)
_USER_FILES = ("client-certificate", "client-key", "tokenFile")


@dataclass(frozen=True, slots=True)
class Entry:
    """One context with its cluster and user, as written."""

    context: str
    cluster_name: str
    user_name: str
    namespace: str | None
    cluster: Mapping[str, Any] = field(repr=False)
    user: Mapping[str, Any] = field(repr=False)


def find_entry(
    env: Mapping[str, str], *, service_account: Path = SERVICE_ACCOUNT, context: str | None = None
) -> Entry:
    """A $KUBECONFIG that is set, else the pod's service account, else ~/.kube/config.

    What somebody set on purpose wins over what happens to be mounted. Raises CredentialsError.
    """
    if named := [
        Path(part).expanduser() for part in env.get("KUBECONFIG", "").split(os.pathsep) if part
    ]:
        return read_kubeconfig(named, context=context)
    if env.get("KUBERNETES_SERVICE_HOST") and (service_account / "token").exists():
        return _in_cluster(env, service_account)
    default = Path(env.get("HOME") or "~").expanduser() / ".kube" / "config"
    if default.exists():
        return read_kubeconfig([default], context=context)
    raise CredentialsError(
        "no cluster to talk to: $KUBECONFIG is not set, this is not a pod with a service account, "
        f"and {default} does not exist"
    )


def read_kubeconfig(paths: list[Path], *, context: str | None = None) -> Entry:
    """The current (or named) context of these files together; the first to say a thing wins.

    Files that do not exist are passed over, as kubectl does, unless none exists.
    """
    documents = [(path, _load(path)) for path in paths if path.exists()]
    if not documents:
        raise CredentialsError(f"no kubeconfig at {os.pathsep.join(map(str, paths))}")
    merged: dict[str, dict[str, Any]] = {"contexts": {}, "clusters": {}, "users": {}}
    for path, document in documents:
        context = context or document.get("current-context")
        for kind, singular in (("contexts", "context"), ("clusters", "cluster"), ("users", "user")):
            for item in document.get(kind) or []:
                body = _absolute(item.get(singular) or {}, path.absolute().parent)
                merged[kind].setdefault(item.get("name"), body)
    if not context:
        raise CredentialsError(f"no current-context in {os.pathsep.join(map(str, paths))}")
    chosen = _pick(merged["contexts"], context, "context")
    cluster, user = str(chosen.get("cluster", "")), str(chosen.get("user", ""))
    return Entry(
        context=context,
        cluster_name=cluster,
        user_name=user,
        namespace=chosen.get("namespace"),
        cluster=_pick(merged["clusters"], cluster, "cluster"),
        user=_pick(merged["users"], user, "user") if user else {},
    )


def _in_cluster(env: Mapping[str, str], service_account: Path) -> Entry:
    host, port = env["KUBERNETES_SERVICE_HOST"], env.get("KUBERNETES_SERVICE_PORT", "443")
    host = f"[{host}]" if ":" in host else host  # IPv6
    namespace = service_account / "namespace"
    return Entry(
        context="in-cluster",
        cluster_name="in-cluster",
        user_name="service account",
        namespace=namespace.read_text().strip() if namespace.exists() else None,
        cluster={
            "server": f"https://{host}:{port}",
            "certificate-authority": str(service_account / "ca.crt"),
        },
        user={"tokenFile": str(service_account / "token")},
    )


def _load(path: Path) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise CredentialsError(f"kubeconfig {path}: {error.strerror}") from error
    except yaml.YAMLError:
        # Without the cause: it quotes the line, and the line may hold a token.
        raise CredentialsError(f"kubeconfig {path} is not valid YAML") from None
    if not isinstance(document, dict):
        raise CredentialsError(f"kubeconfig {path} is empty or not a mapping")
    return document


def _absolute(body: Mapping[str, Any], home: Path) -> dict[str, Any]:
    """Relative paths in a kubeconfig start where the file is, not where we are."""
    result = dict(body)
    for key in (*_CLUSTER_FILES, *_USER_FILES):
        if result.get(key):
            result[key] = str(home / result[key])
    plugin = result.get("exec")
    if isinstance(plugin, dict) and os.sep in str(plugin.get("command", "")):
        result["exec"] = plugin | {"command": str(home / plugin["command"])}
    return result


def _pick(entries: Mapping[str, Any], name: str, kind: str) -> Mapping[str, Any]:
    if name not in entries:
        raise CredentialsError(f"kubeconfig has no {kind} called {name!r}")
    found: Mapping[str, Any] = entries[name]
    return found
