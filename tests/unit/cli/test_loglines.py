"""Lines of a log whose stream is cut at any place, and taken up again."""

from hypothesis import given
from hypothesis import strategies as st

from taskmill.cli.loglines import Position


def stamp(number):
    return b"2026-11-24T12:00:%02d.%09dZ" % (number // 10, number % 10)


def since(log, position):
    """What the kubelet gives: all that is not older."""
    return [line for line in log if line.split(b" ", 1)[0] >= position.stamp]


@given(
    times=st.lists(st.integers(0, 5), max_size=12).map(sorted),
    cuts=st.lists(st.integers(0, 12), max_size=4),
)
def test_nothing_is_lost_or_repeated_however_often_it_is_cut(times, cuts):
    log = [b"%s line %d\n" % (stamp(time), number) for number, time in enumerate(times)]
    position, seen = Position(), []
    for cut in [*cuts, len(log)]:
        position.reopen()
        for line in since(log, position)[:cut]:
            text = position.take(line)
            if text is not None:
                seen.append(text)
    assert seen == [b"line %d\n" % number for number in range(len(times))]


def test_it_asks_from_where_it_was():
    position = Position()
    assert position.query == {"timestamps": "true"}
    position.take(stamp(3) + b" one\n")
    assert position.query == {"timestamps": "true", "sinceTime": stamp(3).decode()}


def test_what_a_task_prints_that_looks_alike_stays():
    said = b"at 2026-11-24T12:00:00.000000000Z it began\n"
    assert Position().take(stamp(1) + b" " + said) == said
    assert Position().take(b"unable to retrieve container logs\n").startswith(b"unable")


def test_empty_lines_stay():
    assert Position().take(stamp(1) + b" \n") == b"\n"
    assert Position().take(stamp(1) + b"  indented\n") == b" indented\n"


def test_a_clock_that_is_set_back_hides_nothing():
    position = Position()
    for opened in (stamp(30), stamp(40)):
        position.reopen()
        assert position.take(opened + b" before\n") == b"before\n"
        assert position.take(stamp(1) + b" after\n") == b"after\n"
