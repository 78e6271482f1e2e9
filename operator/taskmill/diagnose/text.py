"""Other programs' words made fit for one line of status."""

from __future__ import annotations

import re
import unicodedata

SENTENCE_BYTES = 1024
"""Longest failureMessage or message, in UTF-8."""

LINE_CHARS = 400
"""Longest quotation from a log or from the server inside a sentence."""

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_NUMBERS = re.compile(r"[0-9a-f]*\d[0-9a-f]*")
_SPACE = re.compile(r"\s+")


def clean(text: str) -> str:
    """One line of printable text: no colours, control characters or runs of blanks."""
    text = _ANSI.sub("", text)
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co") else c for c in text)
    return _SPACE.sub(" ", text).strip()


def quote(text: str, limit: int = LINE_CHARS) -> str:
    """`clean` text of at most `limit` characters."""
    # Cleaning a megabyte to keep a line of it would be wasted.
    line = clean(text[: limit * 8])
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def gist(text: str) -> str:
    """What stays of a sentence while its numbers change: counts, ports, times, identifiers."""
    return _NUMBERS.sub("#", text)


def last_line(log: str) -> str:
    """The last line of a log that says something, or ""."""
    for line in reversed(log.replace("\r", "\n").split("\n")):
        if said := quote(line):
            return said
    return ""


def sentence(text: str) -> str:
    """`text` cleaned and cut to `SENTENCE_BYTES`, never inside a character."""
    return shortened(clean(text), SENTENCE_BYTES)


def shortened(line: str, limit: int) -> str:
    """`line` cut to so many bytes of UTF-8, never inside a character."""
    data = line.encode("utf-8", "replace")
    if len(data) <= limit:
        return line
    return data[: limit - len("…".encode())].decode("utf-8", "ignore").rstrip() + "…"
