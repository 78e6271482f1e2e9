"""podTemplate of a task laid over the pod that taskmill makes: Kubernetes' strategic merge patch.

What `kubectl patch --local --type=strategic` makes of the same is the measure; tests compare.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from taskmill.api import pod
from taskmill.api.group import GROUP
from taskmill.api.pod import MAIN, PodTemplate

Json = dict[str, Any]

LARGEST: Final = 64 * 1024
"""Most bytes of a podTemplate as JSON."""

MERGE_KEYS: Final[Mapping[str, str]] = {
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "finalizers": "",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "ports": "containerPort",
    "resourceClaims": "name",
    "schedulingGates": "name",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
"""By which field the items of a list are the same; "": by themselves. Other lists are replaced.

Kubernetes' `retainKeys` asks for a directive in the patch, and those are refused.
"""


# ---- the merge ----


def lay_over(base: Json, overlay: Json) -> Json:
    """The pod's spec with the overlay merged into it; what `problem` refuses may raise."""
    spec = merged(base, overlay)
    # What is new comes first in a merge, but kubectl logs and exec take the first container.
    containers = sorted(spec["containers"], key=lambda container: container["name"] != MAIN)
    return {**spec, "containers": containers}


def merged(base: Json, patch: Json) -> Json:
    """The strategic merge of two objects: the patch wins, and its nulls take fields away."""
    out = dict(base)
    for field, value in patch.items():
        if value is None:
            out.pop(field, None)
        elif field in base:
            out[field] = _merged_value(field, base[field], value)
        else:
            out[field] = _without_nulls(value)
    return out


def _merged_value(field: str, base: Any, patch: Any) -> Any:
    if isinstance(base, dict) and isinstance(patch, dict):
        return merged(base, patch)
    if isinstance(base, list) and isinstance(patch, list):
        key = MERGE_KEYS.get(field)
        return patch if key is None else _merged_list(base, patch, key)
    return _without_nulls(patch)


def _merged_list(base: list[Any], patch: list[Any], key: str) -> list[Any]:
    items = list(base)
    for item in patch:
        place = _place(items, item, key)
        if place < 0:
            items.append(item)
        elif key:
            items[place] = merged(items[place], item)
    mine = [item for item in items if _place(patch, item, key) >= 0]
    others = [item for item in items if _place(patch, item, key) < 0]
    mine.sort(key=lambda item: _place(patch, item, key))
    others.sort(key=lambda item: _place(base, item, key))
    return list(_in_order(others, mine, base, key))


def _in_order(others: list[Any], mine: list[Any], base: list[Any], key: str) -> Iterator[Any]:
    """The patch's items in its order, and each other one before what it stood before."""
    waiting = list(others)
    for item in mine:
        place = _place(base, item, key)
        while waiting and _place(base, waiting[0], key) < place:
            yield waiting.pop(0)
        yield item
    yield from waiting


def _place(items: list[Any], wanted: Any, key: str) -> int:
    """Where the list has its item of the same identity; -1: nowhere."""
    identity = _identity(wanted, key)
    return next((n for n, item in enumerate(items) if _identity(item, key) == identity), -1)


def _identity(item: Any, key: str) -> Any:
    return item[key] if key else item


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def adds_containers(overlay: Json) -> bool:
    """Whether the pod has other containers than the task's own."""
    others = [item for item in overlay.get("containers") or () if item["name"] != MAIN]
    return bool(others or overlay.get("initContainers"))


# ---- what is refused ----


def problem(template: PodTemplate | None) -> str:
    """What is wrong with an overlay, in a sentence; "" when it may be laid over a pod.

    All that the schema refuses too: an execution may have been stored before a rule existed.
    """
    return next(_problems(template), "") if template else ""


def _problems(template: PodTemplate) -> Iterator[str]:
    text = json.dumps(template.to_api(), ensure_ascii=False, separators=(",", ":"))
    if (size := len(text.encode())) > LARGEST:
        yield f"podTemplate has {size} bytes as JSON: at most {LARGEST} (64 KiB) are possible"
    if template.metadata:
        labels, annotations = template.metadata.labels or {}, template.metadata.annotations or {}
        yield from _of_labels(labels)
        yield from _of_keys("podTemplate.metadata.annotations", annotations)
    if template.spec:
        yield from _of_directives("podTemplate.spec", template.spec)
        yield from _of_spec("podTemplate.spec", template.spec)


def _of_labels(labels: Mapping[str, str]) -> Iterator[str]:
    path = "podTemplate.metadata.labels"
    yield from _of_keys(path, labels)
    for key in pod.OWNED_LABELS:
        if key in labels:
            yield f"{path}: {pod.owned_label(key)}"


def _of_keys(path: str, keys: Mapping[str, str]) -> Iterator[str]:
    for key in keys:
        domain, slash, _ = key.partition("/")
        if slash and (domain == GROUP or domain.endswith(f".{GROUP}")):
            yield f"{path}: {key}: {pod.OWNED_DOMAIN}"
        if slash and domain == pod.JOBS_DOMAIN:
            yield f"{path}: {key}: {pod.OWNED_JOBS_DOMAIN}"


def _of_directives(path: str, value: Any) -> Iterator[str]:
    """Anything whose name begins with $, at any depth."""
    if isinstance(value, dict):
        for key, below in value.items():
            if key.startswith("$"):
                yield f"{path}.{key}: {pod.DIRECTIVE}"
            yield from _of_directives(f"{path}.{key}", below)
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from _of_directives(f"{path}[{number}]", below)


def _of_spec(path: str, spec: Json) -> Iterator[str]:
    for field in pod.OWNED_OF_POD:
        # A null is refused as well: it would take the field away.
        if field in spec:
            yield f"{path}.{field}: {pod.owned_of_pod(field)}"
    if "containers" in spec:
        yield from _of_containers(f"{path}.containers", spec["containers"])
    if spec.get("initContainers") is not None:
        yield from _of_init_containers(f"{path}.initContainers", spec["initContainers"])


def _of_containers(path: str, containers: Any) -> Iterator[str]:
    yield from _of_names(path, containers)
    yield from _of_rules(path, containers)
    for number, container in enumerate(containers):
        for field in pod.OWNED_OF_MAIN if container["name"] == MAIN else ():
            if field in container:
                yield f"{path}[{number}].{field}: {pod.owned_of_main(field)}"


def _of_init_containers(path: str, containers: Any) -> Iterator[str]:
    yield from _of_names(path, containers)
    yield from _of_rules(path, containers)
    for number, container in enumerate(containers):
        if container["name"] == MAIN:
            yield f"{path}[{number}].name: {pod.MAIN_INIT}"


def _of_rules(path: str, containers: Any) -> Iterator[str]:
    for number, container in enumerate(containers):
        if "restartPolicyRules" in container:
            yield f"{path}[{number}].restartPolicyRules: {pod.RESTART_RULES}"


def _of_names(path: str, containers: Any) -> Iterator[str]:
    """What makes a list no list of containers: nothing more can be said about it then."""
    if not isinstance(containers, list):
        yield f"{path}: must be a list of containers"
        return
    seen = set()
    for number, container in enumerate(containers):
        name = container.get("name") if isinstance(container, dict) else None
        if not isinstance(name, str) or not name:
            yield f"{path}[{number}]: must be a container with a name"
        if name in seen:
            yield f"{path}[{number}].name: {name} is the name of two containers"
        seen.add(name)
