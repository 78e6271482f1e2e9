"""Who we are to the API server, read afresh from wherever the user entry points.

Blocks on files and plugins. Secrets live in fields that no repr shows and no message quotes.
"""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from taskmill.kube.errors import CredentialsError
from taskmill.kube.kubeconfig import Entry

_FILES_FRESH_FOR = timedelta(seconds=55)  # a mounted token is to be re-read every minute
_PLUGIN_TIMEOUT = 60  # seconds; nobody types passwords into it then
_SUPPORTED = "client certificates, token, tokenFile, username with password, exec"


@dataclass(frozen=True, slots=True)
class Identity:
    """What proves who we are, good until `fresh_until` (None: until refused)."""

    token: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    certificate: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    fresh_until: datetime | None = None

    def headers(self) -> dict[str, str]:
        """The Authorization header, or nothing when a certificate says it all."""
        if self.token:
            return {"Authorization": f"Bearer {self.token}"}
        if self.username and self.password:
            pair = f"{self.username}:{self.password}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        return {}


def load_identity(entry: Entry, *, interactive: bool = False) -> Identity:
    """Read what the user entry names; CredentialsError says what is missing or unsupported.

    `interactive`: a person is there, whom an exec plugin may ask and tell.
    """
    user = entry.user
    refused = [key for key in ("auth-provider", "as", "as-groups", "as-uid") if user.get(key)]
    if refused:
        raise CredentialsError(
            f"kubeconfig user {entry.user_name!r} uses {', '.join(refused)}; "
            f"supported are {_SUPPORTED}"
        )
    if user.get("exec"):
        return _ask_plugin(entry, user["exec"], interactive=interactive)
    token = read_file(user["tokenFile"]).strip() if user.get("tokenFile") else user.get("token")
    if user.get("tokenFile") and not token:
        raise CredentialsError(f"{user['tokenFile']} is empty")
    files = any(user.get(key) for key in ("tokenFile", "client-certificate", "client-key"))
    return Identity(
        token=token or None,
        username=user.get("username"),
        password=user.get("password"),
        certificate=read_pem(user, "client-certificate"),
        key=read_pem(user, "client-key"),
        fresh_until=datetime.now(UTC) + _FILES_FRESH_FOR if files else None,
    )


def read_pem(section: Mapping[str, Any], key: str) -> str | None:
    """The PEM text under `key` (a path) or `key`-data (base64, which wins)."""
    if data := section.get(f"{key}-data"):
        try:
            return base64.b64decode(data).decode()
        except (ValueError, TypeError):
            raise CredentialsError(f"kubeconfig: {key}-data is not base64 of PEM") from None
    return read_file(section[key]) if section.get(key) else None


def read_file(path: str) -> str:
    """A file's text, or a CredentialsError with its name."""
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise CredentialsError(f"cannot read {path}: {reason}") from None


def _ask_plugin(entry: Entry, plugin: Mapping[str, Any], *, interactive: bool) -> Identity:
    """Run a client-go credential plugin (client.authentication.k8s.io) and take its answer."""
    who = f"kubeconfig user {entry.user_name!r}: exec plugin {plugin.get('command')!r}"
    interactive = interactive and plugin.get("interactiveMode") != "Never" and sys.stdin.isatty()
    spec: dict[str, Any] = {"interactive": interactive}
    if plugin.get("provideClusterInfo"):
        spec["cluster"] = {k: v for k, v in entry.cluster.items() if k != "extensions"}
    request = {"apiVersion": plugin.get("apiVersion"), "kind": "ExecCredential", "spec": spec}
    env = os.environ | {item["name"]: item["value"] for item in plugin.get("env") or []}
    try:
        run = subprocess.run(  # noqa: S603 (running it is what the kubeconfig asks for)
            [plugin["command"], *(plugin.get("args") or [])],
            env=env | {"KUBERNETES_EXEC_INFO": json.dumps(request)},
            stdin=None if interactive else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if interactive else subprocess.PIPE,
            timeout=None if interactive else _PLUGIN_TIMEOUT,
            check=True,
        )
        status = json.loads(run.stdout)["status"]
        expires = status.get("expirationTimestamp")
        return Identity(
            token=status.get("token"),
            certificate=status.get("clientCertificateData"),
            key=status.get("clientKeyData"),
            fresh_until=datetime.fromisoformat(expires) if expires else None,
        )
    except subprocess.CalledProcessError as error:
        said = (error.stderr or b"").decode(errors="replace").strip()[-300:] or "see above"
        raise CredentialsError(f"{who} exited with {error.returncode}: {said}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CredentialsError(f"{who} did not run: {type(error).__name__}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        # Without the cause: it may quote the answer, which is a secret.
        raise CredentialsError(f"{who} did not answer with an ExecCredential") from None
