"""
A socket that remembers its notifications, for tests that wait for them, and writes down what is done with it.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from twisted_casync import CAsyncSocket
from twisted_casync._calls import HANDLERS, MEMBERS, inOrder, leftError, seen, setErrorAside
from twisted_casync.testing._recording import Recording
from twisted_casync.winsock import WSAError

__all__ = ["RecordingSocket"]

_T = TypeVar("_T", bound=type)


def _recorded(cls: _T) -> _T:
    """
    Make each member of a C{RecordingSocket} one that writes its calls down.
    """
    for name in MEMBERS:
        setattr(cls, name, _recording(cls, name))
    return cls


def _recording(cls: type, name: str) -> Callable[..., Any]:
    @functools.wraps(getattr(CAsyncSocket, name))
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        method = getattr(super(cls, self), name)
        recording = self.recording
        if recording is None or self._as_calling:
            # What a member calls by itself, the program did not.
            return method(*args, **kwargs)
        self._as_calling = True
        before = setErrorAside()
        result: Any = None
        try:
            result = method(*args, **kwargs)
            return result
        finally:
            self._as_calling = False
            error = leftError(before)
            arguments, data = seen(name, inOrder(name, args, kwargs), result, error)
            recording.called(self, name, arguments, result, error, bytes(data))

    return call


@_recorded
class RecordingSocket(CAsyncSocket):
    """
    A C{CAsyncSocket} that writes down each notification, and tells when one has come.

    It can stand alone, or in front of a class under test, whose handlers then run as always::

        class RecordingChat(RecordingSocket, ChatSocket):
            pass

    @ivar notifications: every notification so far, in order: the name of the handler, and its error code.
    @ivar recording: where its notifications and the calls of its members are written down, together with those of other
        sockets; L{None}, as it is at first: nowhere.
    """

    recording: Recording | None = None
    _as_calling = False

    def __init__(self, reactor: Any = None) -> None:
        """
        @param reactor: as for C{CAsyncSocket}.
        """
        # The class under test may not take one.
        super().__init__(*(() if reactor is None else (reactor,)))
        self.notifications: list[tuple[str, WSAError]] = []
        self._counts: Counter[str] = Counter()
        self._waiting: list[tuple[str, int, Deferred[WSAError]]] = []

    def whenNotified(self, name: str, count: int = 1) -> Deferred[WSAError]:
        """
        Wait for a notification.

        Those that came before the call count too, so that a test can't miss one by asking late.

        @param name: the handler, such as C{"OnReceive"}.
        @param count: which one, counted from the first of that name since the object was made.
        @return: a Deferred that fires with the error code of that notification, after its handler has run.
            Nothing else fires it, not even C{Close}: give it a limit with C{addTimeout}. It can be cancelled.
        @raise ValueError: there is no such handler.
        """
        if name not in HANDLERS:
            raise ValueError(f"name must be one of {', '.join(HANDLERS)}, not {name!r}")
        codes = [code for event, code in self.notifications if event == name]
        waiter: Deferred[WSAError] = Deferred(self._forget)
        if len(codes) >= count:
            waiter.callback(codes[count - 1])
        else:
            self._waiting.append((name, count, waiter))
        return waiter

    def _forget(self, waiter: Deferred[WSAError]) -> None:
        self._waiting = [entry for entry in self._waiting if entry[2] is not waiter]

    def notified(self, name: str, nErrorCode: int) -> None:
        """
        Called after each notification and its handler. Left for subclasses.

        @param name: the handler.
        @param nErrorCode: its error code.
        """

    def _record(self, name: str, nErrorCode: int, handler: Callable[[int], None]) -> None:
        code = WSAError(nErrorCode)
        self.notifications.append((name, code))
        self._counts[name] += 1
        number = self._counts[name]
        recording = self.recording
        try:
            if recording is None:
                handler(nErrorCode)
            else:
                with recording.handling(self, name, code):
                    handler(nErrorCode)
        finally:
            # Also when the handler raised: the notification came, and a test that waits for it must go on to
            # see what became of the socket.
            self.notified(name, nErrorCode)
            due = [entry for entry in self._waiting if entry[0] == name and entry[1] == number]
            self._waiting = [entry for entry in self._waiting if entry not in due]
            for _, _, waiter in due:
                waiter.callback(code)

    def OnAccept(self, nErrorCode: int) -> None:
        self._record("OnAccept", nErrorCode, super().OnAccept)

    def OnConnect(self, nErrorCode: int) -> None:
        self._record("OnConnect", nErrorCode, super().OnConnect)

    def OnReceive(self, nErrorCode: int) -> None:
        self._record("OnReceive", nErrorCode, super().OnReceive)

    def OnSend(self, nErrorCode: int) -> None:
        self._record("OnSend", nErrorCode, super().OnSend)

    def OnOutOfBandData(self, nErrorCode: int) -> None:
        self._record("OnOutOfBandData", nErrorCode, super().OnOutOfBandData)

    def OnClose(self, nErrorCode: int) -> None:
        self._record("OnClose", nErrorCode, super().OnClose)
