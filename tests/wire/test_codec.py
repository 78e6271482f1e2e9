"""JSON over the wire: also what the fast library refuses."""

import json
import sys

import pytest

from taskmill.kube import codec

DEEP = 5_000


@pytest.fixture
def deep_stack():
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(12_000)  # as the operator does
    yield
    sys.setrecursionlimit(before)


def test_what_is_nested_deeper_than_the_fast_reader_goes_is_read(deep_stack):
    thing = codec.decode(b'{"a":' * DEEP + b"1" + b"}" * DEEP)
    for _ in range(DEEP):
        thing = thing["a"]
    assert thing == 1


@pytest.mark.parametrize("thing", [{"half": "\ud800"}, {"large": 2**70}, {"é": ["ü", None, 1.5]}])
def test_whatever_came_in_may_go_out(thing):
    assert json.loads(codec.encode(thing)) == thing


@pytest.mark.parametrize("data", [b"", b"{", b'{"a":1}x', b"\xff"])
def test_what_is_no_json_is_a_value_error(data):
    with pytest.raises(ValueError):  # noqa: PT011 (the words are the library's)
        codec.decode(data)
