"""
Arbitrary arguments at every member in every state: what comes back is a result, a failure with one of Winsock's codes,
or a C{TypeError} that names the parameter; nothing else ever leaves a member, nor a handler's turn.
"""

from __future__ import annotations

import array
import ctypes
import inspect
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _play import Script, play, played, turns
from _reactors import LIMIT, Recorder, must, reactorOf
from _resolvers import Never
from _streams import LOCALHOST, accepted, listening
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.logger import capturedLogs

from twisted_casync import (
    AF_INET,
    AF_INET6,
    AF_UNIX,
    FD_READ,
    FD_WRITE,
    IPPROTO_TCP,
    LINGER,
    MSG_DONTROUTE,
    MSG_OOB,
    MSG_PEEK,
    SO_ERROR,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOCKET_ERROR,
    TCP_NODELAY,
    CAsyncSocket,
    CSocket,
    GetLastError,
    IAsyncSocket,
    IAsyncSocketNotifications,
    SetLastError,
    WSAError,
    winsock,
)

# -- the values


def released() -> memoryview:
    view = memoryview(bytearray(4))
    view.release()
    return view


CONSTANTS: list[Any] = [
    *(winsock.Option, winsock.TCPOption, winsock.IPv6Option, winsock.Command, winsock.Level),
    *(winsock.MessageFlag, winsock.Event),
]

INTEGERS = st.sampled_from(
    [-(2**63), -(2**31), -1, 0, 1, 2, 3, 7, 10, 16, 28, 63, 110, 65535, 65536, 2**31 - 1, 2**31, 2**32, 2**64]
) | st.sampled_from(
    [*winsock.Option, *winsock.TCPOption, *winsock.Command, *winsock.Level, *winsock.MessageFlag, *winsock.Event]
)

TEXTS = st.sampled_from(
    ["", ".", "127.0.0.1", "127.1", "::1", "fe80::1%1", "::1%lo", "a\0b", "\ud800", "é" * 64, "x" * 300]
)

BUFFERS = st.sampled_from(
    [
        lambda: b"",
        lambda: b"data",
        lambda: bytes(70000),
        lambda: bytearray(),
        lambda: bytearray(9),
        lambda: memoryview(bytearray(8))[::2],
        lambda: memoryview(b"data"),
        lambda: memoryview(bytearray(12)).cast("I"),
        lambda: array.array("d", [1.0, 2.0]),
        lambda: array.array("i"),
        lambda: (ctypes.c_int * 3)(),
        lambda: ctypes.create_string_buffer(5),
        released,
    ]
).map(lambda make: make())

ADDRESSES = st.one_of(
    st.tuples(TEXTS, INTEGERS),
    st.tuples(TEXTS, INTEGERS, INTEGERS, INTEGERS),
    st.lists(st.one_of(TEXTS, INTEGERS), max_size=5).map(tuple),
    st.builds(IPv4Address, st.just("TCP"), TEXTS, INTEGERS),
    st.builds(IPv6Address, st.just("UDP"), TEXTS, INTEGERS, INTEGERS, INTEGERS),
    # No path that could be made.
    st.sampled_from([b"", b"/no/such/folder/socket", b"\0", b"\0" + b"x" * 200, b"y/" * 99]).map(UNIXAddress),
    st.sampled_from(["/no/such/folder/socket", "/no\0/such", b"/no/such/folder/socket", b"/\xff/x"]),
)

OTHERS = st.sampled_from(
    [None, True, False, 1.5, float("nan"), 1j, [], {}, object(), int, LINGER(1, 1), (1, 2), "text", ...]
)

ANYTHING = st.one_of(INTEGERS, TEXTS, BUFFERS, ADDRESSES, OTHERS)

USUAL: dict[str, st.SearchStrategy[Any]] = {
    "lpBuf": BUFFERS,
    "lpOptionValue": BUFFERS | INTEGERS | st.tuples(INTEGERS, INTEGERS),
    "lpSockAddr": st.booleans(),
    "lpszHostAddress": TEXTS | ADDRESSES | INTEGERS,
    "lpszSocketAddress": TEXTS | st.none(),
    "nHostPort": INTEGERS | ADDRESSES,
    "nSocketPort": INTEGERS | ADDRESSES,
    "pAI": st.tuples(st.sampled_from([AF_INET, AF_INET6, AF_UNIX, 99]), INTEGERS, INTEGERS, TEXTS, ADDRESSES),
}
"""What a parameter is meant for; of the others an integer, and of every one now and then anything."""

# Attach would take descriptors that are others'; FromHandle needs no socket; the rest have no parameters.
NOT_TRIED = {"Attach", "Close", "Detach", "FromHandle", "GetLastError"}
MEMBERS = sorted(
    name
    for name, member in inspect.getmembers(CAsyncSocket, inspect.isfunction)
    if name in IAsyncSocket and name not in IAsyncSocketNotifications and name[0].isupper() and name not in NOT_TRIED
)

# The other overload's names, and what a message may call a part of an argument.
ALSO = {
    "Bind": {"lpSockAddr", "nSockAddrLen"},
    "BindEx": {"nSocketPort", "lpSockAddr"},
    "Connect": {"lpSockAddr", "nSockAddrLen"},
    "ConnectEx": {"lpszHostAddress", "nHostPort", "lpSockAddr"},
    "SendTo": {"lpSockAddr", "nSockAddrLen"},
    "SendToEx": {"lpSockAddr", "nSockAddrLen"},
    "CreateEx": {"nAddressFormat", "nSocketType", "nProtocolType", "lpSockAddr"},
}

SAME_AS = {
    "BindEx": ["Bind"],
    "ConnectEx": ["Connect"],
    "Create": ["Bind"],
    "CreateEx": ["Create", "Bind"],
    "Socket": ["Create"],
}
"""Whose errors a member can leave too."""

MAY_BE_FALSE = {"GetSockOpt", "IOCtl"}
"""The members that answer False also when they did not fail."""


def parametersOf(name: str) -> list[inspect.Parameter]:
    return list(inspect.signature(getattr(CAsyncSocket, name)).parameters.values())[1:]


@st.composite
def calls(draw: st.DrawFn, name: str) -> tuple[list[Any], dict[str, Any]]:
    """
    Arguments for a member, of which any that may be left out may be.
    """
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for parameter in parametersOf(name):
        value = draw(ANYTHING if draw(st.integers(0, 3)) == 0 else USUAL.get(parameter.name, INTEGERS))
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            if draw(st.booleans()):
                named[parameter.name] = value
        elif parameter.default is not inspect.Parameter.empty and draw(st.booleans()):
            break
        else:
            positional.append(value)
    return positional, named


# -- the states


def closed(reactor: Any) -> Recorder:
    return Recorder(reactor)


def opened(reactor: Any, family: int = AF_INET, kind: int = SOCK_STREAM, *address: Any) -> Recorder:
    one = Recorder(reactor)
    must(one.CreateEx((family, kind, 0, "", *(address or (None,)))))
    return one


def bound(reactor: Any) -> Recorder:
    return opened(reactor, AF_INET, SOCK_STREAM, (LOCALHOST, 0))


def connected(reactor: Any, *received: bytes) -> Recorder:
    child, peer = accepted(reactor)
    with peer:
        for data in received:
            peer.send(data)
    return child


def reset(reactor: Any) -> Recorder:
    child, peer = accepted(reactor)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0" + bytes(4))
    peer.close()
    return child


def shut(reactor: Any) -> Recorder:
    child, peer = accepted(reactor)
    peer.close()
    must(child.ShutDown(CAsyncSocket.both))
    return child


def connecting(reactor: Any) -> Recorder:
    one = bound(reactor)
    assert one.Connect("name.example", 7) is False
    assert GetLastError() is WSAError.WSAEWOULDBLOCK
    return one


def datagram(reactor: Any) -> Recorder:
    one = opened(reactor, AF_INET, SOCK_DGRAM, (LOCALHOST, 0))
    must(one.SendTo(b"a datagram", None, must(one.GetSockName())))
    must(one.SendTo(b"", None, must(one.GetSockName())))
    return one


def connectedDatagram(reactor: Any) -> Recorder:
    one = opened(reactor, AF_INET6, SOCK_DGRAM, ("::1", 0))
    must(one.Connect(*must(one.GetSockNameEx())))
    return one


def paired(reactor: Any) -> Recorder:
    one, other = socket.socketpair()
    with other:
        other.sendall(b"data")
    child = Recorder(reactor)
    must(child.Attach(one))
    return child


STATES: dict[str, Callable[[Any], Recorder]] = {
    "closed": closed,
    "new": opened,
    "new IPv6": lambda reactor: opened(reactor, AF_INET6),
    "bound": bound,
    "listening": listening,
    "connecting": connecting,
    "connected": lambda reactor: connected(reactor, b"data"),
    "ended": connected,
    "reset": reset,
    "shut": shut,
    "datagram, unbound": lambda reactor: opened(reactor, AF_INET, SOCK_DGRAM),
    "datagram": datagram,
    "datagram, connected": connectedDatagram,
    "UNIX": lambda reactor: opened(reactor, AF_UNIX),
    "UNIX, connected": paired,
    "UNIX datagram": lambda reactor: opened(reactor, AF_UNIX, SOCK_DGRAM),
}


# -- what may come back


def documented(name: str) -> set[str]:
    """
    @return: the codes that a member says it can leave, and those that every member can.
    """
    codes = {"WSANOTINITIALISED", "WSAENETDOWN", "WSAENOTSOCK", "WSAEINPROGRESS"}
    for where in [*SAME_AS.get(name, []), name]:
        codes |= set(re.findall(r"WSA[A-Z_]+", IAsyncSocket[where].getDoc()))
    return codes


def failed(name: str, answer: Any) -> bool:
    if isinstance(answer, tuple) and name.startswith("ReceiveFrom"):
        answer = answer[0]
    if isinstance(answer, bool):
        return not answer and name not in MAY_BE_FALSE
    return answer is None or (answer == SOCKET_ERROR and ("Send" in name or "Receive" in name))


def tryOut(one: Recorder, name: str, positional: list[Any], named: dict[str, Any]) -> None:
    """
    Call a member, and judge what comes of it.
    """
    SetLastError(0)
    try:
        answer = getattr(one, name)(*positional, **named)
    except TypeError as error:
        parameters = {parameter.name for parameter in parametersOf(name)} | ALSO.get(name, set())
        assert str(error).split()[0] in parameters, f"{error} names no parameter"
        return
    code = GetLastError()
    assert isinstance(code, WSAError)
    if failed(name, answer):
        assert code.name in documented(name), f"{code} is not documented"


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """
    Where texts that are taken for paths may become files.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("paths"))
        yield


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_bears_any_arguments_in_any_state(name: str) -> None:
    with reactorOf("epoll-window") as reactor:
        reactor.installNameResolver(Never())
        sockets: list[Recorder] = []

        @settings(max_examples=120, deadline=None, database=None, derandomize=True)
        @given(st.sampled_from(sorted(STATES)), calls(name))
        def examples(state: str, arguments: tuple[list[Any], dict[str, Any]]) -> None:
            one = STATES[state](reactor)
            sockets.append(one)
            tryOut(one, name, *arguments)

        def script() -> Script:
            yield turns(20)

        examples()
        # Whatever was made of the sockets, the reactor bears it.
        with capturedLogs() as events:
            play(reactor, script())
        assert [event for event in events if "log_failure" in event] == []


MISPLACED: dict[str, tuple[Callable[[CAsyncSocket], Any], str]] = {
    "a level for a length": (
        lambda one: one.SetSockOpt(TCP_NODELAY, True, IPPROTO_TCP),
        "nOptionLen can't be IPPROTO_TCP: write nLevel=IPPROTO_TCP",
    ),
    "a level for the length of a buffer": (
        lambda one: one.GetSockOpt(TCP_NODELAY, bytearray(8), IPPROTO_TCP),
        "lpOptionLen can't be IPPROTO_TCP: write nLevel=IPPROTO_TCP",
    ),
    "a level for a value": (
        lambda one: one.SetSockOpt(TCP_NODELAY, IPPROTO_TCP),
        "lpOptionValue can't be IPPROTO_TCP: write nLevel=IPPROTO_TCP",
    ),
    "a level for a buffer": (
        lambda one: one.GetSockOpt(TCP_NODELAY, IPPROTO_TCP),
        "lpOptionValue can't be IPPROTO_TCP: write nLevel=IPPROTO_TCP",
    ),
    "the order of the socket module": (
        lambda one: one.SetSockOpt(IPPROTO_TCP, TCP_NODELAY, True),
        "nOptionName can't be IPPROTO_TCP: write nLevel=IPPROTO_TCP",
    ),
    "a flag for the length to send": (
        lambda one: one.Send(b"data", MSG_OOB),
        "nBufLen can't be MSG_OOB: write nFlags=MSG_OOB",
    ),
    "a flag of the socket module": (
        lambda one: one.Send(b"data", socket.MSG_OOB),
        "nBufLen can't be MSG_OOB: write nFlags=MSG_OOB",
    ),
    "a flag for the length to receive": (
        lambda one: one.Receive(bytearray(8), MSG_PEEK),
        "nBufLen can't be MSG_PEEK: write nFlags=MSG_PEEK",
    ),
    "a flag for the length of an address": (
        lambda one: one.SendTo(b"data", 4, (LOCALHOST, 7), MSG_DONTROUTE),
        "nSockAddrLen can't be MSG_DONTROUTE: write nFlags=MSG_DONTROUTE",
    ),
    "a flag for a host": (
        lambda one: one.SendTo(b"data", 4, 7, MSG_DONTROUTE),
        "lpszHostAddress can't be MSG_DONTROUTE: write nFlags=MSG_DONTROUTE",
    ),
    "an event for a direction": (
        lambda one: one.ShutDown(FD_WRITE),
        "nHow can't be FD_WRITE: write lEvent=FD_WRITE",
    ),
    "an option for a command": (
        lambda one: one.IOCtl(SO_ERROR),
        "lCommand can't be SO_ERROR: write nOptionName=SO_ERROR",
    ),
    "a flag for the events": (
        lambda one: one.AsyncSelect(MSG_OOB),
        "lEvent can't be MSG_OOB: write nFlags=MSG_OOB",
    ),
}


@pytest.mark.parametrize(("call", "words"), MISPLACED.values(), ids=MISPLACED)
def test_a_constant_in_the_place_of_another_parameter_is_a_type_error(
    call: Callable[[CAsyncSocket], Any], words: str
) -> None:
    """
    It is a number to both, so that something else would be done, and said to be done well.
    """
    with reactorOf("epoll-window") as reactor:
        # Of a stream a SendTo ignores the address.
        one = opened(reactor, AF_INET, SOCK_DGRAM if words.startswith(("nSockAddrLen", "lpsz")) else SOCK_STREAM)
        with pytest.raises(TypeError) as caught:
            call(one)
        assert str(caught.value) == words


def test_events_are_no_type_of_socket() -> None:
    with reactorOf("epoll-window") as reactor:
        one = Recorder(reactor)
        with pytest.raises(TypeError, match="^nSocketType can't be FD_READ: write lEvent=FD_READ$"):
            one.Create(0, FD_READ)
        with pytest.raises(TypeError, match="^nSocketPort can't be SOCK_DGRAM: write nSocketType=SOCK_DGRAM$"):
            one.Create(socket.SOCK_DGRAM)
        assert one.fileno() == -1


@played
def test_a_flag_is_no_number_of_bytes_to_an_awaited_Receive(reactor: Any) -> Script:
    one = CSocket(reactor)
    must(one.Create())
    with pytest.raises(TypeError, match="^lpBuf can't be MSG_PEEK: write nFlags=MSG_PEEK$"):
        one.Receive(MSG_PEEK)
    one.Close()
    yield turns()


class Odd:
    """
    Of this not even the truth can be told, as of an array of C{numpy}.
    """

    def __bool__(self) -> bool:
        raise ValueError("neither")

    def __eq__(self, other: object) -> Any:
        return self


@pytest.mark.parametrize("value", [released(), Odd(), "text", 1.5], ids=["released", "odd", "text", "float"])
@played
def test_the_short_ways_of_a_handler_bear_any_arguments_too(reactor: Any, value: Any) -> Script:
    """
    In OnReceive the first Receive has a way of its own, and a Send with a buffer alone.
    """
    told: list[str] = []

    def receive(self: Any) -> None:
        buffer = bytearray(8)
        for wrong in ((value,), (buffer, value), (buffer, None, value), (buffer, value, value)):
            with pytest.raises(TypeError, match="^(lpBuf|nBufLen|nFlags) "):
                self.Receive(*wrong)
            with pytest.raises(TypeError, match="^(lpBuf|nBufLen|nFlags) "):
                self.Send(*wrong)
            told.append(str(GetLastError()))
        assert self.Receive(buffer, True) == 1

    child, peer = accepted(reactor, OnReceive=receive)
    with peer:
        peer.sendall(b"data")
        yield lambda: len(told) >= 4


@pytest.mark.parametrize("wide", [lambda data: array.array("d", data), lambda data: memoryview(data).cast("d")])
@played
def test_what_was_sent_is_counted_in_bytes_whatever_the_elements_are(reactor: Any, wide: Any) -> Script:
    """
    A send that took a part is followed by OnSend, also where it took more bytes than there are elements.
    """
    (probe, silent), (child, peer) = accepted(reactor), accepted(reactor)
    with silent, peer:
        room = must(probe.Send(bytes(1 << 26)))
        yield lambda: child.names() == ["OnSend"]
        data = wide(bytes(room * 2 // 8 * 8))
        total = must(child.Send(data))
        assert len(data) < total < room * 2 // 8 * 8
        peer.settimeout(LIMIT)
        while total:
            total -= len(peer.recv(1 << 20))
        yield lambda: child.names() == ["OnSend"] * 2
