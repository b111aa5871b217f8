"""
Faults at the gate: a socket whose system calls come out as a script says.

All data calls of a CAsyncSocket, and those that ask the kernel for an error or a peer, go through its socket object.  A
L{ScriptedSocket} stands in for that object, and hands each call to a script before it hands it to the kernel.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, cast

from _streams import reset

from twisted_casync import CAsyncSocket

Fault = Callable[[str, Callable[..., Any], tuple[Any, ...]], Any]
"""What happens instead of a call: called with its name, the call itself and its arguments."""

Script = Callable[[str], "Fault | None"]
"""Called with the name of each call before it is made; L{None}: nothing happens to it."""


class ScriptedSocket:
    """
    A socket that makes its calls as a script says.

    @ivar made: how often each method was called.
    @ivar faults: how often a fault happened to it.
    """

    def __init__(self, sock: socket.socket, script: Script) -> None:
        self._sock = sock
        self._script = script
        self.made: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._sock, name)
        if not callable(member):
            return member

        def call(*arguments: Any) -> Any:
            self.made[name] += 1
            fault = self._script(name)
            if fault is None:
                return member(*arguments)
            self.faults[name] += 1
            return fault(name, member, arguments)

        return call


def script(subject: CAsyncSocket, how: Script) -> ScriptedSocket:
    """
    Make the system calls of an open socket go by a script from now on.

    @return: what counts them.
    """
    sock = subject._as_sock
    assert sock is not None
    scripted = ScriptedSocket(sock, how)
    subject._as_sock = cast(socket.socket, scripted)
    return scripted


def inTurn(faults: dict[str, Iterable[Fault | None]]) -> Script:
    """
    A script with the faults that the first calls of each name meet.
    """
    left = {name: iter(those) for name, those in faults.items()}
    return lambda name: next(left[name], None) if name in left else None


def failing(number: int) -> Fault:
    """
    @param number: the C{errno} that the call fails with; the kernel is not asked.
    """

    def fail(name: str, call: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        if name == "connect_ex":
            return number
        raise OSError(number, os.strerror(number))

    return fail


def short(most: int) -> Fault:
    """
    @param most: how many bytes a receive or a send moves at most.
    """

    def shorten(name: str, call: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        view = memoryview(arguments[0])
        if name == "recv_into":
            # 0 is the whole buffer, recv_into's default.
            room = arguments[1] if len(arguments) > 1 and arguments[1] else len(view)
            return call(view, min(room, most), *arguments[2:])
        return call(view[:most], *arguments[1:])

    return shorten


def after(happens: Callable[[], Any], then: Fault | None = None) -> Fault:
    """
    Something happens between the readiness that led to the call, and the call.

    @param happens: what does.
    @param then: what the call itself meets.
    """

    def happening(name: str, call: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        happens()
        return call(*arguments) if then is None else then(name, call, arguments)

    return happening


def dying(peer: socket.socket, number: int) -> Fault:
    """
    The connection is lost before the call, which says why: as the kernel does it, once.

    @param peer: the other end, which is reset: from then on the connection is as dead as its kernel can say.
    @param number: the C{errno} of the call.
    """
    return after(lambda: reset(peer), failing(number))


early = failing(errno.EAGAIN)
"""The readiness that led to the call was none."""
interrupted = failing(errno.EINTR)
noBuffers = failing(errno.ENOBUFS)
