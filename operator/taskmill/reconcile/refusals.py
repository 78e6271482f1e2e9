"""What the API server's refusal of a creation means for trying again."""

from datetime import datetime, timedelta

from taskmill.diagnose.text import quote
from taskmill.diagnose.words import PASSING
from taskmill.kube.errors import (
    ApiError,
    Conflict,
    Forbidden,
    NotFound,
    ServerError,
    Throttled,
    UnknownOutcome,
)
from taskmill.plan.world import Refusal, Refused

TRY_AGAIN = timedelta(seconds=10)
AWAY = timedelta(seconds=30)
"""Until a namespace that is being deleted is looked at again."""


def refused(error: ApiError | UnknownOutcome, now: datetime, known: Refused | None) -> Refused:
    """The refusal in the server's own words; `known` is the one before it."""
    since = known.since if known else now
    if isinstance(error, UnknownOutcome):
        words = error.error.message if error.error else str(error)
        return Refused(Refusal.PASSING, quote(words), since, now + TRY_AGAIN, unknown=True)
    wait = TRY_AGAIN
    if isinstance(error, NotFound) or _is_terminating(error):
        wait = AWAY
    elif isinstance(error, Throttled) and error.retry_after:
        wait = timedelta(seconds=error.retry_after)
    return Refused(_kind(error), quote(error.message), since, now + wait)


def _is_terminating(error: ApiError) -> bool:
    """Whether the namespace is being deleted: nothing new belongs there."""
    causes = error.details.get("causes") or ()
    return "being terminated" in error.message or any(
        cause.get("reason") == "NamespaceTerminating" for cause in causes
    )


def _kind(error: ApiError) -> Refusal:
    if isinstance(error, Forbidden):
        if "exceeded quota" in error.message:
            return Refusal.QUOTA
        # Our own rights are the administrator's to mend: the run can wait for that.
        own = " cannot create resource " in error.message
        passing = own or _is_terminating(error) or PASSING.search(error.message) is not None
        return Refusal.PASSING if passing else Refusal.FINAL
    # A conflict is about a quota's bookkeeping, a server error about a webhook that is away.
    passing = isinstance(error, Conflict | ServerError | Throttled | NotFound)
    return Refusal.PASSING if passing else Refusal.FINAL
