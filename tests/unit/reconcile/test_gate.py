"""A gate lets so many in; the others come in their order, and nobody is forgotten."""

import pytest

from taskmill.reconcile.cache import Key, Kind
from taskmill.reconcile.gate import Gate, NoPlaceError


def key(name):
    return Key(Kind.EXECUTION, "team", name)


def test_who_finds_no_place_is_called_when_one_is_free_first_come_first_served():
    called = []
    gate = Gate(1, called.append)
    with gate.place(key("a")):
        for name in ("b", "c", "b"):
            with pytest.raises(NoPlaceError), gate.place(key(name)):
                pass
        assert called == []
    assert called == [key("b")]
    with gate.place(key("b")):
        pass
    assert called == [key("b"), key("c")]


def test_who_lines_up_is_called_like_one_who_found_no_place_and_does_so_once():
    called = []
    gate = Gate(1, called.append)
    assert not gate.lines_up(key("a"))  # there is a place
    with gate.place(key("a")):
        assert gate.lines_up(key("b"))
        assert not gate.lines_up(key("b"))
        assert called == []
    assert called == [key("b")]


def test_who_is_called_and_takes_no_place_leaves_it_to_the_next():
    called = []
    gate = Gate(1, called.append)
    with gate.place(key("a")):
        for name in ("b", "c", "d"):
            assert gate.lines_up(key(name))
    assert called == [key("b")]
    gate.passed(key("x"))
    assert called == [key("b")]
    gate.passed(key("b"))  # it is gone, say
    assert called == [key("b"), key("c")]
    with gate.place(key("c")):
        gate.passed(key("b"))
        assert called == [key("b"), key("c")]
    assert called == [key("b"), key("c"), key("d")]


def test_a_place_is_given_back_whatever_happens():
    gate = Gate(1, [].append)
    with pytest.raises(ValueError, match="broken"), gate.place(key("a")):
        raise ValueError("broken")
    with gate.place(key("b")):
        pass


def test_who_got_in_by_itself_is_not_called_again():
    called = []
    gate = Gate(1, called.append)
    with gate.place(key("a")), pytest.raises(NoPlaceError), gate.place(key("b")):
        pass
    called.clear()
    with gate.place(key("b")):
        pass
    assert called == []


def test_nobody_takes_the_place_of_who_was_called():
    called = []
    gate = Gate(1, called.append)
    with gate.place(key("a")):
        for name in ("old", "next"):
            assert gate.lines_up(key(name))
    assert called == [key("old")]
    assert gate.lines_up(key("new"))
    with pytest.raises(NoPlaceError), gate.place(key("newer")):
        pass
    with gate.place(key("old")):
        assert called == [key("old")]
    assert called == [key("old"), key("next")]


def test_who_comes_twice_without_finding_a_place_keeps_its_own_in_the_line():
    called = []
    gate = Gate(1, called.append)
    with gate.place(key("a")):
        for name in ("b", "c", "b"):
            with pytest.raises(NoPlaceError), gate.place(key(name)):
                pass
    assert called == [key("b")]
