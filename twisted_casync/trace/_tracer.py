"""
What a trace says of sockets: each call and each notification, as it happens.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import sys
import threading
import types
import weakref
from collections.abc import Callable, Generator, Mapping
from time import monotonic_ns
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twisted_casync import CSocket
from twisted_casync._calls import HANDLERS, MEMBERS, inOrder, leftError, seen, setErrorAside
from twisted_casync._handling import Handling
from twisted_casync.errors import WinsockError
from twisted_casync.trace._values import addressName, exceptionText, plain

__all__ = ["Tracer"]

_GATE: Final = ("_as_Receive", "_as_ReceiveFrom", "_as_Send", "_as_SendTo")
"""What moves data for the calls of a C{CSocket}, which are made again until they have what they wait for."""
_AWAITED: Final = tuple(
    name
    for kind in CSocket.__mro__[: CSocket.__mro__.index(Handling)]
    for name, value in vars(kind).items()
    if inspect.isfunction(value) and not name.startswith("_") and name not in MEMBERS and name not in HANDLERS
)
"""The members that only a C{CSocket} has."""
_NAMING: Final = {"Create", "CreateEx", "Bind", "BindEx", "Connect", "ConnectEx"}
"""After these a socket has another name than before."""

Write = Callable[[dict[str, Any]], None]


class _Here(threading.local):
    """
    What the sockets of a thread are doing.
    """

    calling = False
    """A member is being called."""
    within: int | None = None
    """The notification that is being handled, and of which socket."""
    told: Any = None


class Tracer:
    """
    An observer of sockets that describes what it sees in lines.

    @ivar write: where to; L{None} after the end.
    """

    def __init__(self, write: Write, preview: int = 0) -> None:
        """
        @param write: called with each line.
        @param preview: how many bytes of data that was moved are shown.
        """
        self.write: Write | None = write
        self._preview = preview
        self._start = monotonic_ns()
        self._here = _Here()
        self._numbers = itertools.count(1)
        self._sockets: dict[int, tuple[int, Any]] = {}
        self._notifications = itertools.count(1)
        self._pending = itertools.count(1)

    def overriding(self, kind: type) -> Mapping[str, Callable[..., Any]]:
        """
        @param kind: a class of sockets.
        @return: its members and handlers, traced.
        """
        made = {name: self._handler(name, getattr(kind, name)) for name in HANDLERS}
        if issubclass(kind, Handling) and kind.OnReceive is Handling.OnReceive:
            # Such a socket keeps what it received to itself, and asks its class whether it does.
            del made["OnReceive"]
        names = [*MEMBERS, *(_GATE if issubclass(kind, Handling) else ()), *_AWAITED]
        made |= {name: self._member(name, getattr(kind, name)) for name in names if hasattr(kind, name)}
        made["_as_release"] = self._release(kind._as_release)  # type: ignore[attr-defined]  # a socket's
        return made

    # -- sockets

    def opened(self, socket: Any, listener: Any) -> None:
        """
        @param socket: one that was opened, or is open.
        @param listener: who has accepted it, if that is known.
        """
        line = {"opened": socket.fileno(), **self._names(socket)}
        if listener is not None:
            line["listener"] = self._numberOf(listener)
        self._say(socket, monotonic_ns(), line)

    def _numberOf(self, socket: Any) -> int:
        known = self._sockets.get(id(socket))
        if known is not None:
            return known[0]
        number = next(self._numbers)
        key = id(socket)
        self._sockets[key] = number, weakref.ref(socket, lambda _: self._sockets.pop(key, None))
        self._say(socket, monotonic_ns(), {"class": type(socket).__qualname__, "module": type(socket).__module__})
        return number

    @staticmethod
    def _names(socket: Any) -> dict[str, Any]:
        """
        The names that a socket has, asked of the system: not by a member, which would leave an error.
        """
        names: dict[str, Any] = {}
        sock = socket._as_sock
        for key, ask in (("local", sock.getsockname), ("peer", sock.getpeername)):
            try:
                name = addressName(ask())
            except OSError:
                # It has none.
                continue
            if name:
                names[key] = name
        return names

    def _say(self, socket: Any, when: int, line: dict[str, Any]) -> None:
        if self.write is not None:
            self.write({"t": when - self._start, "socket": self._numberOf(socket), **line})

    def _release(self, below: Callable[..., Any]) -> Callable[..., Any]:
        def _as_release(socket: Any) -> Any:
            sock = below(socket)
            if sock is not None:
                self._say(socket, monotonic_ns(), {"closed": True})
            return sock

        return _as_release

    # -- calls

    def _member(self, name: str, below: Callable[..., Any]) -> Callable[..., Any]:
        here = self._here
        gate = name in _GATE
        shown = f"CAsyncSocket.{name.removeprefix('_as_')}" if gate else name

        @functools.wraps(below)
        def call(socket: Any, *args: Any, **kwargs: Any) -> Any:
            inside = here.calling
            if self.write is None or (inside and not gate and _isOurs(sys._getframe(1))):
                # What a member calls by itself, the program did not.
                return below(socket, *args, **kwargs)
            here.calling = True
            before = setErrorAside()
            line: dict[str, Any] = {"call": shown}
            result: Any = None
            begin = end = monotonic_ns()
            try:
                result = below(socket, *args, **kwargs)
                end = monotonic_ns()
                return result
            except BaseException as error:
                end = monotonic_ns()
                line["raised"] = exceptionText(error)
                raise
            finally:
                here.calling = inside
                code = leftError(before)
                self._called(socket, name.removeprefix("_as_"), args, kwargs, result, code, line)
                line["d"] = end - begin
                self._say(socket, begin, line)
                if name in _NAMING and socket._as_sock is not None and "raised" not in line:
                    names = self._names(socket)
                    if names:
                        self._say(socket, end, names)

        return call

    def _called(self, socket: Any, name: str, args: Any, kwargs: Any, result: Any, code: Any, line: Any) -> None:
        arguments = inOrder(name, args, kwargs) if name in MEMBERS else (*args, *kwargs.values())
        waits = isinstance(result, Deferred)
        if waits:
            count: Any = None
            if arguments and isinstance(arguments[0], (bytes, bytearray, memoryview)):
                arguments = (memoryview(arguments[0]).nbytes, *arguments[1:])
        else:
            arguments, data = seen(name, arguments, result, code)
            count = len(data)
            if count:
                line["bytes"] = count
                if self._preview:
                    line["data"] = bytes(data[: self._preview]).decode("latin-1")
        if arguments:
            line["args"] = [plain(value, self._numberOf) for value in arguments]
        if self._here.within is not None:
            line["in"] = self._here.within
        if waits:
            self._await(socket, result, line)
        elif "raised" not in line:
            line["result"] = plain(result, self._numberOf)
            if code:
                line["error"] = code.name

    def _await(self, socket: Any, result: Deferred[Any], line: dict[str, Any]) -> None:
        """
        Say what comes of a call that waits: in its own line, when that is known at once.
        """
        atOnce = True
        number = 0

        def ended(outcome: Any) -> Any:
            into: dict[str, Any] = line if atOnce else {"completed": number}
            if isinstance(outcome, Failure):
                error: Any = outcome.value
                if isinstance(error, WinsockError):
                    into["error"] = error.code.name
                else:
                    into["raised"] = exceptionText(error)
            else:
                into["result"] = plain(outcome, self._numberOf)
            if not atOnce:
                self._say(socket, monotonic_ns(), into)
            return outcome

        result.addBoth(ended)
        atOnce = False
        if "result" not in line and "error" not in line and "raised" not in line:
            number = line["pending"] = next(self._pending)

    # -- notifications

    def _handler(self, name: str, below: Callable[..., Any]) -> Callable[..., Any]:
        here = self._here

        @functools.wraps(below)
        def told(socket: Any, nErrorCode: int) -> Any:
            if self.write is None or here.told is socket:
                # The program itself has called a handler of the socket that is being told something.
                return below(socket, nErrorCode)
            number = next(self._notifications)
            line: dict[str, Any] = {"told": name, "n": number}
            if nErrorCode:
                line["error"] = plain(nErrorCode, self._numberOf)
            self._say(socket, monotonic_ns(), line)
            result: Any = None
            outer = here.within, here.told
            here.within, here.told = number, socket
            try:
                result = below(socket, nErrorCode)
            except BaseException as error:
                self._ended(socket, number, error)
                raise
            finally:
                here.within, here.told = outer
            if inspect.iscoroutine(result):
                return self._stepping(socket, number, result)
            if isinstance(result, Deferred):
                return result.addBoth(self._over, socket, number)
            self._ended(socket, number, None)
            return result

        return told

    def _ended(self, socket: Any, number: int, error: BaseException | None) -> None:
        line: dict[str, Any] = {"ended": number}
        if error is not None:
            line["raised"] = exceptionText(error)
        self._say(socket, monotonic_ns(), line)

    def _over(self, result: Any, socket: Any, number: int) -> Any:
        error: Any = result.value if isinstance(result, Failure) else None
        self._ended(socket, number, error)
        return result

    async def _stepping(self, socket: Any, number: int, handler: Any) -> Any:
        """
        A handler that waits: what it calls, it calls within its notification, whenever that is.
        """
        try:
            result = await self._steps(socket, number, handler)
        except BaseException as error:
            self._ended(socket, number, error)
            raise
        self._ended(socket, number, None)
        return result

    @types.coroutine
    def _steps(self, socket: Any, number: int, handler: Any) -> Generator[Any, Any, Any]:
        here = self._here
        go, given = handler.send, None
        while True:
            outer = here.within, here.told
            here.within, here.told = number, socket
            try:
                waited = go(given)
            except StopIteration as stop:
                return stop.value
            finally:
                here.within, here.told = outer
            try:
                go, given = handler.send, (yield waited)
            except GeneratorExit:
                handler.close()
                raise
            except BaseException as error:
                go, given = handler.throw, error


def _isOurs(frame: types.FrameType) -> bool:
    name: str = frame.f_globals.get("__name__", "")
    return name.startswith("twisted_casync.")
