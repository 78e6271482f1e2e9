"""Kubernetes Events: what `kubectl describe` shows below an object."""

from datetime import datetime

from taskmill.api.meta import rfc3339
from taskmill.kube.transport import JsonObject

COMPONENT = "taskmill"


def warning(
    about: JsonObject, *, name: str, reason: str, message: str, now: datetime
) -> JsonObject:
    """A Warning about an object; `about` is its ObjectReference."""
    at = rfc3339(now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": about["namespace"]},
        "involvedObject": about,
        "type": "Warning",
        "reason": reason,
        "message": message,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
