"""Builds the Go programs of the local cluster, and only when something about them changed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cluster.process import ClusterError, alone

HERE = Path(__file__).parent
PROGRAMS = HERE / ".build"
LIMIT = 45 * 60  # seconds for a build on a slow machine
_VERSION = "k8s.io/component-base/version"


@dataclass(frozen=True)
class Program:
    """One program: the folder of its Go module, the package to build, what to expect."""

    name: str
    module: Path
    package: str
    remark: str = ""

    @property
    def binary(self) -> Path:
        return PROGRAMS / self.name

    @property
    def stamp(self) -> Path:
        return PROGRAMS / f"{self.name}.sha256"

    def command(self) -> list[str]:
        flags = f"-s -w {self._version()}".strip()
        # fmt: off
        return [
            "go", "build", "-v", "-mod=readonly", "-buildvcs=false", "-ldflags", flags,
            "-o", str(self.binary), self.package,
        ]
        # fmt: on

    def _version(self) -> str:
        """Kubernetes asks its linker which version it is."""
        found = re.search(
            r"^\s*(?:require )?k8s\.io/kubernetes (v(\d+)\.(\d+)\.\d+)$",
            (self.module / "go.mod").read_text(),
            re.MULTILINE,
        )
        if self.name != "kube" or found is None:
            return ""
        version, major, minor = found.groups()
        values = {
            f"{_VERSION}.gitVersion": version,
            f"{_VERSION}.gitMajor": major,
            f"{_VERSION}.gitMinor": minor,
            "k8s.io/client-go/pkg/version.gitVersion": version,
        }
        return " ".join(f"-X {name}={value}" for name, value in values.items())

    def fingerprint(self) -> str:
        """Changes with the sources, the locked modules, the flags and the compiler."""
        digest = hashlib.sha256(_go("version").encode())
        digest.update("\0".join(self.command()[:-3]).encode())
        for file in sorted(self.module.rglob("*")):
            if file.suffix in {".go", ".mod", ".sum"}:
                digest.update(str(file.relative_to(self.module)).encode() + b"\0")
                digest.update(file.read_bytes() + b"\0")
        return digest.hexdigest()


KUBE = Program("kube", HERE / "kube", ".", "about 6 minutes on 2 cores the first time")
PAUSE = Program("pause", HERE / "kube", "./pause")
_KWOK_MODULE = "sigs.k8s.io/kwok"
KWOK = Program(
    "kwok", HERE / "kwok", f"{_KWOK_MODULE}/cmd/kwok", "a minute and a half the first time"
)

KUEUE = Program("kueue", HERE / "kueue", ".", "about 2 minutes on 2 cores the first time")
GITOPS = Program("gitops", HERE.parent / "e2e" / "gitops" / "evaluator", ".")


# How a fake node and the pods on it behave is kwok's own "fast" set: ready at once, and the pods
# of Jobs succeed at once.
STAGES = PROGRAMS / "kwok-stages.yaml"
_STAGES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
)


def ensure_kwok() -> None:
    """Builds kwok and puts the stages that come with it beside it."""
    ensure(KWOK)
    if not STAGES.exists() or STAGES.stat().st_mtime < KWOK.binary.stat().st_mtime:
        folder = _source(KWOK, _KWOK_MODULE) / "kustomize" / "stage"
        STAGES.write_text("---\n".join((folder / name).read_text() for name in _STAGES))


def kueue_manifests() -> Path:
    """The folder of the manifests that come with Kueue."""
    return _source(KUEUE, "sigs.k8s.io/kueue") / "config" / "components"


def _source(program: Program, module: str) -> Path:
    """Where go keeps the module of that name, in the version that the program has locked."""
    told = json.loads(_go("-C", str(program.module), "mod", "download", "-json", module))
    return Path(told["Dir"])


def ensure(*programs: Program) -> None:
    """Builds those of the programs that are missing or out of date."""
    PROGRAMS.mkdir(exist_ok=True)
    # Two builds at once would take twice the memory for the same result.
    with alone(PROGRAMS, timeout=LIMIT):
        for program in programs:
            fingerprint = program.fingerprint()
            if program.binary.exists() and _read(program.stamp) == fingerprint:
                continue
            program.stamp.unlink(missing_ok=True)
            _build(program)
            program.stamp.write_text(fingerprint)


def _build(program: Program) -> None:
    progress = _Progress(program.name)
    progress.say(f"building {program.name} ({program.remark})" if program.remark else "building")
    _follow(program.command(), program.module, progress)
    size = program.binary.stat().st_size / 1e6
    progress.say(f"built {program.binary} ({size:.0f} MB)")


def _follow(command: list[str], folder: Path, progress: _Progress) -> None:
    """Runs go and shows how far it is; it prints a line for each module and each package."""
    lines: list[str] = []
    fetched = 0
    deadline = time.monotonic() + LIMIT
    with (
        subprocess.Popen(
            command,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment(),
        ) as go,
        selectors.DefaultSelector() as selector,
    ):
        output = go.stdout
        assert output is not None
        os.set_blocking(output.fileno(), False)
        selector.register(output, selectors.EVENT_READ)
        try:
            for line in _lines(output, selector, deadline):
                if line:
                    lines.append(line)
                    fetched += line.startswith("go: downloading ")
                compiled = len(lines) - fetched
                progress.show(f"{fetched} modules fetched, {compiled} packages compiled {line}")
        except BaseException:
            go.kill()
            raise
    progress.clear()
    if go.returncode:
        told = "\n".join(f"  {line}" for line in lines[-20:])
        raise ClusterError(f"{' '.join(command[:2])} failed in {folder}:\n{told}")


def _lines(output: IO[bytes], selector: selectors.BaseSelector, deadline: float) -> Iterator[str]:
    """Whole lines as they come, and an empty one each second that brings none."""
    rest = b""
    while True:
        if time.monotonic() > deadline:
            raise ClusterError(f"the build took more than {LIMIT // 60} minutes")
        if not selector.select(timeout=1):
            yield ""
            continue
        data = os.read(output.fileno(), 1 << 16)
        if not data:
            return
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")


class _Progress:
    """One line that changes, or in a log a new one every twenty seconds."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._began = self._last = time.monotonic()
        self._tty = sys.stderr.isatty()

    def say(self, text: str) -> None:
        print(f"[{self._name}] {text}", file=sys.stderr, flush=True)

    def show(self, text: str) -> None:
        now = time.monotonic()
        if now - self._last < (0.2 if self._tty else 20):
            return
        self._last = now
        minutes, seconds = divmod(int(now - self._began), 60)
        line = f"[{self._name}] {minutes}:{seconds:02d} {text}"
        if self._tty:
            print(f"\r\x1b[K{line[:100]}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._tty:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _environment() -> dict[str, str]:
    # The compiler that preflight looked at, not one that go would fetch by itself.
    return os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": ""}


def _go(*args: str) -> str:
    return subprocess.run(
        ["go", *args], check=True, capture_output=True, text=True, timeout=30, env=_environment()
    ).stdout


def _read(file: Path) -> str:
    return file.read_text() if file.exists() else ""
