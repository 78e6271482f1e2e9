"""Names and hashes are pinned: a new operator must recognise what an old one created."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import task
from taskmill.plan.names import event_name, execution_name, job_name, trigger_hash

labels = st.from_regex(r"\A[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
subdomains = st.from_regex(r"\A[a-z0-9]([-.a-z0-9]{0,80}[a-z0-9])?\Z")


def test_the_name_of_a_job_is_pinned():
    name = job_name(execution="build-1", uid="uid-1", step="build", attempt=1)
    assert name == "build-1-92ab7d95cf"
    assert job_name(execution="nightly", uid="uid-1", step="test", attempt=2) == (
        "nightly-test-8755dbfda0"
    )


def test_the_name_of_an_execution_is_pinned():
    name = execution_name(task="build", uid="uid-1", since=3, trigger="v1:abc")
    assert name == "build-ec2718c986"


def test_each_matter_of_each_attempt_has_an_event_of_its_own():
    told = {"execution": "build-1", "uid": "uid-1", "attempt": 1, "about": "Failed"}
    others = [{"execution": "build-2"}, {"uid": "uid-2"}, {"attempt": 2}, {"about": "Rejected"}]
    names = {event_name(**(told | other)) for other in ({}, *others)}
    assert len(names) == 5
    assert event_name(**told) == event_name(**told)


def test_the_hash_of_what_runs_is_pinned():
    assert task().hash == "v1:75d1ec89f03fa5c6230e3787d643048a"
    full = task().spec(
        command=["a"],
        args=["$é"],
        script=None,
        env=[{"name": "A", "value": "1"}],
        envFrom=[{"secretRef": {"name": "s"}}],
        workingDir="/w",
        resources={"limits": {"cpu": 1, "memory": "1Gi"}},
        serviceAccountName="sa",
        rerun="again",
    )
    assert full.hash == "v1:e1422f4dfdc3b00811496b599d6a5c8b"


def test_the_order_of_keys_does_not_change_the_hash():
    assert trigger_hash({"a": 1, "b": {"c": 2, "d": 3}}) == trigger_hash(
        {"b": {"d": 3, "c": 2}, "a": 1}
    )


@given(name=subdomains, step=labels, uid=st.uuids(), attempt=st.integers(1, 1000))
def test_a_name_is_valid_however_long_its_parts(name, step, uid, attempt):
    made = job_name(execution=name, uid=str(uid), step=step, attempt=attempt)
    assert len(made) <= 63
    assert re.fullmatch(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?", made)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("x" * 52, "x" * 52),
        ("x" * 80, "x" * 52),
        ("x" * 50 + "-.yes", "x" * 50),
    ],
    ids=["just fits", "cut", "cut at a dash"],
)
def test_a_name_keeps_as_much_of_its_stem_as_fits(name, kept):
    made = execution_name(task=name, uid="uid-1", since=3, trigger="v1:abc")
    assert made == f"{kept}-{made[-10:]}"


@given(
    st.lists(
        st.tuples(st.sampled_from(["u1", "u2"]), st.sampled_from(["a", "b"]), st.integers(1, 3)),
        min_size=2,
        max_size=2,
        unique=True,
    )
)
def test_different_attempts_have_different_names(two):
    one, other = (job_name(execution="x" * 63, uid=u, step=s, attempt=n) for u, s, n in two)
    assert one != other


def test_each_part_of_what_runs_changes_the_hash_and_nothing_else_does():
    changes = {
        "image": "ubuntu:26.04",
        "script": "make test",
        "args": ["x"],
        "env": [{"name": "A", "value": "1"}],
        "envFrom": [{"secretRef": {"name": "s"}}],
        "workingDir": "/w",
        "resources": {"limits": {"cpu": "1"}},
        "serviceAccountName": "sa",
        "rerun": "1",
        "dependsOn": ["prepare"],
    }
    hashes = {task().spec(**{field: value}).hash for field, value in changes.items()}
    assert len(hashes | {task().hash}) == len(changes) + 1
    for field, value in {
        "info": {"title": "t"},
        "imagePullPolicy": "Always",
        "maxRunTime": "1m",
        "startTimeout": "1m",
        "queueTimeout": "1m",
        "gracePeriod": "1m",
        "retry": {"limit": 3},
        "infraRetries": 1,
        "timeout": "1h",
        "trigger": "Manual",
        "schedule": {"cron": "@daily"},
        "concurrencyPolicy": "Forbid",
        "maxQueued": 1,
        "suspend": True,
        "history": {"failed": 1},
    }.items():
        assert task().spec(**{field: value}).hash == task().hash
