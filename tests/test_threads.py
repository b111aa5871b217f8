"""
Threads: a socket belongs to one, and each has its own last error.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import pytest
from _members import MEMBERS, fails
from _play import Script, play, played, turns
from _reactors import LIMIT, WAYS, Recorder, must, reactorOf
from _streams import LOCALHOST, accepted, beginConnect, listening, peerOf, portOf, told
from _twistd import environment
from twisted.python import threadable

from twisted_casync import (
    INVALID_SOCKET,
    SOCK_DGRAM,
    SOCKET_ERROR,
    AfxSocketInit,
    AfxSocketTerm,
    CAsyncSocket,
    GetLastError,
    SetLastError,
    WSAError,
)

T = TypeVar("T")


@pytest.fixture(autouse=True)
def thePrimaryThread(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A reactor that runs in a thread makes Twisted think that this was the primary one: not for the tests that follow.
    """
    monkeypatch.setattr(threadable, "ioThread", threadable.ioThread)


def begin(call: Callable[[], T]) -> Future[T]:
    """
    @return: what C{call} will have returned in a new thread.
    """
    outcome: Future[T] = Future()

    def work() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return outcome


def elsewhere(call: Callable[[], T]) -> T:
    """
    @return: what C{call} returns in a new thread.
    """
    return begin(call).result(LIMIT)


# -- another thread than the socket's


@pytest.mark.parametrize("name", MEMBERS)
def test_no_member_can_be_called_from_another_thread(idle: Any, name: str) -> None:
    child, peer = accepted(idle)
    with peer:
        SetLastError(WSAError.WSAEFAULT)
        assert elsewhere(lambda: fails(WSAError.WSANOTINITIALISED, getattr(child, name), *MEMBERS[name]))
        # Nothing was touched, here neither.
        assert GetLastError() is WSAError.WSAEFAULT
        peer.sendall(b"unread")
        assert child.Receive(bytearray(9)) == 6
        must(child.Send(b"y"))
        assert peer.recv(9) == b"y"


def test_close_from_another_thread_touches_nothing(idle: Any) -> None:
    one = CAsyncSocket(idle)
    must(one.Create())
    handle = int(one)

    def close() -> WSAError:
        SetLastError(0)
        one.Close()
        return GetLastError()

    assert elsewhere(close) is WSAError.WSANOTINITIALISED
    assert int(one) == handle
    assert must(one.GetSockName())


@played
def test_while_a_handler_runs_another_thread_can_neither_receive_nor_send(reactor: Any) -> Script:
    """
    Both have a short way for the handler itself.
    """
    answers: list[bool] = []

    def receive(self: Recorder) -> None:
        answers.append(elsewhere(lambda: fails(WSAError.WSANOTINITIALISED, self.Receive, bytearray(1))))
        answers.append(elsewhere(lambda: fails(WSAError.WSANOTINITIALISED, self.Send, b"x")))
        answers.append(self.Receive(bytearray(9)) == 1)

    child, peer = accepted(reactor, OnReceive=receive)
    with peer:
        peer.sendall(b"x")
        yield lambda: len(answers) == 3
    assert all(answers)


def test_a_thread_that_was_not_initialised_has_no_sockets(idle: Any) -> None:
    mine = Recorder(idle)
    must(mine.Create())

    def work() -> None:
        one = CAsyncSocket(idle)
        for create, arguments in (
            (one.Create, ()),
            (one.Socket, ()),
            (one.CreateEx, ((2, 1, 0),)),
            (one.Attach, (int(mine),)),
            (CAsyncSocket().Create, ()),
        ):
            assert fails(WSAError.WSANOTINITIALISED, create, *arguments)
        for name, arguments in MEMBERS.items():
            assert fails(WSAError.WSANOTINITIALISED, getattr(one, name), *arguments)
        assert CAsyncSocket.FromHandle(int(mine)) is None
        one.Close()

    elsewhere(work)
    assert CAsyncSocket.FromHandle(int(mine)) is mine


def test_an_object_can_be_made_anywhere(idle: Any) -> None:
    one = elsewhere(lambda: Recorder(idle))
    must(one.Create())
    assert CAsyncSocket.FromHandle(int(one)) is one


# -- a thread with a reactor of its own


def echoed(reactor: Any) -> Script:
    """
    A conversation between two sockets of one reactor.
    """
    child = Recorder(reactor, OnReceive=lambda self: self.Send(b"echo") if self.readAll() else None)
    listener = listening(reactor, OnAccept=lambda self: must(self.Accept(child)))
    client = Recorder(reactor, OnConnect=lambda self: must(self.Send(b"hello")))
    must(client.Create())
    beginConnect(client, portOf(listener))
    yield lambda: "OnReceive" in client.names()
    client.readAll()
    assert (child.received, client.received) == (b"hello", b"echo")
    assert CAsyncSocket.FromHandle(int(client)) is client


@pytest.mark.parametrize("way", WAYS)
def test_a_thread_that_was_initialised_with_a_reactor_of_its_own_runs_it(way: str) -> None:
    def work() -> None:
        with reactorOf(way) as reactor:
            play(reactor, echoed(reactor))

    elsewhere(work)


def test_two_threads_talk_to_each_other() -> None:
    port: Future[int] = Future()

    def serve() -> list[str]:
        def script() -> Script:
            child = Recorder(reactor, OnReceive=lambda self: self.Send(b"answer") if self.readAll() else None)
            listener = listening(reactor, OnAccept=lambda self: must(self.Accept(child)))
            port.set_result(portOf(listener))
            yield lambda: "OnClose" in child.names()
            names.extend(child.names())

        names: list[str] = []
        with reactorOf("poll-window") as reactor:
            play(reactor, script())
        return names

    def client() -> Script:
        one = Recorder(reactor, OnConnect=lambda self: must(self.Send(b"question")))
        must(one.Create())
        beginConnect(one, port.result(LIMIT))
        yield lambda: "OnReceive" in one.names()
        one.readAll()
        assert one.received == b"answer"
        one.Close()

    server = begin(serve)
    with reactorOf("epoll-window") as reactor:
        play(reactor, client())
    # What is there already when it is accepted is told first.
    assert sorted(server.result(LIMIT)) == ["OnClose", "OnReceive", "OnSend"]


def test_a_reactor_that_ran_in_a_thread_does_not_make_that_the_primary_one() -> None:
    def work() -> None:
        with reactorOf("epoll-window") as reactor:
            play(reactor, echoed(reactor))

    elsewhere(work)
    with CAsyncSocket() as one:
        must(one.Create())
    # A new thread often has the number of one that has ended.
    assert elsewhere(lambda: fails(WSAError.WSANOTINITIALISED, CAsyncSocket().Create))


@pytest.mark.programs
def test_the_thread_that_runs_the_global_reactor_is_the_primary_one() -> None:
    program = """
        import threading
        from twisted.internet import reactor
        from twisted_casync import CAsyncSocket, GetLastError

        running = threading.Event()
        answers = []

        def inside():
            one = CAsyncSocket()
            answers.append(one.Create())
            one.Close()
            reactor.stop()

        reactor.callWhenRunning(running.set)
        thread = threading.Thread(target=reactor.run, kwargs={"installSignalHandlers": False})
        thread.start()
        running.wait()
        answers.append(CAsyncSocket().Create())
        answers.append(str(GetLastError()))
        reactor.callFromThread(inside)
        thread.join()
        print(*answers)
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=True,
    )
    assert ran.stdout.split() == ["False", "WSANOTINITIALISED", "True"]


def test_sockets_go_along_with_a_reactor_that_is_run_in_another_thread() -> None:
    """
    Sockets may be made before the reactor runs.
    """
    with reactorOf("epoll-window") as reactor:
        server, client = Recorder(reactor), Recorder(reactor)
        for one in (server, client):
            must(one.Create(0, SOCK_DGRAM, lpszSocketAddress=LOCALHOST))

        def script() -> Script:
            yield lambda: server.told == client.told == told("OnSend")
            must(client.SendTo(b"x", None, must(server.GetSockName())))
            yield lambda: "OnReceive" in server.names()
            assert server.Receive(bytearray(1)) == 1
            assert begin(lambda: fails(WSAError.WSANOTINITIALISED, server.Receive, bytearray(1))).result(LIMIT)

        elsewhere(lambda: play(reactor, script()))


def test_what_can_watch_no_descriptors_is_no_reactor() -> None:
    for wrong in (object(), 3, "epoll"):
        with pytest.raises(TypeError, match="^reactor "):
            AfxSocketInit(wrong)
        with pytest.raises(TypeError, match="^reactor "):
            CAsyncSocket(wrong)


# -- ending the use of sockets


@pytest.mark.parametrize("way", WAYS)
def test_the_end_of_the_use_of_sockets_closes_them_and_tells_nothing(way: str) -> None:
    def work() -> None:
        def script() -> Script:
            child, peer = accepted(reactor)
            listener, fresh = listening(reactor), Recorder(reactor)
            must(fresh.Create())
            with peer:
                yield lambda: child.told == told("OnSend")
                peer.sendall(b"unread")
                AfxSocketTerm()
                assert [int(one) for one in (child, listener, fresh)] == [INVALID_SOCKET] * 3
                yield turns()
                assert child.told == told("OnSend")
                for name, arguments in MEMBERS.items():
                    assert fails(WSAError.WSANOTINITIALISED, getattr(fresh, name), *arguments)
                assert fails(WSAError.WSANOTINITIALISED, fresh.Create)
                AfxSocketInit(reactor)
                must(fresh.Create())
                fresh.Close()
                assert fails(WSAError.WSAENOTSOCK, fresh.Listen)

        with reactorOf(way) as reactor:
            play(reactor, script())

    elsewhere(work)


def test_the_end_of_the_use_of_sockets_is_one_threads(idle: Any) -> None:
    mine = CAsyncSocket(idle)
    must(mine.Create())
    elsewhere(AfxSocketTerm)
    assert must(mine.GetSockName())


# -- the last error


def test_each_thread_has_its_last_error() -> None:
    SetLastError(WSAError.WSAEMSGSIZE)
    assert elsewhere(GetLastError) == 0
    elsewhere(lambda: SetLastError(WSAError.WSAEFAULT))
    assert GetLastError() is CAsyncSocket.GetLastError() is WSAError.WSAEMSGSIZE


@played
def test_a_notification_leaves_the_last_error_as_it_was(reactor: Any) -> Script:
    listener, client = listening(reactor), Recorder(reactor)
    must(client.Create())
    beginConnect(client, portOf(listener))
    SetLastError(WSAError.WSAEFAULT)
    seen: list[int] = []
    client.handlers["OnSend"] = lambda self: seen.append(GetLastError())
    yield lambda: seen != []
    assert seen == [WSAError.WSAEFAULT]


# -- from thread to thread


def test_a_socket_moves_to_another_thread_by_its_handle() -> None:
    handles: Future[int] = Future()
    heard: Future[list[tuple[str, int]]] = Future()

    def receive() -> bytes:
        def script() -> Script:
            other = Recorder(reactor)
            must(other.Attach(handles.result(LIMIT)))
            yield lambda: len(other.told) == 2
            other.readAll()
            must(other.Send(b"from the other thread"))
            yield lambda: "OnClose" in other.names()
            heard.set_result(other.told)
            received.extend(other.received)

        received = bytearray()
        with reactorOf("select-window") as reactor:
            play(reactor, script())
        return bytes(received)

    def script() -> Script:
        listener = listening(reactor)
        with peerOf(listener) as peer:
            one = Recorder(reactor)
            must(listener.Accept(one))
            peer.sendall(b"unread")
            yield lambda: "OnReceive" in one.names()
            before = list(one.told)
            handles.set_result(must(one.Detach()))
            peer.settimeout(LIMIT)
            assert peer.recv(99) == b"from the other thread"
        yield lambda: heard.done()
        assert one.told == before
        assert one.Send(b"x") == SOCKET_ERROR

    theirs = begin(receive)
    with reactorOf("epoll-window") as reactor:
        play(reactor, script())
    assert theirs.result(LIMIT) == b"unread"
    assert heard.result() == [*told("OnReceive", "OnSend"), ("OnClose", 0)]
