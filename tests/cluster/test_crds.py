"""What the API server does with our definitions: accepts, refuses with a sentence, keeps, shows.

`REFUSALS` is a table of wrong manifests. A test walks the definitions and counts: each of their
rules must be what the server itself cites for at least one of them.

All that is stored is stored as copies of our kinds, the same but for their group, which no operator
watches: nothing but these tests writes their status.
"""

import copy
import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from cluster.process import wait_for
from taskmill.api.crds import manifests
from taskmill.api.group import GROUP, VERSION

pytestmark = pytest.mark.cluster

COPY = f"copy.{GROUP}"
PLURALS = {"Task": "tasks", "TaskExecution": "taskexecutions"}
GONE = object()  # as a value of a change: take the field away
KINDS = list(PLURALS)
MOMENT = "2026-11-24T12:00:00Z"


def good(kind: str, name: str = "case") -> dict[str, Any]:
    """A manifest with nothing wrong."""
    specs: dict[str, Any] = {
        "Task": {"image": "ubuntu"},
        "TaskExecution": {"plan": [{"id": "build", "task": {"image": "ubuntu"}}]},
    }
    return {
        "apiVersion": f"{COPY}/{VERSION}",
        "kind": kind,
        "metadata": {"name": name},
        "spec": specs[kind],
    }


def changed(manifest: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """The manifest with values put, in turn, at paths such as `spec.plan[0].task.script`."""
    out = copy.deepcopy(manifest)
    for path, value in change.items():
        *parents, last = [
            int(step) if step.isdigit() else step for step in re.findall(r"[^.\[\]]+", path)
        ]
        at: Any = out
        for parent in parents:
            at = at[parent] if isinstance(parent, int) else at.setdefault(parent, {})
        if value is GONE:
            at.pop(last)
        else:
            at[last] = copy.deepcopy(value)
    return out


# ---- the table of refusals ----


@dataclass(frozen=True)
class Refusal:
    """A manifest, or an edit, that must be refused."""

    kind: str
    field: str
    """The field that the server must name."""
    says: str
    """Part of the sentence that it must say about it."""
    change: dict[str, Any]
    """Made to a good manifest."""
    before: dict[str, Any] = field(default_factory=dict)
    """Made to what is stored first; then `change` is an edit of that."""

    @property
    def is_edit(self) -> bool:
        """Whether something must be stored first: a status cannot be created."""
        return bool(self.before) or any(path.startswith("status") for path in self.change)

    def __str__(self) -> str:
        """The test's name."""
        values = [
            "gone" if value is GONE else json.dumps(value)[:40] for value in self.change.values()
        ]
        return f"{self.kind} {self.field}={values[-1]}: {self.says}"


def text(
    kind: str,
    path: str,
    longest: int,
    *,
    given: dict[str, Any] | None = None,
    required: bool = False,
    empty: str = "",
) -> Iterator[Refusal]:
    """A text that is too long, required, or must not be empty. `given` makes room around it."""
    room = given or {}
    yield Refusal(kind, path, "Too long", {**room, path: "x" * (longest + 1)})
    if required:
        yield Refusal(kind, path, "Required value", {**room, path: GONE})
    if empty:
        yield Refusal(kind, path, empty, {**room, path: ""})


NOT_EMPTY = "must not be empty"


def items(kind: str, path: str, most: int, item: Any) -> Refusal:
    """A list or map with one item more than it may have."""
    if isinstance(item, dict) and "name" in item:
        many: Any = [{**item, "name": f"{item['name']}{n}"} for n in range(most + 1)]
    elif isinstance(item, str):
        many = [item] * (most + 1)
    else:
        many = {f"example.com/r{n}": item for n in range(most + 1)}
    return Refusal(kind, path, "Too many", {path: many})


def of_env(kind: str, at: str) -> Iterator[Refusal]:
    """What can be wrong with the environment variables of `at`."""
    env = f"{at}.env"
    one = f"{env}[0]"
    yield items(kind, env, 100, {"name": "A"})
    yield Refusal(kind, f"{env}[1]", "Duplicate value", {env: [{"name": "A"}, {"name": "A"}]})
    named = {env: [{"name": "A"}]}
    bad_name = "must be a name without '=', such as CARGO_HOME"
    yield from text(kind, f"{one}.name", 200, given=named, required=True, empty=bad_name)
    yield Refusal(kind, f"{one}.name", bad_name, {**named, f"{one}.name": "A=B"})
    yield from text(kind, f"{one}.value", 131072, given=named)
    source = f"{one}.valueFrom"
    yield Refusal(
        kind,
        one,
        "value and valueFrom cannot both be given",
        {**named, f"{one}.value": "", f"{source}.fieldRef.fieldPath": "metadata.name"},
    )
    exactly_one = (
        "exactly one of secretKeyRef, configMapKeyRef, fieldRef, resourceFieldRef and output"
        " must be given"
    )
    yield Refusal(kind, source, exactly_one, {**named, source: {}})
    two = {"fieldRef": {"fieldPath": "a"}, "resourceFieldRef": {"resource": "limits.cpu"}}
    yield Refusal(kind, source, exactly_one, {**named, source: two})
    for ref in ("secretKeyRef", "configMapKeyRef"):
        for key in ("name", "key"):
            room = {**named, f"{source}.{ref}": {"name": "s", "key": "k"}}
            path = f"{source}.{ref}.{key}"
            yield from text(kind, path, 253, given=room, required=True, empty=NOT_EMPTY)
    of_pod = {**named, f"{source}.fieldRef": {"fieldPath": "metadata.name"}}
    path = f"{source}.fieldRef.fieldPath"
    yield from text(kind, path, 256, given=of_pod, required=True, empty=NOT_EMPTY)
    yield from text(kind, f"{source}.fieldRef.apiVersion", 32, given=of_pod)
    for key in ("step", "key"):
        room = {**named, f"{source}.output": {"step": "a", "key": "k"}}
        path = f"{source}.output.{key}"
        yield from text(kind, path, 63, given=room, required=True, empty=NOT_EMPTY)
    resource = f"{source}.resourceFieldRef"
    of_container = {**named, resource: {"resource": "limits.cpu"}}
    path = f"{resource}.resource"
    yield from text(kind, path, 64, given=of_container, required=True, empty=NOT_EMPTY)
    yield from text(kind, f"{resource}.containerName", 63, given=of_container)
    yield from quantity(kind, f"{resource}.divisor", given=of_container)


def quantity(kind: str, path: str, *, given: dict[str, Any] | None = None) -> Iterator[Refusal]:
    for bad in ("much", "-1", -1, "1 Gi", ""):
        says = "must be a quantity of zero or more, such as 500m, 2 or 1Gi"
        yield Refusal(kind, path, says, {**(given or {}), path: bad})
    yield Refusal(kind, path, "Too long", {**(given or {}), path: "1" * 33})


def of_duration(kind: str, path: str, *, zero: bool = False) -> Iterator[Refusal]:
    says = "must be a duration such as 0s" if zero else "must be a duration of more than zero"
    for bad in ("soon", "2d3h", "PT10M", "1.5h", "-5m", "10", "", *(() if zero else ("0s",))):
        yield Refusal(kind, path, says, {path: bad})
    yield from text(kind, path, 28)


def of_resources(kind: str, at: str) -> Iterator[Refusal]:
    resources = f"{at}.resources"
    for side in ("limits", "requests"):
        yield items(kind, f"{resources}.{side}", 16, 1)
        for refusal in quantity(kind, f"{resources}.{side}.cpu"):
            # A rule names the key of a map in brackets, a bound by a dot.
            if refusal.says == "Too long":
                yield refusal
            else:
                named = f"{resources}.{side}[cpu]"
                yield Refusal(kind, named, refusal.says, refusal.change)
    for request, limit in (("2Gi", "1Gi"), (2, "1999m"), ("1e3", 999)):
        yield Refusal(
            kind,
            f"{resources}.requests",
            "a request cannot be larger than the limit of the same resource",
            {f"{resources}.limits": {"memory": limit}, f"{resources}.requests.memory": request},
        )


def of_env_from(kind: str, at: str) -> Iterator[Refusal]:
    source = f"{at}.envFrom"
    exactly_one = "exactly one of secretRef and configMapRef must be given"
    given = {source: [{"secretRef": {"name": "s"}}]}
    yield Refusal(kind, source, "Too many", {source: [{"secretRef": {"name": "s"}}] * 33})
    yield Refusal(kind, f"{source}[0]", exactly_one, {source: [{"prefix": "A_"}]})
    yield Refusal(
        kind, f"{source}[0]", exactly_one, {**given, f"{source}[0].configMapRef": {"name": "c"}}
    )
    yield from text(kind, f"{source}[0].prefix", 253, given=given)
    for ref in ("secretRef", "configMapRef"):
        room = {source: [{ref: {"name": "s"}}]}
        path = f"{source}[0].{ref}.name"
        yield from text(kind, path, 253, given=room, required=True, empty=NOT_EMPTY)


def of_run(kind: str, at: str) -> Iterator[Refusal]:
    """What can be wrong with what runs and its clocks."""
    image = f"{at}.image"
    bad_image = "must name an image, such as ubuntu:24.04, without blanks around it"
    yield from text(kind, image, 1024, required=True, empty=bad_image)
    yield Refusal(kind, image, bad_image, {image: " ubuntu"})
    yield Refusal(kind, image, bad_image, {image: "ubuntu\n"})
    for arguments in ("command", "args"):
        yield from of_arguments(kind, f"{at}.{arguments}")
    script = f"{at}.script"
    yield from text(kind, script, 122880, empty=NOT_EMPTY)
    yield Refusal(
        kind,
        script,
        "script and command cannot both be given",
        {f"{at}.command": ["a"], script: "a"},
    )
    yield from of_env(kind, at)
    yield from of_env_from(kind, at)
    yield from text(kind, f"{at}.workingDir", 4096)
    yield from of_resources(kind, at)
    account = f"{at}.serviceAccountName"
    yield from text(kind, account, 253, empty="must be the name of a ServiceAccount")
    yield Refusal(kind, account, "must be the name of a ServiceAccount", {account: "Builder"})
    policy = f"{at}.imagePullPolicy"
    yield Refusal(kind, policy, "must be Always, IfNotPresent or Never", {policy: "always"})
    for clock in ("maxRunTime", "startTimeout", "queueTimeout"):
        yield from of_duration(kind, f"{at}.{clock}")
    yield from of_duration(kind, f"{at}.gracePeriod", zero=True)
    yield from of_retry(kind, f"{at}.retry")
    yield from within(kind, f"{at}.infraRetries", 0, 100)
    yield from of_overlay_metadata(kind, f"{at}.podTemplate.metadata")
    yield from of_overlay(kind, f"{at}.podTemplate.spec")


def of_retry(kind: str, at: str) -> Iterator[Refusal]:
    yield from within(kind, f"{at}.limit", 0, 100)
    codes = f"{at}.onExitCodes"
    yield Refusal(kind, codes, "Too many", {codes: list(range(1, 66))})
    yield Refusal(kind, f"{codes}[1]", "Duplicate value", {codes: [7, 7]})
    yield from within(kind, f"{codes}[0]", 1, 255, given={codes: [1]})
    yield from of_duration(kind, f"{at}.backoff.initial", zero=True)
    yield from within(kind, f"{at}.backoff.factor", 1, 10)
    yield from of_duration(kind, f"{at}.backoff.max")
    more = {"memoryPercent": 200, "max": "1Gi"}
    says = "onOOM needs a limit of at least 1: that many attempts get more memory"
    for retry in ({"onOOM": more}, {"limit": 0, "onOOM": more}):
        yield Refusal(kind, f"{at}.onOOM", says, {at: retry})
    given = {at: {"limit": 1, "onOOM": more}}
    yield from within(kind, f"{at}.onOOM.memoryPercent", 101, 1000, given=given)
    yield from quantity(kind, f"{at}.onOOM.max", given=given)
    for key in more:
        path = f"{at}.onOOM.{key}"
        yield Refusal(kind, path, "Required value", {**given, path: GONE})
    yield Refusal(kind, f"{at}.onNodeLost", "must be Wait or Now", {f"{at}.onNodeLost": "now"})


def within(
    kind: str, path: str, least: int, most: int, *, given: dict[str, Any] | None = None
) -> Iterator[Refusal]:
    yield not_below(kind, path, least, given=given)
    says = f"should be less than or equal to {most}"
    yield Refusal(kind, path, says, {**(given or {}), path: most + 1})


def of_overlay_metadata(kind: str, at: str) -> Iterator[Refusal]:
    for keys, longest in (("labels", 63), ("annotations", 65536)):
        path = f"{at}.{keys}"
        many = {f"k{n}": "" for n in range(65)}
        yield Refusal(kind, path, "Too many", {path: many})
        yield Refusal(kind, f"{path}.a", "Too long", {path: {"a": "x" * (longest + 1)}})
        for key in ("taskmill.dev/task", "a.b.taskmill.dev/x"):
            says = "Forbidden: keys of taskmill.dev belong to taskmill: use a domain of your own"
            yield Refusal(kind, path, says, {path: {key: "x", "good": "y"}})
        says = "Forbidden: keys of batch.kubernetes.io belong to the Job controller"
        yield Refusal(kind, path, says, {path: {"batch.kubernetes.io/job-name": "x"}})
    path = f"{at}.labels"
    for key in ("app.kubernetes.io/managed-by", "controller-uid", "job-name"):
        says = f"Forbidden: {key} cannot be given here: use another label"
        yield Refusal(kind, path, says, {path: {key: "x"}})


def of_overlay(kind: str, at: str) -> Iterator[Refusal]:
    """What is taskmill's own, and cannot be laid over its pod."""
    for owned, value, instead in (
        ("restartPolicy", "Never", "it is always Never"),
        ("activeDeadlineSeconds", 0, "use maxRunTime of the task"),
        ("terminationGracePeriodSeconds", 60, "use gracePeriod of the task"),
        ("serviceAccountName", "", "use serviceAccountName of the task"),
        ("serviceAccount", "a", "use serviceAccountName of the task"),
        ("ephemeralContainers", [], "use containers"),
    ):
        path = f"{at}.{owned}"
        says = f"Forbidden: {owned} of the pod cannot be given here: {instead}"
        yield Refusal(kind, path, says, {path: value})
        yield from too_much(kind, path, value)
    yield from of_directive(kind, at, {})
    yield from of_overlay_containers(kind, f"{at}.containers")
    of_init = f"{at}.initContainers"
    yield from of_containers(kind, of_init)
    says = "main is the name of the task's own container: use another one"
    yield Refusal(kind, f"{of_init}[0].name", says, {of_init: [{"name": "main"}]})


def of_overlay_containers(kind: str, at: str) -> Iterator[Refusal]:
    yield from of_containers(kind, at)
    for owned, value, instead in (
        ("image", "", "use image of the task"),
        ("imagePullPolicy", "Always", "use imagePullPolicy of the task"),
        ("command", [], "use command of the task"),
        ("args", ["a"], "use args of the task"),
        ("env", [{"name": "A"}], "use env of the task"),
        ("envFrom", [], "use envFrom of the task"),
        ("workingDir", "/", "use workingDir of the task"),
        ("resources", {}, "use resources of the task"),
        ("restartPolicy", "Always", "it runs once"),
        ("terminationMessagePath", "/x", "use standard error"),
        ("terminationMessagePolicy", "File", "use standard error"),
    ):
        path = f"{at}[1].{owned}"
        room = {at: [{"name": "other", owned: value}, {"name": "main"}]}
        says = f"Forbidden: {owned} of container main cannot be given here: {instead}"
        yield Refusal(kind, path, says, {**room, path: value})
        yield from too_much(kind, f"{at}[0].{owned}", value, given={at: [{"name": "other"}]})


def of_containers(kind: str, at: str) -> Iterator[Refusal]:
    given = {at: [{"name": "other"}]}
    many = [{"name": f"c{n}"} for n in range(33)]
    yield Refusal(kind, at, "Too many", {at: many})
    yield from text(kind, f"{at}[0].name", 63, given=given, required=True)
    yield from of_directive(kind, f"{at}[0]", given)
    path = f"{at}[0].restartPolicyRules"
    says = "Forbidden: restartPolicyRules cannot be given here"
    yield Refusal(kind, path, says, {**given, path: []})
    yield from too_much(kind, path, [], given=given)


def of_directive(kind: str, at: str, given: dict[str, Any]) -> Iterator[Refusal]:
    path = f"{at}.$patch"
    yield Refusal(kind, path, "Forbidden: directives cannot be given here", {**given, path: "x"})
    yield Refusal(kind, path, "Too long", {**given, path: "x" * 4097})


def too_much(
    kind: str, path: str, value: Any, *, given: dict[str, Any] | None = None
) -> Iterator[Refusal]:
    """More of a field of a pod than the schema has room for."""
    room = given or {}
    if path.endswith((".command", ".args")):
        yield Refusal(kind, path, "Too many", {**room, path: ["x"] * 1025})
        yield Refusal(kind, f"{path}[0]", "Too long", {**room, path: ["x" * 65537]})
    elif isinstance(value, list):
        yield Refusal(kind, path, "Too many", {**room, path: [{}] * 1025})
    elif isinstance(value, str):
        yield Refusal(kind, path, "Too long", {**room, path: "x" * 4097})


def of_arguments(kind: str, path: str) -> Iterator[Refusal]:
    yield items(kind, path, 1024, "x")
    yield from text(kind, f"{path}[0]", 131072, given={path: [""]})


BAD_LABEL = "must be at most 63 lower-case letters, digits and '-'"


def of_object(kind: str) -> Iterator[Refusal]:
    """What can be wrong with every object of ours."""
    yield Refusal(kind, "spec", "Required value", {"spec": GONE})
    for name in ("x" * 64, "a.b", "Build", "-a", "a-"):
        yield Refusal(kind, "metadata.name", BAD_LABEL, {"metadata.name": name})
    yield from text(kind, "metadata.name", 253)
    yield Refusal(
        kind,
        "metadata.name",
        BAD_LABEL,
        {"metadata.name": GONE, "metadata.generateName": "a.b-"},
    )


def of_task() -> Iterator[Refusal]:
    kind = "Task"
    yield from of_object(kind)
    yield from of_run(kind, "spec")
    yield Refusal(kind, "spec.script", "a script has at most 120 KiB", {"spec.script": "ä" * 61441})
    for path, longest in (
        ("spec.info.title", 255),
        ("spec.info.description", 32768),
        ("spec.info.owner", 255),
        ("spec.info.source", 4096),
        ("spec.rerun", 1024),
    ):
        yield from text(kind, path, longest)
    yield from of_duration(kind, "spec.timeout")
    yield Refusal(
        kind,
        "spec.maxRunTime",
        "maxRunTime 2h is longer than timeout 119m",
        {"spec.timeout": "119m", "spec.maxRunTime": "2h"},
    )
    yield Refusal(kind, "spec.trigger", "must be OnChange or Manual", {"spec.trigger": "onchange"})
    depends = "spec.dependsOn"
    yield Refusal(kind, depends, "Too many", {depends: [f"t{n}" for n in range(101)]})
    yield Refusal(kind, f"{depends}[1]", "Duplicate value", {depends: ["a", "a"]})
    yield Refusal(kind, f"{depends}[0]", "Too long", {depends: ["x" * 64]})
    yield Refusal(kind, f"{depends}[0]", BAD_LABEL, {depends: ["Build"]})
    cron = {"spec.schedule": {"cron": "@daily"}}
    path = "spec.schedule.cron"
    yield from text(kind, path, 256, given=cron, required=True, empty=NOT_EMPTY)
    yield from text(kind, "spec.schedule.timeZone", 64, given=cron)
    for refusal in of_duration(kind, "spec.schedule.startingDeadline"):
        yield Refusal(kind, refusal.field, refusal.says, {**cron, **refusal.change})
    policy = "spec.concurrencyPolicy"
    yield Refusal(kind, policy, "must be Allow, Forbid, Replace or Queue", {policy: "allow"})
    yield from within(kind, "spec.maxQueued", 0, 100)
    for kept in ("succeeded", "failed"):
        yield from within(kind, f"spec.history.{kept}", 0, 1000)
    yield from of_duration(kind, "spec.history.ttl")


def of_execution() -> Iterator[Refusal]:
    kind = "TaskExecution"
    step = "spec.plan[0]"
    yield from of_object(kind)
    yield from of_run(kind, f"{step}.task")
    yield from of_env(kind, "spec")
    yield from of_arguments(kind, "spec.args")
    yield from text(kind, "spec.startedBy", 1024)
    yield Refusal(kind, "spec", "taskRef or plan must be given, or both", {"spec.plan": GONE})
    reference = {"spec.taskRef": {"name": "a"}}
    yield from text(kind, "spec.taskRef.name", 63, given=reference, required=True, empty=BAD_LABEL)
    generation = "spec.taskRef.generation"
    yield Refusal(
        kind, generation, "should be greater than or equal to 1", {**reference, generation: 0}
    )
    yield Refusal(
        kind,
        generation,
        "Forbidden: taskRef.generation says what plan was made from, and there is no plan",
        {**reference, generation: 1, "spec.plan": GONE},
    )
    yield Refusal(kind, "spec.plan", "should have at least 1 items", {"spec.plan": []})
    steps = [{"id": name, "task": {"image": "a"}} for name in "aab"]
    crowd = [{"id": f"s{n}", "task": {"image": "a"}} for n in range(1001)]
    yield Refusal(kind, "spec.plan", "Too many", {"spec.plan": crowd})
    yield Refusal(kind, "spec.plan[1]", "Duplicate value", {"spec.plan": steps[:2]})
    depends = f"{step}.dependsOn"
    yield Refusal(kind, depends, "Too many", {depends: [f"t{n}" for n in range(101)]})
    yield Refusal(kind, f"{depends}[1]", "Duplicate value", {depends: ["a", "a"]})
    yield Refusal(kind, f"{depends}[0]", "Too long", {depends: ["x" * 64]})
    says = "args of a plan of several steps have no step to go to; give them in the plan"
    two = [{"id": name, "task": {"image": "a"}} for name in "ab"]
    yield Refusal(kind, "spec.args", says, {"spec.plan": two, "spec.args": ["a"]})
    yield not_below(kind, "spec.ttlSecondsAfterFinished", 0)
    yield from text(kind, f"{step}.id", 63, required=True, empty=BAD_LABEL)
    yield from text(kind, f"{step}.label", 255)
    yield Refusal(kind, f"{step}.task", "Required value", {f"{step}.task": GONE})
    yield Refusal(kind, "spec.desiredPhase", "must be Stopped", {"spec.desiredPhase": "Running"})
    yield from moment(kind, "spec.deadline")
    # Of the format, but nothing that CEL can read: it could never be updated.
    odd = "Invalid date-time formatted string 2026-11-24t12:00:00z"
    yield Refusal(kind, "spec", odd, {"spec.deadline": "2026-11-24t12:00:00z"})
    never = {"spec.deadline": "0000-01-01T00:00:00Z"}
    yield Refusal(kind, "spec.deadline", "deadline must be a moment", never)
    yield from edits_of_execution()


def edits_of_execution() -> Iterator[Refusal]:
    kind = "TaskExecution"
    script = "spec.plan[0].task.script"
    env = "spec.plan[0].task.env"
    ab: list[Any] = [{"name": "A"}, {"name": "B"}]
    for path, old, new in (
        ("spec.taskRef", {"name": "a"}, {"name": "b"}),
        ("spec.taskRef", {"name": "a"}, {"name": "a", "generation": 1}),
        ("spec.deadline", MOMENT, "2026-11-24T12:00:01Z"),
        ("spec.env", [{"name": "A"}], [{"name": "A", "value": "1"}]),
        ("spec.env", ab, ab[::-1]),
        ("spec.args", ["a", "b"], ["b", "a"]),
        ("spec.ttlSecondsAfterFinished", 60, 61),
        ("spec.startedBy", "me", "you"),
    ):
        says = f"Forbidden: {path[5:]} cannot be changed: of an execution only desiredPhase can"
        yield Refusal(kind, path, says, {path: new}, before={path: old})
        yield Refusal(kind, path, says, {path: GONE}, before={path: old})
        yield Refusal(
            kind,
            path,
            says,
            {path: new},
            before={"spec.taskRef": {"name": "a"}} if path != "spec.taskRef" else {"spec.args": []},
        )
    says = "Forbidden: plan cannot be changed"
    node = "spec.plan[0].task.podTemplate.spec.nodeSelector"
    containers = "spec.plan[0].task.podTemplate.spec.containers"
    for before, change in (
        ({node: {"a": "b"}}, {node: {"a": "c"}}),
        ({node: {"a": "b"}}, {node: {"c": "b"}}),
        ({node: {"a": "b"}}, {node: GONE}),
        ({containers: ab}, {containers: ab[::-1]}),
        ({script: "a"}, {script: "b"}),
        ({script: "a"}, {script: GONE}),
        ({env: ab}, {env: ab[::-1]}),
        ({"spec.taskRef": {"name": "a"}}, {"spec.plan": GONE}),
        (
            {"spec.taskRef": {"name": "a"}, "spec.plan": GONE},
            {"spec.plan": [{"id": "a", "task": {"image": "a"}}]},
        ),
    ):
        yield Refusal(kind, "spec.plan", says, change, before=before)
    stop = "spec.desiredPhase"
    says = "Forbidden: desiredPhase: Stopped cannot be taken back"
    yield Refusal(kind, stop, says, {stop: GONE}, before={stop: "Stopped"})
    yield Refusal(kind, stop, says, {stop: None}, before={stop: "Stopped"})
    yield Refusal(
        kind, "status.phase", "Forbidden: phase is final and cannot be changed",
        {"status.phase": "Running"}, before={"status.phase": "Stopped"},
    )  # fmt: skip
    yield Refusal(
        kind, "status.phase", "Forbidden: phase is final and cannot be changed",
        {"status.phase": GONE}, before={"status.phase": "Failed", "status.statusVersion": 1},
    )  # fmt: skip
    for version in (6, GONE):
        yield Refusal(
            kind, "status.statusVersion", "Forbidden: statusVersion cannot go back",
            {"status.statusVersion": version, "status.phase": "Running"},
            before={"status.statusVersion": 7},
        )  # fmt: skip


def moment(kind: str, path: str, *, given: dict[str, Any] | None = None) -> Iterator[Refusal]:
    for bad in ("tomorrow", "2026-11-24", "2026-11-24T12:00:00"):
        yield Refusal(kind, path, "must be of type date-time", {**(given or {}), path: bad})


def not_below(kind: str, path: str, least: int, *, given: dict[str, Any] | None = None) -> Refusal:
    says = f"should be greater than or equal to {least}"
    return Refusal(kind, path, says, {**(given or {}), path: least - 1})


PHASES = "must be Pending, Running, Succeeded, Failed or Stopped"


def of_conditions(kind: str) -> Iterator[Refusal]:
    one = "status.conditions[0]"
    condition = {"type": "Ready", "status": "True", "reason": "R", "message": ""}
    condition["lastTransitionTime"] = MOMENT
    given = {"status.conditions": [condition]}
    for key, longest in (("type", 316), ("reason", 1024), ("message", 32768)):
        yield from text(kind, f"{one}.{key}", longest, given=given, required=True)
    for key in ("status", "lastTransitionTime"):
        path = f"{one}.{key}"
        yield Refusal(kind, path, "Required value", {**given, path: GONE})
    yield Refusal(kind, f"{one}.status", "Unsupported value", {**given, f"{one}.status": "true"})
    yield from moment(kind, f"{one}.lastTransitionTime", given=given)
    yield not_below(kind, f"{one}.observedGeneration", 0, given=given)
    twice = {"status.conditions": [condition, condition]}
    yield Refusal(kind, "status.conditions[1]", "Duplicate value", twice)
    many = [{**condition, "type": f"T{n}"} for n in range(17)]
    yield Refusal(kind, "status.conditions", "Too many", {"status.conditions": many})


def of_task_status() -> Iterator[Refusal]:
    kind = "Task"
    yield from of_conditions(kind)
    yield Refusal(kind, "status.phase", PHASES, {"status.phase": "Done"})
    last = "status.lastExecution"
    given = {last: {"name": "a"}}
    yield from text(kind, f"{last}.name", 253, given=given, required=True)
    yield Refusal(kind, f"{last}.phase", PHASES, {**given, f"{last}.phase": "Done"})
    yield from text(kind, f"{last}.reason", 63, given=given)
    yield from text(kind, f"{last}.failureMessage", 1024, given=given)
    yield from moment(kind, f"{last}.startedAt", given=given)
    yield from moment(kind, f"{last}.completedAt", given=given)
    for key in ("lastSuccessfulTime", "lastScheduleTime", "nextScheduleTime"):
        yield from moment(kind, f"status.{key}")
    skipped = "status.lastSkipped"
    given = {skipped: {"time": MOMENT, "message": "m"}}
    yield from text(kind, f"{skipped}.message", 1024, given=given, required=True)
    yield from moment(kind, f"{skipped}.time", given=given)
    yield Refusal(kind, f"{skipped}.time", "Required value", {**given, f"{skipped}.time": GONE})
    yield not_below(kind, "status.active", 0)
    yield not_below(kind, "status.observedGeneration", -1)
    triggered = "status.lastTriggered"
    given = {triggered: {"generation": 1, "hash": "1:a"}}
    yield from text(kind, f"{triggered}.hash", 128, given=given, required=True)
    yield not_below(kind, f"{triggered}.generation", 0, given=given)
    path = f"{triggered}.generation"
    yield Refusal(kind, path, "Required value", {**given, path: GONE})


def of_execution_status() -> Iterator[Refusal]:
    kind = "TaskExecution"
    yield from of_conditions(kind)
    yield Refusal(kind, "status.phase", PHASES, {"status.phase": "Done"})
    step = "status.steps[0]"
    given = {"status.steps": [{"id": "a", "phase": "Running"}]}
    for at, room in (("status", None), (step, given)):
        for key, longest in (("reason", 63), ("failureMessage", 1024)):
            yield from text(kind, f"{at}.{key}", longest, given=room)
        yield from moment(kind, f"{at}.startedAt", given=room)
        yield from moment(kind, f"{at}.completedAt", given=room)
    yield not_below(kind, f"{step}.infraRetries", 1, given=given)
    yield from moment(kind, f"{step}.nextAttemptAt", given=given)
    yield from moment(kind, f"{step}.stoppingSince", given=given)
    yield from text(kind, f"{step}.memoryLimit", 32, given=given)
    many = {f"k{n}": "" for n in range(513)}
    yield Refusal(kind, f"{step}.output", "Too many", {**given, f"{step}.output": many})
    one = {"k": "x" * 131073}
    yield Refusal(kind, f"{step}.output.k", "Too long", {**given, f"{step}.output": one})
    attempts = "status.attempts"
    record = {"step": "a", "attempt": 1}
    yield Refusal(kind, attempts, "Too many", {attempts: [record] * 1001})
    attempt, had = f"{attempts}[0]", {attempts: [record]}
    yield from text(kind, f"{attempt}.step", 63, given=had, required=True)
    yield not_below(kind, f"{attempt}.attempt", 1, given=had)
    path = f"{attempt}.attempt"
    yield Refusal(kind, path, "Required value", {**had, path: GONE})
    for key, longest in (("reason", 63), ("message", 1024), ("jobName", 63)):
        yield from text(kind, f"{attempt}.{key}", longest, given=had)
    yield from moment(kind, f"{attempt}.startedAt", given=had)
    yield from moment(kind, f"{attempt}.completedAt", given=had)
    yield from text(kind, "status.message", 1024)
    yield from moment(kind, "status.deadline")
    yield not_below(kind, "status.statusVersion", 0)
    yield not_below(kind, "status.observedGeneration", -1)
    yield from text(kind, f"{step}.id", 63, given=given, required=True)
    phase = f"{step}.phase"
    yield Refusal(kind, phase, "Unsupported value", {**given, phase: "Done"})
    yield Refusal(kind, phase, "Required value", {**given, phase: GONE})
    for key, longest in (("jobName", 63), ("podName", 253), ("node", 253)):
        yield from text(kind, f"{step}.{key}", longest, given=given)
    yield not_below(kind, f"{step}.attempt", 1, given=given)
    one = {"id": "a", "phase": "Running"}
    yield Refusal(kind, "status.steps[1]", "Duplicate value", {"status.steps": [one, one]})
    many = [{**one, "id": f"a{n}"} for n in range(1001)]
    yield Refusal(kind, "status.steps", "Too many", {"status.steps": many})


REFUSALS = [
    *chain(of_task(), of_execution(), of_task_status(), of_execution_status()),
]


# ---- asking the server ----


@dataclass(frozen=True)
class Cause:
    """One of the server's complaints about a manifest."""

    field: str
    message: str


class Api:
    """The two kinds in one namespace, through Kubernetes' own client."""

    def __init__(self, kubeconfig: str, namespace: str) -> None:
        configuration = client.Configuration()
        config.load_kube_config(kubeconfig, client_configuration=configuration)
        configuration.proxy = None
        self._custom = client.CustomObjectsApi(client.ApiClient(configuration))
        self.namespace = namespace

    def create(self, manifest: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Creates the object, and gives what the server made of it."""
        created: dict[str, Any] = self._custom.create_namespaced_custom_object(
            COPY, VERSION, self.namespace, PLURALS[manifest["kind"]], manifest,
            field_validation="Strict", **options,
        )  # fmt: skip
        return created

    def replace(self, manifest: dict[str, Any], *, status: bool, **options: Any) -> dict[str, Any]:
        """Replaces the object, or its status."""
        replace = (
            self._custom.replace_namespaced_custom_object_status
            if status
            else self._custom.replace_namespaced_custom_object
        )
        replaced: dict[str, Any] = replace(
            COPY, VERSION, self.namespace, PLURALS[manifest["kind"]],
            manifest["metadata"]["name"], manifest, field_validation="Strict", **options,
        )  # fmt: skip
        return replaced

    def store(self, kind: str, change: dict[str, Any]) -> dict[str, Any]:
        """Creates a good object with that change, its status included."""
        wanted = changed(good(kind, f"case-{uuid.uuid4().hex[:12]}"), change)
        stored = self.create({key: wanted[key] for key in wanted if key != "status"})
        if "status" in wanted:
            stored = self.replace({**stored, "status": wanted["status"]}, status=True)
        return stored

    def edit(self, stored: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
        """Tries an edit of a stored object; nothing is kept."""
        status = any(path.startswith("status") for path in change)
        return self.replace(changed(stored, change), status=status, dry_run="All")


def complaints(attempt: Any) -> list[Cause]:
    """What the server has against an attempt; empty: nothing."""
    try:
        attempt()
    except client.ApiException as error:
        if error.status != 422:
            raise
        causes = json.loads(error.body)["details"]["causes"]
        return [Cause(cause.get("field", ""), cause["message"]) for cause in causes]
    return []


@pytest.fixture(scope="module")
def copies(cluster) -> Iterator[None]:
    """Our definitions in a group of the tests' own, without names that would be ambiguous."""
    listed: dict[str, Any] = {"apiVersion": "v1", "kind": "List", "items": []}
    for crd in manifests().values():
        copied = changed(crd, {"spec.group": COPY})
        copied["metadata"]["name"] = f"{crd['spec']['names']['plural']}.{COPY}"
        del copied["spec"]["names"]["shortNames"], copied["spec"]["names"]["categories"]
        listed["items"].append(copied)
    text = json.dumps(listed)
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=text)
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", "-", stdin=text)
    yield
    cluster.kubectl("delete", "-f", "-", stdin=text)


@pytest.fixture(scope="module")
def api(cluster, copies) -> Iterator[Api]:
    """A namespace of this module's own: a few hundred cases share it."""
    name = f"crds-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    yield Api(str(cluster.kubeconfig), name)
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def answers(api: Api) -> dict[int, list[Cause]]:
    """The server's complaints about each refusal, by its place in the table."""
    plain = {kind: api.store(kind, {}) for kind in KINDS}

    def ask(refusal: Refusal) -> list[Cause]:
        if refusal.is_edit:
            before = refusal.before
            stored = api.store(refusal.kind, before) if before else plain[refusal.kind]
            return complaints(lambda: api.edit(stored, refusal.change))
        wrong = changed(good(refusal.kind), refusal.change)
        return complaints(lambda: api.create(wrong, dry_run="All"))

    return {number: ask(refusal) for number, refusal in enumerate(REFUSALS)}


# ---- refusals ----


@pytest.mark.parametrize("number", range(len(REFUSALS)), ids=lambda n: str(REFUSALS[n])[:150])
def test_a_wrong_manifest_is_refused_with_a_sentence_that_names_the_field(answers, number):
    refusal = REFUSALS[number]
    said = answers[number]
    assert any(cause.field == refusal.field and refusal.says in cause.message for cause in said), (
        f"wanted {refusal.field}: {refusal.says}\ngot {said}"
    )
    for cause in said:
        # Nothing else is wrong with the manifest. `<nil>` says that some rules were not looked at.
        assert cause.field == "<nil>" or refusal.field.startswith(cause.field), said
        assert "failed rule" not in cause.message
        assert "no such key" not in cause.message


@dataclass(frozen=True)
class Rule:
    """One rule of a definition, and how the server speaks when it is broken."""

    kind: str
    field: str
    says: str

    def is_cited_by(self, refusal: Refusal, causes: list[Cause]) -> bool:
        """Whether the case is about this rule, and the server said so."""
        place = re.escape(self.field).replace(r"\[\]", r"\[\d+\]")
        place = place.replace(r"\{\}", r"(\[[^\]]+\]|\.[^.]+)")
        return refusal.kind == self.kind and any(
            cause.field == refusal.field
            and re.fullmatch(place, cause.field) is not None
            and self.says in cause.message
            for cause in causes
        )


SAID = {
    "minLength": "chars long",
    "maxLength": "Too long",
    "minimum": "should be greater than or equal to",
    "maximum": "should be less than or equal to",
    "minItems": "items",
    "maxItems": "Too many",
    "minProperties": "properties",
    "maxProperties": "Too many",
    "pattern": "should match",
    "format": "must be of type",
    "enum": "Unsupported value",
}


def rules_of(kind: str, schema: dict[str, Any], path: str = "") -> Iterator[Rule]:
    """Every rule of a schema and of what is below it."""
    for keyword, says in SAID.items():
        if keyword in schema:
            yield Rule(kind, path, says)
    for name in schema.get("required", []):
        yield Rule(kind, f"{path}.{name}".strip("."), "Required value")
    if schema.get("x-kubernetes-list-type") in {"map", "set"}:
        yield Rule(kind, f"{path}[]", "Duplicate value")
    for rule in schema.get("x-kubernetes-validations", []):
        literals = re.findall(r"'([^']+)'", rule.get("messageExpression", ""))
        says = max(literals, key=len, default=rule["message"])
        yield Rule(kind, path + rule.get("fieldPath", ""), says)
    for name, below in schema.get("properties", {}).items():
        yield from rules_of(kind, below, f"{path}.{name}".strip("."))
    if "items" in schema:
        yield from rules_of(kind, schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from rules_of(kind, schema["additionalProperties"], f"{path}{{}}")


def all_rules() -> list[Rule]:
    return [
        rule
        for crd in manifests().values()
        for rule in rules_of(
            crd["spec"]["names"]["kind"],
            crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"],
        )
    ]


def test_every_rule_of_the_definitions_is_hit_by_a_refused_manifest(answers):
    rules = all_rules()
    assert len(rules) > 200
    cases = list(zip(REFUSALS, answers.values(), strict=True))
    idle = [rule for rule in rules if not any(rule.is_cited_by(*case) for case in cases)]
    assert not idle, f"{len(idle)} of {len(rules)} rules without a refused manifest"


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_fields_are_refused_by_name(api, kind):
    wrong = changed(good(kind), {"spec.maxRuntime": "1h"})
    with pytest.raises(client.ApiException, match=r'unknown field \\"spec.maxRuntime\\"'):
        api.create(wrong, dry_run="All")


def test_two_wrong_fields_are_both_told_without_an_error_of_our_rules(api):
    wrong = changed(good("Task"), {"spec.timeout": "2d", "spec.maxRunTime": "1w"})
    said = complaints(lambda: api.create(wrong, dry_run="All"))
    assert {cause.field for cause in said} == {"spec.timeout", "spec.maxRunTime"}
    assert all("must be a duration of more than zero" in cause.message for cause in said)


# ---- acceptance ----

FULL_RUN = {
    "image": "ubuntu:latest",
    "imagePullPolicy": "IfNotPresent",
    "command": ["/bin/bash", "-c", "ls && du /usr"],
    "args": ["", "-v"],
    "env": [
        {"name": "EMPTY", "value": ""},
        {"name": "NOTHING"},
        {"name": "odd name-1.x", "value": "$(EMPTY)"},
        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
        {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
        {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {
            "name": "D",
            "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}},
        },
    ],
    "envFrom": [{"secretRef": {"name": "s"}}, {"prefix": "P_", "configMapRef": {"name": "c"}}],
    "workingDir": "/src",
    "resources": {
        "limits": {"cpu": 2, "memory": "1Gi", "example.com/gpu": "1"},
        "requests": {"cpu": "500m", "memory": "1024Mi", "ephemeral-storage": 0},
    },
    "serviceAccountName": "build.er",
    "podTemplate": {
        "metadata": {
            "labels": {"team": "builds", "app.kubernetes.io/part-of": "ci", "ataskmill.dev/a": ""},
            "annotations": {
                "job-name": "x",
                "taskmill.devel/a": "b",
                "kubectl.kubernetes.io/x": "",
            },
        },
        "spec": {
            "nodeSelector": {"disk": "ssd"},
            "automountServiceAccountToken": True,
            "ofANewerKubernetes": {"deep": [{"a": 1}]},
            "containers": [
                {"name": "main", "volumeMounts": [{"name": "src", "mountPath": "/src"}]},
                {"name": "other", "image": "busybox", "command": ["a"], "resources": {}},
            ],
            "initContainers": [{"name": "proxy", "image": "busybox", "restartPolicy": "Always"}],
            "volumes": [{"name": "src", "emptyDir": {}}],
        },
    },
    "maxRunTime": "600s",
    "startTimeout": "5m30s500ms",
    "queueTimeout": "99999h",
    "gracePeriod": "0s",
}
FULL_TASK = {
    **FULL_RUN,
    "info": {"title": "t", "description": "# d", "owner": "o", "source": "s"},
    "rerun": "again",
    "timeout": "51h",
    "trigger": "Manual",
}
FULL_EXECUTION = {
    "taskRef": {"name": "seed", "generation": 1},
    "plan": [{"id": "build", "label": "Build", "task": FULL_RUN}],
    "desiredPhase": "Stopped",
    "deadline": "2026-11-26T15:00:00.5+01:00",
    "env": [{"name": "A", "value": "1"}],
    "args": [],
    "startedBy": "system:serviceaccount:taskmill:operator",
}
ACCEPTED: dict[str, tuple[str, dict[str, Any]]] = {
    "smallest task": ("Task", {}),
    "every field of a task": ("Task", {"spec": FULL_TASK}),
    "script": ("Task", {"spec.script": "x" * 122880}),
    "script beside the empty command of a chart": (
        "Task",
        {"spec.script": "a", "spec.command": []},
    ),
    "maxRunTime equal to timeout": ("Task", {"spec.timeout": "2h", "spec.maxRunTime": "120m"}),
    "request equal to limit": (
        "Task",
        {"spec.resources": {"limits": {"cpu": 1}, "requests": {"cpu": "1000m"}}},
    ),
    "a name of 63 characters": ("Task", {"metadata.name": "x" * 63}),
    "a name that starts with a digit": ("TaskExecution", {"metadata.name": "0-a"}),
    "a generated name": (
        "TaskExecution",
        {"metadata.name": GONE, "metadata.generateName": "build-"},
    ),
    "a plan": ("TaskExecution", {}),
    "a bare taskRef": (
        "TaskExecution",
        {"spec.plan": GONE, "spec.taskRef": {"name": "a"}},
    ),
    "every field of an execution": ("TaskExecution", {"spec": FULL_EXECUTION}),
    "nulls in an overlay": (
        "Task",
        {
            "spec.podTemplate.spec": {
                "securityContext": None,
                "initContainers": None,
                "containers": [{"name": "main", "tty": None, "image": None}],
            }
        },
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_good_manifest_is_accepted_and_kept_as_it_is(api, name):
    kind, change = ACCEPTED[name]
    manifest = changed(good(kind), change)
    assert api.create(manifest, dry_run="All")["spec"] == manifest["spec"]


@pytest.mark.parametrize(
    ("before", "change"),
    [
        ({}, {"spec.desiredPhase": "Stopped"}),
        ({"spec.desiredPhase": "Stopped"}, {"metadata.labels": {"a": "b"}}),
        ({"spec": FULL_EXECUTION}, {"metadata.annotations": {"a": "b"}}),
        ({"spec": FULL_EXECUTION}, {"spec.deadline": "2026-11-26T14:00:00.5Z"}),
        ({}, {"status.phase": "Running"}),
        ({"status.phase": "Running"}, {"status.phase": "Stopped"}),
        ({"status.phase": "Failed"}, {"status.phase": "Failed", "status.reason": "Error"}),
        ({"status.statusVersion": 7}, {"status.statusVersion": 7, "status.phase": "Running"}),
        ({"status.statusVersion": 7}, {"status.statusVersion": 8}),
        ({}, {"status.reason": "ReasonOfANewerVersion"}),
        ({}, {"status.plan": [{"id": "a", "task": {"image": "a", "newer": {"b": [1]}}}]}),
    ],
)
def test_an_edit_that_is_allowed_passes(api, before, change):
    stored = api.store("TaskExecution", before)
    edited = api.edit(stored, change)
    assert changed(edited, change) == edited


# ---- apply, explain, get ----


def seed() -> str:
    """A manifest as people write it, with spellings that a server might normalise."""
    return yaml.safe_dump_all(
        [
            changed(good("Task", "seed"), {"spec": FULL_TASK}),
            changed(
                good("TaskExecution", "seed"),
                {"spec": {key: value for key, value in FULL_EXECUTION.items() if key != "plan"}}
                | {"spec.taskRef": {"name": "seed"}},
            ),
        ]
    )


def versions(cluster: Any, namespace: str) -> list[Any]:
    both = ",".join(f"{plural}.{COPY}" for plural in PLURALS.values())
    listed = cluster.kubectl("get", both, "-n", namespace, "-o", "json")
    return [
        (item["kind"], item["metadata"]["generation"], item["spec"])
        for item in json.loads(listed.stdout)["items"]
    ]


@pytest.mark.parametrize("how", [[], ["--server-side"]], ids=["client-side", "server-side"])
def test_applying_twice_changes_nothing(cluster, copies, namespace, how):
    apply = ["apply", *how, "-n", namespace, "-f", "-"]
    cluster.kubectl(*apply, stdin=seed())
    first = versions(cluster, namespace)
    again = cluster.kubectl(*apply, stdin=seed())
    assert versions(cluster, namespace) == first
    assert {generation for _, generation, _ in first} == {1}
    assert again.stdout.count("unchanged" if not how else "serverside-applied") == 2
    assert not cluster.kubectl("diff", *how, "-n", namespace, "-f", "-", stdin=seed()).stdout


def nulled(kind: str) -> dict[str, Any]:
    """A manifest with null in every optional field of its spec, as charts render them."""
    [schema] = [
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        for crd in manifests().values()
        if crd["spec"]["names"]["kind"] == kind
    ]
    optional = {name: None for name, below in schema["properties"].items() if "nullable" in below}
    required = {
        "Task": {"env": [{"name": "A", "value": None, "valueFrom": None}]},
        "TaskExecution": {"taskRef": {"name": "a", "generation": None}},
    }
    spec: dict[str, Any] = {**good(kind)["spec"], **optional, **required[kind]}
    return {**good(kind, "nulls"), "spec": spec}


@pytest.mark.parametrize("kind", KINDS)
def test_null_in_any_optional_field_passes_server_side_apply(cluster, copies, namespace, kind):
    manifest = nulled(kind)
    assert None in manifest["spec"].values()
    apply = ["apply", "--server-side", "-n", namespace, "-f", "-"]
    cluster.kubectl(*apply, stdin=json.dumps(manifest))
    cluster.kubectl(*apply, stdin=json.dumps(manifest))
    [(_, generation, spec)] = versions(cluster, namespace)
    assert generation == 1
    assert spec == manifest["spec"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", ["", ".spec", ".status"])
def test_explain_has_words_for_every_field(cluster, crds, kind, part, tmp_path):
    resource = f"{PLURALS[kind]}.{GROUP}{part}"

    def explain(*options: str) -> str:
        # kubectl keeps what it was told of a group while its kinds were still being published.
        fresh = f"--cache-dir={tmp_path / uuid.uuid4().hex}"
        return cluster.kubectl("explain", resource, fresh, *options, check=False).stdout

    # The server describes kinds that are new to it some time after it serves them.
    plain = wait_for(explain, f"{resource} to be described", timeout=100)
    assert "DESCRIPTION:" in plain
    assert len(explain("--recursive").splitlines()) > 8
    if part:
        assert "<no description>" not in plain
        assert "<empty>" not in plain


def header(cluster: Any, api: Api, kind: str, *args: str) -> list[str]:
    """The columns of `kubectl get`, which are two blanks apart or more."""
    api.store(kind, {})
    got = cluster.kubectl("get", f"{PLURALS[kind]}.{COPY}", "-n", api.namespace, *args)
    return re.split(r"\s{2,}", got.stdout.splitlines()[0].strip())


def test_get_shows_what_happened_and_the_message_last(cluster, api):
    kind = "TaskExecution"
    assert header(cluster, api, kind) == ["NAME", "TASK", "PHASE", "REASON", "AGE", "MESSAGE"]
    assert header(cluster, api, kind, "-o", "wide") == [
        "NAME", "TASK", "PHASE", "REASON", "AGE",
        "STARTED", "ENDED", "DEADLINE", "EXIT CODE", "NODE", "MESSAGE",
    ]  # fmt: skip
    assert header(cluster, api, "Task") == [
        "NAME", "READY", "PHASE", "REASON", "LAST", "AGE", "MESSAGE",
    ]  # fmt: skip
    assert header(cluster, api, "Task", "-o", "wide") == [
        "NAME", "READY", "PHASE", "REASON", "LAST", "AGE",
        "EXECUTION", "ACTIVE", "IMAGE", "MESSAGE",
    ]  # fmt: skip


def row(cluster: Any, api: Api, stored: dict[str, Any], *args: str) -> list[str]:
    name = f"{PLURALS[stored['kind']]}.{COPY}/{stored['metadata']['name']}"
    shown = cluster.kubectl("get", name, "-n", api.namespace, "--no-headers", *args).stdout
    return re.split(r"\s{2,}", shown.strip())


def test_get_shows_the_failure_or_else_what_it_waits_for(cluster, api):
    step = {"id": "build", "phase": "Failed", "exitCode": 3, "node": "node-1"}
    waiting = {"status.phase": "Pending", "status.message": "0/1 nodes have room"}
    stored = api.store("TaskExecution", waiting)
    assert row(cluster, api, stored)[-1] == "0/1 nodes have room"
    ended = {"status.phase": "Failed", "status.failureMessage": "exit code 3"}
    stored = api.store("TaskExecution", {**waiting, **ended, "status.steps": [step]})
    assert row(cluster, api, stored)[-1] == "exit code 3"
    assert row(cluster, api, stored, "-o", "wide")[-3:] == ["3", "node-1", "exit code 3"]


def test_get_shows_a_task_by_its_newest_execution(cluster, api):
    ready = {"type": "Ready", "status": "False", "reason": "Error", "message": "exit code 3"}
    other = {**ready, "type": "Stalled", "message": "no"}
    conditions = [{**one, "lastTransitionTime": MOMENT} for one in (other, ready)]
    stored = api.store(
        "Task",
        {
            "status.phase": "Failed",
            "status.lastExecution": {"name": "a", "reason": "Error", "startedAt": MOMENT},
            "status.conditions": conditions,
        },
    )
    _, ready, phase, reason, _, _, message = row(cluster, api, stored)
    assert (ready, phase, reason, message) == ("False", "Failed", "Error", "exit code 3")


@pytest.mark.parametrize(
    ("kind", "change", "selector"),
    [
        ("Task", {"status.phase": "Failed"}, "status.phase=Failed"),
        (
            "Task",
            {"status.lastExecution": {"name": "a", "reason": "OOMKilled"}},
            "status.lastExecution.reason=OOMKilled",
        ),
        ("TaskExecution", {"status.phase": "Succeeded"}, "status.phase=Succeeded"),
        ("TaskExecution", {"status.reason": "Evicted"}, "status.reason=Evicted"),
        ("TaskExecution", {"spec.taskRef": {"name": "chosen"}}, "spec.taskRef.name=chosen"),
    ],
)
def test_objects_can_be_selected_by_how_they_ended(cluster, api, kind, change, selector):
    stored = api.store(kind, change)
    get = ["get", f"{PLURALS[kind]}.{COPY}", "-n", api.namespace, "-o", "name"]
    selected = cluster.kubectl(*get, f"--field-selector={selector}").stdout
    others = cluster.kubectl(*get, f"--field-selector={selector.replace('=', '!=')}").stdout
    assert stored["metadata"]["name"] in selected
    assert stored["metadata"]["name"] not in others


@pytest.mark.parametrize("names", ["te", "tmt", "te,tmt", "taskmill", "tasks.taskmill.dev"])
def test_short_names_and_the_category_are_known(cluster, crds, namespace, names):
    assert "No resources found" in cluster.kubectl("get", names, "-n", namespace).stderr
