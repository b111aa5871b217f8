"""
The last error: that of a thread's last call, as Windows keeps it.
"""

from __future__ import annotations

import socket
import threading
from typing import Any

import _errors_every  # noqa: F401  # it writes the stages down
import pytest
from _errortable import STAGES
from _reactors import WAYS, Recorder, must, reactorOf, run
from _streams import accepted, listening

from twisted_casync import SOCK_DGRAM, GetLastError, SetLastError, WSAError
from twisted_casync._lasterror import inError

LOCALHOST = "127.0.0.1"
CLEARED = {member: stage for member, stage in STAGES.items() if member not in ("Accept", "Connect")}


@pytest.mark.parametrize("member", CLEARED)
def test_a_member_that_succeeds_clears_the_last_error(member: str) -> None:
    with reactorOf("epoll-window") as reactor, CLEARED[member](reactor, member) as (_, call):
        SetLastError(WSAError.WSAEINTR)
        must(call())
        assert GetLastError() is WSAError.NO_ERROR


def test_members_that_make_open_and_connect_sockets_clear_it_too() -> None:
    with reactorOf("epoll-window") as reactor:
        listener, other, child = listening(reactor), Recorder(reactor), Recorder(reactor)

        def cleared(result: Any) -> None:
            assert (bool(result), GetLastError()) == (True, WSAError.NO_ERROR)
            SetLastError(WSAError.WSAEINTR)

        with socket.create_connection(must(listener.GetSockName())):
            SetLastError(WSAError.WSAEINTR)
            cleared(listener.Accept(child))
        cleared(other.Socket(SOCK_DGRAM))
        cleared(other.Connect(LOCALHOST, 9))
        handle = other.Detach()
        cleared(handle)
        cleared(other.Attach(handle))
        cleared(Recorder(reactor).Assign(other))
        cleared(other.AsyncSelect(0))
        cleared(other.IOCtl(0x8004667E, 0))


def test_what_asks_nothing_of_Winsock_leaves_it() -> None:
    with reactorOf("epoll-window") as reactor:
        subject = Recorder(reactor)
        must(subject.Create())
        assert subject.Receive(bytearray(1)) == -1
        assert subject.FromHandle(int(subject)) is subject
        # A program may close a socket before it looks at why a call on it failed.
        subject.Close()
        assert GetLastError() is WSAError.WSAENOTCONN
        must(subject.Create())
        assert not subject.Bind(1, "a name")
        assert GetLastError() is WSAError.WSAEINVAL, "Create closes what it can't bind, and says why"


@pytest.mark.parametrize("way", WAYS)
def test_a_message_that_goes_well_clears_it(way: str) -> None:
    """In the handler of a stream and of datagrams, whose calls have ways of their own."""
    errors: list[WSAError] = []

    def during(call: Any) -> Any:
        SetLastError(WSAError.WSAEWOULDBLOCK)
        result = call()
        errors.append(GetLastError())
        return result

    def echo(here: Recorder) -> None:
        buffer = bytearray(10)
        count = during(lambda: here.Receive(buffer))
        during(lambda: here.Send(buffer, count))

    def answer(here: Recorder) -> None:
        buffer = bytearray(10)
        count, source = during(lambda: here.ReceiveFrom(buffer))
        during(lambda: here.SendTo(buffer, count, source))

    with reactorOf(way) as reactor:
        child, peer = accepted(reactor, listening(reactor), OnReceive=echo)
        datagrams = Recorder(reactor, OnReceive=answer)
        must(datagrams.Create(0, SOCK_DGRAM, lpszSocketAddress=LOCALHOST))
        with peer, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            peer.send(b"stream")
            asker.sendto(b"datagram", must(datagrams.GetSockName()))
            run(reactor, lambda: len(errors) == 4)
        assert errors == [WSAError.NO_ERROR] * 4
        child.Close()
        datagrams.Close()


def test_it_is_a_threads_own_also_when_it_is_cleared() -> None:
    theirs: list[WSAError] = []
    failed, goOn = threading.Event(), threading.Event()

    def elsewhere() -> None:
        SetLastError(WSAError.WSAEINTR)
        failed.set()
        goOn.wait(20)
        theirs.append(GetLastError())

    with reactorOf("epoll-window") as reactor:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        assert failed.wait(20)
        subject = Recorder(reactor)
        must(subject.Create())
        SetLastError(WSAError.WSAEFAULT)
        must(subject.Listen())
        assert GetLastError() is WSAError.NO_ERROR
        goOn.set()
        thread.join()
    assert theirs == [WSAError.WSAEINTR]
    assert thread.ident not in inError, "one that has ended costs the others nothing"
