"""Credentials for our own client and for Kopf's, from one place and always fresh.

Kopf's logins need cluster DNS, never read a rotated token again and know no tls-server-name.
"""

import os
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import kopf

from taskmill.kube.errors import CredentialsError
from taskmill.kube.identity import Identity, load_identity, read_pem
from taskmill.kube.kubeconfig import SERVICE_ACCOUNT, Entry, find_entry
from taskmill.kube.tls import Tls


class Credentials:
    """How to reach the API server and who to be there.

    Nothing here shows a secret in a repr, a log line or an error. `refresh` (and what calls it:
    the constructor, `headers` when stale, `connection_info`) blocks on files and plugins.
    """

    def __init__(self, find: Callable[[str | None], Entry]) -> None:
        self._find = find
        self._entry = find(None)
        self._lock = threading.Lock()
        self._generation = 0
        self._identity = Identity()
        self._tls: Tls | None = None
        self._tls_context: ssl.SSLContext | None = None
        self._load()

    @classmethod
    def from_environment(
        cls, env: Mapping[str, str] | None = None, *, service_account: Path = SERVICE_ACCOUNT
    ) -> Self:
        """$KUBECONFIG, else the pod's service account, else ~/.kube/config."""
        env = dict(os.environ if env is None else env)
        return cls(
            lambda context: find_entry(env, service_account=service_account, context=context)
        )

    @classmethod
    def from_kubeconfig(cls, *paths: Path, context: str | None = None) -> Self:
        """These files, in this order, and no other source."""
        joined = {"KUBECONFIG": os.pathsep.join(map(str, paths))}
        return cls(lambda pinned: find_entry(joined, context=pinned or context))

    def __repr__(self) -> str:
        return f"<Credentials {self._entry.user_name!r} at {self.server}>"

    @property
    def server(self) -> str:
        """The API server's base URL, without a slash at the end."""
        return str(self._entry.cluster.get("server") or "").rstrip("/")

    @property
    def namespace(self) -> str | None:
        """The context's (or the pod's own) namespace."""
        return self._entry.namespace

    @property
    def proxy(self) -> str | None:
        """The cluster's proxy-url; the environment's proxies are not looked at."""
        return self._entry.cluster.get("proxy-url")

    @property
    def generation(self) -> int:
        """Counts refreshes, so that many requests refused at once cause a single one."""
        return self._generation

    @property
    def is_stale(self) -> bool:
        """Whether `headers` would have to read files or run a plugin first."""
        until = self._identity.fresh_until
        return until is not None and datetime.now(UTC) >= until

    def headers(self) -> dict[str, str]:
        """The Authorization header, fresh."""
        if self.is_stale:
            self.refresh(self._generation)
        return self._identity.headers()

    def ssl_context(self) -> ssl.SSLContext | None:
        """For every connection to `server`; another one after certificates changed. None: http."""
        return self._tls_context

    def refresh(self, seen: int | None = None) -> None:
        """Read everything again, unless that happened since generation `seen`."""
        with self._lock:
            if seen is None or seen == self._generation:
                # The context is pinned: somebody's `kubectl config use-context` in another
                # terminal must not move a running operator to another cluster.
                self._entry = self._find(self._entry.context)
                self._load()

    def connection_info(self) -> kopf.ConnectionInfo:
        """For Kopf's `on.login`, which is to return it each time it is asked."""
        self.refresh()
        identity, tls = self._identity, self._tls or Tls()
        return _Login(
            server=self.server,
            ca_data=tls.ca,
            insecure=tls.insecure,
            token=identity.token,
            username=identity.username,
            password=identity.password,
            certificate_data=identity.certificate,
            private_key_data=identity.key,
            default_namespace=self.namespace,
            proxy_url=self.proxy,
            expiration=identity.fresh_until,
            tls=tls,
        )

    def _load(self) -> None:
        cluster = self._entry.cluster
        if not self.server:
            raise CredentialsError(f"kubeconfig cluster {self._entry.cluster_name!r} has no server")
        identity = load_identity(self._entry)
        tls = Tls(
            ca=read_pem(cluster, "certificate-authority"),
            certificate=identity.certificate,
            key=identity.key,
            insecure=bool(cluster.get("insecure-skip-tls-verify")),
            server_name=cluster.get("tls-server-name"),
        )
        if tls != self._tls:
            self._tls_context = tls.build() if self.server.startswith("https://") else None
            self._tls = tls
        self._identity = identity
        self._generation += 1


@dataclass(frozen=True, kw_only=True, repr=False)
class _Login(kopf.ConnectionInfo):
    """Kopf's own, but with our TLS, without secrets in its repr, and equal while unchanged.

    Kopf never takes a refused one again, judged by equality. If the moment of expiry counted,
    a token refused for good would be tried again forever, without a pause.
    """

    expiration: datetime | None = field(default=None, compare=False)
    tls: Tls = field(default_factory=Tls)

    def as_ssl_context(self) -> ssl.SSLContext:
        return self.tls.build()

    def __repr__(self) -> str:
        return f"<login at {self.server}>"
