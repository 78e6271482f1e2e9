"""Durations of the form of GEP-2257."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmill.api.duration import format_duration, parse_duration

UNITS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10m", timedelta(minutes=10)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("51h", timedelta(days=2, hours=3)),
        ("600s", timedelta(minutes=10)),
        ("500ms", timedelta(milliseconds=500)),
        ("1h2m3s4ms", timedelta(hours=1, minutes=2, seconds=3, milliseconds=4)),
        ("0s", timedelta()),
        ("1s1h", timedelta(hours=1, seconds=1)),
        ("00005m", timedelta(minutes=5)),
        ("99999h99999h", timedelta(hours=199998)),
    ],
)
def test_a_duration_is_read(text, value):
    assert parse_duration(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10",
        "m",
        "2d3h",
        "1w",
        "1us",
        "1.5h",
        "-5m",
        "+5m",
        "1M",
        "PT10M",
        "10 m",
        " 10m",
        "10m\n",
        "100000h",
        "1h1m1s1ms1s",
        "\u0661m",
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="not a duration such as"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(), "0s"),
        (timedelta(minutes=90), "1h30m"),
        (timedelta(days=2, hours=3), "51h"),
        (timedelta(milliseconds=1500), "1s500ms"),
        (timedelta(hours=99999, minutes=59, seconds=59, milliseconds=999), "99999h59m59s999ms"),
        (timedelta(hours=400_000), "400000h"),
    ],
)
def test_a_duration_is_written_in_its_shortest_form(value, text):
    assert format_duration(value) == text


@pytest.mark.parametrize("value", [timedelta(microseconds=1), timedelta(seconds=-1)])
def test_what_has_no_form_is_not_written(value):
    with pytest.raises(ValueError, match="no duration in milliseconds"):
        format_duration(value)


@given(st.integers(min_value=0, max_value=100_000 * UNITS["h"] - 1))
def test_what_is_written_is_read_back(milliseconds):
    value = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(value)) == value


@given(
    st.lists(st.tuples(st.integers(0, 99999), st.sampled_from([*UNITS])), min_size=1, max_size=4)
)
def test_what_is_read_is_the_sum_of_its_parts(parts):
    text = "".join(f"{count}{unit}" for count, unit in parts)
    total = timedelta(milliseconds=sum(count * UNITS[unit] for count, unit in parts))
    assert parse_duration(text) == total
