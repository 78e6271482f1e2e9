"""The Job of an attempt, byte by byte, and what its `$` become in a container.

Golden files are compared exactly; TASKMILL_REWRITE_GOLDEN=1 writes them anew, for a change that
is meant.
"""

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import at, execution
from taskmill.plan.freeze import steps_of
from taskmill.plan.job import build_job
from taskmill.plan.outputs import unexpanded
from taskmill.plan.world import Limits

GOLDEN = Path(__file__).parent / "golden"

SPECS = {
    "script": execution().runs(script="echo $HOME $(date) $$\n", gracePeriod="1500ms"),
    "command": execution()
    .runs(
        command=["/bin/make", "-j$(JOBS)"],
        args=["all"],
        workingDir="/src",
        imagePullPolicy="Always",
        serviceAccountName="builder",
        resources={"requests": {"cpu": "500m"}, "limits": {"cpu": 2, "memory": "1Gi"}},
    )
    .spec(taskRef={"name": "build", "generation": 4}),
    "environment": execution()
    .runs(
        env=[
            {"name": "A", "value": "task"},
            {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "login", "key": "token"}}},
            {"name": "B", "value": "task"},
        ],
        envFrom=[{"prefix": "CI_", "configMapRef": {"name": "settings", "optional": True}}],
    )
    .spec(
        env=[{"name": "C", "value": "run"}, {"name": "A", "value": "run"}],
        args=["only", "this run"],
    ),
    "clocks": execution().runs(
        maxRunTime="10m", startTimeout="2m", queueTimeout="1h", gracePeriod="0s"
    ),
    "overlay": execution().runs(
        script="make\n",
        podTemplate={
            "metadata": {
                "labels": {"team": "builds"},
                "annotations": {"example.com/ticket": "4711"},
            },
            "spec": {
                "containers": [
                    {"name": "proxy", "image": "proxy:1"},
                    {"name": "main", "volumeMounts": [{"name": "src", "mountPath": "/src"}]},
                ],
                "initContainers": [{"name": "cache", "image": "a", "restartPolicy": "Always"}],
                "volumes": [{"name": "src", "emptyDir": {}}],
                "nodeSelector": {"disk": "ssd"},
                "securityContext": {"fsGroup": 1000},
            },
        },
    ),
    "image-only": execution(),
}
del SPECS["image-only"].raw["spec"]["plan"][0]["task"]["script"]
del SPECS["command"].raw["spec"]["plan"][0]["task"]["script"]


def job_of(built, *, attempt=1, deadline=3600, now=0, limits=None):
    made = built.facts
    (step,) = steps_of(made, {})
    return build_job(
        made, step, attempt=attempt, deadline=at(deadline), now=at(now), limits=limits or Limits()
    )


def check(name, body):
    text = json.dumps(body, indent=2) + "\n"
    path = GOLDEN / f"{name}.json"
    if os.environ.get("TASKMILL_REWRITE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", SPECS)
def test_a_job_is_byte_for_byte_what_it_was(name):
    check(name, job_of(SPECS[name]))


@pytest.mark.parametrize(
    ("name", "spec"), [("restricted", "script"), ("restricted-overlay", "overlay")]
)
def test_a_job_for_a_restricted_namespace_is_byte_for_byte_what_it_was(name, spec):
    check(name, job_of(SPECS[spec], limits=Limits(restricted=True)))


def test_every_golden_file_is_compared_with_something():
    restricted = {"restricted", "restricted-overlay"}
    assert {path.stem for path in GOLDEN.iterdir()} == {*SPECS, *restricted}


def pod_of(built, **more):
    return job_of(built, **more)["spec"]["template"]["spec"]


def test_nothing_but_the_place_of_its_outputs_is_injected_into_a_plain_task():
    pod = pod_of(SPECS["image-only"])
    assert pod["containers"] == [
        {
            "name": "main",
            "image": "ubuntu:24.04",
            "env": [{"name": "TASKMILL_OUTPUT", "value": "/dev/termination-log"}],
            "terminationMessagePolicy": "FallbackToLogsOnError",
        }
    ]
    assert set(pod) == {
        "restartPolicy",
        "terminationGracePeriodSeconds",
        "containers",
        "automountServiceAccountToken",
    }


def test_naming_a_service_account_mounts_its_token():
    pod = pod_of(SPECS["command"])
    assert pod["serviceAccountName"] == "builder"
    assert "automountServiceAccountToken" not in pod


def test_a_job_never_runs_a_second_pod_and_never_cleans_itself_up():
    spec = job_of(SPECS["script"])["spec"]
    assert spec["backoffLimit"] == 0
    assert "ttlSecondsAfterFinished" not in spec
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_the_jobs_backstop_ends_it_half_a_minute_after_deadline_and_grace():
    spec = job_of(SPECS["image-only"], deadline=100, now=40.5)["spec"]
    assert spec["activeDeadlineSeconds"] == 60 + 30 + 30


def test_a_backstop_beyond_what_kubernetes_can_count_is_the_longest_there_is():
    built = execution().runs(maxRunTime="1h").spec(deadline="9999-12-31T23:59:59Z")
    (step,) = steps_of(built.facts, {})
    body = build_job(
        built.facts,
        step,
        attempt=1,
        deadline=built.facts.spec.deadline,
        now=at(0),
        limits=Limits(),
    )
    assert body["spec"]["activeDeadlineSeconds"] == 2**31 - 1


def test_the_pods_backstop_allows_for_start_run_and_grace():
    built = execution().runs(maxRunTime="10m", startTimeout="2m", gracePeriod="1500ms")
    assert pod_of(built)["activeDeadlineSeconds"] == 120 + 600 + 2 + 30
    assert "activeDeadlineSeconds" not in pod_of(execution())


def test_a_backstop_is_at_least_a_second():
    assert job_of(execution(), deadline=-3600)["spec"]["activeDeadlineSeconds"] == 1


def test_a_grace_period_is_rounded_up_to_seconds():
    assert pod_of(SPECS["script"])["terminationGracePeriodSeconds"] == 2
    assert pod_of(SPECS["clocks"])["terminationGracePeriodSeconds"] == 0
    assert pod_of(SPECS["image-only"])["terminationGracePeriodSeconds"] == 30


def test_only_a_script_shares_its_process_namespace():
    assert pod_of(SPECS["script"])["shareProcessNamespace"] is True
    assert "shareProcessNamespace" not in pod_of(SPECS["command"])


def laid_over(spec, **limits):
    built = execution().runs(script="make", podTemplate={"spec": spec})
    return pod_of(built, limits=Limits(**limits))


def test_a_script_beside_other_containers_shares_nothing_unless_it_is_asked_to():
    alone = {"containers": [{"name": "main", "tty": True}], "initContainers": []}
    assert laid_over(alone)["shareProcessNamespace"] is True
    for group in ("containers", "initContainers"):
        other = {group: [{"name": "other", "image": "a"}]}
        assert "shareProcessNamespace" not in laid_over(other)
        asked = laid_over({**other, "shareProcessNamespace": True})
        assert asked["shareProcessNamespace"] is True
    assert laid_over({"shareProcessNamespace": False})["shareProcessNamespace"] is False


def test_the_security_context_of_a_restricted_operator_lies_beneath_the_overlay():
    pod = laid_over(
        {
            "securityContext": {"runAsNonRoot": False},
            "containers": [
                {"name": "main", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}},
                {"name": "other", "image": "a"},
            ],
        },
        restricted=True,
    )
    assert pod["securityContext"] == {
        "runAsNonRoot": False,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    main, other = pod["containers"]
    assert main["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
    }
    assert "securityContext" not in other


def test_labels_and_annotations_of_the_overlay_reach_the_job_and_its_pod():
    job = job_of(SPECS["overlay"])
    for metadata in (job["metadata"], job["spec"]["template"]["metadata"]):
        assert metadata["labels"]["team"] == "builds"
        assert metadata["labels"]["taskmill.dev/step"] == "build"
        assert metadata["annotations"] == {"example.com/ticket": "4711"}
    assert "annotations" not in job_of(SPECS["script"])["metadata"]


def test_a_label_of_ours_stands_against_an_overlay_that_is_older_than_its_rule():
    template = {"metadata": {"labels": {"taskmill.dev/step": "x"}}}
    job = job_of(execution().runs(podTemplate=template))
    assert job["metadata"]["labels"]["taskmill.dev/step"] == "build"


def test_the_annotations_and_labels_of_the_execution_are_not_copied():
    built = execution()
    built.raw["metadata"]["labels"] = {"argocd.argoproj.io/instance": "app"}
    built.raw["metadata"]["annotations"] = {"argocd.argoproj.io/tracking-id": "app:x"}
    assert "argo" not in json.dumps(job_of(built))


def test_the_owner_does_not_block_its_deletion():
    (owner,) = job_of(execution())["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["controller"], owner["blockOwnerDeletion"]) == (
        "TaskExecution",
        True,
        False,
    )


def test_the_limits_of_the_operator_change_nothing_in_a_job_but_its_security():
    plain = job_of(execution())
    assert job_of(execution(), limits=Limits(timeout=timedelta(minutes=1))) == plain


# -- `$` ------------------------------------------------------------------------------------------


def expand(text, variables):
    """Kubernetes' expansion of `$(NAME)` in commands, as its documentation states it."""
    out, rest = "", text
    while "$" in rest:
        before, _, rest = rest.partition("$")
        out += before
        if rest.startswith("$"):
            out, rest = out + "$", rest[1:]
        elif rest.startswith("(") and ")" in rest:
            name, _, rest = rest[1:].partition(")")
            out += variables.get(name, f"$({name})")
        else:
            out += "$"
    return out + rest


def test_the_reimplementation_expands_as_kubernetes_does():
    known = {"VAR": "x", "B": "y"}
    for text, expanded in {
        "$(VAR)": "x",
        "$$(VAR)": "$(VAR)",
        "$$$(VAR)": "$x",
        "$$": "$",
        "$": "$",
        "a$(VAR)$(B)z": "axyz",
        "$(NO)": "$(NO)",
        "$(VAR": "$(VAR",
        "$VAR": "$VAR",
    }.items():
        assert expand(text, known) == expanded


@given(st.text(st.sampled_from("$()AB ${}x"), max_size=30) | st.text(max_size=30))
def test_every_dollar_of_a_script_reaches_the_shell_as_written(script):
    variables = {"A": "secret", "B": "$(A)", "": "empty", "AB": "secret"}
    assert expand(unexpanded(script), variables) == script


def test_a_script_is_escaped_and_a_command_is_not():
    (script,) = pod_of(SPECS["script"])["containers"]
    assert script["command"] == ["/bin/sh", "-e", "-c", "echo $$HOME $$(date) $$$$\n", "script"]
    (command,) = pod_of(SPECS["command"])["containers"]
    assert command["command"] == ["/bin/make", "-j$(JOBS)"]


# -- environment ----------------------------------------------------------------------------------


def test_the_variables_of_a_run_take_the_places_of_the_tasks():
    (container,) = pod_of(SPECS["environment"])["containers"]
    assert [(v["name"], v.get("value")) for v in container["env"]] == [
        ("TASKMILL_OUTPUT", "/dev/termination-log"),
        ("A", "run"),
        ("SECRET", None),
        ("B", "task"),
        ("C", "run"),
    ]


def test_the_arguments_of_a_run_replace_the_tasks_even_by_none():
    built = execution().runs(args=["a"])
    assert pod_of(built)["containers"][0]["args"] == ["a"]
    assert pod_of(built.spec(args=["b"]))["containers"][0]["args"] == ["b"]
    assert pod_of(built.spec(args=[]))["containers"][0]["args"] == []
