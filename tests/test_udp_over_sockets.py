"""
UDP ports over C{CAsyncSocket}s: what Twisted's own tests of them (test_transport_suites.py) leave open.
"""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from _bridged import LOCALHOST, viewOf
from _reactors import WAYS, run
from twisted.internet.address import IPv6Address
from twisted.internet.error import CannotListenError, InvalidAddressError, MessageLengthError, UnsupportedAddressFamily
from twisted.internet.interfaces import IReactorUDP, ISystemHandle, IUDPTransport
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from zope.interface.verify import verifyObject

from twisted_casync import IAsyncSocket
from twisted_casync._threads import openSockets
from twisted_casync.bridges import _datagrams
from twisted_casync.trace import Trace


@pytest.fixture(params=WAYS)
def view(request: pytest.FixtureRequest) -> Any:
    with viewOf(request.param) as view:
        yield view


@pytest.fixture
def warnings() -> Any:
    """
    What is logged that is a warning, or worse.
    """
    events: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if event.get("log_level", LogLevel.info) >= LogLevel.warn:
            events.append(event)

    observer = cast(ILogObserver, observe)
    globalLogPublisher.addObserver(observer)
    yield events
    globalLogPublisher.removeObserver(observer)


def failuresOf(events: list[LogEvent]) -> list[type]:
    return [event["log_failure"].type for event in events]


class Remembering(DatagramProtocol):
    """
    A protocol that remembers what it was told, and does in each what the test says.
    """

    transport: Any

    def __init__(self, **does: Callable[..., Any]) -> None:
        self.does = does
        self.told: list[str] = []
        self.received: list[bytes] = []
        self.sources: list[Any] = []

    def _tell(self, name: str, *args: Any) -> None:
        self.told.append(name)
        if name in self.does:
            self.does[name](self, *args)

    def startProtocol(self) -> None:
        self._tell("startProtocol")

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.received.append(datagram)
        self.sources.append(addr)
        self._tell("datagramReceived", datagram, addr)

    def connectionRefused(self) -> None:
        self._tell("connectionRefused")

    def stopProtocol(self) -> None:
        self._tell("stopProtocol")


def echo(protocol: Remembering, datagram: bytes, addr: Any) -> None:
    protocol.transport.write(datagram, addr)


def fail(protocol: Remembering, *args: Any) -> None:
    raise ZeroDivisionError("of the application")


def nameOf(port: Any) -> tuple[str, int]:
    host = port.getHost()
    return host.host, host.port


def peerOf(port: Any) -> socket.socket:
    """
    @return: a plain socket whose peer a port is; what it sends is in the port's buffer when the call returns.
    """
    peer = socket.socket(socket.AF_INET6 if ":" in nameOf(port)[0] else socket.AF_INET, socket.SOCK_DGRAM)
    peer.connect(nameOf(port))
    peer.settimeout(20)
    return peer


# -- listening


def test_an_answer_comes_back(view: Any) -> None:
    assert verifyObject(IReactorUDP, view)
    server = Remembering(datagramReceived=echo)
    port = view.listenUDP(0, server, interface=LOCALHOST)
    for interface in (IUDPTransport, ISystemHandle, IAsyncSocket):
        assert verifyObject(interface, port)
    client = Remembering()
    other = view.listenUDP(0, client, interface=LOCALHOST)
    here, there = nameOf(port), nameOf(other)
    assert str(here[1]) in repr(port)
    sent = [b"hello", b"", b"x" * 8192]
    for datagram in sent:
        client.transport.write(datagram, here)
    run(view, lambda: len(client.received) == 3)
    assert client.received == server.received == sent
    assert (server.sources, client.sources) == ([there] * 3, [here] * 3)


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 9000])
def test_of_a_datagram_that_is_longer_than_the_most_the_rest_is_lost(view: Any, size: int) -> None:
    protocol = Remembering()
    port = view.listenUDP(0, protocol, interface=LOCALHOST, maxPacketSize=100)
    with peerOf(port) as peer:
        peer.send(bytes(size))
        peer.send(b"next")
        run(view, lambda: len(protocol.received) == 2)
    assert protocol.received == [bytes(min(size, 100)), b"next"]


def test_a_port_that_is_taken_can_t_be_listened_at(view: Any) -> None:
    port = view.listenUDP(0, Remembering(), interface=LOCALHOST)
    protocol = Remembering()
    with pytest.raises(CannotListenError) as failure:
        view.listenUDP(nameOf(port)[1], protocol, interface=LOCALHOST)
    assert failure.value.socketError.errno == errno.EADDRINUSE
    assert protocol.told == []


def test_a_protocol_that_fails_when_it_starts_leaves_nothing_behind(view: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        view.listenUDP(0, Remembering(startProtocol=fail), interface=LOCALHOST)
    assert [each for each in openSockets() if each.reactor is view] == []


def test_a_port_is_free_when_its_deferred_fires_and_can_listen_again(view: Any) -> None:
    protocol = Remembering()
    port = view.listenUDP(0, protocol, interface=LOCALHOST)
    assert port in view.getReaders()
    port.connect(LOCALHOST, 1)

    def stopped(result: None) -> None:
        assert port.disconnected and not port.connected and "not connected" in repr(port)
        assert port.stopListening() is None
        assert port not in view.getReaders()
        port.startListening()
        assert port in view.getReaders()
        with peerOf(port) as peer:
            peer.send(b"hello")
            # It has no peer any more.
            port.write(b"hello", peer.getsockname())

    failed: list[object] = []
    port.stopListening().addCallback(stopped).addErrback(failed.append)
    # Not inside the call.
    assert protocol.told == ["startProtocol"]
    run(view, lambda: bool(protocol.received))
    assert failed == []
    assert protocol.told[:4] == ["startProtocol", "stopProtocol", "startProtocol", "datagramReceived"]


def test_a_protocol_hears_of_the_reactor_s_end(view: Any) -> None:
    protocol = Remembering()
    view.listenUDP(0, protocol, interface=LOCALHOST)
    run(view, lambda: True)
    assert protocol.told == ["startProtocol", "stopProtocol"]


def test_a_bound_socket_is_adopted_and_stays_its_owner_s(view: Any) -> None:
    protocol = Remembering()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind((LOCALHOST, 0))
        port = view.adoptDatagramPort(bound.fileno(), bound.family, protocol, 8192)
        assert nameOf(port) == bound.getsockname()
        assert bound.fileno() >= 0
    with peerOf(port) as peer:
        peer.send(b"hello")
        run(view, lambda: bool(protocol.received))
    with pytest.raises(UnsupportedAddressFamily):
        view.adoptDatagramPort(0, 9999, Remembering(), 8192)


# -- IPv6


def test_an_answer_comes_back_by_ipv6(view: Any) -> None:
    server = Remembering(datagramReceived=echo)
    port = view.listenUDP(0, server, interface="::1")
    assert isinstance(port.getHost(), IPv6Address)
    client = Remembering()
    other = view.listenUDP(0, client, interface="::1")
    name = nameOf(other)
    for host in (LOCALHOST, "<broadcast>"):
        with pytest.raises(InvalidAddressError):
            other.write(b"hello", (host, 1))
    other.write(b"hello", nameOf(port))
    run(view, lambda: bool(client.received))
    assert (server.sources, client.received) == ([name], [b"hello"])


def test_a_port_at_all_addresses_of_ipv6_receives_from_ipv4_too(view: Any) -> None:
    server = Remembering(datagramReceived=echo)
    port = view.listenUDP(0, server, interface="::")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind((LOCALHOST, 0))
        peer.settimeout(20)
        peer.sendto(b"hello", (LOCALHOST, nameOf(port)[1]))
        run(view, lambda: bool(server.received))
        assert peer.recv(100) == b"hello"


# -- one peer


def test_a_port_with_a_peer_receives_from_that_alone_and_sends_to_that_alone(view: Any) -> None:
    protocol = Remembering()
    port = view.listenUDP(0, protocol, interface=LOCALHOST)
    with peerOf(port) as peer, peerOf(port) as other:
        port.connect(*peer.getsockname())
        other.send(b"of another")
        peer.send(b"of the peer")
        for args in ((b"1",), (b"2", None), (b"3", peer.getsockname())):
            port.write(*args)
        port.writeSequence([b"4", b"5"])
        with pytest.raises(ValueError, match="connected to"):
            port.write(b"6", other.getsockname())
        with pytest.raises(RuntimeError):
            port.connect(*other.getsockname())
        assert [peer.recv(100) for _ in range(4)] == [b"1", b"2", b"3", b"45"]
        run(view, lambda: bool(protocol.received))
        assert protocol.received == [b"of the peer"]


def refusing() -> tuple[tuple[str, int], socket.socket]:
    """
    @return: a name that takes no datagrams, and what keeps others from it: who has a peer refuses all others.
    """
    holder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    holder.bind((LOCALHOST, 0))
    name = holder.getsockname()
    holder.connect(name)
    return name, holder


@pytest.mark.parametrize("after", ["a turn", "another datagram"])
def test_a_peer_that_refuses(view: Any, after: str) -> None:
    protocol = Remembering()
    port = view.listenUDP(0, protocol, interface=LOCALHOST)
    name, holder = refusing()
    with holder:
        port.connect(*name)
        port.write(b"hello")
        if after == "another datagram":
            port.write(b"hello?")
            assert protocol.told == ["startProtocol", "connectionRefused"]
        run(view, lambda: "connectionRefused" in protocol.told and port.connected)


def test_a_refusal_is_nothing_to_a_port_without_a_peer(view: Any) -> None:
    protocol = Remembering()
    port = view.listenUDP(0, protocol, interface=LOCALHOST)
    name, holder = refusing()
    with holder, peerOf(port) as peer:
        for _ in range(3):
            port.write(b"hello", name)
        peer.send(b"data")
        run(view, lambda: bool(protocol.received))
    assert protocol.told == ["startProtocol", "datagramReceived", "stopProtocol"]


# -- what is refused


def test_what_can_t_be_written_is_said(view: Any) -> None:
    port = view.listenUDP(0, Remembering(), interface=LOCALHOST)
    with pytest.raises(MessageLengthError):
        port.write(bytes(70_000), (LOCALHOST, 1))
    with pytest.raises(ValueError, match="where to write"):
        port.write(b"hello")
    for host in ("localhost", "::1", ""):
        with pytest.raises(InvalidAddressError):
            port.write(b"hello", (host, 1))
    with pytest.raises(TypeError):
        port.write("hello", (LOCALHOST, 1))
    with pytest.raises(InvalidAddressError):
        port.connect("localhost", 1)
    with pytest.raises(OSError, match="family"):
        port.connect("::1", 1)
    assert not port.getBroadcastAllowed()
    with pytest.raises(PermissionError):
        port.write(b"hello", ("<broadcast>", 1))
    with pytest.raises(InvalidAddressError):
        view.listenUDP(0, Remembering(), interface="localhost")


def test_to_zeros_is_to_this_machine(view: Any) -> None:
    protocol = Remembering()
    port = view.listenUDP(0, protocol)
    number = nameOf(port)[1]
    port.write(b"hello", ("0.0.0.0", number))
    run(view, lambda: bool(protocol.received))
    assert protocol.sources == [(LOCALHOST, number)]


# -- protocols that fail


def test_a_protocol_that_fails_goes_on_and_harms_no_other(view: Any, warnings: list[LogEvent]) -> None:
    protocol, well = Remembering(datagramReceived=fail), Remembering()
    port = view.listenUDP(0, protocol, interface=LOCALHOST)
    another = view.listenUDP(0, well, interface=LOCALHOST)
    with peerOf(port) as peer, peerOf(another) as other:
        peer.send(b"1")
        peer.send(b"2")
        other.send(b"3")
        run(view, lambda: len(protocol.received) == 2 and bool(well.received) and port.connected)
    assert failuresOf(warnings) == [ZeroDivisionError] * 2


def test_nor_does_a_refusal_end_one_that_fails_at_it(view: Any, warnings: list[LogEvent]) -> None:
    protocol = Remembering(connectionRefused=fail)
    port = view.listenUDP(0, protocol, interface=LOCALHOST)
    name, holder = refusing()
    with holder:
        port.connect(*name)
        port.write(b"hello")
        run(view, lambda: "connectionRefused" in protocol.told and port.connected)
    assert failuresOf(warnings) == [ZeroDivisionError]


# -- how much at a time


def test_a_turn_ends_after_so_many_bytes_or_datagrams(monkeypatch: pytest.MonkeyPatch) -> None:
    with viewOf("epoll-window") as view:
        protocol = Remembering()
        port = view.listenUDP(0, protocol, interface=LOCALHOST)
        port.maxThroughput = 100
        monkeypatch.setattr(_datagrams, "_MOST", 4)
        with peerOf(port) as peer:
            for datagram in (*[bytes(50)] * 6, *[b""] * 6):
                peer.send(datagram)
        counts = []
        while len(protocol.received) < 12:
            before = len(protocol.received)
            port.OnReceive(0)
            counts.append(len(protocol.received) - before)
        assert counts == [2, 2, 2, 4, 2]


# On asyncio, timers come after what is ready, for Twisted's own transports too.
@pytest.mark.parametrize("view", [way for way in WAYS if not way.startswith(("asyncio", "uvloop"))], indirect=True)
def test_in_between_the_others_have_their_turn(view: Any) -> None:
    order: list[str] = []

    def told(protocol: Remembering, datagram: bytes, addr: Any) -> None:
        order.append("told")
        view.callLater(0, order.append, "later")

    port = view.listenUDP(0, Remembering(datagramReceived=told), interface=LOCALHOST)
    port.maxThroughput = 1
    with peerOf(port) as peer:
        for _ in range(20):
            peer.send(b"data")
    run(view, lambda: order.count("later") == 20)
    assert order == ["told", "later"] * 20


@pytest.mark.parametrize("how", ["stopListening", "stopReading", "connectionLost"])
def test_who_stops_while_it_is_told_is_told_no_more(view: Any, how: str, warnings: list[LogEvent]) -> None:
    def stop(protocol: Remembering, datagram: bytes, addr: Any) -> None:
        getattr(protocol.transport, how)()

    protocol = Remembering(datagramReceived=stop)
    port = view.listenUDP(0, protocol, interface=LOCALHOST)
    turns: list[None] = []
    with peerOf(port) as peer:
        peer.send(b"1")
        peer.send(b"2")
        view.callLater(0.01, turns.append, None)
        run(view, lambda: bool(turns) and bool(protocol.received))
    assert protocol.received == [b"1"]
    assert port not in view.getReaders()
    assert warnings == []


def test_a_port_that_reads_again_is_told_of_what_came_meanwhile(view: Any) -> None:
    protocol = Remembering()
    port = view.listenUDP(0, protocol, interface=LOCALHOST)
    view.removeReader(port)
    told: list[list[bytes]] = []

    def again() -> None:
        told.append(list(protocol.received))
        view.addReader(port)

    with peerOf(port) as peer:
        peer.send(b"data")
        assert port not in view.getReaders()
        view.callLater(0.01, again)
        run(view, lambda: bool(protocol.received))
    assert told == [[]]


# -- what it is


def test_a_trace_shows_the_calls_of_a_port(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    with viewOf("epoll-window") as view, Trace(path, reactor=view):
        port = view.listenUDP(0, Remembering(datagramReceived=echo), interface=LOCALHOST)
        with peerOf(port) as peer:
            peer.send(b"hello")
            port.OnReceive(0)
            assert peer.recv(100) == b"hello"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    seen = [line.get("call") or line.get("told") for line in lines]
    assert [name for name in seen if name in ("Socket", "Bind", "ReceiveFrom", "SendTo")] == [
        "Socket",
        "Bind",
        "ReceiveFrom",
        "SendTo",
        "ReceiveFrom",
    ]
