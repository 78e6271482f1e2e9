"""Executions read without the models, whatever the server's version."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmill.cli.show import status
from taskmill.cli.view import levels, run_of
from unit.cli.runs import NOON, lines, raw, release, step

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["plan", "steps", "id", "dependsOn", "phase", "startedAt", "attempts",
                         "task", "reason", "message", "output"]),
        inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}, {"a": 0, "b": 1, "c": 1, "d": 2}),
        ({"d": ["a", "c"], "c": ["a"], "a": []}, {"a": 0, "c": 1, "d": 2}),
        ({"a": ["nowhere"]}, {"a": 0}),
        ({"a": ["b"], "b": ["a"], "c": []}, {"c": 0, "a": 0, "b": 0}),
        ({}, {}),
    ],
)
def test_levels(after, expected):
    found = levels(after)
    assert found == expected
    assert list(found) == list(expected)


def test_steps_come_in_the_order_they_run():
    assert [one.id for one in run_of(release()).steps] == ["build", "test", "package", "release"]


def test_a_plan_that_the_operator_resolved_counts_too():
    assert [s.id for s in run_of(raw(plan=[{"id": "one"}], phase="Running")).steps] == ["one"]


def test_a_phase_and_reason_of_a_newer_taskmill_are_shown_as_they_are():
    newer = raw(phase="Paused", reason="Napping", steps=[step("a", "Paused", reason="Napping")])
    assert lines(status(run_of(newer), NOON))[0] == (
        "release-0b1e6a2c5d  Paused Napping  0s since it was made"
    )


@given(spec=JSON, told=JSON)
def test_nothing_that_a_server_says_makes_it_fail(spec, told):
    found = raw()
    found["spec"], found["status"] = spec, told
    assert lines(status(run_of(found), NOON))
