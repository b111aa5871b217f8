"""
UNIX sockets, which the reference does not know, through C{CreateEx} and C{Socket}.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from _play import Script, played, turns
from _reactors import Recorder, must
from twisted.internet.address import UNIXAddress

from twisted_casync import (
    AF_UNIX,
    FIONREAD,
    PF_UNIX,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOCKET_ERROR,
    GetLastError,
    WSAError,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    A working directory of its own: its files have paths short enough for a socket.
    """
    monkeypatch.chdir(tmp_path)
    return tmp_path


def named(reactor: Any, path: Any, kind: int = SOCK_STREAM, **handlers: Any) -> Recorder:
    """
    @return: a UNIX socket with a name.
    """
    one = Recorder(reactor, **handlers)
    must(one.CreateEx((AF_UNIX, kind, 0, "", path)))
    return one


def listening(reactor: Any, path: Any, **handlers: Any) -> Recorder:
    listener = named(reactor, path, **handlers)
    must(listener.Listen())
    return listener


def unnamed(reactor: Any, kind: int = SOCK_STREAM, **handlers: Any) -> Recorder:
    one = Recorder(reactor, **handlers)
    must(one.Socket(kind, nAddressFormat=PF_UNIX))
    return one


def echo(self: Recorder) -> None:
    buffer = bytearray(100)
    count = must(self.Receive(buffer))
    must(self.Send(buffer[:count]))


# -- streams


@played
def test_a_stream_is_accepted_echoed_and_closed(reactor: Any, folder: Path) -> Script:
    child = Recorder(reactor, OnReceive=echo, OnClose=lambda self: self.Close())
    listener = listening(reactor, "door", OnAccept=lambda self: must(self.Accept(child)))
    client = unnamed(reactor)
    # Nothing has to be waited for, and it is told all the same.
    assert client.Connect("door") in (True, False)
    yield lambda: len(client.told) >= 2 and len(child.told) >= 1
    assert client.told == [("OnConnect", 0), ("OnSend", 0)]
    assert listener.told == [("OnAccept", 0)]
    assert child.told == [("OnSend", 0)]
    must(client.Send(b"hello"))
    yield lambda: "OnReceive" in client.names()
    assert client.IOCtl(FIONREAD) == 5
    client.readAll()
    assert client.received == b"hello"
    must(client.ShutDown())
    yield lambda: "OnClose" in client.names()
    yield turns()
    assert child.told == [("OnSend", 0), ("OnReceive", 0), ("OnClose", 0)]
    assert client.told[-1] == ("OnClose", 0)
    assert client.Receive(bytearray(1)) == 0


@played
def test_a_listener_that_closes_unread_data_resets_the_connection(reactor: Any, folder: Path) -> Script:
    listener, client, child = listening(reactor, "door"), unnamed(reactor), Recorder(reactor)
    client.Connect("door")
    yield lambda: "OnAccept" in listener.names()
    must(listener.Accept(child))
    must(client.Send(b"unread"))
    child.Close()
    yield lambda: "OnClose" in client.names()
    assert client.told[-1] == ("OnClose", WSAError.WSAECONNRESET)
    assert client.Receive(bytearray(1)) == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAECONNRESET


@played
def test_names_are_paths_and_the_client_has_none(reactor: Any, folder: Path) -> Script:
    listener, client, child = listening(reactor, "door"), unnamed(reactor), Recorder(reactor)
    client.Connect("door")
    yield lambda: "OnConnect" in client.names() and "OnAccept" in listener.names()
    assert listener.Accept(child, True) == ""
    assert listener.GetSockNameEx() == child.GetSockNameEx() == client.GetPeerNameEx() == ("door", 0)
    assert child.GetPeerNameEx() == ("", 0)
    # The members that know no other family than IPv4 have no room for a path.
    assert listener.GetSockName() is None
    assert GetLastError() == WSAError.WSAEFAULT
    assert client.GetPeerName(110) == ("door", 0)


@pytest.mark.parametrize("path", ["door", b"door", UNIXAddress("door")], ids=["str", "bytes", "UNIXAddress"])
@played
def test_a_path_is_text_bytes_or_twisteds_address(reactor: Any, folder: Path, path: Any) -> Script:
    listener = unnamed(reactor)
    assert listener.Bind(path) is True
    must(listener.Listen())
    assert (folder / "door").is_socket()
    client = unnamed(reactor)
    client.Connect(path)
    yield lambda: "OnConnect" in client.names()
    assert client.told[0] == ("OnConnect", 0)


@played
def test_a_path_that_was_bound_is_in_use_also_when_nobody_listens(reactor: Any, folder: Path) -> Script:
    one = named(reactor, "door")
    two = unnamed(reactor)
    assert two.Bind("door") is False
    assert GetLastError() == WSAError.WSAEADDRINUSE
    assert Recorder(reactor).CreateEx((AF_UNIX, SOCK_STREAM, 0, "", "door")) is False
    assert GetLastError() == WSAError.WSAEADDRINUSE
    one.Close()
    assert two.Bind("door") is False
    os.unlink("door")
    assert two.Bind("door") is True
    assert two.Bind("window") is False
    assert GetLastError() == WSAError.WSAEINVAL
    yield turns()
    assert one.told == two.told == []


@played
def test_a_socket_of_this_family_that_has_no_name_does_not_listen(reactor: Any) -> Script:
    one = unnamed(reactor)
    for answer in (one.Listen(), one.GetSockNameEx(), one.Bind(0)):
        assert not answer
        assert GetLastError() == WSAError.WSAEINVAL
    assert one.Receive(bytearray(1)) == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAENOTCONN
    yield turns()
    assert one.told == []


@played
def test_nobody_at_the_path_is_a_failure_at_once_and_another_try_is_allowed(reactor: Any, folder: Path) -> Script:
    client = unnamed(reactor)
    assert client.Connect("nowhere") is False
    assert GetLastError() == WSAError.WSAEINVAL
    named(reactor, "dead").Close()
    assert client.Connect("dead") is False
    assert GetLastError() == WSAError.WSAECONNREFUSED
    yield turns()
    assert client.told == []
    listening(reactor, "door")
    client.Connect("door")
    yield lambda: "OnSend" in client.names()
    assert client.told == [("OnConnect", 0), ("OnSend", 0)]


@played
def test_a_queue_that_is_full_refuses(reactor: Any, folder: Path) -> Script:
    listener = named(reactor, "door")
    must(listener.Listen(1))
    clients = []
    while True:
        client = unnamed(reactor)
        if not client.Connect("door") and GetLastError() != WSAError.WSAEWOULDBLOCK:
            break
        clients.append(client)
    assert GetLastError() == WSAError.WSAECONNREFUSED
    assert 1 <= len(clients) <= 3
    yield lambda: "OnAccept" in listener.names()
    assert client.told == []
    # When there is room again it may try again.
    must(listener.Accept(Recorder(reactor)))
    client.Connect("door")
    yield lambda: "OnConnect" in client.names()
    assert client.told[0] == ("OnConnect", 0)


# -- paths that are none


@pytest.mark.parametrize("length, fits", [(107, True), (108, False), (5000, False)])
@played
def test_a_path_has_a_longest_length(reactor: Any, folder: Path, length: int, fits: bool) -> Script:
    path = "x" * length
    one = unnamed(reactor)
    assert one.Bind(path) is fits
    if not fits:
        assert GetLastError() == WSAError.WSAEFAULT
        assert one.Connect(path) is False
        assert GetLastError() == WSAError.WSAEFAULT
        sender = unnamed(reactor, SOCK_DGRAM)
        assert sender.SendTo(b"x", None, path) == SOCKET_ERROR
        assert GetLastError() == WSAError.WSAEFAULT
        assert Recorder(reactor).CreateEx((AF_UNIX, SOCK_STREAM, 0, "", path)) is False
        assert GetLastError() == WSAError.WSAEFAULT
    yield turns()
    assert one.told == []


@pytest.mark.parametrize("path", ["a\0b", "\ud800"])
@played
def test_text_that_can_be_no_path_is_invalid(reactor: Any, folder: Path, path: str) -> Script:
    one, sender = unnamed(reactor), unnamed(reactor, SOCK_DGRAM)
    for answer in (one.Bind(path), one.Connect(path), sender.SendTo(b"x", None, path) != SOCKET_ERROR):
        assert answer is False
        assert GetLastError() == WSAError.WSAEINVAL
    assert list(folder.iterdir()) == []
    yield turns()


@played
def test_a_folder_that_is_missing_or_none_is_invalid(reactor: Any, folder: Path) -> Script:
    one = unnamed(reactor)
    Path("file").write_bytes(b"")
    for path in ("missing/door", "file/door"):
        assert one.Bind(path) is False
        assert GetLastError() == WSAError.WSAEINVAL
    yield turns()


@played
def test_addresses_of_another_family_are_refused(reactor: Any, folder: Path) -> Script:
    one, other = unnamed(reactor), Recorder(reactor)
    must(other.Socket())
    for answer in (one.Bind(("127.0.0.1", 0)), one.Connect(("127.0.0.1", 7)), other.Bind("door"), other.Bind(b"door")):
        assert answer is False
        assert GetLastError() == WSAError.WSAEAFNOSUPPORT
    yield turns()


# -- Linux' abstract namespace, and sockets that come connected


@played
def test_a_name_may_be_in_the_abstract_namespace(reactor: Any, folder: Path) -> Script:
    name = b"\0" + os.fsencode(folder)[-60:]
    listener, client = listening(reactor, name), unnamed(reactor)
    client.Connect(name)
    yield lambda: "OnConnect" in client.names()
    assert client.told[0] == ("OnConnect", 0)
    assert listener.GetSockNameEx() == (os.fsdecode(name), 0)
    assert list(folder.iterdir()) == []


@played
def test_a_pair_of_sockets_can_be_attached(reactor: Any) -> Script:
    left, right = socket.socketpair()
    one, two = Recorder(reactor), Recorder(reactor, OnReceive=echo)
    must(one.Attach(left))
    must(two.Attach(right))
    yield lambda: one.told == two.told == [("OnSend", 0)]
    must(one.Send(b"hello"))
    yield lambda: "OnReceive" in one.names()
    assert one.Receive(bytearray(9)) == 5
    two.Close()
    yield lambda: one.told[-1] == ("OnClose", 0)


# -- datagrams


@played
def test_datagrams_come_with_the_path_of_their_source(reactor: Any, folder: Path) -> Script:
    server, client = named(reactor, "server", SOCK_DGRAM), named(reactor, "client", SOCK_DGRAM)
    yield lambda: server.told == client.told == [("OnSend", 0)]
    assert client.SendTo(b"question", None, "server") == 8
    yield lambda: "OnReceive" in server.names()
    buffer = bytearray(99)
    assert server.ReceiveFrom(buffer) == (8, "client")
    assert buffer[:8] == b"question"
    assert server.SendTo(b"answer", None, "client") == 6
    yield lambda: "OnReceive" in client.names()
    assert client.ReceiveFrom(buffer, 3) == (SOCKET_ERROR, "server")
    assert GetLastError() == WSAError.WSAEMSGSIZE
    assert client.ReceiveFrom(buffer) == (SOCKET_ERROR, None)
    assert GetLastError() == WSAError.WSAEWOULDBLOCK


@played
def test_a_source_without_a_name_is_said_to_have_none(reactor: Any, folder: Path) -> Script:
    server, client = named(reactor, "server", SOCK_DGRAM), unnamed(reactor, SOCK_DGRAM)
    must(client.Connect("server"))
    assert client.GetPeerNameEx() == ("server", 0)
    assert client.Send(b"") == 0
    yield lambda: "OnReceive" in server.names()
    count, source = server.ReceiveFrom(bytearray(9))
    assert count == 0 and not source
    # There is no way back.
    assert server.SendTo(b"x", None, "") == SOCKET_ERROR


@played
def test_a_receiver_that_is_full_is_waited_for(reactor: Any, folder: Path) -> Script:
    server, client = named(reactor, "server", SOCK_DGRAM), unnamed(reactor, SOCK_DGRAM)
    must(client.Connect("server"))
    yield lambda: client.names() == ["OnSend"]
    sent = 0
    while client.Send(b"%04d" % sent) > 0:
        sent += 1
    assert GetLastError() == WSAError.WSAEWOULDBLOCK
    yield turns()
    assert client.names() == ["OnSend"]
    server.readAll()
    assert server.received == b"".join(b"%04d" % number for number in range(sent))
    yield lambda: client.names() == ["OnSend"] * 2
    assert client.Send(b"more") == 4


@played
def test_a_receiver_that_is_gone_refuses(reactor: Any, folder: Path) -> Script:
    server, client = named(reactor, "server", SOCK_DGRAM), unnamed(reactor, SOCK_DGRAM)
    must(client.Connect("server"))
    server.Close()
    assert client.Send(b"x") == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAECONNRESET
    assert client.Connect("server") is False
    assert GetLastError() == WSAError.WSAECONNREFUSED
    assert client.SendTo(b"x", None, "missing") == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAEINVAL
    yield turns()
    assert "OnClose" not in client.names()
