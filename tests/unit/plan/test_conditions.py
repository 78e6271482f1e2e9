"""Conditions: which there are, and since when."""

import pytest

from builders import at
from taskmill.api.meta import Condition
from taskmill.api.reasons import ConditionType
from taskmill.plan.conditions import Wanted, find, merged

READY = ConditionType.READY


def condition(status, *, kind=READY):
    return Condition(
        type=kind,
        status=status,
        reason="Old",
        message="old words",
        last_transition_time=at(1),
        observed_generation=1,
    )


@pytest.mark.parametrize("old", [None, (), (condition("True", kind=ConditionType.STALLED),)])
def test_a_new_condition_is_of_now(old):
    (ready,) = merged(old, [Wanted(READY, True, "New", "words")], now=at(9), generation=2)
    assert ready == Condition(
        type=READY,
        status="True",
        reason="New",
        message="words",
        last_transition_time=at(9),
        observed_generation=2,
    )


@pytest.mark.parametrize(
    ("before", "wanted", "since"),
    [("True", True, 1), ("False", False, 1), ("True", False, 9), ("False", True, 9)],
)
def test_a_condition_is_as_old_as_its_status(before, wanted, since):
    old = [condition(before)]
    (ready,) = merged(old, [Wanted(READY, wanted, "New", "words")], now=at(9), generation=2)
    assert (ready.status, ready.last_transition_time) == (str(wanted), at(since))
    assert (ready.reason, ready.message, ready.observed_generation) == ("New", "words", 2)


def test_only_a_true_condition_of_the_type_is_found():
    ready, stalled = condition("True"), condition("False", kind=ConditionType.STALLED)
    assert find([stalled, ready], READY) == ready
    assert find([stalled, ready], ConditionType.STALLED) is None
    assert find(None, READY) is None
