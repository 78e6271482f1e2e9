"""Logging: one line an event, to standard error, as text or as JSON.

No line repeats what a Task says or prints. What the API server refuses, it quotes; what a parser
does not like, it quotes too: so of an exception only what cannot quote an object is written.
"""

import json
import logging
import re
import time
import traceback

from taskmill.kube.errors import ApiError, UnknownOutcome

OURS = "taskmill"
_RIGHTS = re.compile(
    r'[\w./-]+(?: "[^"]*")? is forbidden: User "[^"]*" cannot [a-z]+ resource "[^"]*" '
    r'in API group "[^"]*"(?: in the namespace "[^"]*"| at the cluster scope)?'
)


def configure(level: str, form: str = "text") -> None:
    """Log our own words from `level` up, and of the libraries' only what is worth a look.

    `form` is `text` or `json`.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Text())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(OURS).setLevel(level)
    logging.getLogger("kopf").setLevel(logging.ERROR)
    # It repeats each failed request; ours say what follows from it.
    logging.getLogger("kopf._cogs.clients").setLevel(logging.CRITICAL)
    # What ends Kopf is told by whoever starts it again, in a line.
    for name in ("orchestration", "running"):
        logging.getLogger(f"kopf._core.reactor.{name}").setLevel(logging.CRITICAL)


def words(error: BaseException) -> str:
    """What went wrong, without what may quote an object; its type when nothing else is sure."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(map(words, error.exceptions))
    if isinstance(error, UnknownOutcome):
        return words(error.error) if error.error else str(error)
    if isinstance(error, ApiError):
        return _answer(error)
    name = type(error).__name__
    # Kopf only lists and watches: what it is told is about that.
    plain = isinstance(error, OSError) or type(error).__module__.startswith("kopf.")
    return f"{name}: {error}" if plain and str(error) else name


def _answer(error: ApiError) -> str:
    if not error.status:
        return str(error)  # our own words: nobody answered
    rights = _RIGHTS.match(error.message)
    said = rights.group() if rights else type(error).__name__
    return f"{said} ({error.status})"


class _Formatter(logging.Formatter):
    """What both forms have in common.

    A record's `fields` (`extra={"fields": {...}}`) are told by name; keep secrets out of them.
    """

    def __init__(self) -> None:
        super().__init__(datefmt="%FT%TZ")
        self.converter = time.gmtime

    def said(self, record: logging.LogRecord) -> str:
        error = record.exc_info[1] if record.exc_info else None
        if error and record.name.partition(".")[0] != OURS:
            # Libraries put the exception's words into theirs.
            return f"failed: {words(error)}"
        if isinstance(record.args, tuple):
            record.args = tuple(
                words(one) if isinstance(one, BaseException) else one for one in record.args
            )
        return record.getMessage()

    @staticmethod
    def fields(record: logging.LogRecord) -> dict[str, str]:
        found: dict[str, str] = getattr(record, "fields", {})
        return found

    @staticmethod
    def trace(record: logging.LogRecord) -> str:
        error = record.exc_info[1] if record.exc_info else None
        return _trace(error) if error else ""


class _Text(_Formatter):
    """For people: `2026-11-24T12:00:00Z INFO taskmill.x message key=value`, and any traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{self.formatTime(record, self.datefmt)} {record.levelname} {record.name}"
        pairs = (f"{key}={value}" for key, value in self.fields(record).items())
        line = " ".join((line, self.said(record), *pairs))
        return f"{line}\n{trace}" if (trace := self.trace(record)) else line


class _Json(_Formatter):
    """For machines: an object a line."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": self.formatTime(record, self.datefmt),
            "level": record.levelname,
            "logger": record.name,
            "message": self.said(record),
            **self.fields(record),
        }
        if trace := self.trace(record):
            told["traceback"] = trace
        return json.dumps(told)


def _trace(error: BaseException) -> str:
    """Where it was raised, and from which others; source lines quote nothing."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    parts = [_trace(before)] if before else []
    head, frames = "Traceback (most recent call last):\n", traceback.format_tb(error.__traceback__)
    parts.append(f"{head}{''.join(frames)}{type(error).__name__}: {words(error)}")
    if isinstance(error, BaseExceptionGroup):
        parts += map(_trace, error.exceptions)
    return "\n".join(parts)
