"""
Typical courses of events, each a small program over real sockets that is recorded as it runs.

What a program does by itself stands in C{play}; what it does when it is told something, in the handlers of its
sockets.  The names in C{columns} are the sockets that a diagram shows.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import termios
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from twisted_casync import CAsyncSocket
from twisted_casync.testing._recorder import RecordingSocket
from twisted_casync.testing._recording import Event, Recording
from twisted_casync.testing._resolver import KnownHosts
from twisted_casync.testing._runner import Pump
from twisted_casync.winsock import (
    IPPROTO_TCP,
    LINGER,
    MSG_OOB,
    SO_LINGER,
    SO_RCVBUF,
    SO_SNDBUF,
    SOCK_DGRAM,
    TCP_NODELAY,
    GetLastError,
)

__all__ = ["COURSES", "Course", "Stage"]

_HOST = "127.0.0.1"
_QUIET = 0.02  # seconds without a notification, after which a course goes on
_PORT = 7007
"""The port that a page shows for that of the server, which was chosen by the system."""
_CLIENTS_PORT = 50123
"""The same for the other end."""
_UNSENT = 0x894B
"""C{SIOCOUTQNSD}: the bytes that a connection has not sent yet; C{TIOCOUTQ} counts those on their way too (tcp(7))."""

Handlers = Mapping[str, Callable[[Any], object]]


class _Program(CAsyncSocket):
    """
    A program's socket, whose handlers are given when it is made.
    """

    does: Handlers = {}

    def _do(self, name: str) -> None:
        if name in self.does:
            self.does[name](self)

    def OnAccept(self, nErrorCode: int) -> None:
        self._do("OnAccept")

    def OnConnect(self, nErrorCode: int) -> None:
        self._do("OnConnect")

    def OnReceive(self, nErrorCode: int) -> None:
        self._do("OnReceive")

    def OnSend(self, nErrorCode: int) -> None:
        self._do("OnSend")

    def OnOutOfBandData(self, nErrorCode: int) -> None:
        self._do("OnOutOfBandData")

    def OnClose(self, nErrorCode: int) -> None:
        self._do("OnClose")


class _Actor(RecordingSocket, _Program):
    """
    The same, recorded.
    """


@dataclass
class Stage:
    """
    Where a course is played: makes its sockets, lets the reactor turn, and has the recording.

    @ivar phases: what happened so far, in pieces: between two of them the reactor had come to rest.
    @ivar ports: the ports that the system chose, and those to be shown.
    @ivar address: of L{listening}.
    """

    reactor: Any
    recording: Recording = field(default_factory=Recording)
    phases: list[list[Event]] = field(default_factory=list)
    ports: dict[int, int] = field(default_factory=dict)
    address: tuple[str, int] = (_HOST, 0)
    _actors: list[_Actor] = field(default_factory=list)
    _kept: list[socket.socket] = field(default_factory=list)

    def actor(self, name: str, **does: Callable[[Any], object]) -> Any:
        """
        @param does: what is to be done in which handler.
        @return: a recorded socket.
        """
        made = _Actor(self.reactor)
        made.does = does
        self._actors.append(made)
        return self.recording.watch(made, name)

    async def rest(self) -> None:
        """
        Let the reactor turn until nothing is told any more.
        """
        await Pump(self.reactor, _QUIET).done
        start = sum(map(len, self.phases))
        self.phases.append(self.recording.events[start:])

    def cut(self) -> None:
        """
        What has happened so far is not to be shown.
        """
        self.recording.events.clear()
        self.phases.clear()

    def listening(self, **does: Callable[[Any], object]) -> Any:
        """
        @return: a socket that listens.
        """
        listener = self.actor("listener", **does)
        _must(listener.Create(lpszSocketAddress=_HOST) and listener.Listen())
        self.address = _HOST, self.port(listener, _PORT)
        self.cut()
        return listener

    async def connected(self, client: Handlers, server: Handlers) -> tuple[Any, Any]:
        """
        @param client: the handlers of the one end.
        @param server: the handlers of the other.
        @return: two sockets that are connected, and were told so.
        """
        here, there = self.actor("client"), self.actor("server")
        listener = self.listening(OnAccept=lambda self: _must(self.Accept(there)))
        here.Create()
        here.Connect(*self.address)
        await self.rest()
        listener.Close()
        for end, does in ((here, client), (there, server)):
            end.does = does
            # Each Send is to be a segment of its own.
            end.SetSockOpt(TCP_NODELAY, True, nLevel=IPPROTO_TCP)
        self.cut()
        return here, there

    def deadPort(self) -> int:
        """
        @return: a port where nobody listens, and which a socket of the course can have with L{freed}.
        """
        self._kept.append(socket.socket())
        self._kept[-1].bind((_HOST, 0))
        port: int = self._kept[-1].getsockname()[1]
        self.ports[port] = _PORT
        return port

    def freed(self) -> None:
        """
        Give up the ports that were kept.
        """
        while self._kept:
            self._kept.pop().close()

    def port(self, socket: Any, shown: int) -> int:
        """
        @param shown: what is to be shown for the port of a socket.
        @return: the port.
        """
        port: int = socket.GetSockName()[1]
        self.ports[port] = shown
        return port

    def leave(self) -> None:
        """
        Close what is open.
        """
        self.freed()
        for actor in self._actors:
            actor.recording = None
            actor.Close()


@dataclass(frozen=True)
class Course:
    """
    @ivar columns: the sockets to be shown.
    @ivar play: what happens.
    """

    columns: tuple[str, ...]
    play: Callable[[Stage], Awaitable[None]]


COURSES: dict[str, Course] = {}
"""By name."""


def _course(*columns: str) -> Callable[[Callable[[Stage], Awaitable[None]]], Callable[[Stage], Awaitable[None]]]:
    def add(play: Callable[[Stage], Awaitable[None]]) -> Callable[[Stage], Awaitable[None]]:
        COURSES[play.__name__.strip("_").replace("_", "-")] = Course(columns, play)
        return play

    return add


def _must(ok: object) -> None:
    if not ok:
        raise RuntimeError(f"a course could not be played: {GetLastError()}")


def _receive(self: Any) -> bytes:
    buff = bytearray(4096)
    nRead = self.Receive(buff)
    return bytes(buff[: max(nRead, 0)])


def _echo(self: Any) -> None:
    self.Send(_receive(self))


def _close(self: Any) -> None:
    self.Close()


@_course("client", "server", "listener")
async def _connect_and_echo(stage: Stage) -> None:
    server = stage.actor("server", OnReceive=_echo, OnClose=_close)
    stage.listening(OnAccept=lambda self: self.Accept(server))
    client = stage.actor("client", OnReceive=_receive)
    client.Create()
    client.Connect(*stage.address)
    await stage.rest()
    client.Send(b"hello")
    await stage.rest()
    client.Close()
    await stage.rest()


@_course("client", "listener")
async def _refused(stage: Stage) -> None:
    port = stage.deadPort()
    client = stage.actor("client")
    client.Create()
    client.Connect(_HOST, port)
    await stage.rest()
    stage.freed()
    listener = stage.actor("listener")
    _must(listener.Create(port))
    listener.Listen()
    client.Connect(_HOST, port)
    await stage.rest()


def _arrived(sender: Any) -> None:
    """
    Wait until nothing that was sent is on its way: on a busy machine Linux goes on moving it to the peer's buffer after
    C{send} has returned, and there would be room again without a Receive of the peer's.
    """
    while _queued(sender, termios.TIOCOUTQ) != _queued(sender, _UNSENT):
        os.sched_yield()


def _queued(sender: Any, request: int) -> int:
    return int.from_bytes(fcntl.ioctl(sender.fileno(), request, bytes(4)), sys.byteorder)


@_course("client", "server")
async def _would_block(stage: Stage) -> None:
    chunk = bytes(4096)
    rest = chunk * 3

    def goOn(self: Any) -> None:
        nonlocal rest
        rest = rest[self.Send(rest) :]
        if not rest:
            self.ShutDown()

    client, server = await stage.connected({"OnSend": goOn}, {})
    client.SetSockOpt(SO_SNDBUF, 65536)
    server.SetSockOpt(SO_RCVBUF, 65536)
    # How often a reader is told depends on the machine: this one reads when it likes.
    server.AsyncSelect(0)
    stage.cut()
    while client.Send(chunk) > 0:
        _arrived(client)
    await stage.rest()
    while _receive(server):
        pass
    await stage.rest()
    while _receive(server):
        pass
    server.Close()
    await stage.rest()


@_course("client", "server")
async def _half_close(stage: Stage) -> None:
    def answer(self: Any) -> None:
        self.Send(b"answer")
        self.Close()

    client, _ = await stage.connected(
        {"OnReceive": _receive, "OnClose": _close}, {"OnReceive": _receive, "OnClose": answer}
    )
    client.Send(b"question")
    client.ShutDown()
    await stage.rest()


@_course("client", "server")
async def _close_behind_unread(stage: Stage) -> None:
    def five(self: Any) -> None:
        self.Receive(bytearray(5))

    client, server = await stage.connected({}, {"OnClose": _close})
    client.Send(b"last words")
    client.Close()
    await stage.rest()
    server.does = {"OnReceive": five, **server.does}
    five(server)
    await stage.rest()


@_course("client", "server")
async def _reset(stage: Stage) -> None:
    client, _ = await stage.connected({}, {"OnClose": _close})
    client.Send(b"unread")
    await stage.rest()
    client.SetSockOpt(SO_LINGER, LINGER(1, 0))
    client.Close()
    await stage.rest()


@_course("client", "server")
async def _urgent(stage: Stage) -> None:
    def urgent(self: Any) -> None:
        self.Receive(bytearray(1), 1, MSG_OOB)

    client, _ = await stage.connected({}, {"OnReceive": _receive, "OnOutOfBandData": urgent})
    client.Send(b"before")
    client.Send(b"!", None, MSG_OOB)
    client.Send(b"behind")
    await stage.rest()


@_course("listener", "first", "second")
async def _accept_several(stage: Stage) -> None:
    accepted = iter((stage.actor("first"), stage.actor("second")))
    stage.listening(OnAccept=lambda self: self.Accept(next(accepted)))
    for client in (stage.actor("one"), stage.actor("other")):
        client.Create()
        client.Connect(*stage.address)
    await stage.rest()


@_course("client", "server")
async def _datagrams(stage: Stage) -> None:
    def answer(self: Any) -> None:
        buff = bytearray(4096)
        nRead, address = self.ReceiveFrom(buff)
        self.SendTo(buff[:nRead].upper(), None, address)

    def receive(self: Any) -> None:
        self.ReceiveFrom(bytearray(4096))

    client, server = stage.actor("client", OnReceive=receive), stage.actor("server", OnReceive=answer)
    server.Create(0, SOCK_DGRAM, lpszSocketAddress=_HOST)
    client.Create(0, SOCK_DGRAM, lpszSocketAddress=_HOST)
    port = stage.port(server, _PORT)
    stage.port(client, _CLIENTS_PORT)
    await stage.rest()
    stage.cut()
    client.SendTo(b"ping", None, port, _HOST)
    await stage.rest()
    server.Close()
    client.Connect(_HOST, port)
    await stage.rest()
    client.Send(b"anybody?")
    await stage.rest()


@_course("client", "listener", "stranger")
async def _name_lookup(stage: Stage) -> None:
    # At the first address nobody listens.
    hosts = {"server.example": ("127.0.0.2", _HOST)}
    stage.listening()
    former = stage.reactor.nameResolver
    stage.reactor.installNameResolver(KnownHosts(stage.reactor, hosts))
    try:
        client, stranger = stage.actor("client"), stage.actor("stranger")
        client.Create()
        client.Connect("server.example", stage.address[1])
        stranger.Create()
        stranger.Connect("nowhere.example", stage.address[1])
        await stage.rest()
    finally:
        stage.reactor.installNameResolver(former)
