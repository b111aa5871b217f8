"""
A reactor that does nothing by itself: a test makes its turns, and sees what is registered with it.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from _reactors import LIMIT, Recorder, must
from _streams import accepted
from twisted.internet.testing import MemoryReactorClock

from twisted_casync import SOCK_DGRAM, AfxSocketInit, AfxSocketTerm

LOCALHOST = "127.0.0.1"


@contextmanager
def memoryReactor(direct: bool = False) -> Iterator[MemoryReactorClock]:
    """
    A reactor for the sockets of this thread; when their use has ended, nothing of theirs is left in it.
    """
    reactor = MemoryReactorClock()
    AfxSocketInit(reactor, direct=direct)
    try:
        yield reactor
    finally:
        AfxSocketTerm()
        AfxSocketInit()
    assert reactor.getReaders() == [] and reactor.getWriters() == [] and reactor.getDelayedCalls() == []


def turn(reactor: Any) -> None:
    """
    One turn: the calls that are due, and then the doors of what is ready.
    """
    reactor.advance(0)
    poller = select.poll()
    for reader in reactor.getReaders():
        poller.register(reader, select.POLLIN)
    for writer in reactor.getWriters():
        poller.register(writer, select.POLLOUT | (select.POLLIN if writer in reactor.getReaders() else 0))
    ready = dict(poller.poll(0))
    doors = [(reader, reader.doRead, select.POLLIN) for reader in reactor.getReaders()]
    doors += [(writer, writer.doWrite, select.POLLOUT) for writer in reactor.getWriters()]
    for selectable, door, event in doors:
        if ready.get(selectable.fileno(), 0) & event:
            door()


def quiet(reactor: Any, *sockets: Recorder) -> None:
    """
    Make turns until the sockets are told nothing more, and forget what they were told.
    """
    while True:
        for one in sockets:
            one.told.clear()
        turn(reactor)
        if not any(one.told for one in sockets):
            return


def arrived(*sockets: Any) -> None:
    """
    Wait until each socket has something to receive.
    """
    for one in sockets:
        assert select.select([one], [], [], LIMIT)[0]


def connection(reactor: Any, **handlers: Callable[..., Any]) -> tuple[Recorder, socket.socket]:
    """
    @return: a connected socket that was told that it can send, and the plain socket of its peer.
    """
    child, peer = accepted(reactor, None, **handlers)
    quiet(reactor, child)
    return child, peer


def mailbox(reactor: Any, **handlers: Callable[..., Any]) -> Recorder:
    """
    @return: a bound datagram socket, which is still to be told that it can send.
    """
    one = Recorder(reactor, **handlers)
    must(one.Create(0, SOCK_DGRAM, lpszSocketAddress=LOCALHOST))
    return one


def mail(*receivers: Recorder, data: bytes = b"x") -> None:
    """
    Send a datagram to each, and wait until it is there.
    """
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        for one in receivers:
            sender.sendto(data, must(one.GetSockName()))
    arrived(*receivers)
