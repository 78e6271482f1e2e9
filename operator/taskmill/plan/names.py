"""Names, labels and hashes that outlive a process.

Golden tests pin them: a new operator must recognise what an old one created.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Any

from taskmill.api.group import GROUP

LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "taskmill"
LABEL_TASK = f"{GROUP}/task"
LABEL_EXECUTION = f"{GROUP}/execution"
LABEL_EXECUTION_UID = f"{GROUP}/execution-uid"
LABEL_STEP = f"{GROUP}/step"
LABEL_ATTEMPT = f"{GROUP}/attempt"
ANNOTATION_TRIGGER = f"{GROUP}/trigger-hash"
"""On an operator-made execution: the hash of what runs that it was started for."""
ANNOTATION_SCHEDULED = f"{GROUP}/scheduled-at"
"""On an operator-made execution: the time of the schedule that it was started for, RFC 3339."""

NAME_LIMIT = 63
HASH_CHARS = 10


def digest(*parts: str, chars: int = HASH_CHARS) -> str:
    """A short hash of `parts` that is a valid end of a Kubernetes name."""
    data = "\0".join(parts).encode()
    # Hexadecimal: never spells a word, and needs no padding.
    return hashlib.sha256(data).hexdigest()[:chars]


def readable(stem: str, *parts: str) -> str:
    """`stem` cut to fit, made unique by a hash of `parts`, at most 63 characters."""
    room = NAME_LIMIT - HASH_CHARS - 1
    return f"{stem[:room].rstrip('-.')}-{digest(*parts)}"


@lru_cache(maxsize=4096)
def job_name(*, execution: str, uid: str, step: str, attempt: int) -> str:
    """Name of the Job of one attempt: readable, and unique by the execution's uid."""
    named = execution == step or execution.startswith(f"{step}-")
    stem = execution if named else f"{execution}-{step}"
    return readable(stem, uid, step, str(attempt))


def execution_name(*, task: str, uid: str, since: int, trigger: str) -> str:
    """Name of the execution a Task's change starts.

    It follows from what was triggered last (`since`, a generation) and what runs now (`trigger`),
    so that an operator that died between creating it and writing so finds it again, and A-B-A
    still makes three.
    """
    return readable(task, uid, str(since), trigger)


def scheduled_name(*, task: str, uid: str, time: str) -> str:
    """Name of the execution for a time of a Task's schedule (RFC 3339): one for each time."""
    return readable(task, uid, "at", time)


def event_name(*, execution: str, uid: str, attempt: int, about: str) -> str:
    """Name of the Event about one attempt and matter: told again, it is there already."""
    return readable(execution, uid, str(attempt), about)


TRIGGER_VERSION = "v1"
"""Version of `trigger_hash`. A new version adopts what is there and runs nothing."""


def trigger_hash(what_runs: dict[str, Any]) -> str:
    """Hash of *what runs* (its API form without absent fields), as kept in lastTriggered."""
    text = json.dumps(what_runs, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{TRIGGER_VERSION}:{hashlib.sha256(text.encode()).hexdigest()[:32]}"
