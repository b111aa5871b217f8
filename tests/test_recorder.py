"""
The socket that remembers its notifications.
"""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError

from twisted_casync import CAsyncSocket, WSAError
from twisted_casync.testing import RecordingSocket

HANDLERS = ["OnAccept", "OnConnect", "OnReceive", "OnSend", "OnOutOfBandData", "OnClose"]


@pytest.mark.parametrize("name", HANDLERS)
def test_every_notification_is_written_down_and_waited_for(name: str) -> None:
    socket = RecordingSocket()
    codes: list[WSAError] = []
    socket.whenNotified(name).addCallback(codes.append)
    for other in HANDLERS:
        if other != name:
            getattr(socket, other)(0)
    assert codes == []
    getattr(socket, name)(10054)
    assert codes == [WSAError.WSAECONNRESET]
    assert socket.notifications[-1] == (name, WSAError.WSAECONNRESET)
    assert len(socket.notifications) == len(HANDLERS)


def test_what_came_before_counts() -> None:
    socket = RecordingSocket()
    socket.OnReceive(0)
    socket.OnReceive(10053)
    codes: list[WSAError] = []
    for count in (2, 1, 3):
        socket.whenNotified("OnReceive", count).addCallback(codes.append)
    assert codes == [WSAError.WSAECONNABORTED, WSAError.NO_ERROR]
    socket.OnReceive(10054)
    assert codes[2:] == [WSAError.WSAECONNRESET]


def test_a_name_that_never_comes_is_refused() -> None:
    with pytest.raises(ValueError, match="OnRecieve"):
        RecordingSocket().whenNotified("OnRecieve")


def test_a_waiter_can_give_up() -> None:
    socket = RecordingSocket()
    waiter = socket.whenNotified("OnClose")
    failures: list[bool] = []
    waiter.addErrback(lambda failure: failures.append(bool(failure.check(CancelledError))))
    waiter.cancel()
    assert failures == [True]
    socket.OnClose(0)
    assert failures == [True]


class Chat(CAsyncSocket):
    """A class under test."""

    said: list[int]

    def OnReceive(self, nErrorCode: int) -> None:
        self.said.append(nErrorCode)
        if nErrorCode:
            raise RuntimeError("bad")


class RecordingChat(RecordingSocket, Chat):
    """The same, watched."""


def test_the_handlers_of_the_class_under_test_run_before_the_waiters() -> None:
    socket = RecordingChat()
    socket.said = []
    seen: list[list[int]] = []
    socket.whenNotified("OnReceive").addCallback(lambda _: seen.append(list(socket.said)))
    socket.OnReceive(0)
    assert seen == [[0]]


def test_a_handler_that_raises_is_a_notification_too() -> None:
    socket = RecordingChat()
    socket.said = []
    codes: list[WSAError] = []
    socket.whenNotified("OnReceive").addCallback(codes.append)
    with pytest.raises(RuntimeError):
        socket.OnReceive(10054)
    assert codes == [WSAError.WSAECONNRESET]


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]
async def test_a_connection_is_waited_for() -> None:
    with RecordingSocket() as listener, RecordingSocket() as client, RecordingSocket() as accepted:
        assert listener.Create(0, lpszSocketAddress="127.0.0.1") and listener.Listen()
        name = listener.GetSockName()
        assert name is not None
        assert client.Create() and not client.Connect("127.0.0.1", name[1])
        assert await client.whenNotified("OnConnect").addTimeout(10, reactor) == 0
        await listener.whenNotified("OnAccept").addTimeout(10, reactor)
        assert listener.Accept(accepted)
        assert accepted.Send(b"hello") == 5
        await client.whenNotified("OnReceive").addTimeout(10, reactor)
        buffer = bytearray(10)
        assert client.Receive(buffer) == 5
        accepted.Close()
        assert await client.whenNotified("OnClose").addTimeout(10, reactor) == 0
        assert [event for event, _ in client.notifications] == ["OnConnect", "OnSend", "OnReceive", "OnClose"]
