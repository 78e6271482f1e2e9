"""Moments and lengths of time."""

from datetime import timedelta

import pytest

from taskmill.cli.moments import between, length, moment
from unit.cli.runs import NOON


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-5, "0s"),
        (0.9, "0s"),
        (59, "59s"),
        (60, "1m"),
        (252, "4m12s"),
        (3600, "1h"),
        (11100, "3h5m"),
        (187200, "2d4h"),
        (40 * 86400, "40d"),
    ],
)
def test_lengths(seconds, told):
    assert length(timedelta(seconds=seconds)) == told


@pytest.mark.parametrize("text", [None, "", 5, "soon", "2026-11-24T12:00:00"])
def test_what_is_no_moment_is_none(text):
    assert moment(text) is None
    assert between(moment(text), NOON) == ""


def test_a_moment_is_read():
    assert moment("2026-11-24T12:00:00Z") == NOON
