"""Our kinds are read once; what cannot be read says so, and hides nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import TASK_UID, at, execution, stamp, task
from taskmill.api.reasons import Phase
from taskmill.reconcile.parse import parse_execution, parse_task


def test_identity_and_age_are_read():
    meta = execution("run-1", uid="u").owned().created(5).version(42).generation(3).facts.meta
    assert (meta.namespace, meta.name, meta.uid) == ("team", "run-1", "u")
    assert (meta.resource_version, meta.generation, meta.created_at) == ("42", 3, at(5))
    assert (meta.task_name, meta.task_uid) == ("build", TASK_UID)
    assert (meta.deleting, meta.annotations) == (False, {})
    assert execution().deleted().facts.meta.deleting


def test_only_a_task_of_ours_is_an_owner():
    built = execution()
    built.raw["metadata"]["ownerReferences"] = [
        {"apiVersion": "tekton.dev/v1", "kind": "Task", "uid": "tekton"},
        {"apiVersion": "taskmill.dev/v1alpha1", "kind": "TaskExecution", "uid": "other"},
    ]
    assert (built.facts.meta.task_name, built.facts.meta.task_uid) == ("", "")


@pytest.mark.parametrize(
    ("built", "sentence"),
    [
        (task().spec(image=None), "spec.image: Field required"),
        (task().spec(image=3), "spec.image: Input should be a valid string"),
        (
            task().spec(env=[{"value": "x"}]),
            "spec.env.0.name: Field required",
        ),
        (task().spec(trigger="Sometimes"), "spec.trigger: Input should be 'OnChange' or 'Manual'"),
    ],
)
def test_a_spec_that_cannot_be_read_names_the_field(built, sentence):
    read = built.facts
    assert (read.spec, read.invalid) == (None, sentence)


def test_an_execution_that_cannot_be_read_names_the_field():
    read = execution().spec(deadline="tomorrow").facts
    assert read.spec is None
    assert read.invalid.startswith("spec.deadline: ")


def test_fields_of_a_newer_version_are_ignored():
    read = task().spec(newer={"x": 1}).status(newer=1, phase="Running").facts
    assert read.invalid == ""
    assert read.status.phase is Phase.RUNNING


def test_a_scribbled_field_of_the_status_hides_only_itself():
    read = (
        execution()
        .status(
            phase="Running",
            startedAt="yesterday",
            statusVersion="many",
            steps=[{"id": 1}],
            message="words",
            deadline=stamp(9),
        )
        .facts
    )
    status = read.status
    assert (status.phase, status.message, status.deadline) == (Phase.RUNNING, "words", at(9))
    assert (status.started_at, status.status_version, status.steps) == (None, None, None)


def test_a_reason_of_a_newer_taskmill_is_kept_as_it_is_written():
    assert execution().status(reason="FromTheFuture").facts.status.reason == "FromTheFuture"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
fields = st.sampled_from(
    [
        "phase",
        "reason",
        "message",
        "statusVersion",
        "startedAt",
        "deadline",
        "plan",
        "steps",
        "conditions",
        "active",
        "lastExecution",
        "lastTriggered",
    ]
)


@given(st.dictionaries(fields, json_values, max_size=6))
def test_no_scribble_makes_an_object_unreadable(status):
    parse_execution(execution().raw | {"status": status})
    parse_task(task().raw | {"status": status})


def test_an_unchanged_generation_is_not_read_again():
    first = task().facts
    later = parse_task(task().version(9).status(active=1).raw, first)
    assert later.spec is first.spec
    assert (later.meta.resource_version, later.status.active) == ("9", 1)
    broken = execution().spec(deadline="x").facts
    assert parse_execution(execution().spec(deadline="x").raw, broken).invalid == broken.invalid


@pytest.mark.parametrize("built", [task(uid="another"), task().generation(2)])
def test_another_generation_or_object_is_read_again(built):
    assert parse_task(built.spec(image="b:1").raw, task().facts).spec.image == "b:1"


def test_the_runs_of_a_task_share_its_steps_whatever_else_they_say():
    def run(name, seconds):
        built = execution(name, uid=name).deadline(seconds)
        return built.runs(script="x" * 100, env=[{"name": "A", "value": "b"}]).facts.spec.plan[0]

    first, second = run("run-1", 60), run("run-2", 61)
    assert first is second
    other = execution().runs(script="y" * 100).facts.spec.plan[0]
    assert other is not first


def test_a_step_that_cannot_be_read_says_where():
    broken = execution().runs(image=7).facts
    assert broken.spec is None
    assert broken.invalid.startswith("spec.plan.0.task.image: ")
