"""`make demo`: a cluster, taskmill, and four Tasks shown through to their verdicts."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cluster import fixtures
from cluster.handle import Handle, KubectlError
from cluster.local import LocalCluster
from cluster.preflight import install_packages
from cluster.process import ClusterError
from e2e import resident
from e2e.install import ROOT, install, write_kubeconfig
from e2e.process import OperatorProcess

NAMESPACE = "taskmill-demo"
TASKS = ("tutorial", "fails", "overruns", "no-image")
SAMPLES = ROOT / "manifests" / "samples"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--context", help="use this context of your own kubeconfig")
    arguments = parser.parse_args()
    try:
        if arguments.context:
            with _context(arguments.context) as handle, _beside(handle):
                _play(handle)
        elif fixtures.which() == "kind":
            with fixtures.kind() as handle, _beside(handle):
                _play(handle)
        else:
            _local()
    except (ClusterError, KubectlError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _local() -> None:
    """On this machine's own cluster, which stays, with the operator running in it."""
    cluster = LocalCluster()
    install_packages()
    cluster.up()
    _say("installing taskmill: crds/ and manifests/account")
    install(cluster.handle)
    _say("starting the operator under its own service account")
    resident.start(cluster)
    _play(cluster.handle)
    print(f"""
The cluster and the operator are left running.
  use them:      export KUBECONFIG={cluster.kubeconfig}
                 kubectl -n {NAMESPACE} get te
  images:        ubuntu:latest and busybox:latest, made here; there is no other
  operator log:  {cluster.sandbox.log(resident.NAME)}
  stop them:     make cluster-down""")


@contextmanager
def _context(name: str) -> Iterator[Handle]:
    """The cluster of one context of the user's kubeconfig."""
    view = ["kubectl", "config", "view", "--raw", "--minify", "--flatten", f"--context={name}"]
    found = subprocess.run(view, check=False, capture_output=True, text=True, timeout=30)
    if found.returncode:
        raise ClusterError(f"no context {name!r} in your kubeconfig: {found.stderr.strip()}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kubeconfig")
        path.touch(mode=0o600)
        path.write_text(found.stdout)
        yield Handle(path)


@contextmanager
def _beside(handle: Handle) -> Iterator[None]:
    """taskmill on somebody's cluster, its operator a process here for as long as the demo."""
    _say("installing taskmill: crds/ and manifests/account")
    install(handle)
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = Path(folder, "operator.conf")
        write_kubeconfig(handle, kubeconfig, duration="1h")
        _say("starting the operator on this machine, under its own service account")
        operator = OperatorProcess(kubeconfig, Path(folder, "log"), TASKMILL_LOG_LEVEL="INFO")
        operator.start()
        try:
            yield
        finally:
            operator.stop()


def _play(handle: Handle) -> None:
    shown = _Shown(handle)
    # A second demo is a fresh one.
    handle.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=90s")
    handle.kubectl("create", "namespace", NAMESPACE)
    with suppress(KubectlError):
        wait = ("wait", "--for=create", "serviceaccount/default", "--timeout=30s")
        handle.kubectl("-n", NAMESPACE, *wait)
    for task in TASKS:
        shown.kubectl("apply", "-f", str((SAMPLES / f"{task}.yaml").relative_to(ROOT)))
    shown.watched("get", "te", "--watch", until=len(TASKS))
    shown.kubectl("get", "te")
    shown.kubectl("get", "tasks.taskmill.dev")
    shown.kubectl("logs", "-l", "taskmill.dev/task=tutorial", "--tail=5")


class _Shown:
    """kubectl as the reader would type it."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def kubectl(self, *args: str) -> None:
        self._say(*args)
        done = self._handle.kubectl("-n", NAMESPACE, *args)
        print(done.stdout + done.stderr, end="", flush=True)

    def watched(self, *args: str, until: int) -> None:
        """A watch, shown until so many executions are finished."""
        self._say(*args)
        command = ["kubectl", f"--kubeconfig={self._handle.kubeconfig}", "-n", NAMESPACE, *args]
        environment = {**os.environ, "NO_PROXY": "198.18.0.0/15"}
        with subprocess.Popen(command, env=environment) as watch:
            try:
                self._finished(until)
            finally:
                watch.terminate()

    def _finished(self, count: int) -> None:
        deadline = time.monotonic() + 180
        query = ("get", "te", "-o", "jsonpath={.items[*].status.completedAt}")
        while len(self._handle.kubectl("-n", NAMESPACE, *query).stdout.split()) < count:
            if time.monotonic() > deadline:
                raise ClusterError(f"not all of {', '.join(TASKS)} ended within 3 minutes")
            time.sleep(1)
        time.sleep(1)  # the watch prints the last line

    def _say(self, *args: str) -> None:
        print(f"\n$ kubectl -n {NAMESPACE} {' '.join(args)}", flush=True)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
