"""
What holds of a connected stream whatever it is made of: how it ends, and what handlers do to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from _contract import failed, holds, quiet
from _play import Mistake, Script
from _reactors import Recorder, must
from _streams import fill, told
from twisted.logger import capturedLogs

from twisted_casync import (
    FD_ALL_EVENTS,
    FD_CLOSE,
    FD_READ,
    FD_WRITE,
    SIOCATMARK,
    SO_LINGER,
    SO_OOBINLINE,
    CAsyncSocket,
    WSAError,
)
from twisted_casync.winsock import FIONREAD, MSG_OOB

RESET = WSAError.WSAECONNRESET
ABORTED = ("OnClose", WSAError.WSAECONNABORTED)


def abort(sock: CAsyncSocket) -> None:
    must(sock.SetSockOpt(SO_LINGER, (1, 0)))
    sock.Close()


# -- the end of the stream


@holds()
def test_what_stands_before_the_end_is_told_first(reactor: Any, near: Recorder, far: Recorder) -> Script:
    received = bytearray()

    def some(sock: Recorder) -> None:
        buffer = bytearray(3)
        received.extend(buffer[: must(sock.Receive(buffer))])

    near.handlers["OnReceive"] = some
    must(far.Send(b"the end"))
    far.Close()
    yield lambda: "OnClose" in near.names()
    yield quiet()
    assert received == b"the end"
    assert near.told == told("OnReceive", "OnReceive", "OnReceive", "OnClose")
    assert near.Receive(bytearray(1)) == 0
    assert near.Receive(bytearray(1)) == 0


@holds()
def test_OnClose_waits_for_unread_data_however_late_it_is_received(
    reactor: Any, near: Recorder, far: Recorder
) -> Script:
    must(far.Send(b"abcdef"))
    far.Close()
    yield lambda: near.told == told("OnReceive")
    yield quiet()
    assert near.told == told("OnReceive")
    assert near.Receive(bytearray(4)) == 4
    yield lambda: near.told == told("OnReceive", "OnReceive")
    assert near.Receive(bytearray(4)) == 2
    yield lambda: len(near.told) >= 3
    yield quiet()
    assert near.told == told("OnReceive", "OnReceive", "OnClose")


@holds()
def test_AsyncSelect_tells_the_end_again_each_time(reactor: Any, near: Recorder, far: Recorder) -> Script:
    must(near.AsyncSelect(FD_READ))
    far.Close()
    yield quiet()
    assert near.told == []
    for count in range(1, 4):
        must(near.AsyncSelect(FD_CLOSE))
        yield lambda count=count: len(near.told) >= count  # type: ignore[misc]  # the default is a binding
        yield quiet()
        assert near.told == count * told("OnClose")


@holds("half close")
def test_who_has_sent_all_still_receives(reactor: Any, near: Recorder, far: Recorder) -> Script:
    near.handlers["OnReceive"] = far.handlers["OnReceive"] = Recorder.readAll
    must(near.Send(b"question"))
    must(near.ShutDown())
    must(near.ShutDown(CAsyncSocket.sends))
    assert failed(WSAError.WSAESHUTDOWN, near.Send(b"x"))
    yield lambda: far.told == told("OnReceive", "OnClose")
    yield quiet()
    assert near.told == []
    must(far.Send(b"answer"))
    yield lambda: near.received == b"answer"
    far.Close()
    yield lambda: "OnClose" in near.names()
    yield quiet()
    assert far.received == b"question"
    assert near.told == told("OnReceive", "OnClose")


@holds("half close")
def test_a_half_close_behind_a_full_send_buffer_keeps_OnSend(reactor: Any, near: Recorder, far: Recorder) -> Script:
    must(far.AsyncSelect(0))
    fill(near)
    must(far.ShutDown())
    yield lambda: "OnClose" in near.names()
    fill(near)
    near.told.clear()
    far.handlers["OnReceive"] = Recorder.readAll
    must(far.AsyncSelect(FD_READ))
    yield lambda: near.told == told("OnSend")
    assert near.Send(b"x") == 1


@holds("half close", lacking=True)
def test_where_there_is_no_half_close_ShutDown_ends_the_connection(
    reactor: Any, near: Recorder, far: Recorder
) -> Script:
    far.handlers["OnReceive"] = Recorder.readAll
    must(near.Send(b"all of it"))
    must(near.ShutDown())
    yield lambda: "OnClose" in far.names()
    assert far.received == b"all of it"
    yield lambda: near.told == told("OnClose")


@pytest.mark.parametrize("how", [CAsyncSocket.receives, CAsyncSocket.both])
@holds("half close")
def test_who_receives_no_more_is_told_of_the_end_only(reactor: Any, near: Recorder, far: Recorder, how: int) -> Script:
    must(near.ShutDown(how))
    assert failed(WSAError.WSAESHUTDOWN, near.Receive(bytearray(1)))
    must(far.Send(b"unheard"))
    yield quiet()
    assert near.told == []
    far.Close()
    yield lambda: near.told != []
    yield quiet()
    assert near.told == told("OnClose")


# -- the end of the connection


@holds("reset")
def test_a_reset_is_told_once_and_members_fail_with_it(reactor: Any, near: Recorder, far: Recorder) -> Script:
    abort(far)
    yield lambda: near.told != []
    yield quiet()
    assert near.told == told("OnClose", code=RESET)
    assert failed(RESET, near.Receive(bytearray(1)))
    assert failed(RESET, near.Send(b"x"))
    assert near.AsyncSelect() is True
    yield lambda: len(near.told) >= 2
    yield quiet()
    assert near.told == 2 * told("OnClose", code=RESET)


@holds("reset", lacking=True)
def test_where_there_is_no_reset_an_abort_is_told_as_an_end(reactor: Any, near: Recorder, far: Recorder) -> Script:
    abort(far)
    yield lambda: near.told != []
    yield quiet()
    assert near.names() == ["OnClose"]
    assert near.Receive(bytearray(1)) in (0, -1)


@holds("reset")
def test_a_reset_does_not_wait_for_what_is_unread(reactor: Any, near: Recorder, far: Recorder) -> Script:
    must(far.Send(b"unread"))
    yield lambda: near.told == told("OnReceive")
    abort(far)
    yield lambda: "OnClose" in near.names()
    yield quiet()
    assert near.told == [("OnReceive", 0), ("OnClose", RESET)]


@holds("reset by unread data")
def test_who_closes_with_something_unread_resets_the_connection(reactor: Any, near: Recorder, far: Recorder) -> Script:
    must(near.Send(b"never read"))
    yield lambda: far.told == told("OnReceive")
    far.Close()
    yield lambda: near.told == told("OnClose", code=RESET)


@holds("reset")
def test_who_aborts_is_told_nothing(reactor: Any, near: Recorder, far: Recorder) -> Script:
    must(far.Send(b"x"))
    abort(near)
    yield lambda: "OnClose" in far.names()
    yield quiet()
    assert near.told == []


# -- what handlers do


def arrange(near: Recorder, far: Recorder, name: str, then: Callable[[Recorder], Any]) -> None:
    """
    Have a handler of C{near} be due, together with others, and do something.
    """
    near.handlers[name] = then
    if name == "OnClose":
        near.handlers["OnReceive"] = Recorder.readAll
    must(far.Send(b"data"))
    if name == "OnClose":
        far.Close()
    elif name == "OnSend":
        must(near.AsyncSelect(FD_WRITE | FD_CLOSE))


everyHandler = pytest.mark.parametrize("name", ["OnReceive", "OnSend", "OnClose"])


@everyHandler
@holds()
def test_nothing_is_told_after_a_handler_has_closed_its_socket(
    reactor: Any, near: Recorder, far: Recorder, name: str
) -> Script:
    arrange(near, far, name, Recorder.Close)
    yield lambda: name in near.names()
    yield quiet()
    assert near.names().count(name) == 1 and near.names()[-1] == name
    assert near.m_hSocket == -1
    if name != "OnClose":
        yield lambda: "OnClose" in far.names()


@everyHandler
@holds()
def test_nothing_is_told_after_a_handler_has_selected_nothing(
    reactor: Any, near: Recorder, far: Recorder, name: str
) -> Script:
    arrange(near, far, name, lambda sock: must(sock.AsyncSelect(0)))
    yield lambda: name in near.names()
    yield quiet()
    assert near.names().count(name) == 1 and near.names()[-1] == name
    assert near.m_hSocket != -1


@everyHandler
@holds()
def test_a_handler_that_raises_aborts_its_socket(reactor: Any, near: Recorder, far: Recorder, name: str) -> Script:
    def fail(sock: Recorder) -> None:
        raise Mistake

    with capturedLogs() as events:
        arrange(near, far, name, fail)
        yield lambda: name in near.names()
        yield quiet()
    assert near.m_hSocket == -1
    assert near.told[-1] == (("OnClose", 0) if name == "OnClose" else ABORTED)
    assert near.names().count("OnClose") == 1
    assert [event["handler"] for event in events if "log_failure" in event] == [name]
    if name != "OnClose":
        yield lambda: "OnClose" in far.names()


@holds()
def test_a_handler_can_create_its_socket_anew(reactor: Any, near: Recorder, far: Recorder) -> Script:
    def anew(sock: Recorder) -> None:
        sock.Close()
        must(sock.Create())

    arrange(near, far, "OnReceive", anew)
    yield lambda: "OnReceive" in near.names()
    yield quiet()
    assert near.names()[-1] == "OnReceive" and " bound " in repr(near)


# -- urgent data

QUIET = FD_ALL_EVENTS & ~FD_WRITE


def urgent(sock: Recorder) -> bytes:
    """
    @return: the urgent byte, received; empty where there is none.
    """
    byte = bytearray(1)
    if sock.Receive(byte, 1, MSG_OOB) == 1:
        return bytes(byte)
    assert sock.GetLastError() == WSAError.WSAEWOULDBLOCK
    return b""


@holds("urgent data")
def test_an_urgent_byte_is_told_once_and_leaves_the_data_whole(reactor: Any, near: Recorder, far: Recorder) -> Script:
    urgents: list[bytes] = []
    near.handlers["OnOutOfBandData"] = lambda sock: urgents.append(urgent(sock))
    near.handlers["OnReceive"] = Recorder.readAll
    must(near.AsyncSelect(QUIET))
    assert far.Send(b"before!", None, MSG_OOB) == 7
    must(far.Send(b"behind"))
    yield lambda: near.received == b"beforebehind" and urgents == [b"!"]
    yield quiet()
    assert urgents == [b"!"]
    assert near.names().count("OnOutOfBandData") == 1
    assert urgent(near) == b""


@holds("urgent data")
def test_receiving_at_the_mark_does_not_lose_the_urgent_byte(reactor: Any, near: Recorder, far: Recorder) -> Script:
    must(near.AsyncSelect(QUIET))
    assert near.IOCtl(SIOCATMARK) is True
    must(far.Send(b"before"))
    must(far.Send(b"!", None, MSG_OOB))
    must(far.Send(b"behind"))
    yield lambda: "OnOutOfBandData" in near.names() or near.IOCtl(SIOCATMARK) is False
    yield quiet()
    assert near.IOCtl(FIONREAD) == 6
    near.readAll()
    assert near.received == b"beforebehind"
    assert near.IOCtl(SIOCATMARK) is False
    assert urgent(near) == b"!"
    assert near.IOCtl(SIOCATMARK) is True


@holds("urgent data")
def test_the_newest_urgent_byte_is_the_one(reactor: Any, near: Recorder, far: Recorder) -> Script:
    must(near.AsyncSelect(QUIET))
    must(far.Send(b"1", None, MSG_OOB))
    yield lambda: near.told == told("OnOutOfBandData")
    must(far.Send(b"2", None, MSG_OOB))
    yield quiet()
    assert urgent(near) == b"2"
    assert urgent(near) == b""


@holds("urgent data")
def test_an_urgent_byte_in_line_is_data_and_received_alone(reactor: Any, near: Recorder, far: Recorder) -> Script:
    must(near.SetSockOpt(SO_OOBINLINE, True))
    must(near.AsyncSelect(QUIET))
    must(far.Send(b"ab!", None, MSG_OOB))
    must(far.Send(b"cd"))
    yield lambda: near.told != []
    yield quiet()
    got = []
    buffer = bytearray(10)
    while (count := near.Receive(buffer)) > 0:
        got.append(bytes(buffer[:count]))
    assert got == [b"ab", b"!", b"cd"]
    assert failed(WSAError.WSAEINVAL, near.Receive(bytearray(1), 1, MSG_OOB))
    yield quiet()
    assert "OnOutOfBandData" not in near.names()


@holds("urgent data")
def test_an_urgent_byte_is_received_once_also_when_the_line_is_changed(
    reactor: Any, near: Recorder, far: Recorder
) -> Script:
    must(near.AsyncSelect(QUIET & ~FD_READ))
    must(far.Send(b"!", None, MSG_OOB))
    must(far.Send(b"behind"))
    yield lambda: near.told == told("OnOutOfBandData")
    yield quiet()
    assert urgent(near) == b"!"
    must(near.SetSockOpt(SO_OOBINLINE, True))
    near.readAll()
    assert near.received == b"behind"


@holds("urgent data")
def test_an_urgent_byte_that_waits_is_data_when_the_line_is_changed(
    reactor: Any, near: Recorder, far: Recorder
) -> Script:
    must(near.AsyncSelect(QUIET))
    must(far.Send(b"!", None, MSG_OOB))
    yield lambda: near.told == told("OnOutOfBandData")
    must(near.SetSockOpt(SO_OOBINLINE, True))
    yield lambda: near.told == told("OnOutOfBandData", "OnReceive")
    near.readAll()
    assert near.received == b"!"


@holds("urgent data", lacking=True)
def test_where_there_is_no_urgent_data_Send_says_so(reactor: Any, near: Recorder, far: Recorder) -> Script:
    assert failed(WSAError.WSAEOPNOTSUPP, far.Send(b"!", None, MSG_OOB))
    assert failed(WSAError.WSAEWOULDBLOCK, near.Receive(bytearray(1), 1, MSG_OOB))
    must(far.Send(b"x"))
    yield lambda: near.told == told("OnReceive")
