"""What the API server itself says of the overlay: its merge keys, and the pods that come of it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from builders import at, execution
from taskmill.plan.freeze import steps_of
from taskmill.plan.job import build_job
from taskmill.plan.overlay import MERGE_KEYS
from taskmill.plan.world import Limits

pytestmark = pytest.mark.cluster

KEY, STRATEGY = "x-kubernetes-patch-merge-key", "x-kubernetes-patch-strategy"
POD_SPEC = "io.k8s.api.core.v1.PodSpec"


def lists_below(definitions: dict[str, Any], root: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field that is a list in what a type is made of, with its schema."""
    seen, waiting = {root}, [root]
    while waiting:
        for field, schema in definitions[waiting.pop()].get("properties", {}).items():
            if schema.get("type") == "array":
                yield field, schema
            for part in (schema, schema.get("items", {}), schema.get("additionalProperties", {})):
                name = part.get("$ref", "").rpartition("/")[2]
                if name and name not in seen:
                    seen.add(name)
                    waiting.append(name)


@pytest.fixture(scope="module")
def lists(cluster) -> list[tuple[str, dict[str, Any]]]:
    definitions = json.loads(cluster.kubectl("get", "--raw", "/openapi/v2").stdout)["definitions"]
    return list(lists_below(definitions, POD_SPEC))


def test_our_merge_keys_are_the_servers(lists):
    keys = {
        field: schema.get(KEY, "") for field, schema in lists if "merge" in schema.get(STRATEGY, "")
    }
    assert len(lists) > 50
    assert dict(MERGE_KEYS) == keys


def test_a_list_of_one_name_is_merged_everywhere_in_the_same_way(lists):
    # That is why the table needs no types.
    ways: dict[str, set[str]] = {}
    for field, schema in lists:
        ways.setdefault(field, set()).add(f"{schema.get(STRATEGY)} {schema.get(KEY)}")
    assert {field: way for field, way in ways.items() if len(way) > 1} == {}


@pytest.mark.parametrize("restricted", [False, True])
def test_a_job_with_an_overlay_is_accepted_by_a_strict_server(cluster, namespace, restricted):
    overlay = {
        "containers": [
            {"name": "helper", "image": "busybox", "command": None},
            {
                "name": "main",
                "volumeMounts": [{"name": "src", "mountPath": "/src"}],
                "securityContext": {"capabilities": {"add": ["NET_BIND_SERVICE"]}},
            },
        ],
        "initContainers": [{"name": "proxy", "image": "busybox", "restartPolicy": "Always"}],
        "volumes": [{"name": "src", "emptyDir": {}}],
        "tolerations": [{"operator": "Exists"}],
        "schedulingGates": [{"name": "example.com/wait"}],
        "nodeSelector": None,
    }
    template = {"metadata": {"labels": {"team": "builds"}}, "spec": overlay}
    built = execution().runs(script="make", podTemplate=template)
    (step,) = steps_of(built.facts, None)
    job = build_job(
        built.facts,
        step,
        attempt=1,
        deadline=at(60),
        now=at(),
        limits=Limits(restricted=restricted),
    )
    job["metadata"]["namespace"] = namespace
    create = ["create", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-"]
    made = json.loads(cluster.kubectl(*create, stdin=json.dumps(job)).stdout)
    pod = made["spec"]["template"]["spec"]
    assert [container["name"] for container in pod["containers"]] == ["main", "helper"]
    assert pod["containers"][0]["volumeMounts"] == [{"name": "src", "mountPath": "/src"}]
