"""A read-only container registry for this machine: a folder, and a server that shows it.

Pods name images as everywhere (`ubuntu:latest`, pulled always). containerd is told to ask this
server in the registry's place, so pulling works without a network and fails like the real thing:
404 for what is not here, 401 for every repository below `private/`.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO
from urllib.parse import parse_qs, urlsplit

PORT = 5000
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
_CHUNK = 1 << 20
_REFERENCE = re.compile(
    r"(?P<host>[a-z0-9.-]+(?::\d+)?)/(?P<repository>[a-z0-9._/-]+):(?P<tag>[\w.-]+)", re.ASCII
)
_ROUTE = re.compile(
    r"/v2/(?P<repository>[a-z0-9._/-]+)/(?P<kind>manifests|blobs)/(?P<reference>[\w.:-]+)", re.ASCII
)


@dataclass(frozen=True)
class Store:
    """`blobs/<sha256>` holds contents, `tags/<host>/<repository>/<tag>` a manifest's sha256."""

    folder: Path

    def blob(self, digest: str) -> Path:
        return self.folder / "blobs" / digest.removeprefix("sha256:")

    def tag(self, host: str, repository: str, tag: str) -> Path:
        return self.folder / "tags" / host / repository / tag

    def add(self, archive: Path) -> list[str]:
        """Unpacks a docker archive and returns the names under which it can be pulled."""
        names: list[str] = []
        with tarfile.open(archive) as tar:
            for image in json.load(_member(tar, "manifest.json")):
                manifest = {
                    "schemaVersion": 2,
                    "mediaType": _MANIFEST,
                    "config": self._take(_member(tar, image["Config"]), _CONFIG),
                    "layers": [self._take(_member(tar, name), _LAYER) for name in image["Layers"]],
                }
                digest = self._write(json.dumps(manifest).encode())
                for name in image["RepoTags"]:
                    self._name(name, digest)
                    names.append(name)
        return names

    def hosts(self) -> Iterator[str]:
        """The registries this store stands in for."""
        return (folder.name for folder in (self.folder / "tags").iterdir())

    def _name(self, name: str, digest: str) -> None:
        match = _REFERENCE.fullmatch(name)
        if match is None or ".." in name:
            raise ValueError(f"{name}: not a full image name such as docker.io/library/busybox:1")
        file = self.tag(match["host"], match["repository"], match["tag"])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(digest)

    def _take(self, content: IO[bytes], media_type: str) -> dict[str, str | int]:
        data = content.read()
        return {"mediaType": media_type, "digest": self._write(data), "size": len(data)}

    def _write(self, data: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        file = self.blob(digest)
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            # Under its own name only when whole: a pull may be looking.
            part = file.with_suffix(".part")
            part.write_bytes(data)
            part.rename(file)
        return digest


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is no file of the archive")
    return file


class Handler(BaseHTTPRequestHandler):
    """The part of the distribution API that a pull uses."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    store: Store

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        # containerd says which registry it means in the query.
        host = parse_qs(url.query).get("ns", ["docker.io"])[0]
        route = _ROUTE.fullmatch(url.path)
        if url.path == "/v2/":
            self._json(HTTPStatus.OK, {})
        elif url.path == "/token":
            self._json(HTTPStatus.OK, {"token": "anonymous", "expires_in": 300})
        elif route is None or ".." in url.path:
            self._refuse(HTTPStatus.NOT_FOUND, "NAME_UNKNOWN")
        elif route["repository"].startswith("private/"):
            self._refuse(HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED")
        else:
            self._serve(host, route["repository"], route["kind"], route["reference"])

    do_HEAD = do_GET  # noqa: N815 - http.server looks for this name

    def _serve(self, host: str, repository: str, kind: str, reference: str) -> None:
        digest = reference
        if not reference.startswith("sha256:"):
            tag = self.store.tag(host, repository, reference)
            digest = tag.read_text() if kind == "manifests" and tag.is_file() else ""
        file = self.store.blob(digest)
        if not digest or not file.is_file():
            unknown = "MANIFEST_UNKNOWN" if kind == "manifests" else "BLOB_UNKNOWN"
            self._refuse(HTTPStatus.NOT_FOUND, unknown)
            return
        self.send_response(HTTPStatus.OK)
        media_type = _MANIFEST if kind == "manifests" else "application/octet-stream"
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(file.stat().st_size))
        self.send_header("Docker-Content-Digest", digest)
        self.end_headers()
        if self.command == "GET":
            with file.open("rb") as content:
                while chunk := content.read(_CHUNK):
                    self.wfile.write(chunk)

    def _refuse(self, status: HTTPStatus, code: str) -> None:
        body = {"errors": [{"code": code, "message": status.phrase.lower()}]}
        if status is not HTTPStatus.UNAUTHORIZED:
            self._json(status, body)
            return
        # As the public registry does: a token is had for the asking and is not enough.
        challenge = f'Bearer realm="http://127.0.0.1:{PORT}/token",service="registry"'
        if "Authorization" in self.headers:
            challenge += ',error="insufficient_scope"'
        self._json(status, body, {"WWW-Authenticate": challenge})

    def _json(
        self, status: HTTPStatus, body: object, headers: dict[str, str] | None = None
    ) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)


def main() -> None:
    Handler.store = Store(Path(sys.argv[1]))
    with ThreadingHTTPServer(("", PORT), Handler) as server:
        server.daemon_threads = True
        server.serve_forever()


if __name__ == "__main__":
    main()
