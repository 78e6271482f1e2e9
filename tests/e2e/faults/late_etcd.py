"""A way to etcd on which watches are told late; a program for inside a cluster's sandbox.

HTTP/2, as etcd speaks it: the answers to requests that go on, which are watches, wait; all others
pass. `python late_etcd.py PORT LEAST MOST`: from SIGUSR1 on, between so many seconds, others every
now and then.
"""

import asyncio
import random
import signal
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

ETCD = ("127.0.0.1", 2379)
_PREFACE, _HEAD = 24, 9
"""Bytes: what a client says first, and what each frame begins with."""
_DATA, _HEADERS, _RESET, _SETTINGS, _PROMISE, _PING, _WINDOW = 0, 1, 3, 4, 5, 6, 8
_ACK, _END_STREAM, _END_HEADERS = 1, 1, 4
_INITIAL_WINDOW, _INITIALLY = 4, 65535
"""The setting, and its value until it is set."""
_STEADY = 15.0
"""Seconds for which the lag is the same."""
_TICK = 0.02


@dataclass(slots=True)
class Lag:
    """How late it is now."""

    least: float
    most: float
    on: bool = False

    def begin(self) -> None:
        """Be late from now on."""
        self.on = True

    def seconds(self) -> float:
        """The same for all connections."""
        if not self.on:
            return 0.0
        return random.Random(time.monotonic() // _STEADY).uniform(self.least, self.most)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; of headers, with all that go on with them."""

    kind: int
    flags: int
    stream: int
    whole: bytes

    @property
    def payload(self) -> bytes:
        """What is behind its head."""
        return self.whole[_HEAD:]

    @classmethod
    async def read(cls, source: asyncio.StreamReader) -> "Frame":
        """The next one."""
        head = await source.readexactly(_HEAD)
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:]) & 0x7FFFFFFF
        whole = head + await source.readexactly(int.from_bytes(head[:3]))
        if kind in (_HEADERS, _PROMISE) and not flags & _END_HEADERS:
            rest = await cls.read(source)
            while not rest.flags & _END_HEADERS:
                whole += rest.whole
                rest = await cls.read(source)
            whole += rest.whole
        return cls(kind, flags, stream, whole)


class Connection:
    """One client's."""

    def __init__(self, lag: Lag) -> None:
        self._lag = lag
        self._room: dict[int, int] = {}
        """Of the requests that may still be added to, how many bytes the client takes now.

        A plain request is over before it is answered.
        """
        self._window = _INITIALLY
        self._late: deque[tuple[float, Frame]] = deque()
        self._more_late = asyncio.Event()

    async def serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """Until one of the sides ends it."""
        etcd, on = await asyncio.open_connection(*ETCD)
        tasks = [
            asyncio.create_task(one)
            for one in (
                self._ask(client, on, back),
                self._answer(etcd, on, back),
                self._release(back),
            )
        ]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for writer in (on, back):
            writer.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(
        self, client: asyncio.StreamReader, on: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        on.write(await client.readexactly(_PREFACE))
        while True:
            frame = await Frame.read(client)
            if frame.kind == _PING and not frame.flags & _ACK:
                # Clients send one for data that comes, and etcd hangs up on those without cause.
                back.write(frame.whole[:4] + bytes([_ACK]) + frame.whole[5:])
                continue
            self._count(frame)
            on.write(frame.whole)
            await on.drain()

    def _count(self, frame: Frame) -> None:
        """What a frame of the client's says of its requests and of what it takes."""
        if frame.kind == _HEADERS:
            self._room[frame.stream] = self._window
        elif frame.kind == _WINDOW and frame.stream in self._room:
            self._room[frame.stream] += int.from_bytes(frame.payload)
        elif frame.kind == _SETTINGS:
            for at in range(0, len(frame.payload), 6):
                if int.from_bytes(frame.payload[at : at + 2]) == _INITIAL_WINDOW:
                    window = int.from_bytes(frame.payload[at + 2 : at + 6])
                    more, self._window = window - self._window, window
                    self._room = {stream: room + more for stream, room in self._room.items()}
        ends = frame.kind in (_HEADERS, _DATA) and frame.flags & _END_STREAM
        if ends or frame.kind == _RESET:
            self._room.pop(frame.stream, None)

    async def _answer(
        self, etcd: asyncio.StreamReader, on: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        while True:
            frame = await Frame.read(etcd)
            if frame.kind == _DATA and frame.stream in self._room:
                due = time.monotonic() + self._lag.seconds()
                # None before the one that came before it.
                self._late.append((max(due, self._late[-1][0]) if self._late else due, frame))
                self._more_late.set()
                # Or no more would come until these are taken.
                for stream in (0, frame.stream) if frame.payload else ():
                    on.write(_more(stream, len(frame.payload)))
                continue
            if frame.kind == _RESET or frame.flags & _END_STREAM:
                self._hurry(frame.stream, back)
            back.write(frame.whole)
            await back.drain()

    def _hurry(self, stream: int, back: asyncio.StreamWriter) -> None:
        """What is late of a stream comes before its end."""
        for _, frame in self._late:
            if frame.stream == stream:
                back.write(frame.whole)
        self._late = deque(one for one in self._late if one[1].stream != stream)

    async def _release(self, back: asyncio.StreamWriter) -> None:
        while await self._more_late.wait():
            while self._late and self._late[0][0] <= time.monotonic():
                frame = self._late[0][1]
                if frame.stream in self._room:
                    if self._room[frame.stream] < len(frame.payload):
                        break
                    self._room[frame.stream] -= len(frame.payload)
                    back.write(frame.whole)
                self._late.popleft()
            if not self._late:
                self._more_late.clear()
            await back.drain()
            await asyncio.sleep(_TICK)


def _more(stream: int, size: int) -> bytes:
    """That so many more bytes may come."""
    head = (4).to_bytes(3) + bytes([_WINDOW, 0]) + stream.to_bytes(4)
    return head + size.to_bytes(4)


async def _serve(port: int, lag: Lag) -> None:
    async def met(client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await Connection(lag).serve(client, back)

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lag.begin)
    server = await asyncio.start_server(met, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Lag(float(sys.argv[2]), float(sys.argv[3]))))
