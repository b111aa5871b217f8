"""
What happened to sockets, as a list of events in order: each call of a member, and each notification.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from twisted_casync.winsock import WSAError

__all__ = ["Event", "Recording"]


class _Recordable(Protocol):
    recording: Recording | None


_S = TypeVar("_S", bound=_Recordable)


@dataclass(frozen=True)
class Event:
    """
    A call of a member, or a notification.

    Two events are equal when all of this is, so that a test can compare a recording with what it expects.

    @ivar sock: the name of the socket in its recording.
    @ivar name: the member, such as C{"Send"}, or the handler, such as C{"OnReceive"}.
    @ivar arguments: those of a call, in the order of the member's parameters: those passed by name too, with defaults
        where one before them was left out.  A buffer is there by its length in bytes where data was moved through it,
        else by what it held after the call; a socket by its name.  Of a notification: none.
    @ivar result: what the call returned, a socket by its name; L{None} of a notification, and of a call that raised.
    @ivar error: of a notification its error code; of a call what it left in C{GetLastError} when it failed, and
        C{NO_ERROR} when not.
    @ivar data: the bytes that the call has moved, or seen with C{MSG_PEEK}.
    @ivar within: the notification in whose handler this was called, such as C{"server.OnReceive"}; empty when none was
        being handled.
    """

    sock: str
    name: str
    arguments: tuple[Any, ...] = ()
    result: Any = None
    error: WSAError = WSAError.NO_ERROR
    data: bytes = b""
    within: str = ""

    def isNotification(self) -> bool:
        """
        @return: whether this is the call of a handler.
        """
        return self.name.startswith("On")

    def __str__(self) -> str:
        """
        @return: the event in one line.  A call in a handler is indented.
        """
        indent = "  " if self.within else ""
        if self.isNotification():
            return f"{indent}{self.sock}.{self.name}({_written(self.error)})"
        shown = ", ".join(map(_written, self.arguments))
        failure = f", {self.error.name}" if self.error else ""
        data = f", {self.data!r}" if self.data else ""
        return f"{indent}{self.sock}.{self.name}({shown}) = {_written(self.result)}{failure}{data}"


def _written(value: Any) -> str:
    return str(value.name) if isinstance(value, Enum) else repr(value)


class Recording:
    """
    The events of some sockets, in the order in which they happened.

    A C{RecordingSocket} takes part when its attribute C{recording} is this one, which L{watch} sees to.  It may be an
    attribute of its class, so that those are recorded which a program makes by itself::

        class RecordingChat(RecordingSocket, ChatSocket):
            recording = Recording()

    @ivar events: what happened so far.  A notification stands before the calls that its handler made; a call is there
        when it has returned.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._names: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._taken: set[str] = set()
        self._within: list[str] = []

    def watch(self, socket: _S, name: str | None = None) -> _S:
        """
        Record what happens to a socket from now on.

        @param socket: a C{RecordingSocket}.
        @param name: under which name.  One that nobody named has the name of its class, and a number from the second of
            its class on: C{"ChatSocket"}, C{"ChatSocket-2"}.
        @return: the socket.
        @raise ValueError: another socket has that name.
        """
        if name is not None:
            if name in self._taken and self._names.get(socket) != name:
                raise ValueError(f"{name!r} is the name of another socket")
            self._names[socket] = name
            self._taken.add(name)
        socket.recording = self
        return socket

    def nameOf(self, socket: Any) -> str:
        """
        @param socket: an object.
        @return: its name in this recording.
        """
        name = self._names.get(socket)
        if name is None:
            kind = name = type(socket).__name__
            number = 1
            while name in self._taken:
                number += 1
                name = f"{kind}-{number}"
            self._names[socket] = name
            self._taken.add(name)
        return name

    def names(self, sock: str | None = None) -> list[str]:
        """
        @param sock: the name of a socket; L{None} for all.
        @return: the members and handlers that were called, in order.
        """
        return [event.name for event in self.events if sock in (None, event.sock)]

    def __str__(self) -> str:
        """
        @return: the events, one a line.
        """
        return "\n".join(map(str, self.events))

    def called(
        self, socket: Any, name: str, arguments: tuple[Any, ...], result: Any, error: WSAError, data: bytes
    ) -> None:
        """
        Write a call down.

        @param socket: whose member was called.
        @param name: the member.
        @param arguments: as in L{Event}, and so are the others, but that buffers and sockets may be themselves.
        """
        shown = tuple(self._shown(argument) for argument in arguments)
        within = self._within[-1] if self._within else ""
        self.events.append(Event(self.nameOf(socket), name, shown, self._shown(result), error, data, within))

    @contextmanager
    def handling(self, socket: Any, name: str, error: WSAError) -> Iterator[None]:
        """
        Write a notification down; what is called within this context is called in its handler.

        @param socket: who is told.
        @param name: the handler.
        @param error: its error code.
        """
        sock = self.nameOf(socket)
        within = self._within[-1] if self._within else ""
        self.events.append(Event(sock, name, error=error, within=within))
        self._within.append(f"{sock}.{name}")
        try:
            yield
        finally:
            self._within.pop()

    def _shown(self, value: Any) -> Any:
        # Neither a socket nor a buffer is kept: what is written down stays as it is.
        if getattr(value, "recording", None) is self:
            return self.nameOf(value)
        if isinstance(value, (bytearray, memoryview)):
            return bytes(value)
        return type(value).__name__ if hasattr(value, "m_hSocket") else value
