"""Other programs' words, made fit for one line."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import pod, seen
from taskmill.diagnose.causes import diagnose
from taskmill.diagnose.text import (
    LINE_CHARS,
    SENTENCE_BYTES,
    clean,
    gist,
    last_line,
    quote,
    sentence,
)


@pytest.mark.parametrize(
    ("log", "last"),
    [
        ("", ""),
        ("\n\n \t\r\n", ""),
        ("one\ntwo", "two"),
        ("one\r\ntwo\r\n\r\n", "two"),
        ("one\ntwo\n\x1b[0m\n", "two"),
        ("10%\r50%\r100%", "100%"),
        ("10%\r100%\r", "100%"),
        ("\x1b[1;31merror:\x1b[0m no", "error: no"),
        ("\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]0;title\x07words", "words"),
        ("a\tb  c", "a b c"),
        ("bell\x07 and \x08 nul\x00s", "bell and nul s"),
        ("zero\u200bwidth \u202eright to left", "zero width right to left"),
        ("\ufffd\ufffd binary \x7f\x80", "\ufffd\ufffd binary"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("line\u2028separator", "line separator"),
    ],
)
def test_the_last_line_is_the_last_that_says_something(log, last):
    assert last_line(log) == last


def test_a_long_last_line_is_cut_with_an_ellipsis():
    said = last_line("first\n" + "x" * 5000)
    assert said == "x" * (LINE_CHARS - 1) + "…"


@pytest.mark.parametrize(("cut", "room"), [(quote, LINE_CHARS - 2), (sentence, SENTENCE_BYTES - 4)])
def test_no_blank_is_left_before_the_ellipsis(cut, room):
    assert cut("x" * room + " and more") == "x" * room + "…"


def test_a_line_of_just_the_limit_is_not_cut():
    assert quote("x" * LINE_CHARS) == "x" * LINE_CHARS


@pytest.mark.parametrize("letter", ["x", "é", "語", "🦀"])
def test_a_sentence_is_cut_between_characters(letter):
    said = sentence(letter * 2000)
    size = len(letter.encode())
    assert said == letter * ((SENTENCE_BYTES - 3) // size) + "…"
    assert SENTENCE_BYTES - size < len(said.encode()) <= SENTENCE_BYTES


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("0/9 nodes: 9 Insufficient cpu", "0/12 nodes: 3 Insufficient cpu", True),
        ("read 10.0.0.1:53 refused", "read 10.0.0.12:41053 refused", True),
        ("0/9 nodes: 9 Insufficient cpu", "0/9 nodes: 9 Insufficient memory", False),
        ("nodes", "9 nodes", False),
    ],
    ids=["counts", "addresses", "words", "a number more"],
)
def test_other_numbers_leave_the_gist(one, other, same):
    assert (gist(one) == gist(other)) is same


def test_a_sentence_of_just_the_limit_is_not_cut():
    assert sentence("é" * (SENTENCE_BYTES // 2)) == "é" * (SENTENCE_BYTES // 2)


@pytest.mark.parametrize("cut", [clean, quote, last_line, sentence])
@given(text=st.text(st.characters(), max_size=1500))
def test_whatever_comes_in_one_printable_line_comes_out(cut, text):
    line = cut(text)
    assert line == line.strip()
    assert "  " not in line
    assert not {unicodedata.category(c) for c in line} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    assert clean(line) == line


@given(st.text(st.characters(), max_size=4000))
def test_a_sentence_fits_into_the_status(text):
    assert len(sentence(text).encode()) <= SENTENCE_BYTES


@given(st.binary(max_size=4096))
def test_a_binary_log_is_told_in_one_line(log):
    """The kubelet sends what it cannot decode as U+FFFD."""
    finding = diagnose(seen(pod().exited(1, log.decode("utf-8", "replace"))))
    assert finding.sentence.startswith("exit code 1")
    assert len(finding.sentence) <= LINE_CHARS + 20
