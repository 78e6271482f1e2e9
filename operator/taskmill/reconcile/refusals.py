"""What the API server's refusal of a creation means for trying again."""

from datetime import datetime

from taskmill.diagnose.text import quote
from taskmill.kube.errors import ApiError, Conflict, Forbidden, ServerError
from taskmill.plan.world import Refusal, Refused


def is_terminating(error: ApiError) -> bool:
    """Whether the namespace is being deleted: nothing new belongs there."""
    causes = error.details.get("causes") or ()
    return "being terminated" in error.message or any(
        cause.get("reason") == "NamespaceTerminating" for cause in causes
    )


def refused(error: ApiError, at: datetime) -> Refused:
    """The refusal, in the server's own words."""
    return Refused(_kind(error), quote(error.message), at)


def _kind(error: ApiError) -> Refusal:
    if isinstance(error, Forbidden):
        if "exceeded quota" in error.message:
            return Refusal.QUOTA
        # Our own rights are the administrator's to mend: the run can wait for that.
        if " cannot create resource " in error.message:
            return Refusal.PASSING
        return Refusal.FINAL
    # A conflict is about a quota's bookkeeping, a server error about a webhook that is away.
    return Refusal.PASSING if isinstance(error, Conflict | ServerError) else Refusal.FINAL
