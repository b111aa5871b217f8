"""The load of load.c in Python, for a machine without a C compiler.

    python load.py PORT CONNECTIONS SIZE WARMUP SECONDS PID

The same arguments, the same line of JSON. It is about as slow as the servers that it is to load, so that
between the fast ones it shows less of a difference than there is.
"""

from __future__ import annotations

import json
import select
import socket
import sys
from pathlib import Path
from time import monotonic

PATTERN = 251  # a prime, so that no message size hides a shift


class Connection:
    """One connection, with one message on its way."""

    def __init__(self, port: int, size: int, number: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.size = size
        self.received = 0
        self._number = number
        self.expected = memoryview(b"")

    def sendNext(self) -> None:
        """Send the next message, which differs from the one before. Blocks until the server takes it."""
        self._number += 1
        start = self._number % PATTERN
        self.expected = pattern[start : start + self.size]
        self.received = 0
        self.socket.sendall(self.expected)

    def receive(self) -> bool:
        """Take what came back; whether the message is whole."""
        data = self.socket.recv(self.size - self.received)
        if not data:
            sys.exit("load: the connection was lost")
        if data != self.expected[self.received : self.received + len(data)]:
            sys.exit("load: what came back is not what was sent")
        self.received += len(data)
        return self.received == self.size


def processorTime(pid: str) -> float:
    """What the process used so far, in seconds; 0 where the kernel doesn't tell."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return 0.0


def main(port: int, count: int, size: int, warmup: float, seconds: float, pid: str) -> None:
    poller = select.poll()
    connections = {}
    for number in range(count):
        connection = Connection(port, size, number)
        connections[connection.socket.fileno()] = connection
        poller.register(connection.socket, select.POLLIN)
    for connection in connections.values():
        connection.sendNext()
    begin = monotonic() + warmup
    messages, used, counting = 0, 0.0, False
    while True:
        events = poller.poll(1000)
        if not events:
            sys.exit("load: a second without progress")
        now = monotonic()
        if not counting and now >= begin:
            begin, messages, used, counting = now, 0, processorTime(pid), True
        elif counting and now >= begin + seconds:
            break
        for descriptor, _ in events:
            connection = connections[descriptor]
            if connection.receive():
                messages += 1
                connection.sendNext()
    print(json.dumps({"messages": messages, "seconds": now - begin, "cpu": processorTime(pid) - used}))


if __name__ == "__main__":
    words = sys.argv[1:]
    message = bytes(n % PATTERN for n in range(int(words[2]) + PATTERN))
    pattern = memoryview(message)
    main(int(words[0]), int(words[1]), int(words[2]), float(words[3]), float(words[4]), words[5])
