"""A stand-in for systemd's logind, which tells the kubelet that its node shuts down: on SIGUSR1.

The kubelet asks for logind on the system's message bus (D-Bus). This is both: of a bus, nothing
is needed but the greeting and the answers to five calls. Run as a program, for one client at a
time; only the standard library is at hand.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import struct

# Not a file: whatever is in the cluster's network finds it by this name.
_NAME = "logind"
ADDRESS = f"unix:abstract={_NAME}"
_REPLY, _SIGNAL = 2, 4
# The one header that matters here, the name of the method: its code, its type, its length, itself.
_METHOD = re.compile(rb"\x03\x01s\0.{4}(\w+)\0", re.DOTALL)
# How long a shutdown may be delayed: enough for the kubelet not to ask for more.
_MAX_DELAY = 3600 * 10**6  # microseconds


def main() -> None:
    with socket.socket(socket.AF_UNIX) as listener, open(os.devnull) as lock:  # noqa: PTH123
        listener.bind(f"\0{_NAME}")
        listener.listen()
        while True:
            client, _ = listener.accept()
            with client:
                signal.signal(signal.SIGUSR1, lambda *_, to=client: to.sendall(_shutdown()))
                _greet(client)
                _serve(client, lock.fileno())


def _greet(client: socket.socket) -> None:
    """Whoever got here may stay, and may be sent file descriptors."""
    with client.makefile("rb", buffering=0) as lines:
        for line in lines:
            match line.strip(b"\0\r\n").split():
                case [b"AUTH", _, *_]:
                    client.sendall(b"OK 00000000000000000000000000000000\r\n")
                case [b"AUTH"]:
                    client.sendall(b"REJECTED EXTERNAL\r\n")
                case [b"NEGOTIATE_UNIX_FD"]:
                    client.sendall(b"AGREE_UNIX_FD\r\n")
                case [b"BEGIN"]:
                    return


def _serve(client: socket.socket, lock: int) -> None:
    """Answers until the client is gone."""
    while len(start := client.recv(16, socket.MSG_WAITALL)) == 16:
        body, serial, headers = struct.unpack("<4xIII", start)
        rest = client.recv(-headers % 8 + headers + body, socket.MSG_WAITALL)
        method = _METHOD.search(rest, 0, headers)
        match method and method[1]:
            case b"Hello":
                client.sendall(_reply(serial, "s", _string(":1.1")))
            case b"Get":  # InhibitDelayMaxUSec, in a box with its type
                delay = b"\x01t\0".ljust(8, b"\0") + struct.pack("<Q", _MAX_DELAY)
                client.sendall(_reply(serial, "v", delay))
            case b"Inhibit":
                first = struct.pack("<I", 0)
                answer = _reply(serial, "h", first, _number(9, 1))
                socket.send_fds(client, [answer], [lock])
            case _:  # AddMatch and RemoveMatch: it is told everything anyway
                client.sendall(_reply(serial))


def _reply(serial: int, kind: str = "", body: bytes = b"", *headers: bytes) -> bytes:
    return _message(_REPLY, kind, body, _number(5, serial), *headers)


def _shutdown() -> bytes:
    """PrepareForShutdown(true)."""
    return _message(
        _SIGNAL,
        "b",
        struct.pack("<I", True),
        _text(1, "o", "/org/freedesktop/login1"),
        _text(2, "s", "org.freedesktop.login1.Manager"),
        _text(3, "s", "PrepareForShutdown"),
    )


def _message(what: int, kind: str, body: bytes, *headers: bytes) -> bytes:
    if kind:
        headers = (*headers, bytes([8, 1]) + b"g\0" + bytes([len(kind)]) + kind.encode() + b"\0")
    joined = b""
    for header in headers:
        joined = _padded(joined) + header
    start = struct.pack("<cBBBIII", b"l", what, 1, 1, len(body), 1, len(joined))
    return _padded(start + joined) + body


def _number(code: int, value: int) -> bytes:
    return bytes([code, 1]) + b"u\0" + struct.pack("<I", value)


def _text(code: int, kind: str, value: str) -> bytes:
    return bytes([code, 1]) + kind.encode() + b"\0" + _string(value)


def _string(value: str) -> bytes:
    return struct.pack("<I", len(value)) + value.encode() + b"\0"


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


if __name__ == "__main__":
    main()
