"""
Back-pressure over transports that know no producers: SSH channels, sessions, Telnet.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _ssh
import pytest
from _play import Script, play, turns
from _reactors import REACTORS, Recorder, reactorOf, settle
from _streams import LOCALHOST
from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.session import SSHSession, SSHSessionProcessProtocol
from twisted.conch.telnet import ITelnetProtocol, TelnetTransport
from twisted.internet.endpoints import ProcessEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorProcess
from twisted.internet.process import reapAllProcesses
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_casync import FIONREAD, SOCKET_ERROR, GetLastError, WSAError
from twisted_casync.bridges import SocketProtocol, connectOver, transportOf

WINDOW = 131072
"""What conch lets the other side of a channel send (SSHChannel.localWindowSize)."""
PACKET = 32768
KEPT = 65536
"""From when on a transport is paused."""


class Sender:
    """
    Sends as much as it may, in pieces.
    """

    PIECE = 100_000

    def __init__(self, data: bytes) -> None:
        self.data, self.sent = data, 0
        self.blocked = False

    def __call__(self, sock: Recorder) -> None:
        while self.sent < len(self.data):
            count = sock.Send(self.data[self.sent : self.sent + self.PIECE])
            if count == SOCKET_ERROR:
                assert GetLastError() == WSAError.WSAEWOULDBLOCK
                self.blocked = True
                return
            self.sent += count


@pytest.mark.parametrize("receiving", ["client", "server"])
@pytest.mark.parametrize("name", REACTORS)
def test_who_does_not_receive_over_an_ssh_channel_has_the_sender_wait(
    name: str, receiving: str, tmp_path: Path
) -> None:
    sender = Sender(os.urandom(2_000_000))
    ends: dict[str, Recorder] = {"client": Recorder(), "server": Recorder()}
    receiver = ends[receiving]
    ends["server" if receiving == "client" else "client"].handlers.update(OnSend=sender)
    with reactorOf(f"{name}-window") as reactor:
        factory = _ssh.server(SocketProtocol(ends["server"], reactor=reactor))
        port = reactor.listenTCP(0, factory, interface=LOCALHOST)
        endpoint = _ssh.client(reactor, LOCALHOST, port.getHost().port, factory, str(tmp_path))
        connectOver(ends["client"], endpoint, reactor=reactor)

        def script() -> Script:
            yield lambda: usedUp(receiver)
            assert KEPT <= (waiting := receiver.IOCtl(FIONREAD)) <= KEPT + PACKET + WINDOW
            assert waiting <= sender.sent <= waiting + sender.PIECE
            receiver.handlers.update(OnReceive=lambda sock: sock.readAll())
            receiver.readAll()
            yield lambda: len(receiver.received) == len(sender.data)
            assert receiver.received == sender.data
            for sock in ends.values():
                sock.Close()
            port.stopListening()

        play(reactor, script())
        settle(reactor)


@pytest.mark.programs
def test_a_child_process_that_is_not_received_from_waits_and_has_the_sender_wait() -> None:
    """Its transport knows producers: pipes, and what cat has in hand, are all that is kept beside what is said here."""
    sender = Sender(os.urandom(4_000_000))
    with reactorOf("epoll-window") as reactor:
        assert IReactorProcess.providedBy(reactor)
        one = Recorder(OnSend=sender)
        connectOver(one, ProcessEndpoint(reactor, b"cat", [b"cat"], os.environ), reactor=reactor)

        def script() -> Script:
            yield lambda: sender.blocked and one.IOCtl(FIONREAD) >= KEPT
            yield turns(50)
            assert one.IOCtl(FIONREAD) <= 2 * KEPT
            assert sender.sent <= 1_000_000
            one.handlers.update(OnReceive=lambda sock: sock.readAll())
            one.readAll()
            yield lambda: len(one.received) == len(sender.data)
            assert one.received == sender.data
            one.ShutDown()
            yield ended
            one.Close()

        def ended() -> bool:
            # What the reactor does at SIGCHLD, which these reactors leave to others.
            reapAllProcesses()
            return "OnClose" in one.names()

        play(reactor, script())


def usedUp(sock: Recorder) -> bool:
    """
    @return: whether the other side may send nothing more.
    """
    channel = transportOf(sock)
    return channel is not None and channel.localWindowLeft == 0


class Connection:
    """
    What a channel needs of its SSH connection.
    """

    def __init__(self) -> None:
        self.sent = b""
        self.opened = 0
        self.transport = StringTransport()

    def sendData(self, channel: SSHChannel, data: bytes) -> None:
        self.sent += data

    def adjustWindow(self, channel: SSHChannel, count: int) -> None:
        channel.localWindowLeft += count
        self.opened += count

    def sendClose(self, channel: SSHChannel) -> None:
        channel.localClosed = 1


def carried(transport: Any, **handlers: Callable[..., Any]) -> tuple[Recorder, Any]:
    """
    @return: a socket over a transport, and its protocol.
    """
    sock = Recorder(**handlers)
    clock = Clock()
    protocol: Any = SocketProtocol(sock, reactor=clock)
    protocol.makeConnection(transport)
    clock.advance(0)
    return sock, protocol


def channel(kind: type[SSHChannel] = SSHChannel) -> Any:
    made: Any = kind(remoteWindow=10, remoteMaxPacket=100)
    made.conn = Connection()
    return made


def test_a_send_blocks_while_what_was_sent_waits_in_the_channel() -> None:
    """Also when a window comes that is too small for it."""
    one = channel()
    sock, _ = carried(one)
    assert sock.Send(bytes(25)) == 25
    assert sock.Send(b"x") == SOCKET_ERROR and GetLastError() == WSAError.WSAEWOULDBLOCK
    one.addWindowBytes(10)
    assert sock.names() == ["OnSend"]
    one.addWindowBytes(10)
    assert sock.names() == ["OnSend", "OnSend"]
    assert len(one.conn.sent) == 25
    assert sock.Send(bytes(5)) == 5
    one.addWindowBytes(1000)
    assert sock.names() == ["OnSend", "OnSend"]
    sock.Close()
    assert one.localClosed


class Noting(SSHChannel):
    """
    A channel of somebody who wants to know the same.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.noted: list[str] = []

    def stopWriting(self) -> None:
        self.noted.append("stop")

    def startWriting(self) -> None:
        self.noted.append("start")


def test_a_channel_hears_itself_that_its_window_is_used_up_and_opened() -> None:
    one = channel(Noting)
    sock, _ = carried(one)
    sock.Send(bytes(25))
    one.addWindowBytes(100)
    assert one.noted == ["stop", "start"]
    sock.Close()


def test_the_window_is_opened_by_what_was_used_up_when_it_is_received() -> None:
    one = channel()
    sock, protocol = carried(one)
    one.localWindowLeft -= 40000
    protocol.dataReceived(bytes(40000))
    assert one.localWindowSize == WINDOW
    one.localWindowLeft -= 40000
    protocol.dataReceived(bytes(40000))
    assert one.localWindowSize == 0
    assert sock.Receive(bytearray(80000)) == 80000
    assert one.conn.opened == 80000 and one.localWindowLeft == one.localWindowSize == WINDOW
    sock.Close()


def test_a_window_that_is_open_wide_enough_stays_as_it_is() -> None:
    one = channel()
    sock, protocol = carried(one)
    one.localWindowLeft -= KEPT
    protocol.dataReceived(bytes(KEPT))
    assert one.localWindowSize == 0
    assert sock.Receive(bytearray(KEPT)) == KEPT
    assert one.conn.opened == 0 and one.localWindowSize == WINDOW
    sock.Close()


def test_a_channel_is_as_it_was_when_it_has_closed() -> None:
    one = channel()
    before = set(vars(one))
    sock, protocol = carried(one)
    protocol.dataReceived(bytes(KEPT))
    sock.Close()
    protocol.connectionLost(Failure(ConnectionDone()))
    assert set(vars(one)) == before
    assert one.localWindowSize == WINDOW


def test_the_transport_of_a_session_has_the_window_of_the_session() -> None:
    session = channel(SSHSession)
    sock, protocol = carried(SSHSessionProcessProtocol(session))
    protocol.dataReceived(bytes(KEPT))
    assert session.localWindowSize == 0
    assert sock.Send(bytes(25)) == 25
    assert sock.Send(b"x") == SOCKET_ERROR
    sock.Close()


@implementer(ITelnetProtocol)
class Telnet(SocketProtocol):
    """
    A socket's over Telnet: it wants no options.
    """

    def unhandledCommand(self, command: bytes, argument: bytes) -> None: ...

    def unhandledSubnegotiation(self, command: bytes, data: bytes) -> None: ...

    def enableLocal(self, option: bytes) -> bool:
        return False

    def enableRemote(self, option: bytes) -> bool:
        return False

    def disableLocal(self, option: bytes) -> None: ...

    def disableRemote(self, option: bytes) -> None: ...


def test_what_carries_telnet_is_paused_for_it() -> None:
    clock, sock, beneath = Clock(), Recorder(), StringTransport()
    telnet: Any = TelnetTransport(lambda: Telnet(sock, reactor=clock))
    telnet.makeConnection(beneath)
    clock.advance(0)
    telnet.dataReceived(bytes(KEPT))
    assert beneath.producerState == "paused"
    assert sock.Receive(bytearray(KEPT)) == KEPT
    assert beneath.producerState == "producing"
    producer: Any = beneath.producer
    producer.pauseProducing()
    assert sock.Send(b"x") == SOCKET_ERROR and GetLastError() == WSAError.WSAEWOULDBLOCK
    sock.Close()
    assert beneath.producer is None
