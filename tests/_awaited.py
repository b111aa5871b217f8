"""
Programs that await, each played on a reactor of its own.
"""

from __future__ import annotations

import gc
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from _reactors import must, reactorOf, run
from _streams import LOCALHOST, peerOf
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_casync import CSocket

_T = TypeVar("_T")
Program = Callable[[Any], Coroutine[Any, Any, _T]]


def played(way: str, program: Program[_T]) -> _T:
    """
    Play a program, and look for what nobody has looked at: a failure that was left in a Deferred fails the test.

    @param way: one of L{WAYS}.
    @param program: called with the reactor when that runs; the coroutine's end ends the test.
    @return: what the coroutine gives.
    """
    outcome: list[Any] = []
    logged: list[Failure] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            logged.append(event["log_failure"])

    globalLogPublisher.addObserver(observe)
    try:
        with reactorOf(way) as reactor:

            def start() -> None:
                Deferred.fromCoroutine(program(reactor)).addBoth(outcome.append)

            reactor.callWhenRunning(start)
            run(reactor, lambda: bool(outcome))
        result = outcome.pop()
        if isinstance(result, Failure):
            result.raiseException()
        gc.collect()
    finally:
        globalLogPublisher.removeObserver(observe)
    assert not logged, str(logged)
    return result  # type: ignore[no-any-return]  # not a failure: the program's own


def turned(reactor: Any, turns: int = 3) -> Deferred[None]:
    """
    @return: a Deferred that fires when the reactor has turned a few times.
    """
    done: Deferred[None] = Deferred()

    def turn(left: int) -> None:
        if left:
            reactor.callLater(0, turn, left - 1)
        else:
            done.callback(None)

    turn(turns)
    return done


def until(reactor: Any, holds: Callable[[], bool]) -> Deferred[None]:
    """
    @return: a Deferred that fires when a condition holds; it is looked at in each turn.
    """
    done: Deferred[None] = Deferred()

    def look() -> None:
        if holds():
            done.callback(None)
        else:
            reactor.callLater(0.001, look)

    look()
    return done


def caught(awaitable: Awaitable[Any]) -> Deferred[BaseException]:
    """
    @return: a Deferred of the exception with which C{awaitable} must fail.
    """

    async def wait() -> BaseException:
        try:
            result = await awaitable
        except BaseException as error:
            return error
        raise AssertionError(f"gave {result!r}")

    return Deferred.fromCoroutine(wait())


def listener(kind: type[CSocket] = CSocket) -> Any:
    """
    @return: a socket that listens at a free port.
    """
    listening = kind()
    must(listening.Create(0, lpszSocketAddress=LOCALHOST))
    must(listening.Listen())
    return listening


async def connected(kind: type[CSocket] = CSocket) -> tuple[Any, socket.socket]:
    """
    @return: a connected socket, and the plain socket of its peer.
    """
    door = listener()
    peer = peerOf(door)
    child = kind()
    assert await door.Accept(child) is child
    door.Close()
    return child, peer


async def pair(kind: type[CSocket] = CSocket) -> tuple[Any, Any]:
    """
    @return: two sockets, connected with each other.
    """
    door = listener()
    near, far = kind(), kind()
    must(near.Create())
    accepting = door.Accept(far)
    await near.Connect(*must(door.GetSockName()))
    await accepting
    door.Close()
    return near, far
