"""
What one socket's handler raises costs that socket, whatever it is, and no other: all of them share one reader.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _bridged import Remembering, Serving, viewOf
from _play import Mistake, OnPurpose, Script, play, played, turns
from _reactors import LIMIT, WAYS, Recorder, must, reactorOf
from _streams import accepted, beginConnect, listening, peerOf, portOf, told
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from twisted_casync import FD_ALL_EVENTS, SOCK_DGRAM, CAsyncSocket, CSocket, WSAError, _window
from twisted_casync._threads import windowOf

ABORTED = ("OnClose", WSAError.WSAECONNABORTED)


class Exiting(OnPurpose, SystemExit):
    """What C{sys.exit} raises."""


class Interrupted(OnPurpose, KeyboardInterrupt):
    """Ctrl-C, where nobody handles SIGINT."""


class Cancelled(OnPurpose, asyncio.CancelledError):
    """asyncio's word to a task."""


class Ended(OnPurpose, GeneratorExit):
    """Python's word to a generator."""


class Odd(OnPurpose, BaseException):
    """An application's own."""


RAISED = [Mistake, Exiting, Interrupted, Cancelled, Ended, Odd]

everything = pytest.mark.parametrize("raised", RAISED)


def raising(kind: type[BaseException]) -> Callable[..., None]:
    """
    @return: a handler that raises.
    """

    def fail(*_: object) -> None:
        raise kind("on purpose")

    return fail


def isReset(peer: socket.socket) -> bool:
    """
    @return: whether a connection was reset, as its plain end sees it; it waits for that, within limits.
    """
    with peer:
        try:
            peer.recv(1)
        except ConnectionResetError:
            return True
    return False


@everything
@played
def test_whatever_a_handler_raises_costs_its_socket_and_no_other(reactor: Any, raised: type[BaseException]) -> Script:
    """In OnReceive, as nearly all messages come; in OnSend, as all else is told; and in OnClose, which is the last."""

    def receiveAndFail(one: Recorder) -> None:
        one.readAll()
        raise raised

    other, otherPeer = accepted(reactor, OnReceive=Recorder.readAll)
    door = listening(reactor)
    yield lambda: other.told == told("OnSend")
    receiving, first = accepted(reactor, OnReceive=receiveAndFail)
    sending, second = accepted(reactor, OnSend=raising(raised), OnClose=raising(raised))
    first.sendall(b"x")
    yield lambda: receiving.fileno() == sending.fileno() == -1
    yield turns()
    assert receiving.told == [*told("OnSend", "OnReceive"), ABORTED] or receiving.told == [*told("OnReceive"), ABORTED]
    assert sending.told == [("OnSend", 0), ABORTED]
    assert isReset(first) and isReset(second)
    with otherPeer:
        otherPeer.sendall(b"as ever")
        yield lambda: other.received == b"as ever"
    with peerOf(door):
        yield lambda: door.told == told("OnAccept")
    assert "OnClose" not in other.names() or other.told[-1] == ("OnClose", 0)


@everything
@played
def test_whatever_a_handler_of_datagrams_raises_costs_its_socket(reactor: Any, raised: type[BaseException]) -> Script:
    one, other = Recorder(reactor, OnReceive=raising(raised)), Recorder(reactor)
    for each in (one, other):
        must(each.Create(0, SOCK_DGRAM, lpszSocketAddress="127.0.0.1"))
    with socket.socket(type=SOCK_DGRAM) as sender:
        names = [must(each.GetSockName()) for each in (one, other)]
        for name in names:
            sender.sendto(b"x", name)
        yield lambda: one.told[-1:] == [ABORTED] and "OnReceive" in other.names()
    assert one.fileno() == -1
    other.Close()


class Waiting(CSocket):
    """
    A socket whose handler waits, and then raises.
    """

    def __init__(self, reactor: Any, raised: type[BaseException], wait: Deferred[None]) -> None:
        super().__init__(reactor)
        self.raised, self.wait = raised, wait
        self.closed: list[int] = []

    async def OnReceive(self, nErrorCode: int) -> None:  # type: ignore[override]  # the base class's can't wait
        await self.wait
        raise self.raised

    def OnClose(self, nErrorCode: int) -> None:
        self.closed.append(int(nErrorCode))


@pytest.mark.parametrize("late", [False, True], ids=["at once", "later"])
@everything
@played
def test_whatever_a_handler_that_waits_raises_costs_its_socket_alone(
    reactor: Any, raised: type[BaseException], late: bool
) -> Script:
    wait: Deferred[None] = Deferred()
    door, other = listening(reactor), accepted(reactor, OnReceive=Recorder.readAll)
    child = Waiting(reactor, raised, wait)
    if not late:
        wait.callback(None)
    with other[1]:
        peer = peerOf(door)
        must(CAsyncSocket.Accept(door, child))
        peer.sendall(b"x")
        yield turns()
        if late:
            wait.callback(None)
        yield lambda: child.closed != []
        assert child.closed == [WSAError.WSAECONNABORTED] and child.fileno() == -1
        assert isReset(peer)
        other[1].sendall(b"as ever")
        yield lambda: other[0].received == b"as ever"


class Unspeakable(Recorder):
    """
    One that can't even be named.
    """

    def __repr__(self) -> str:
        raise Exiting


@played
def test_a_socket_that_can_not_be_named_costs_no_other(reactor: Any) -> Script:
    other, otherPeer = accepted(reactor, OnReceive=Recorder.readAll)
    with otherPeer:
        door = listening(reactor)
        peer, child = peerOf(door), Unspeakable(reactor, OnReceive=raising(Mistake))
        must(door.Accept(child))
        peer.sendall(b"x")
        yield lambda: child.fileno() == -1
        assert isReset(peer)
        otherPeer.sendall(b"as ever")
        yield lambda: other.received == b"as ever"


@implementer(ILogObserver)
class Exits:
    """
    An observer of the log that ends the program.
    """

    def __call__(self, event: LogEvent) -> None:
        if "log_failure" in event:
            raise Exiting


@pytest.fixture
def exiting() -> Iterator[None]:
    observer = Exits()
    globalLogPublisher.addObserver(observer)
    yield
    globalLogPublisher.removeObserver(observer)


@pytest.mark.usefixtures("exiting")
@pytest.mark.parametrize("way", WAYS)
def test_an_observer_of_the_log_that_raises_costs_no_socket(way: str, capsys: pytest.CaptureFixture[str]) -> None:
    def script(reactor: Any) -> Script:
        other, otherPeer = accepted(reactor, OnReceive=Recorder.readAll)
        child, peer = accepted(reactor, OnSend=raising(Mistake))
        with otherPeer:
            yield lambda: child.told == [("OnSend", 0), ABORTED]
            assert isReset(peer)
            otherPeer.sendall(b"as ever")
            yield lambda: other.received == b"as ever"

    with reactorOf(way) as reactor:
        play(reactor, script(reactor))
    assert "Exiting" in capsys.readouterr().err


@played
def test_what_fails_beside_the_handlers_costs_its_socket_and_no_other(reactor: Any) -> Script:
    """As where the system has no memory to watch one more."""
    other, otherPeer = accepted(reactor, OnReceive=Recorder.readAll)
    child, peer = accepted(reactor)
    yield lambda: child.told == told("OnSend") == other.told

    class Broken(Recorder):
        def _as_holding(self, bits: int) -> int:
            raise Mistake

    child.__class__ = Broken
    child._as_fast = 0
    with otherPeer:
        peer.sendall(b"x")
        yield lambda: child.told == [("OnSend", 0), ABORTED]
        assert isReset(peer)
        otherPeer.sendall(b"as ever")
        yield lambda: other.received == b"as ever"


@played
def test_what_was_posted_to_the_others_is_told_when_one_fails(reactor: Any) -> Script:
    first, firstPeer = accepted(reactor, OnSend=raising(Exiting))
    second, secondPeer = accepted(reactor)
    yield lambda: second.told == told("OnSend")
    assert first.told == [("OnSend", 0), ABORTED]
    firstPeer.close()
    secondPeer.close()


@played
def test_a_window_that_fails_goes_on(reactor: Any, monkeypatch: pytest.MonkeyPatch) -> Script:
    """With the next turn; and what was posted is told then."""
    child, peer = accepted(reactor, OnReceive=Recorder.readAll)
    yield lambda: child.told == told("OnSend")
    window = windowOf(reactor)
    assert isinstance(window, _window.BaseWindow)
    fails = iter([True])
    tell = window.tell

    def failing(batch: list[tuple[int, int]], other: Callable[[int, int], None]) -> None:
        if next(fails, False):
            window.post(child, 0)
            raise Mistake
        tell(batch, other)

    monkeypatch.setattr(window, "tell", failing)
    with peer:
        peer.sendall(b"as ever")
        yield lambda: child.received == b"as ever"
    assert not window.posted


# -- the protocols of the bridges


@everything
@pytest.mark.parametrize("way", WAYS)
def test_whatever_a_protocol_raises_costs_its_connection_alone(way: str, raised: type[BaseException]) -> None:
    """The reason is that, as it is with Twisted's transports."""
    with viewOf(way) as view:
        bad = Remembering(dataReceived=raising(raised))
        good = Remembering(dataReceived=lambda self, data: self.transport.write(data))
        protocols = iter([bad, good])

        class Factory(Serving):
            def buildProtocol(self, addr: Any) -> Remembering:
                built = next(protocols, None)
                if built is None:
                    raise raised
                return built

        port = view.listenTCP(0, Factory(bad), interface="127.0.0.1")
        where = "127.0.0.1", port.getHost().port

        def script() -> Script:
            one, other = (socket.create_connection(where, LIMIT) for _ in range(2))
            with one, other:
                yield lambda: bad.told == good.told == ["connectionMade"]
                one.sendall(b"x")
                yield lambda: bad.told == ["connectionMade", "dataReceived", "connectionLost"]
                assert bad.reason is not None and bad.reason.check(raised)
                # A factory that raises: its connection ends, and the port goes on.
                for _ in range(2):
                    with socket.create_connection(where, LIMIT) as refused:
                        yield turns()
                        assert refused.recv(1) == b""
                other.sendall(b"as ever")
                yield lambda: good.received == b"as ever"

        play(view, script())


@everything
@pytest.mark.parametrize("way", WAYS)
def test_whatever_a_datagram_protocol_raises_costs_its_port_nothing(way: str, raised: type[BaseException]) -> None:
    with viewOf(way) as view:
        heard: list[bytes] = []

        class Hearing(DatagramProtocol):
            def datagramReceived(self, datagram: bytes, addr: Any) -> None:
                heard.append(datagram)
                raise raised

        port = view.listenUDP(0, Hearing(), interface="127.0.0.1")

        def script() -> Script:
            with socket.socket(type=SOCK_DGRAM) as sender:
                for count in (1, 2):
                    sender.sendto(b"x", ("127.0.0.1", port.getHost().port))
                    yield lambda count=count: len(heard) == count  # type: ignore[misc]  # the default is a binding

        play(view, script())


# -- listeners


class Door(Recorder):
    """
    A listener that raises at the first two connections, and accepts the others.
    """

    def __init__(self, reactor: Any, raised: type[BaseException], accepts: bool) -> None:
        super().__init__(reactor)
        self.raised, self.accepts = raised, accepts
        self.children: list[Recorder] = []

    def OnAccept(self, nErrorCode: int) -> None:
        super().OnAccept(nErrorCode)
        fails = len(self.names()) <= 2
        if fails and not self.accepts:
            raise self.raised
        child = Recorder(self._as_asked, OnReceive=Recorder.readAll)
        self.children.append(child)
        must(self.Accept(child))
        if fails:
            raise self.raised


@pytest.mark.parametrize("accepts", [False, True], ids=["before Accept", "after Accept"])
@everything
@played
def test_a_listener_whose_OnAccept_raises_goes_on(reactor: Any, raised: type[BaseException], accepts: bool) -> Script:
    """And the connection that was being accepted is reset."""
    door = Door(reactor, raised, accepts)
    must(door.Create(0, lpszSocketAddress="127.0.0.1"))
    must(door.Listen())
    first, second = (socket.create_connection(must(door.GetSockName()), LIMIT) for _ in range(2))
    yield lambda: len(door.told) == 2
    yield turns()
    # Each is offered once: nobody is asked again about what has failed.
    assert door.told == told("OnAccept", "OnAccept")
    assert isReset(first) and isReset(second)
    assert [child.told for child in door.children] == [[ABORTED], [ABORTED]][: 2 * accepts]
    with peerOf(door) as third:
        third.sendall(b"as ever")
        yield lambda: len(door.children) == 1 + 2 * accepts and door.children[-1].received == b"as ever"


@played
def test_a_listener_that_closes_and_raises_hears_of_it(reactor: Any) -> Script:
    def closeAndFail(door: Recorder) -> None:
        door.Close()
        raise Mistake

    door = listening(reactor, OnAccept=closeAndFail)
    with peerOf(door):
        yield lambda: door.told == [("OnAccept", 0), ABORTED]


class WaitingDoor(CSocket):
    """
    A listener whose handler waits.
    """

    def __init__(self, reactor: Any, raised: type[BaseException], accepts: bool) -> None:
        super().__init__(reactor)
        self.raised, self.accepts = raised, accepts
        self.times = 0
        self.goOn: Deferred[None] = Deferred()
        self.child: Any = None

    async def OnAccept(self, nErrorCode: int) -> None:  # type: ignore[override]  # as above
        self.times += 1
        if self.times > 1:
            self.child = await self.Accept()
            return
        if self.accepts:
            await self.Accept()
        await self.goOn
        raise self.raised


@pytest.mark.parametrize("accepts", [False, True], ids=["before Accept", "after Accept"])
@everything
@played
def test_a_listener_whose_OnAccept_waits_and_raises_goes_on(
    reactor: Any, raised: type[BaseException], accepts: bool
) -> Script:
    door = WaitingDoor(reactor, raised, accepts)
    must(door.Create(0, lpszSocketAddress="127.0.0.1"))
    must(door.Listen())
    first = socket.create_connection(must(door.GetSockName()), LIMIT)
    yield lambda: door.times == 1
    second = socket.create_connection(must(door.GetSockName()), LIMIT)
    yield turns()
    door.goOn.callback(None)
    assert isReset(first)
    yield lambda: door.child is not None
    with second:
        second.sendall(b"as ever")
        assert door.child.fileno() != -1


@played
def test_a_child_that_OnAccept_had_handed_on_is_left_alone(reactor: Any) -> Script:
    """It is no longer the listener's to reset."""
    handles: list[int] = []

    def handOn(door: Recorder) -> None:
        child = Recorder(reactor)
        must(door.Accept(child))
        handles.append(child.Detach())
        raise Mistake

    door = listening(reactor, OnAccept=handOn)
    with peerOf(door) as peer:
        yield lambda: handles != []
        with socket.socket(fileno=handles[0]) as kept:
            kept.setblocking(True)
            peer.sendall(b"x")
            assert kept.recv(10) == b"x"


@played
def test_an_OnAccept_that_raised_is_not_held_against_what_is_accepted_later(reactor: Any) -> Script:
    """What was accepted outside OnAccept, or in one that ended well, is nobody's mistake."""
    kept: list[Recorder] = []

    def accept(door: Recorder) -> None:
        if kept:
            raise Mistake
        kept.append(Recorder(reactor))
        must(door.Accept(kept[0]))

    door = listening(reactor, OnAccept=accept)
    with peerOf(door), peerOf(door) as second:
        yield lambda: len(door.told) == 2
        assert isReset(second)
        assert kept[0].fileno() != -1
        kept[0].Close()
    must(door.AsyncSelect(0))
    with peerOf(door):
        outside = Recorder(reactor)
        must(door.Accept(outside))
        assert door._as_offered is None
        outside.Close()


@played
def test_a_connection_attempt_beside_a_socket_that_raises_succeeds(reactor: Any) -> Script:
    door = listening(reactor)
    bad, peer = accepted(reactor, OnSend=raising(Exiting))
    client = Recorder(reactor)
    must(client.Create(lEvent=FD_ALL_EVENTS))
    beginConnect(client, portOf(door))
    with peer:
        yield lambda: client.told == told("OnConnect", "OnSend")
    assert bad.told == [("OnSend", 0), ABORTED]
