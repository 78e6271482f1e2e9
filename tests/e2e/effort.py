"""How much of what could be tried is tried: `make faults` takes its time, CI has little."""

import os

LONG = os.environ.get("TASKMILL_FAULTS") == "long"
"""Whether the tests of faults and hostile input try all they know."""


def number(variable: str, *, short: int, long: int) -> int:
    """What the environment says, else the number for this effort."""
    return int(os.environ.get(variable) or (long if LONG else short))
