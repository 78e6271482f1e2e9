"""Bytes as they arrive, lines as they were meant."""


class LineSplitter:
    """Cuts a stream at its newlines, whatever pieces it comes in.

    aiohttp's own readline gives up at 64 KiB; an object may have 1.5 MiB and more in JSON.
    A last line without its newline was cut off, and is never given.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """The lines this piece completes, without newlines and without empty ones."""
        first, *rest = data.split(b"\n")
        self._pieces.append(first)
        if not rest:
            return []
        lines = [b"".join(self._pieces), *rest[:-1]]
        self._pieces = [rest[-1]]
        return [line for line in lines if line.strip()]
