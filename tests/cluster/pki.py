"""Keys, certificates and the kubeconfigs that hold them, made by openssl."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

_DAYS = "365"
_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*args: str) -> None:
    subprocess.run(["openssl", *args], check=True, capture_output=True, timeout=60)


@dataclass(frozen=True)
class Authority:
    """A certificate authority in a folder; what it signs is put beside it."""

    folder: Path

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.crt"

    @classmethod
    def create(cls, folder: Path) -> Authority:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority = cls(folder)
        # Since Python 3.13 a client refuses an authority that does not say it may sign.
        # fmt: off
        _openssl(
            "req", "-x509", *_CURVE, "-days", _DAYS, "-subj", "/CN=taskmill-cluster-ca",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout", str(folder / "ca.key"), "-out", str(authority.certificate),
        )
        # fmt: on
        return authority

    def key_pair(self, name: str) -> None:
        """A key and its public half, as service account tokens are signed and checked with."""
        key, public = self.folder / f"{name}.key", self.folder / f"{name}.pub"
        _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key))
        _openssl("ec", "-in", str(key), "-pubout", "-out", str(public))

    def issue(self, name: str, subject: str, *, addresses: tuple[str, ...] = ()) -> None:
        """A server certificate when there are addresses to be found at, else a client's."""
        usage = f"subjectAltName={','.join(addresses)}" if addresses else ""
        purpose = "serverAuth" if addresses else "clientAuth"
        key, certificate = self.folder / f"{name}.key", self.folder / f"{name}.crt"
        with tempfile.TemporaryDirectory() as scratch:
            request, extensions = Path(scratch, "request"), Path(scratch, "extensions")
            extensions.write_text(
                f"{usage}\nextendedKeyUsage={purpose}\nkeyUsage=critical,digitalSignature\n"
                # Python 3.13 also refuses a certificate that does not name its authority's key.
                "authorityKeyIdentifier=keyid\nbasicConstraints=CA:FALSE\n"
            )
            # fmt: off
            _openssl(
                "req", *_CURVE, "-subj", subject, "-keyout", str(key), "-out", str(request)
            )
            _openssl(
                "x509", "-req", "-in", str(request), "-days", _DAYS,
                "-CA", str(self.certificate), "-CAkey", str(self.folder / "ca.key"),
                "-set_serial", f"0x{secrets.token_hex(16)}",
                "-extfile", str(extensions), "-out", str(certificate),
            )
            # fmt: on

    def kubeconfig(self, name: str, *, server: str, cluster: str, to: Path) -> None:
        """Writes the kubeconfig of the client called `name`, with everything inside it."""
        data = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": cluster,
            "clusters": [
                {
                    "name": cluster,
                    "cluster": {
                        "server": server,
                        "certificate-authority-data": _encoded(self.certificate),
                    },
                }
            ],
            "users": [
                {
                    "name": name,
                    "user": {
                        "client-certificate-data": _encoded(self.folder / f"{name}.crt"),
                        "client-key-data": _encoded(self.folder / f"{name}.key"),
                    },
                }
            ],
            "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": name}}],
        }
        to.touch(mode=0o600)
        to.write_text(json.dumps(data, indent=2))


def _encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
