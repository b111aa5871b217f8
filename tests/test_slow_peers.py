"""
Peers that send and never read cost a shipped service a bounded amount of memory, and lose nothing when they read after
all.
"""

from __future__ import annotations

import gc
import random
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from _play import Script, play
from _reactors import must, reactorOf
from _streams import LOCALHOST

from twisted_casync import FIONREAD, SO_SNDBUF, SOCK_DGRAM, SOMAXCONN
from twisted_casync.services.echo import DatagramEcho, EchoListener

PEERS = 20

BUFFER = 65536
"""Bytes that the echo service may keep of what it could not send, for each connection."""

ELSE = 8192
"""Bytes for whatever else a connection is."""

TEXT = random.Random(0).randbytes(1 << 24)

everyWindow = pytest.mark.parametrize("way", ["epoll-window", "epoll-direct"])


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """
    @return: what counts the bytes that Python has allocated from now on.
    """

    def allocated() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        yield allocated
    finally:
        tracemalloc.stop()


class SlowPeer:
    """
    A peer of the service that sends and doesn't read, through small buffers of its own.

    @ivar sent: the bytes that it could send.
    """

    def __init__(self, address: tuple[str, int], urgent: bool) -> None:
        self.sock = socket.socket()
        for option in socket.SO_RCVBUF, socket.SO_SNDBUF:
            self.sock.setsockopt(socket.SOL_SOCKET, option, 16384)
        self.sock.connect(address)
        self.sock.setblocking(False)
        self.urgent = urgent
        self.sent = 0
        self.received = 0

    def send(self) -> int:
        """
        Send until it would block.

        @return: how much went.
        """
        before = self.sent
        try:
            while self.sent < len(TEXT):
                self.sent += self.sock.send(TEXT[self.sent : self.sent + 10_000])
                if self.urgent:
                    self.sock.send(b"!", socket.MSG_OOB)
        except BlockingIOError:
            # All that the kernels hold is full.
            pass
        return self.sent - before

    def receiveAll(self) -> bool:
        """
        Receive until it would block.

        @return: whether all of it has come back.
        """
        try:
            while piece := self.sock.recv(65536):
                assert piece == TEXT[self.received : self.received + len(piece)]
                self.received += len(piece)
        except BlockingIOError:
            pass
        return self.received == self.sent


def connected(reactor: Any, urgent: bool) -> tuple[EchoListener, list[SlowPeer]]:
    listener = EchoListener(reactor)
    must(listener.Create(lpszSocketAddress=LOCALHOST))
    # Inherited by what it accepts: the kernel's buffers are not what is measured.
    must(listener.SetSockOpt(SO_SNDBUF, 65536))
    must(listener.Listen(SOMAXCONN))
    address = must(listener.GetSockName())
    return listener, [SlowPeer(address, urgent) for _ in range(PEERS)]


def stuck(listener: EchoListener, peers: list[SlowPeer]) -> bool:
    """
    @return: whether nobody can send any more, neither the peers nor the service.
    """
    return sum([peer.send() for peer in peers]) == 0 and all(one.unfinished() for one in listener.connections)


def streaming(reactor: Any, urgent: bool, allocated: Callable[[], int]) -> Script:
    listener, peers = connected(reactor, urgent)
    yield lambda: len(listener.connections) == PEERS
    before = allocated()
    yield lambda: stuck(listener, peers)
    cost = allocated() - before
    one = listener.buffer.nbytes + ELSE
    assert sum(peer.sent for peer in peers) > 2 * PEERS * (BUFFER + ELSE)
    assert cost < PEERS * one, f"{cost // PEERS} bytes for a peer that does not read"
    if not urgent:
        # Of an urgent byte that was overtaken by a newer one TCP makes a normal one.
        yield lambda: all(peer.receiveAll() for peer in peers)
    for peer in peers:
        peer.sock.close()
    yield lambda: not listener.connections
    rest = allocated() - before
    assert rest < BUFFER, f"{rest} bytes are left of peers that have gone"


@everyWindow
@pytest.mark.parametrize("urgent", [False, True], ids=["data", "urgent"])
def test_the_echo_service_keeps_one_buffer_for_a_peer_that_never_reads(way: str, urgent: bool) -> None:
    with reactorOf(way) as reactor, traced() as allocated:
        play(reactor, streaming(reactor, urgent, allocated))


def flood(reactor: Any, allocated: Callable[[], int]) -> Script:
    service = DatagramEcho(reactor)
    must(service.Create(0, SOCK_DGRAM, lpszSocketAddress=LOCALHOST))
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        peer.connect(must(service.GetSockName()))
        before = allocated()
        for _ in range(100):
            for _ in range(50):
                peer.send(TEXT[:1000])
            yield lambda: service.IOCtl(FIONREAD) == 0
        cost = allocated() - before
        assert cost < BUFFER, f"{cost} bytes for 5 MB that nobody reads"


@everyWindow
def test_the_echo_service_keeps_nothing_of_datagrams_that_nobody_reads(way: str) -> None:
    with reactorOf(way) as reactor, traced() as allocated:
        play(reactor, flood(reactor, allocated))
