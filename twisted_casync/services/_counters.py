"""What the sockets of a service have done so far, in numbers: counted as it happens, summed up when somebody asks.

A message costs three additions and what it takes to come past them. So the methods that nearly every message goes
through have their parameters written out here; where a class has its own ones, whatever those take is passed on.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
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
    "BindEx": (False,),
    "Connect": (False,),
    "ConnectEx": (False,),
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


@dataclass(frozen=True)
class Counts:
    """What sockets have done so far, at one moment: those of one class, or all.

    @ivar accepted: connections, also those that a limit turned away at once.
    @ivar active: those of them that are open.
    @ivar limited: those of them that a limit turned away or ended, by the name of its option ("max-connections").
    @ivar bytesIn: bytes received.
    @ivar bytesOut: bytes sent.
    @ivar receives: calls that received something.
    @ivar notifications: by the name of the handler.
    @ivar failures: handlers that an exception left.
    @ivar wouldBlock: calls that came too early, by the name of the member.
    @ivar errors: other errors that a call left or a notification brought, by the name of the member or handler and that
        of the code ("WSAECONNRESET").
    """

    accepted: int = 0
    active: int = 0
    bytesIn: int = 0
    bytesOut: int = 0
    receives: int = 0
    failures: int = 0
    limited: Mapping[str, int] = field(default_factory=dict)
    notifications: Mapping[str, int] = field(default_factory=dict)
    wouldBlock: Mapping[str, int] = field(default_factory=dict)
    errors: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def __add__(self, other: Counts) -> Counts:
        """The two together."""
        return Counts(*(_sum(getattr(self, one.name), getattr(other, one.name)) for one in fields(self)))


def _sum(one: Any, other: Any) -> Any:
    if isinstance(one, int):
        return one + other
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


class _Tally:
    """The numbers of the sockets of one class, while they are counted."""

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
        # The descriptors of the accepted that are open.
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

    def counts(self) -> Counts:
        """The numbers now. Another thread than the sockets' may ask: each mapping is copied in one step."""
        told = {name: self.told if name == "OnReceive" else self.notifications[name] for name in HANDLERS}
        return Counts(
            self.accepted,
            len(self.connections),
            self.bytesIn,
            self.bytesOut,
            self.receives,
            self.failures,
            dict(self.limited),
            told,
            dict(self.wouldBlock),
            dict(self.errors),
        )


class Counters:
    """An observer of sockets that counts.

    @param service: the name of the service whose sockets they are.
    """

    def __init__(self, service: str) -> None:
        self.service = service
        self._tallies: dict[str, _Tally] = {}

    def byClass(self) -> dict[str, Counts]:
        """What was counted, by the name of the sockets' class. Any thread may ask."""
        return {name: tally.counts() for name, tally in dict(self._tallies).items()}

    def total(self) -> Counts:
        """What was counted, of all classes together. Any thread may ask."""
        return sum(self.byClass().values(), Counts())

    def overriding(self, kind: type) -> Mapping[str, Override]:
        """The methods of `kind` that are counted, as Observer says."""
        tally = self._of(kind)
        made = {name: _handler(tally, name, getattr(kind, name)) for name in HANDLERS}
        made["_as_crashed"] = _crashing(tally, getattr(kind, "_as_crashed"))  # noqa: B009  # of any class of sockets
        if issubclass(kind, StreamConnection):
            # From the first scrape on: what begins to be there is no increase to Prometheus.
            tally.limited.update(dict.fromkeys(LIMITS, 0))
            made["limited"] = _limiting(tally, kind.limited)
        made["_as_release"] = _releasing(tally, getattr(kind, "_as_release"))  # noqa: B009
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
                made[own] = _moving(tally, name, below)
        for name, failures in _FAILED.items():
            made[name] = _calling(tally, name, getattr(kind, name), failures)
        return made

    def opened(self, socket: Any, listener: Any) -> None:
        """A socket was opened, as Observer says; one that was accepted counts as a connection."""
        if listener is not None:
            tally = self._of(type(socket))
            tally.accepted += 1
            tally.connections.add(socket.fileno())

    def stopped(self) -> None:
        """Observing has ended: which connections end from now on is not seen, so that none counts as open."""
        for tally in self._tallies.values():
            tally.connections.clear()

    def _of(self, kind: type) -> _Tally:
        return self._tallies.setdefault(kind.__name__, _Tally())


def _handler(tally: _Tally, name: str, below: Override) -> Override:
    if name == "OnReceive":

        def OnReceive(self: Any, nErrorCode: int) -> Any:
            tally.told += 1
            return below(self, nErrorCode)

        return OnReceive

    def told(self: Any, nErrorCode: int) -> Any:
        tally.notifications[name] += 1
        if nErrorCode:
            tally.failed(name, nErrorCode)
        return below(self, nErrorCode)

    return functools.wraps(below)(told)


def _crashing(tally: _Tally, below: Override) -> Override:
    def _as_crashed(self: Any, event: int = 0, why: Failure | None = None) -> None:
        tally.failures += 1
        below(self, event, why)

    return _as_crashed


def _releasing(tally: _Tally, below: Override) -> Override:
    def _as_release(self: Any) -> Any:
        fd = self.fileno()
        sock = below(self)
        if sock is not None:
            tally.connections.discard(fd)
        return sock

    return _as_release


def _limiting(tally: _Tally, below: Override) -> Override:
    def limited(self: Any, limit: str) -> None:
        tally.limited[limit] += 1
        below(self, limit)

    return limited


def _moving(tally: _Tally, name: str, below: Override) -> Override:
    """A member that moves data. The parameters of the base class's own are known."""

    def account(result: Any, *args: Any, **kwargs: Any) -> Any:
        arguments = inOrder(name, args, kwargs)
        failed = (result[0] if isinstance(result, tuple) else result) == SOCKET_ERROR
        code = WSAError(GetLastError()) if failed else WSAError.NO_ERROR
        if failed:
            tally.failed(name, code)
        # Of a datagram that was too long for the buffer, as much as that held.
        count = len(seen(name, arguments, result, code)[1])
        if name in _SENDING:
            tally.bytesOut += count
        elif count and not (len(arguments) > 2 and int(arguments[2]) & _PEEK):
            tally.bytesIn += count
            tally.receives += 1
        return result

    if below is CAsyncSocket.Receive:

        def Receive(self: Any, lpBuf: Any, nBufLen: int | None = None, nFlags: int = 0) -> int:
            count: int = below(self, lpBuf, nBufLen, nFlags)
            if count <= 0 or nFlags:
                account(count, lpBuf, nBufLen, nFlags)
            else:
                tally.bytesIn += count
                tally.receives += 1
            return count

        return Receive
    if below is CAsyncSocket.Send:

        def Send(self: Any, lpBuf: Any, nBufLen: int | None = None, nFlags: int = 0) -> int:
            count: int = below(self, lpBuf, nBufLen, nFlags)
            if count == SOCKET_ERROR:
                tally.failed(name, GetLastError())
            else:
                tally.bytesOut += count
            return count

        return Send

    @functools.wraps(below)
    def move(self: Any, *args: Any, **kwargs: Any) -> Any:
        return account(below(self, *args, **kwargs), *args, **kwargs)

    return move


def _calling(tally: _Tally, name: str, below: Override, failures: tuple[Any, ...]) -> Override:
    def awaited(outcome: Any) -> Any:
        if isinstance(outcome, Failure) and isinstance(outcome.value, WinsockError):
            tally.failed(name, outcome.value.code)
        return outcome

    @functools.wraps(below)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = below(self, *args, **kwargs)
        if isinstance(result, Deferred):
            result.addBoth(awaited)
        elif result in failures:
            tally.failed(name, GetLastError())
        return result

    return call
