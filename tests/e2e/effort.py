"""How much the tests of faults and of hostile input try: a little each time, all by `make faults`.

TASKMILL_FAULTS=long tries all, TASKMILL_RUNS says how many runs in bad weather, TASKMILL_MANY how
many executions that wait, and TASKMILL_SEED plays one row of dice again. The little is always the
same.
"""

import os
import secrets

LONG = os.environ.get("TASKMILL_FAULTS") == "long"
SEED = int(os.environ.get("TASKMILL_SEED") or (secrets.randbelow(10**6) if LONG else 1))


def either(short: int, long: int, name: str = "") -> int:
    """How many; the environment may say another number."""
    return int(os.environ.get(name) or (long if LONG else short))
