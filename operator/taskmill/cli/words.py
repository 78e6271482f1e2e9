"""What the API server refuses, in a sentence for the person who asked."""

from __future__ import annotations

import re

from taskmill.kube.errors import ApiError, Forbidden, NotFound, Unauthorized

_RIGHT = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\w+) resource "(?P<resource>[^"]*)"'
    r' in API group "(?P<group>[^"]*)"(?: in the namespace "(?P<namespace>[^"]*)")?'
)
_NO_SUCH_KIND = "could not find the requested resource"


def of_error(error: ApiError) -> str:
    """What went wrong, and what to do."""
    if isinstance(error, Forbidden):
        return f"not allowed: {missing_right(error)}"
    if isinstance(error, Unauthorized):
        return f"the API server does not know who you are: log in anew ({error.message})"
    if isinstance(error, NotFound) and _NO_SUCH_KIND in error.message:
        return "taskmill is not installed in this cluster; is it the right context?"
    return error.message


def missing_right(error: Forbidden) -> str:
    """Which right the user lacks; the server's own words where it was something else."""
    if not (found := _RIGHT.search(error.message)):
        return error.message
    resource, group = found["resource"], found["group"]
    where = f" in namespace {found['namespace']}" if found["namespace"] else " in the whole cluster"
    kind = f"{resource}.{group}" if group else resource
    return (
        f"{found['user']} may not {found['verb']} {kind}{where}; "
        f'ask for a Role with the verb "{found["verb"]}" on "{resource}"'
        f' of the API group "{group}"'
    )
