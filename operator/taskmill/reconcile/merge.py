"""JSON merge patches (RFC 7386): the least that turns one status into another."""

from typing import Any


def merge_patch(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The patch from `old` to `new`; empty when they are equal. Lists are replaced whole."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        known = old.get(key)
        if known == value:
            continue
        if isinstance(known, dict) and isinstance(value, dict):
            patch[key] = merge_patch(known, value)
        else:
            patch[key] = value
    return patch
