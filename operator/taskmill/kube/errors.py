"""What can go wrong between us and the API server, as types.

Two families. `ApiError`: the request had no effect (it was refused, or never arrived).
`UnknownOutcome`: a write may or may not have been applied; only reading tells.
No other exception leaves the client for API trouble.
"""

import json
from collections.abc import Mapping
from typing import Any

_BAD_REQUEST, _CONFLICT, _REQUEST_TIMEOUT, _TOO_MANY = 400, 409, 408, 429
_SERVER_ERRORS = 500
_QUOTED = 512  # characters of a non-JSON answer that go into a message: proxies send whole pages


class ApiError(Exception):
    """The server's refusal, or (status 0) no server reached. The request changed nothing.

    `retry_after` is in seconds, None when the server did not ask for a wait.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        details: dict[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.details = details or {}
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.message} ({self.status} {self.reason})" if self.status else self.message


class NotFound(ApiError):  # noqa: N818 (named as the API server names it, like those below)
    """404: no such object, namespace, or kind."""


class AlreadyExists(ApiError):  # noqa: N818
    """409 AlreadyExists: the name is taken."""


class Conflict(ApiError):  # noqa: N818
    """409 Conflict: the resourceVersion or uid we named is not the current one."""


class Invalid(ApiError):  # noqa: N818
    """422, and 400 BadRequest: the body is wrong; sending it again gives the same answer."""


class Forbidden(ApiError):  # noqa: N818
    """403: RBAC, admission, quota, or a namespace that is going away; the message says which."""


class Unauthorized(ApiError):  # noqa: N818
    """401, after fresh credentials were tried too."""


class Gone(ApiError):  # noqa: N818
    """410: the resourceVersion or continue token is too old; list again."""


class Throttled(ApiError):  # noqa: N818
    """429: come back after `retry_after` seconds (never None here)."""


class ServerError(ApiError):
    """5xx to a read or a dry run. The same answer to a write is `UnknownOutcome`."""


class Unreachable(ApiError):  # noqa: N818
    """No usable answer, and nothing changed: refused, cut or silent connections (status 0)."""

    def __init__(self, message: str) -> None:
        super().__init__(0, "Unreachable", message)


class CredentialsError(Unreachable):
    """We have nothing to show the server: no kubeconfig, unreadable files, a failing plugin."""


class UnknownOutcome(Exception):  # noqa: N818
    """A write may or may not have been applied: read before writing again.

    `error` is the server's answer when there was one (5xx), else None.
    """

    def __init__(self, message: str, *, error: ApiError | None = None) -> None:
        super().__init__(message)
        self.error = error


_BY_STATUS: Mapping[int, type[ApiError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    410: Gone,
    422: Invalid,
    429: Throttled,
}


def error_from(status: int, body: bytes | str, *, retry_after: str | None = None) -> ApiError:
    """The right error for an HTTP status and a body that should be a Status but may be anything.

    `retry_after` is the header of that name.
    """
    try:
        parsed = json.loads(body)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        text = body.decode(errors="replace") if isinstance(body, bytes) else body
        parsed = {"message": text.strip()[:_QUOTED]}
    return error_from_status(parsed, status=status, retry_after=retry_after)


def error_from_status(
    body: dict[str, Any], *, status: int | None = None, retry_after: str | None = None
) -> ApiError:
    """The right error for a Status object; a watch's ERROR event carries its code inside."""
    code = status or _as_int(body.get("code"))
    reason = str(body.get("reason") or "Unknown")
    message = str(body.get("message") or "") or f"the API server answered {code} without a word"
    details = body.get("details")
    details = details if isinstance(details, dict) else {}
    wait = _seconds(retry_after) or _seconds(details.get("retryAfterSeconds"))
    if code == _TOO_MANY:
        wait = wait or 1.0
    return _type_for(code, reason)(code, reason, message, details, wait)


def has_unknown_outcome(status: int) -> bool:
    """Whether a write answered with this status may still have been applied.

    5xx come from etcd timeouts and from proxies that lost the API server after handing the
    request on, as well as from before storage (a failing webhook): nothing reliable tells
    them apart, so all of them count. 408 is a proxy's way to say the same.
    """
    return status >= _SERVER_ERRORS or status == _REQUEST_TIMEOUT


def _type_for(code: int, reason: str) -> type[ApiError]:
    if code == _CONFLICT:
        return AlreadyExists if reason == "AlreadyExists" else Conflict
    if code == _BAD_REQUEST and reason == "BadRequest":
        return Invalid
    if reason in {"Expired", "Gone"}:
        return Gone
    if code >= _SERVER_ERRORS:
        return ServerError
    return _BY_STATUS.get(code, ApiError)


def _as_int(value: object) -> int:
    return value if isinstance(value, int) else 0


def _seconds(value: object) -> float | None:
    # Retry-After may also be a date; no API server sends one, and a guess would be worse.
    try:
        seconds = float(str(value))
    except ValueError:
        return None
    return seconds if 0 < seconds < float("inf") else None
