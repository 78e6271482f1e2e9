"""What Argo CD and Flux make of our objects, by the programs that they themselves decide with."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any, Self

from cluster import build
from cluster.handle import Handle
from e2e.install import ROOT

ARGO_CD = ROOT / "manifests" / "gitops" / "argo-cd"


def lua(script: str, obj: dict[str, Any]) -> Any:
    """What Argo CD's interpreter returns from one of our scripts."""
    return _evaluate("lua", str(ARGO_CD / script), given=obj)


def health(obj: dict[str, Any]) -> tuple[str, str]:
    """Argo CD's health of a Task or a TaskExecution, and its message."""
    told = lua(f"{obj['kind'].lower()}.health.lua", obj)
    assert set(told) == {"status", "message"}, told
    return told["status"], told["message"]


def kstatus(obj: dict[str, Any]) -> tuple[str, str]:
    """Flux's status of an object, and its message."""
    told = _evaluate("kstatus", given=obj)
    return told["status"], told["message"]


class Wait:
    """Waits as Flux does, beside the test: for all to be current, or one to have failed."""

    def __init__(self, cluster: Handle, *objects: dict[str, Any], within: str = "60s") -> None:
        self._process = subprocess.Popen(
            [build.GITOPS.binary, "wait", within],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"KUBECONFIG": str(cluster.kubeconfig)},
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(objects))
        self._process.stdin.close()
        self._process.stdin = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def goes_on(self) -> bool:
        return self._process.poll() is None

    def end(self) -> dict[str, Any]:
        """How it ended: the status of all together, and by kind/name of each."""
        out, err = self._process.communicate(timeout=90)
        assert self._process.returncode == 0, err
        told: dict[str, Any] = json.loads(out)
        return told


def _evaluate(*args: str, given: Any) -> Any:
    done = subprocess.run(
        [build.GITOPS.binary, *args],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
