"""Logging: one line an event, to standard error."""

import logging
import time


def configure(level: str) -> None:
    """Log our own words from `level` up, and of the libraries' only what is worth a look."""
    formatter = logging.Formatter("{asctime}Z {levelname} {name} {message}", "%FT%T", style="{")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("taskmill").setLevel(level)
    logging.getLogger("kopf").setLevel(logging.ERROR)
    # It repeats each failed request; ours say what follows from it.
    logging.getLogger("kopf._cogs.clients").setLevel(logging.CRITICAL)
