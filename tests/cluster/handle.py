"""What tests hold of a cluster, whichever kind it is: a kubeconfig, and kubectl to use it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TIMEOUT = 120


@dataclass(frozen=True)
class Handle:
    """One cluster, seen as its administrator."""

    kubeconfig: Path
    # kubectl remembers what a server can do; a short-lived cluster takes that with it.
    cache: Path | None = None

    def kubectl(
        self, *args: str, stdin: str | None = None, check: bool = True, timeout: float = _TIMEOUT
    ) -> subprocess.CompletedProcess[str]:
        """Runs kubectl; when it fails, raises with everything that it wrote."""
        command = ["kubectl", f"--kubeconfig={self.kubeconfig}"]
        if self.cache:
            command.append(f"--cache-dir={self.cache}")
        done = subprocess.run(
            [*command, *args],
            check=False,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=_environment(),
        )
        if check and done.returncode:
            raise KubectlError(args, done)
        return done

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Server-side apply of any number of objects at once."""
        listed = {"apiVersion": "v1", "kind": "List", "items": objects}
        self.kubectl(
            "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(listed)
        )

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        """The object as the server has it; None when it has none of that name."""
        where = [f"--namespace={namespace}"] if namespace else []
        done = self.kubectl("get", kind, name, *where, "-o", "json", "--ignore-not-found")
        return json.loads(done.stdout) if done.stdout.strip() else None


class KubectlError(Exception):
    """kubectl failed; `done` has its exit code and output."""

    def __init__(self, args: tuple[str, ...], done: subprocess.CompletedProcess[str]) -> None:
        self.done = done
        super().__init__(
            f"kubectl {' '.join(args)} ended {done.returncode}\n{done.stdout}{done.stderr}".rstrip()
        )


def _environment() -> dict[str, str]:
    """This one's, with the local clusters' addresses taken out of any proxy's hands."""
    exceptions = [os.environ.get("NO_PROXY") or os.environ.get("no_proxy", ""), "198.18.0.0/15"]
    joined = ",".join(filter(None, exceptions))
    return os.environ | {"NO_PROXY": joined, "no_proxy": joined}
