"""Quantities of memory, and how one is raised."""

from fractions import Fraction

import pytest

from taskmill.plan.executions.memory import raised, size


@pytest.mark.parametrize(
    ("quantity", "bytes_"),
    [
        ("1", 1),
        ("1024", 1024),
        ("1k", 1000),
        ("1M", 10**6),
        ("1G", 10**9),
        ("1T", 10**12),
        ("1P", 10**15),
        ("1E", 10**18),
        ("1Ki", 1024),
        ("512Mi", 512 * 1024**2),
        ("8Gi", 8 * 1024**3),
        ("1Ti", 1024**4),
        ("1Pi", 1024**5),
        ("1Ei", 1024**6),
        ("1.5Gi", 1536 * 1024**2),
        (".5Gi", 512 * 1024**2),
        ("1.", 1),
        ("1e3", 1000),
        ("1E3", 1000),
        ("12e-1", Fraction(12, 10)),
        ("128974848000m", 128974848),
        ("+1Ki", 1024),
        ("-1", -1),
        (" 1Gi ", 1024**3),
    ],
)
def test_a_quantity_in_bytes(quantity, bytes_):
    assert size(quantity) == bytes_


@pytest.mark.parametrize("text", ["", "Gi", "1KB", "1Kib", "1 Gi", "one", "1K", "1e", "0x10", "1u"])
def test_what_is_no_quantity(text):
    assert size(text) is None


@pytest.mark.parametrize(
    ("limit", "percent", "most", "wanted"),
    [
        ("512Mi", 200, "8Gi", "1024Mi"),
        ("512Mi", 101, "8Gi", "518Mi"),
        ("1G", 150, "8Gi", "1431Mi"),
        ("100", 200, "8Gi", "1Mi"),
        ("6Gi", 200, "8Gi", "8Gi"),
        ("4Gi", 200, "8Gi", "8Gi"),
        ("512Mi", 200, "1e9", "1e9"),
        ("512Mi", 200, "1024Mi", "1024Mi"),
        ("8Gi", 200, "8192Mi", None),
        ("9Gi", 200, "8Gi", None),
        ("", 200, "8Gi", None),
        ("512Mi", 200, "lots", None),
        ("0", 200, "8Gi", None),
        ("-1Gi", 200, "8Gi", None),
    ],
)
def test_a_limit_is_raised_up_to_the_most(limit, percent, most, wanted):
    assert raised(limit, percent, most) == wanted


@pytest.mark.parametrize("percent", [101, 150, 1000])
def test_it_always_grows_until_it_is_the_most(percent):
    limit = "1Mi"
    for _ in range(1000):
        more = raised(limit, percent, "1Gi")
        if more is None:
            break
        assert size(more) > size(limit)
        limit = more
    assert limit == "1Gi"
