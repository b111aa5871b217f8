"""What nobody sees of the small services from outside: whom they don't answer, and when they wait."""

from __future__ import annotations

import inspect
import re
import select
import socket
import sys
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import pytest
from _memory import LOCALHOST, arrived, memoryReactor, turn
from _reactors import LIMIT, must
from _streams import peerOf, portOf
from twisted.internet.testing import MemoryReactorClock

from twisted_casync import SOCK_DGRAM, SOCKET_ERROR, CAsyncSocket, services
from twisted_casync.services import SHIPPED, StreamListener, _datagram
from twisted_casync.services._datagram import DatagramResponder
from twisted_casync.services.chargen import ChargenListener, DatagramChargen
from twisted_casync.services.daytime import DaytimeConnection
from twisted_casync.services.discard import DatagramDiscard
from twisted_casync.services.echo import DatagramEcho
from twisted_casync.services.time import DatagramTime


@pytest.fixture
def reactor() -> Iterator[MemoryReactorClock]:
    with memoryReactor() as one:
        yield one


def opened(responder: DatagramResponder) -> Any:
    must(responder.Create(0, SOCK_DGRAM, lpszSocketAddress=LOCALHOST))
    return responder


def answers(reactor: MemoryReactorClock, responder: Any, peer: socket.socket, datagram: bytes) -> list[bytes]:
    """What comes back for one datagram: on the loopback interface it is there when it was sent."""
    peer.sendto(datagram, responder.GetSockName())
    arrived(responder)
    turn(reactor)
    peer.setblocking(False)
    found = []
    while select.select([peer], [], [], 0)[0]:
        found.append(peer.recv(65536))
    return found


# -- datagrams --


class Forged(DatagramEcho):
    """An echo whose datagrams seem to come from a certain port."""

    port = 0

    def ReceiveFrom(self, *arguments: Any, **named: Any) -> Any:
        nRead, peer = super().ReceiveFrom(*arguments, **named)
        return nRead, peer if nRead == SOCKET_ERROR else (LOCALHOST, self.port)

    def SendTo(self, lpBuf: Any, nBufLen: Any, nHostPort: Any, *more: Any) -> int:
        self.answered = nHostPort
        return len(lpBuf)


@pytest.mark.parametrize("port", [0, 7, 13, 17, 19, 37, 53, 123, 1023, 7007, 7013, 7019, 7037, "its own"])
@pytest.mark.parametrize("clients", [1024, 40000])
def test_what_comes_from_a_service_is_not_answered(reactor: Any, port: int | str, clients: int) -> None:
    responder = opened(Forged(reactor))
    responder.port = responder.GetSockName()[1] if port == "its own" else port
    responder.answered = None
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        answers(reactor, responder, peer, b"hello")
        assert responder.answered is None
        # What comes from a client is, also behind the other.
        responder.port = clients
        answers(reactor, responder, peer, b"hello")
        assert responder.answered == (LOCALHOST, clients)
    responder.Close()


def test_two_services_of_one_port_do_not_talk_for_ever(reactor: Any) -> None:
    first, second = Answered(reactor), Answered(reactor)
    opened(first)
    must(second.Create(portOf(first), SOCK_DGRAM, lpszSocketAddress="127.0.0.2"))
    # As if the second had been sent a datagram with the first's address on it.
    must(first.SendTo(b"hello", None, second.GetSockName()))
    arrived(second)
    for _ in range(5):
        turn(reactor)
    assert (first.count, second.count) == (0, 0)
    first.Close()
    second.Close()


class Answered(DatagramEcho):
    """An echo that counts its answers."""

    count = 0

    def answer(self, data: memoryview) -> memoryview:
        self.count += 1
        return super().answer(data)


def test_the_default_ports_are_those_that_are_not_answered() -> None:
    ports = {int(where[4:]) for service in SHIPPED for where in service.where if where.startswith("udp:")}
    assert ports - {7009} == _datagram._OURS  # discard's answers nothing


def test_discard_answers_no_datagram(reactor: Any) -> None:
    responder = opened(DatagramDiscard(reactor))
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        for datagram in (b"", b"hello", bytes(9000)):
            assert answers(reactor, responder, peer, datagram) == []
    responder.Close()


def test_chargen_falls_silent_in_the_end(reactor: Any) -> None:
    # Whatever sends back what it gets gets less each time, until there is nothing to answer.
    responder = opened(DatagramChargen(reactor))
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        datagram, sizes = bytes(9000), []
        while answer := answers(reactor, responder, peer, datagram):
            (datagram,) = answer
            sizes.append(len(datagram))
        assert answers(reactor, responder, peer, b"") == []
    assert len(sizes) > 0 and sizes[0] <= 512 and sizes == sorted(sizes, reverse=True)
    responder.Close()


def test_time_begins_anew_in_2036(reactor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[DatagramTime.__module__]
    responder = opened(DatagramTime(reactor))
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        # The RFC's own examples, then the last second and the first one.
        for seconds, said in ((0, 2208988800), (456019200, 2665008000), (2085978495, 2**32 - 1), (2085978496.5, 0)):
            monkeypatch.setattr(module, "secondsSince1970", lambda now=seconds: now)
            assert answers(reactor, responder, peer, b"") == [said.to_bytes(4, "big")]
    responder.Close()


# -- streams --


def listening(listener: Any) -> Any:
    must(listener.Create(0, lpszSocketAddress=LOCALHOST) and listener.Listen())
    return listener


def test_chargen_waits_while_nobody_reads(reactor: Any) -> None:
    listener = listening(ChargenListener(reactor))
    peer = peerOf(listener)
    turn(reactor)
    (connection,) = listener.connections
    text = bytearray()
    for _ in range(3):
        before = -1
        while before != connection.bytesOut:
            before = connection.bytesOut
            turn(reactor)
        assert len(text) < connection.bytesOut < len(text) + (64 << 20)
        # Nothing is due either: waiting costs no time.
        assert not reactor.getDelayedCalls()
        while len(text) < connection.bytesOut:
            text += peer.recv(1 << 20)
    line = "".join(map(chr, range(0x20, 0x7F))) * 2
    lines = "".join(line[start : start + 72] + "\r\n" for start in range(95)).encode()
    assert text == (lines * (len(text) // len(lines) + 1))[: len(text)]
    peer.close()
    while listener.connections:
        turn(reactor)
    listener.Close()


def test_an_answered_peer_has_some_time_to_end(reactor: Any) -> None:
    listener = listening(StreamListener(DaytimeConnection, reactor))
    peer = peerOf(listener)
    peer.settimeout(LIMIT)
    turn(reactor)
    turn(reactor)
    assert b"".join(iter(lambda: peer.recv(100), b"")).endswith(b"\r\n")
    (connection,) = listener.connections
    reactor.advance(1.9)
    peer.sendall(b"thank you")
    arrived(connection)
    turn(reactor)
    assert connection.bytesIn == 9
    reactor.advance(0.2)
    assert not listener.connections and connection.fileno() < 0
    # It has read everything, so that this was no reset.
    assert peer.recv(100) == b""
    peer.close()
    listener.Close()


def test_a_datagram_from_nobody_is_not_answered_and_ends_nothing(reactor: Any) -> None:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    # Linux chooses a name.
    bound.bind("")
    path = bound.getsockname()
    responder = DatagramEcho(reactor)
    must(responder.Attach(bound))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.settimeout(LIMIT)
        peer.sendto(b"nameless", path)
        turn(reactor)
        peer.bind("")
        peer.sendto(b"named", path)
        turn(reactor)
        assert peer.recv(100) == b"named"
    responder.Close()


# -- all of them --


def test_services_leave_the_private_names_of_the_socket_alone() -> None:
    # An attribute of a subclass that has the name of one of CAsyncSocket's would silently replace it.
    modules = [import_module(f"{services.__name__}.{found.name}") for found in iter_modules(services.__path__)]
    classes = {
        one
        for module in modules
        for _, one in inspect.getmembers(module, inspect.isclass)
        if issubclass(one, CAsyncSocket) and one.__module__.startswith(services.__name__)
    }
    assert len(classes) > 15
    for one in classes:
        used = set(re.findall(r"(?:self\.|def )(_[a-zA-Z]\w*)", inspect.getsource(one)))
        assert not used & set(dir(CAsyncSocket)), one


def test_each_shipped_service_is_one_short_file() -> None:
    for service in SHIPPED:
        module = import_module(f"{services.__name__}.{service.name}")
        assert all(getattr(module, part).__module__ == module.__name__ for part in module.__all__)
        assert len(inspect.getsource(module).splitlines()) <= 150
