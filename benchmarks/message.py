"""Where the time of a message goes: an echo of 64 bytes, step by step.

    python benchmarks/message.py [--rounds N]

The steps of our own are measured on a batch of a hundred connected sockets whose system calls are replaced by a stub
that answers at once, each as the difference between two runs with and without it; so are those of a bare loop. The
system calls are measured by themselves, over the loopback device, where the other end is in this process: what waking
it up costs is not in them. The table shows the lowest of N rounds, in nanoseconds a message.
"""

from __future__ import annotations

import argparse
import operator
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from twisted.internet.testing import MemoryReactorClock

from twisted_casync import AfxSocketInit, AfxSocketTerm, CAsyncSocket
from twisted_casync._threads import windowOf
from twisted_casync._window import nobody

SOCKETS = 100
REPEATS = 200
SIZE = 64  # bytes

buffer = bytearray(SIZE)
view = memoryview(buffer)


class Stub:
    """A socket whose calls cost next to nothing: both answer with the length of what they are given."""

    __slots__ = ()
    recv_into = staticmethod(operator.length_hint)
    send = staticmethod(operator.length_hint)


class Nothing(CAsyncSocket):
    """Only told."""

    __slots__ = ()

    def OnReceive(self, nErrorCode: int) -> None:
        self._as_fresh = 0  # as after a Receive, so that it is told again


class Receiving(CAsyncSocket):
    __slots__ = ()

    def OnReceive(self, nErrorCode: int) -> None:
        self.Receive(buffer)


class Echo(CAsyncSocket):
    __slots__ = ()

    def OnReceive(self, nErrorCode: int) -> None:
        nRead = self.Receive(buffer)
        if nRead > 0:
            self.Send(view[:nRead])


def lowest(run: Callable[[], object], count: int, rounds: int) -> float:
    """Nanoseconds for one of the `count` things that a run does, in the fastest round."""
    best = float("inf")
    for _ in range(rounds):
        begin = time.perf_counter_ns()
        for _ in range(REPEATS):
            run()
        best = min(best, (time.perf_counter_ns() - begin) / REPEATS / count)
    return best


@contextmanager
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Connected sockets over the loopback device."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=SOCKETS))
        made = []
        for _ in range(SOCKETS):
            client = stack.enter_context(socket.create_connection(server.getsockname()))
            made.append((server.accept()[0], client))
            stack.callback(made[-1][0].close)
        yield made


def ours(kind: type[CAsyncSocket], rounds: int) -> float:
    """Telling a batch of sockets of one class."""
    reactor = MemoryReactorClock()
    AfxSocketInit(reactor)
    with pairs() as connected:
        sockets = []
        for server, _ in connected:
            one = kind()
            assert one.Attach(server)
            sockets.append(one)
        window: Any = windowOf(None)
        window.turn()  # each is told that it can send
        real = [one._as_sock for one in sockets]
        for one in sockets:
            one._as_sock = Stub()  # type: ignore[assignment]
        batch = [(int(one), select.EPOLLIN) for one in sockets]
        result = lowest(lambda: window.tell(batch, nobody), SOCKETS, rounds)
        for one, sock in zip(sockets, real, strict=True):
            one._as_sock = sock
        AfxSocketTerm()
    return result


def bareLoop(rounds: int) -> float:
    """What a loop that is written for this one purpose needs besides its system calls."""
    clients = {number: Stub() for number in range(SOCKETS)}
    unsent: dict[int, bytes] = {}
    batch = [(number, select.EPOLLIN) for number in clients]

    def loop() -> None:
        for descriptor, _ in batch:
            client = clients.get(descriptor)
            if client is None or descriptor in unsent:
                continue
            try:
                count = client.recv_into(buffer)
                sent = client.send(view[:count])
            except OSError:
                continue
            if sent < count:
                unsent[descriptor] = bytes(view[sent:count])

    return lowest(loop, SOCKETS, rounds)


def kernel(rounds: int) -> dict[str, float]:
    """The system calls of a message."""
    best = {"epoll_wait, shared by a batch of 100": float("inf"), "recv_into": float("inf"), "send": float("inf")}
    with pairs() as connected, select.epoll() as poller:
        for server, client in connected:
            poller.register(server, select.EPOLLIN | select.EPOLLPRI | select.EPOLLRDHUP)
            client.sendall(view)
        for _ in range(rounds * 10):
            times = [time.perf_counter_ns()]
            found = poller.poll(0, SOCKETS)
            times.append(time.perf_counter_ns())
            for server, _ in connected:
                server.recv_into(buffer)
            times.append(time.perf_counter_ns())
            for server, _ in connected:
                server.send(view)
            times.append(time.perf_counter_ns())
            assert len(found) == SOCKETS
            for name, begin, end in zip(best, times, times[1:], strict=False):
                best[name] = min(best[name], (end - begin) / SOCKETS)
            for _, client in connected:
                client.recv_into(buffer)
                client.sendall(view)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    rounds: int = parser.parse_args().rounds
    told, received, echoed = (ours(kind, rounds) for kind in (Nothing, Receiving, Echo))
    rows = {
        **{f"kernel: {name}": time for name, time in kernel(rounds).items()},
        "`tell`: find the socket, see that it is plain data, call `OnReceive`": told,
        "`Receive`: whose thread, which way, enable FD_READ": received - told,
        "the handler's `if` and slice, and `Send`: whose thread, how much, was it all": echoed - received,
        "ours in all": echoed,
        "a bare loop's own, for the same": bareLoop(rounds),
    }
    print("| step | ns |\n| --- | ---: |")
    for name, nanoseconds in rows.items():
        print(f"| {name} | {nanoseconds:.0f} |")


if __name__ == "__main__":
    main()
