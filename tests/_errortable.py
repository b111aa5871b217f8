"""
What a row of the table of errors is, and how the rows of C{error_table} are written down.

A row is a member and an error code, and one of three: a scene that provokes it for real, a scene in which a system call
is made to fail, or the reason why it can't come here.  It also has the words of C{docs/errors.md}.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from _faults import ScriptedSocket, failing, script
from _reactors import Recorder, must

from twisted_casync import GetLastError, SetLastError, WSAError


@dataclass(frozen=True)
class Failing:
    """
    What a scene has led to: a call that is about to fail.

    @ivar subject: the socket that it is a call of.
    @ivar call: makes it, in another thread if C{elsewhere} is set.
    @ivar closed: that a socket it would have opened is closed afterwards; else it stays as open as it was.
    """

    subject: Recorder
    call: Callable[[], Any]
    elsewhere: bool = False
    closed: bool = False

    def made(self) -> tuple[Any, WSAError]:
        """
        @return: the result of the call, and the error that it left.
        """
        if not self.elsewhere:
            return self._made()
        outcome: list[tuple[Any, WSAError]] = []
        thread = threading.Thread(target=lambda: outcome.append(self._made()))
        thread.start()
        thread.join()
        return outcome[0]

    def _made(self) -> tuple[Any, WSAError]:
        SetLastError(WSAError.NO_ERROR)
        return self.call(), GetLastError()


Scene = Callable[[Any, str], Iterator[Failing]]
"""
Called with a reactor that does not run, and the member: a generator that yields the failing call, once.  After that it
looks at what the failure has left.
"""
HandlerScene = Callable[[Any], Generator[Callable[[], bool], None, Recorder]]
"""
Called with a running reactor: a script of L{_play}, which returns the socket that the handler was called of.
"""


@dataclass(frozen=True)
class Row:
    """
    One error code of one member.

    @ivar member: its name.
    @ivar code: the code; of a handler that of its argument, which can be 0.
    @ivar how: C{"provoked"}, C{"injected"} or C{"meaningless"}.
    @ivar when: when it comes here, or why never; for the page.
    @ivar advice: what to do then; empty where there is nothing to say.
    @ivar scene: what makes it come; L{None} of what is meaningless.
    @ivar slow: the scene takes a second, because the system's own clock has to run down.
    """

    member: str
    code: WSAError
    how: str
    when: str
    advice: str = ""
    scene: Scene | HandlerScene | None = None
    slow: bool = False


ROWS: list[Row] = []
"""The rows of the reference, in the order in which they are written down."""
FURTHER: list[Row] = []
"""What members leave here beyond the reference's lists."""


def provoked(
    members: str, code: WSAError, when: str, advice: str = "", *, further: bool = False, slow: bool = False
) -> Callable[[Any], Any]:
    """
    Decorate a scene that makes members fail for real.

    @param members: their names, with spaces between.
    @param further: the reference does not list the code.
    """
    return _noted(members, code, "provoked", when, advice, further, slow)


def injected(
    members: str, code: WSAError, when: str, advice: str = "", *, further: bool = False
) -> Callable[[Any], Any]:
    """
    Decorate a scene in which a system call is made to fail.
    """
    return _noted(members, code, "injected", when, advice, further, False)


def _noted(
    members: str, code: WSAError, how: str, when: str, advice: str, further: bool, slow: bool
) -> Callable[[Any], Any]:
    def note(scene: Any) -> Any:
        for member in members.split():
            (FURTHER if further else ROWS).append(Row(member, code, how, when, advice, scene, slow))
        return scene

    return note


def meaningless(members: str, code: WSAError, why: str) -> None:
    """
    Note a code that can't come here.
    """
    for member in members.split():
        ROWS.append(Row(member, code, "meaningless", why))


Stage = Callable[[Any, str], AbstractContextManager[tuple[Recorder, Callable[[], Any]]]]
"""Called with a reactor and a member: a socket, and a call of that member on it that succeeds."""
STAGES: dict[str, Stage] = {}
"""By member, for the faults that are injected."""


def stage(members: str) -> Callable[[Any], Any]:
    """
    Decorate a generator that yields a socket and a call that succeeds.
    """

    def note(play: Any) -> Any:
        for member in members.split():
            STAGES[member] = contextmanager(play)
        return play

    return note


def fault(members: str, code: WSAError, method: str, when: str, advice: str = "", *, fatal: bool = False) -> None:
    """
    Note rows in which the call of L{STAGES} fails because a system call does.

    @param code: whose C{errno} the system call fails with.
    @param method: the system call, as C{socket.socket} names it.
    @param fatal: the connection is lost with it; else the same call succeeds as soon as the fault has gone.
    """
    number = getattr(errno, code.platform[0])

    @injected(members, code, when, advice)
    def scene(reactor: Any, member: str) -> Iterator[Failing]:
        with STAGES[member](reactor, member) as (subject, call):
            stand = script(subject, {method: failing(number)}.get)
            yield Failing(subject, call)
            assert stand.faults[method]
            restore(subject, stand)
            if not fatal:
                must(call())


def restore(subject: Recorder, stand: ScriptedSocket) -> None:
    """
    The system calls of a socket are the kernel's again.
    """
    subject._as_sock = stand._sock
