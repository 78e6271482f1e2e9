"""JSON as it goes over the wire: fast, and complete where fast is not enough."""

import json
from typing import Any

import orjson


def decode(data: bytes) -> Any:
    """What the bytes say. Raises ValueError when they are no JSON."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        # It gives up at 1,024 levels, and the API server stores more.
        return json.loads(data)


def encode(thing: object) -> bytes:
    """The thing as JSON. Raises TypeError or ValueError for what has no JSON."""
    try:
        return orjson.dumps(thing)
    except orjson.JSONEncodeError:
        # Halves of characters, numbers of more than 64 bits: whatever came in may go out.
        return json.dumps(thing, separators=(",", ":")).encode()
