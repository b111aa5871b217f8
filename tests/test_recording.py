"""
The recording of sockets: calls and notifications of several, in order, as events.
"""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from _play import play
from _reactors import reactorOf
from _streams import LOCALHOST

from twisted_casync import (
    FIONBIO,
    MSG_OOB,
    MSG_PEEK,
    SO_BROADCAST,
    SO_SNDBUF,
    SO_TYPE,
    SOCK_DGRAM,
    CAsyncSocket,
    GetLastError,
    SetLastError,
    WSAError,
)
from twisted_casync.testing import Event, Recording, RecordingSocket

WOULD_BLOCK = WSAError.WSAEWOULDBLOCK


def pair(reactor: Any) -> tuple[Recording, RecordingSocket, RecordingSocket]:
    """
    @return: a new recording, and two datagram sockets in it, of which the one is connected to the other.
    """
    recording = Recording()
    here, there = RecordingSocket(reactor), RecordingSocket(reactor)
    assert here.Create(0, SOCK_DGRAM, lpszSocketAddress=LOCALHOST)
    assert there.Create(0, SOCK_DGRAM, lpszSocketAddress=LOCALHOST)
    name = there.GetSockName()
    assert name is not None and here.Connect(*name)
    return recording, recording.watch(here, "here"), recording.watch(there, "there")


class Echo(CAsyncSocket):
    """A class under test: a program's own."""

    def OnReceive(self, nErrorCode: int) -> None:
        buff = bytearray(100)
        nRead = self.Receive(buff)
        self.Send(buff[:nRead])

    def OnClose(self, nErrorCode: int) -> None:
        self.Close()


class Listener(CAsyncSocket):
    """Another, which makes sockets by itself."""

    made: type[CAsyncSocket] = Echo

    def OnAccept(self, nErrorCode: int) -> None:
        self.Accept(self.made(), True)


def test_a_course_is_recorded_with_what_each_handler_called() -> None:
    recording = Recording()

    class RecordingEcho(RecordingSocket, Echo):
        pass

    class RecordingListener(RecordingSocket, Listener):
        made = RecordingEcho

    # For sockets that the program makes by itself, it is an attribute of their class.
    RecordingEcho.recording = recording
    with reactorOf("epoll-window") as reactor:

        def script() -> Any:
            listener = RecordingListener(reactor)
            client = recording.watch(RecordingSocket(reactor), "client")
            recording.watch(listener)
            assert listener.Create(lpszSocketAddress=LOCALHOST) and listener.Listen()
            client.Create()
            client.Connect(*(listener.GetSockName() or ()))
            yield lambda: "OnSend" in recording.names("RecordingEcho") and "OnSend" in recording.names("client")
            start = len(recording.events)
            client.Send(b"hello")
            yield lambda: "OnReceive" in recording.names("client")
            client.Receive(bytearray(10))
            client.Close()
            yield lambda: "OnClose" in recording.names("RecordingEcho")
            assert recording.events[start:] == [
                Event("client", "Send", (5,), 5, data=b"hello"),
                Event("RecordingEcho", "OnReceive"),
                Event("RecordingEcho", "Receive", (100,), 5, data=b"hello", within="RecordingEcho.OnReceive"),
                Event("RecordingEcho", "Send", (5,), 5, data=b"hello", within="RecordingEcho.OnReceive"),
                Event("client", "OnReceive"),
                Event("client", "Receive", (10,), 5, data=b"hello"),
                Event("client", "Close"),
                Event("RecordingEcho", "OnClose"),
                Event("RecordingEcho", "Close", within="RecordingEcho.OnClose"),
            ]
            (accept,) = [event for event in recording.events if event.name == "Accept"]
            assert (accept.sock, accept.within) == ("RecordingListener", "RecordingListener.OnAccept")
            assert accept.arguments == ("RecordingEcho", True) and accept.result[0] == LOCALHOST

        play(reactor, script())


def test_a_failure_is_recorded_with_its_error_and_a_success_without(idle: Any) -> None:
    recording, here, there = pair(idle)
    assert there.Receive(bytearray(10)) == -1
    SetLastError(WSAError.WSAEINTR)
    assert here.Send(b"abc") == 3
    assert GetLastError() == 0, "a success clears the last error, as it does where nothing is recorded"
    assert there.Receive(bytearray(10), nFlags=MSG_PEEK) == 3
    assert there.Receive(bytearray(2)) == -1
    assert here.Send(b"x", None, MSG_OOB) == -1
    assert GetLastError() == WSAError.WSAEOPNOTSUPP
    assert recording.events == [
        Event("there", "Receive", (10,), -1, WOULD_BLOCK),
        Event("here", "Send", (3,), 3, data=b"abc"),
        Event("there", "Receive", (10, None, MSG_PEEK), 3, data=b"abc"),
        Event("there", "Receive", (2,), -1, WSAError.WSAEMSGSIZE, b"ab"),
        Event("here", "Send", (1, None, MSG_OOB), -1, WSAError.WSAEOPNOTSUPP),
    ]


def test_an_answer_that_is_false_is_no_failure(idle: Any) -> None:
    recording, here, _ = pair(idle)
    assert here.IOCtl(FIONBIO, 0) is False
    assert here.GetSockOpt(SO_SNDBUF, nLevel=6) is None
    assert here.GetSockOpt(SO_BROADCAST) is False
    assert [event.error.name for event in recording.events] == ["WSAEINVAL", "WSAENOPROTOOPT", "NO_ERROR"]


def test_arguments_stand_in_the_order_of_the_parameters_and_stay_as_they_were(idle: Any) -> None:
    recording, here, there = pair(idle)
    value = bytearray(4)
    here.GetSockOpt(SO_TYPE, lpOptionValue=value)
    value[:] = b"\xff" * 4
    here.SendTo(b"ping", nHostPort=there.GetSockName(), nBufLen=None)
    there.ReceiveFrom(lpBuf=bytearray(8), lpSockAddrLen=16)
    host = there.GetSockName()
    assert [event.arguments for event in recording.events] == [
        (SO_TYPE, b"\x02\0\0\0"),
        (),
        (4, None, host),
        (8, None, 0, 16),
        (),
    ]


def test_a_call_that_raises_is_recorded_and_raises(idle: Any) -> None:
    recording, here, _ = pair(idle)
    with pytest.raises(TypeError, match="lpBuf"):
        here.Send("text")  # type: ignore[arg-type,unused-ignore]  # that is the mistake
    assert recording.events == [Event("here", "Send", ("text",))]


def test_what_a_member_calls_by_itself_is_not_recorded(idle: Any) -> None:
    recording, here, there = pair(idle)
    name = there.GetSockName()
    assert name is not None
    # A Create whose Bind fails closes, and SendToEx is SendTo.
    taken = recording.watch(RecordingSocket(idle), "taken")
    assert not taken.Create(name[1], SOCK_DGRAM, lpszSocketAddress=LOCALHOST)
    here.SendToEx(b"x", None, name[1], name[0])
    with here:
        pass
    assert recording.names() == ["GetSockName", "Create", "SendToEx", "Close"]
    assert recording.names("here") == ["SendToEx", "Close"]


def test_names(idle: Any) -> None:
    recording = Recording()
    one, two, three = (recording.watch(RecordingSocket(idle)) for _ in range(3))
    recording.watch(two, "second")
    for socket in (one, two, three):
        socket.Close()
    assert [event.sock for event in recording.events] == ["RecordingSocket", "second", "RecordingSocket-2"]
    assert recording.watch(two, "second") is two
    with pytest.raises(ValueError, match="second"):
        recording.watch(one, "second")
    assert recording.nameOf(three) == "RecordingSocket-2"


def test_a_recording_keeps_no_socket_alive_and_knows_those_that_take_no_part_by_their_class(idle: Any) -> None:
    recording, here, there = pair(idle)
    stranger = Echo(idle)
    assert here.Assign(there) and not here.Accept(stranger)
    assert [event.arguments for event in recording.events] == [("there",), ("Echo",)]
    here.Close()
    there.Close()
    references = [weakref.ref(socket) for socket in (here, there, stranger)]
    del here, there, stranger
    gc.collect()
    assert [reference() for reference in references] == [None, None, None]


def test_nothing_is_recorded_before_a_socket_is_watched(idle: Any) -> None:
    socket = RecordingSocket(idle)
    assert socket.Create() and socket.recording is None
    recording = Recording()
    recording.watch(socket)
    assert recording.events == []
    socket.recording = None
    socket.Close()
    assert recording.events == []


def test_a_handler_that_raises_ends() -> None:
    recording = Recording()

    class Fails(Echo):
        def OnConnect(self, nErrorCode: int) -> None:
            raise RuntimeError

    class RecordingFails(RecordingSocket, Fails):
        pass

    socket = recording.watch(RecordingFails(), "S")
    with pytest.raises(RuntimeError):
        socket.OnConnect(0)
    socket.Close()
    assert recording.events == [Event("S", "OnConnect"), Event("S", "Close")]


def test_events_read_as_lines(idle: Any) -> None:
    recording, here, _ = pair(idle)
    here.Send(b"abc", None, MSG_OOB)
    with recording.handling(here, "OnClose", WSAError.WSAECONNRESET):
        here.Send(b"abc")
        here.Close()
    assert str(recording).splitlines() == [
        "here.Send(3, None, MSG_OOB) = -1, WSAEOPNOTSUPP",
        "here.OnClose(WSAECONNRESET)",
        "  here.Send(3) = 3, b'abc'",
        "  here.Close() = None",
    ]
    assert [event.isNotification() for event in recording.events] == [False, True, False, False]
