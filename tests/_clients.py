"""What tests of a service in another process do as its clients, with the system's own sockets and programs."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
from pathlib import Path
from typing import Any

from _twistd import PATIENCE, Child


def connect(address: Any, family: int = socket.AF_INET) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.settimeout(PATIENCE)
    connection.connect(address)
    return connection


def read(connection: socket.socket, count: int) -> bytes:
    """Exactly `count` bytes, or what came before the end of the stream."""
    received = bytearray()
    while len(received) < count and (chunk := connection.recv(min(count - len(received), 1 << 20))):
        received += chunk
    return bytes(received)


def readAll(connection: socket.socket) -> bytes:
    return read(connection, 1 << 40)


def fill(connection: socket.socket) -> int:
    """Send without reading until the kernels on both sides take no more; returns how much they took."""
    connection.setblocking(False)
    count = 0
    # Writable says "room now"; a stretch without room long enough means that the server has stopped reading.
    while select.select([], [connection], [], 0.3)[1]:
        with contextlib.suppress(BlockingIOError):
            count += connection.send(pattern(count, 1 << 16))
    connection.settimeout(PATIENCE)
    return count


_PATTERN = b"".join(struct.pack(">I", number) for number in range(1 << 18))


def pattern(offset: int, length: int) -> bytes:
    """`length` bytes of an endless text that says at each place where it is."""
    start = offset % len(_PATTERN)
    return (_PATTERN[start:] + _PATTERN * (length // len(_PATTERN) + 1))[:length]


def run(command: list[str], data: bytes) -> bytes:
    """The standard output of a program that reads `data` and ends with it."""
    return subprocess.run(command, input=data, capture_output=True, timeout=PATIENCE, check=True).stdout


def urgentByte(connection: socket.socket) -> bytes:
    """The urgent byte, when it has come: before its place in the stream is read it must be fetched."""
    poll = select.poll()
    poll.register(connection, select.POLLPRI)
    assert poll.poll(PATIENCE * 1000)
    # With a time limit Python would first wait for normal data.
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_OOB)
    finally:
        connection.settimeout(PATIENCE)


def stopped(child: Child) -> bool:
    """Whether it ended as twistd does after SIGTERM, without a traceback."""
    status = child.wait()
    return status in (0, -signal.SIGTERM) and not any("Traceback" in line for line in child.lines)


def cpuSeconds(pid: int) -> float:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
