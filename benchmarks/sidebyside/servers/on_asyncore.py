"""asyncore, of Python up to 3.11 or of pyasyncore, with poll."""

from __future__ import annotations

import asyncore
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from . import BACKLOG, DATAGRAM_BUFFER, announce, noDelay, pattern

__all__ = ["serve"]

BATCH = 64  # datagrams answered in one go

Accepted = Callable[[socket.socket], asyncore.dispatcher]


class Opened(asyncore.dispatcher):
    """One that has a socket all the time."""

    socket: Any


class Listener(Opened):
    def __init__(self, child: Accepted) -> None:
        super().__init__()
        self.child = child
        self.create_socket(socket.AF_INET, socket.SOCK_STREAM)
        self.bind(("127.0.0.1", 0))
        self.listen(BACKLOG)
        noDelay(self.socket.fileno())

    def handle_accepted(self, sock: socket.socket, addr: object) -> None:
        self.child(sock)


class Echo(asyncore.dispatcher):
    buffer: int
    unsent = b""

    def readable(self) -> bool:
        return not self.unsent

    def writable(self) -> bool:
        return bool(self.unsent)

    def handle_read(self) -> None:
        data = self.recv(self.buffer)
        if data:
            sent = self.send(data)
            if sent < len(data):
                self.unsent = data[sent:]

    def handle_write(self) -> None:
        self.unsent = self.unsent[self.send(self.unsent) :]

    def handle_close(self) -> None:
        self.close()


class Sink(asyncore.dispatcher):
    buffer: int

    def writable(self) -> bool:
        return False

    def handle_read(self) -> None:
        self.recv(self.buffer)

    def handle_close(self) -> None:
        self.close()


class Source(asyncore.dispatcher):
    buffer: int
    content: memoryview
    position = 0

    def readable(self) -> bool:
        return False

    def handle_write(self) -> None:
        # What it hands to the socket is typed as bytes; any buffer will do, and no copy is made.
        rest: bytes = self.content[self.position :]  # type: ignore[assignment]
        self.position = (self.position + self.send(rest)) % len(self.content)

    def handle_close(self) -> None:
        self.close()


class Datagrams(Opened):
    def __init__(self, buffer: int) -> None:
        super().__init__()
        self.space = bytearray(buffer)
        self.create_socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DATAGRAM_BUFFER)
        self.bind(("127.0.0.1", 0))

    def writable(self) -> bool:
        return False

    def handle_read(self) -> None:
        view = memoryview(self.space)
        with suppress(BlockingIOError):
            for _ in range(BATCH):
                count, peer = self.socket.recvfrom_into(self.space)
                self.socket.sendto(view[:count], peer)


def serve(service: str, buffer: int) -> None:
    """Serve one of the services."""
    here: Listener | Datagrams
    if service == "datagrams":
        here = Datagrams(buffer)
    else:
        Echo.buffer = Sink.buffer = Source.buffer = buffer
        Source.content = pattern(buffer)
        children: dict[str, Accepted] = {"echo": Echo, "sink": Sink, "source": Source}
        here = Listener(children[service])
    announce(here.socket.getsockname()[1])
    asyncore.loop(use_poll=True)
