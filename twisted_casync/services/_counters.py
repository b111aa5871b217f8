"""What the sockets of a service have done so far, in numbers: counted as it happens, summed up when somebody asks.

A message costs three additions and what it takes to come past them. So the methods that nearly every message goes
through have their parameters written out here; where a class has its own ones, whatever those take is passed on.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twisted_casync import INVALID_SOCKET, MSG_PEEK, SOCKET_ERROR, CAsyncSocket, GetLastError, WSAError
from twisted_casync._calls import HANDLERS, inOrder, seen
from twisted_casync._handling import Handling
from twisted_casync.errors import WinsockError
from twisted_casync.services._limits import LIMITS
from twisted_casync.services._stream import StreamConnection

__all__ = ["Counters", "Counts"]

_PEEK = int(MSG_PEEK)

# What each member that only succeeds or fails gives when it fails. Those that ask for something are left out: what
# they fail with says nothing about the service.
_FAILED: dict[str, tuple[Any, ...]] = {
    "Accept": (False, None),
    "Assign": (False,),
    "AsyncSelect": (False,),
    "Attach": (False,),
    "Bind": (False,),
    "Connect": (False,),
    "Create": (False,),
    "CreateEx": (False,),
    "Detach": (INVALID_SOCKET,),
    "Listen": (False,),
    "SetSockOpt": (False,),
    "ShutDown": (False,),
    "Socket": (False,),
}

_RECEIVING = ("Receive", "ReceiveFrom", "ReceiveFromEx")
_SENDING = ("Send", "SendTo", "SendToEx")

Override = Callable[..., Any]


class Counts:
    """The numbers of the sockets of one class.

    accepted: connections so far. bytesIn, bytesOut: received and sent. receives: calls that received something.
    notifications: by the handler's name. wouldBlock: calls that came too early, by the member's name. errors: by
    member or handler, and code. failures: handlers that an exception left. connections: the descriptors of those
    accepted that are open. limited: connections that a limit turned away or ended, by the name of its option.
    """

    __slots__ = (
        "accepted",
        "bytesIn",
        "bytesOut",
        "connections",
        "errors",
        "failures",
        "limited",
        "notifications",
        "receives",
        "told",
        "wouldBlock",
    )

    def __init__(self) -> None:
        self.accepted = 0
        self.bytesIn = 0
        self.bytesOut = 0
        self.connections: set[int] = set()
        self.errors: Counter[tuple[str, str]] = Counter()
        self.failures = 0
        self.limited: Counter[str] = Counter()
        self.notifications: Counter[str] = Counter()
        self.receives = 0
        # How often OnReceive was told: notifications has the other handlers.
        self.told = 0
        self.wouldBlock: Counter[str] = Counter()

    def failed(self, name: str, code: int) -> None:
        """A call has left an error, or a notification brought one."""
        if code == WSAError.WSAEWOULDBLOCK:
            self.wouldBlock[name] += 1
        else:
            self.errors[name, WSAError(code).name] += 1

    def byHandler(self) -> dict[str, int]:
        """The notifications so far, by the name of their handler."""
        return {name: self.told if name == "OnReceive" else self.notifications[name] for name in HANDLERS}


class Counters:
    """An observer of sockets that counts.

    service: the name of the service whose sockets they are.
    """

    def __init__(self, service: str) -> None:
        self.service = service
        self._counts: dict[str, Counts] = {}

    def byClass(self) -> dict[str, Counts]:
        """What was counted, by the name of the sockets' class. Any thread may ask."""
        return dict(self._counts)

    def overriding(self, kind: type) -> Mapping[str, Override]:
        """The methods of `kind` that are counted, as Observer says."""
        counts = self._of(kind)
        made = {name: _handler(counts, name, getattr(kind, name)) for name in HANDLERS}
        made["_as_crashed"] = _crashing(counts, getattr(kind, "_as_crashed"))  # noqa: B009  # of any class of sockets
        if issubclass(kind, StreamConnection):
            # From the first scrape on: what begins to be there is no increase to Prometheus.
            counts.limited.update(dict.fromkeys(LIMITS, 0))
            made["limited"] = _limiting(counts, kind.limited)
        made["_as_release"] = _releasing(counts, getattr(kind, "_as_release"))  # noqa: B009
        # What a CSocket receives and sends goes through members of the base class, whatever the program calls.
        waits = issubclass(kind, Handling)
        if waits and getattr(kind, "OnReceive") is Handling.OnReceive:  # noqa: B009
            # It keeps what it received to itself, and asks its class whether it does.
            del made["OnReceive"]
        for name in (*_RECEIVING, *_SENDING):
            own = f"_as_{name}" if waits else name
            below = getattr(kind, own, None)
            # The base class's SendToEx calls SendTo, which counts.
            if below is not None and below is not CAsyncSocket.SendToEx:
                made[own] = _moving(counts, name, below)
        for name, failures in _FAILED.items():
            made[name] = _calling(counts, name, getattr(kind, name), failures)
        return made

    def opened(self, socket: Any, listener: Any) -> None:
        """A socket was opened, as Observer says; one that was accepted counts as a connection."""
        if listener is not None:
            counts = self._of(type(socket))
            counts.accepted += 1
            counts.connections.add(socket.fileno())

    def _of(self, kind: type) -> Counts:
        return self._counts.setdefault(kind.__name__, Counts())


def _handler(counts: Counts, name: str, below: Override) -> Override:
    if name == "OnReceive":

        def OnReceive(self: Any, nErrorCode: int) -> Any:
            counts.told += 1
            return below(self, nErrorCode)

        return OnReceive

    def told(self: Any, nErrorCode: int) -> Any:
        counts.notifications[name] += 1
        if nErrorCode:
            counts.failed(name, nErrorCode)
        return below(self, nErrorCode)

    return functools.wraps(below)(told)


def _crashing(counts: Counts, below: Override) -> Override:
    def _as_crashed(self: Any, event: int, why: Failure | None = None) -> None:
        counts.failures += 1
        below(self, event, why)

    return _as_crashed


def _releasing(counts: Counts, below: Override) -> Override:
    def _as_release(self: Any) -> Any:
        fd = self.fileno()
        sock = below(self)
        if sock is not None:
            counts.connections.discard(fd)
        return sock

    return _as_release


def _limiting(counts: Counts, below: Override) -> Override:
    def limited(self: Any, limit: str) -> None:
        counts.limited[limit] += 1
        below(self, limit)

    return limited


def _moving(counts: Counts, name: str, below: Override) -> Override:
    """A member that moves data. The parameters of the base class's own are known."""

    def account(result: Any, *args: Any, **kwargs: Any) -> Any:
        arguments = inOrder(name, args, kwargs)
        failed = (result[0] if isinstance(result, tuple) else result) == SOCKET_ERROR
        code = WSAError(GetLastError()) if failed else WSAError.NO_ERROR
        if failed:
            counts.failed(name, code)
        # Of a datagram that was too long for the buffer, as much as that held.
        count = len(seen(name, arguments, result, code)[1])
        if name in _SENDING:
            counts.bytesOut += count
        elif count and not (len(arguments) > 2 and int(arguments[2]) & _PEEK):
            counts.bytesIn += count
            counts.receives += 1
        return result

    if below is CAsyncSocket.Receive:

        def Receive(self: Any, lpBuf: Any, nBufLen: int | None = None, nFlags: int = 0) -> int:
            count: int = below(self, lpBuf, nBufLen, nFlags)
            if count <= 0 or nFlags:
                account(count, lpBuf, nBufLen, nFlags)
            else:
                counts.bytesIn += count
                counts.receives += 1
            return count

        return Receive
    if below is CAsyncSocket.Send:

        def Send(self: Any, lpBuf: Any, nBufLen: int | None = None, nFlags: int = 0) -> int:
            count: int = below(self, lpBuf, nBufLen, nFlags)
            if count == SOCKET_ERROR:
                counts.failed(name, GetLastError())
            else:
                counts.bytesOut += count
            return count

        return Send

    @functools.wraps(below)
    def move(self: Any, *args: Any, **kwargs: Any) -> Any:
        return account(below(self, *args, **kwargs), *args, **kwargs)

    return move


def _calling(counts: Counts, name: str, below: Override, failures: tuple[Any, ...]) -> Override:
    def awaited(outcome: Any) -> Any:
        if isinstance(outcome, Failure) and isinstance(outcome.value, WinsockError):
            counts.failed(name, outcome.value.code)
        return outcome

    @functools.wraps(below)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = below(self, *args, **kwargs)
        if isinstance(result, Deferred):
            result.addBoth(awaited)
        elif result in failures:
            counts.failed(name, GetLastError())
        return result

    return call
