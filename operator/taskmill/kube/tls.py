"""TLS to the API server: whom we trust, and the certificate we show."""

import contextlib
import ssl
import tempfile
from dataclasses import dataclass, field
from typing import Any

from taskmill.kube.errors import CredentialsError


@dataclass(frozen=True, slots=True)
class Tls:
    """Everything a TLS connection to the API server depends on."""

    ca: str | None = None
    certificate: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    insecure: bool = False
    server_name: str | None = None

    def build(self) -> ssl.SSLContext:
        """A context of its own; CredentialsError when a certificate is unreadable."""
        context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
        # What ssl.create_default_context() sets from Python 3.13 on, but for VERIFY_X509_STRICT:
        # that refuses CAs without a key identifier, which older installers gave their clusters.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        try:
            if self.ca:
                context.load_verify_locations(cadata=self.ca)
            else:
                context.load_default_certs()
            if self.certificate and self.key:
                _load_pair(context, self.certificate, self.key)
        except (ssl.SSLError, ValueError) as error:
            raise CredentialsError(f"certificates of the kubeconfig: {error}") from None
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        context.server_name = self.server_name
        return context


class _NamedContext(ssl.SSLContext):
    """Asks for, and verifies, another name than the URL's: tls-server-name for every client."""

    server_name: str | None = None

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        if self.server_name:
            kwargs["server_hostname"] = self.server_name
        return super().wrap_bio(*args, **kwargs)


def _load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    # Python reads this pair from files only; readable by us alone, and gone at once.
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(tempfile.NamedTemporaryFile("w"))
        file.write(f"{certificate}\n{key}\n")
        file.flush()
        context.load_cert_chain(file.name)
