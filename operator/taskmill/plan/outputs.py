"""Outputs: lines KEY=VALUE that a step writes to $TASKMILL_OUTPUT, and later steps that take one.

The file is the container's termination message: it comes with the pod's status, and needs neither
a volume nor a sidecar.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from taskmill.api.container import EnvVar, OutputRef
from taskmill.api.task import RunSpec

VARIABLE = "TASKMILL_OUTPUT"
FILE = "/dev/termination-log"
"""Kubernetes' own place of the termination message, where the overlay names no other."""
FILE_BYTES = 4096
"""The kubelet keeps that much, of the end of the file (k8s.io/kubernetes/pkg/kubelet/container)."""
POD_BYTES = 12 * 1024
"""For all containers of a pod, each an equal part, of its beginning (pkg/kubelet/status)."""
STEP_KEYS = 512
"""Of one step; its status has room for no more."""
ALL_BYTES = 16 * 1024
"""Of all steps of an execution together: they are kept in its status."""

_LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]{0,62})=(.*)")


def parse(message: str) -> dict[str, str]:
    """The outputs in a termination message; other lines are for people and are left out."""
    found = map(_LINE.fullmatch, _lines(message))
    return {match[1]: match[2] for match in found if match}


def _lines(message: str) -> Iterator[str]:
    return (line.rstrip("\r") for line in message.split("\n"))


def is_all_outputs(message: str) -> bool:
    """Whether nothing in the message explains a failure: every line is an output."""
    lines = [line for line in _lines(message) if line.strip()]
    return bool(lines) and all(_LINE.fullmatch(line) for line in lines)


def without(message: str) -> str:
    """What a termination message says besides outputs."""
    return "\n".join(line for line in message.split("\n") if not _LINE.fullmatch(line.rstrip("\r")))


def too_much(message: str, others: Mapping[str, Mapping[str, str]], *, containers: int = 1) -> str:
    """Which limit a step's outputs exceed, in words; "" when none is.

    `others` are those of other steps, `containers` how many its pod has.
    """
    found = parse(message)
    room = min(FILE_BYTES, POD_BYTES // max(1, containers))
    if found and len(message.encode()) >= room:
        return f"it wrote {room} bytes or more to ${VARIABLE}, of which a part is lost"
    if len(found) > STEP_KEYS:
        return f"it wrote {len(found)} outputs; at most {STEP_KEYS} are possible"
    size = _size(found) + sum(map(_size, others.values()))
    if found and size > ALL_BYTES:
        return f"the outputs of all steps are {size} bytes; at most {ALL_BYTES} are possible"
    return ""


def references(task: RunSpec) -> Iterator[tuple[str, OutputRef]]:
    """The variables of a task that take an output, and which."""
    for variable in task.env or ():
        if variable.value_from and variable.value_from.output:
            yield variable.name, variable.value_from.output


def missing(task: RunSpec, outputs: Mapping[str, Mapping[str, str]]) -> str:
    """Which output a task wants that was not written, in words; "" when none is."""
    for name, ref in references(task):
        written = outputs.get(ref.step, {})
        if ref.key not in written:
            told = f"it wrote {', '.join(sorted(written))}" if written else "it wrote none"
            return f"env {name}: step {ref.step} has no output {ref.key}; {told}"
    return ""


def filled(variable: EnvVar, outputs: Mapping[str, Mapping[str, str]]) -> EnvVar:
    """The variable with the output it takes as its value, every $ in it reaching the process."""
    ref = variable.value_from.output if variable.value_from else None
    if ref is None:
        return variable
    return EnvVar(name=variable.name, value=unexpanded(outputs.get(ref.step, {}).get(ref.key, "")))


def unexpanded(text: str) -> str:
    """`text` such that it reaches the process as written: Kubernetes expands $(X) and $$."""
    return text.replace("$", "$$")


def _size(outputs: Mapping[str, str]) -> int:
    return sum(len(key.encode()) + len(value.encode()) for key, value in outputs.items())
