"""
The reactor under a scenario: it turns while a scenario pumps, and stands still otherwise.

Between two pumps all commands run in one callback, without going back to the reactor. So it is the reactor
itself that sees to it that notifications come in a pump only.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.application import reactors
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twisted_casync import CAsyncSocket, CSocket
from twisted_casync.testing._commands import COMMANDS
from twisted_casync.testing._recorder import RecordingSocket
from twisted_casync.testing._scenario import Command, HandlerRule, Mistake, parseNumber, parseScenario
from twisted_casync.testing._session import Fields, Session, SocketFactory

__all__ = ["DEFAULT_QUIET", "Pump", "installReactor", "playScenario", "runInReactor", "socketsOn", "unawaitedOn"]

DEFAULT_QUIET = 0.020
"""
How many seconds nothing must have come before a pump that names no time is over.

On one machine a segment is in the peer's queue when the call that sent it returns, so what a pump waits for
is the reactor, not a network.
"""

_MOST_NOTIFICATIONS = 2000
_LONGEST_PUMP = 8.0
_EXTRA_TURNS = 2


def installReactor(name: str | None) -> Any:
    """
    Install a reactor, before anything else has.

    @param name: as for C{twistd --reactor}, or C{"uvloop"}: the asyncio reactor over a loop of uvloop;
        L{None} for the platform's default.
    @return: the reactor.
    @raise NoSuchReactor: nothing has this name.
    @raise ImportError: what the reactor needs is not installed.
    """
    if name == "uvloop":
        import uvloop
        from twisted.internet import asyncioreactor

        asyncioreactor.install(uvloop.new_event_loop())
    elif name is not None:
        reactors.installReactor(name)
    from twisted.internet import reactor

    return reactor


def runInReactor(reactor: Any, work: Coroutine[Any, Any, None]) -> None:
    """
    Run the reactor until a coroutine is through.

    @param reactor: an C{IReactorCore} that has not run yet.
    @param work: the coroutine; what it raises is raised here.
    """
    outcome: list[Failure | None] = []

    def ended(result: Failure | None) -> None:
        outcome.append(result)
        reactor.stop()

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(work).addBoth(ended))
    reactor.run()
    if not outcome:
        work.close()
        raise KeyboardInterrupt
    if outcome[0] is not None:
        outcome[0].raiseException()


class Pump:
    """
    One pump: let the reactor turn until nothing has come for a while.

    The time alone would not do: on a busy machine the reactor may find the time run out before it has looked
    at its descriptors once. So it must also have turned a few times more without a notification.
    """

    def __init__(self, reactor: Any, quiet: float) -> None:
        """
        @param reactor: an C{IReactorTime}.
        @param quiet: seconds.
        """
        self._reactor = reactor
        self._quiet = quiet
        self._began = reactor.seconds()
        self._notifications = 0
        self._turns = 0
        # Ends by a timer only, never from within a notification: what comes after the pump must not run
        # inside a handler of the class.
        self._timer = reactor.callLater(quiet, self._elapsed)
        self.done: Deferred[bool] = Deferred()
        """
        Fires with whether the pump came to an end by itself: not by too many notifications, or too much time.
        """

    def isOverdue(self) -> bool:
        """@return: whether a pump as busy as this one has to be cut off."""
        late = self._reactor.seconds() - self._began > _LONGEST_PUMP
        return late or self._notifications >= _MOST_NOTIFICATIONS

    def notified(self) -> None:
        """Something came: the quiet begins anew."""
        self._notifications += 1
        self._turns = 0
        self._timer.reset(0 if self.isOverdue() else self._quiet)

    def _elapsed(self) -> None:
        if self._turns < _EXTRA_TURNS and not self.isOverdue():
            self._turns += 1
            self._timer = self._reactor.callLater(0, self._elapsed)
        else:
            self.done.callback(not self.isOverdue())


class _ReportingSocket(RecordingSocket):
    def __init__(self, report: Any, reactor: Any) -> None:
        super().__init__(reactor)
        self._report = report

    def notified(self, name: str, nErrorCode: int) -> None:
        self._report(name, nErrorCode)


class _Unawaited(CSocket):
    """
    A C{CSocket} of which the members that wait are called as those of the class that it is derived from.
    """

    Accept = CAsyncSocket.Accept  # type: ignore[assignment]  # their results differ, which is what this is for
    Attach = CAsyncSocket.Attach
    Connect = CAsyncSocket.Connect  # type: ignore[assignment]
    Create = CAsyncSocket.Create  # type: ignore[assignment]
    Receive = CAsyncSocket.Receive  # type: ignore[assignment]
    ReceiveFrom = CAsyncSocket.ReceiveFrom  # type: ignore[assignment]
    ReceiveFromEx = CAsyncSocket.ReceiveFromEx  # type: ignore[assignment]
    Send = CAsyncSocket.Send  # type: ignore[assignment]
    SendTo = CAsyncSocket.SendTo  # type: ignore[assignment]
    SendToEx = CAsyncSocket.SendToEx  # type: ignore[assignment]


class _ReportingUnawaited(_ReportingSocket, _Unawaited):
    """
    A C{CSocket} that nobody awaits: every notification is for its handlers.
    """


def socketsOn(reactor: Any) -> SocketFactory:
    """
    @param reactor: an C{IReactorFDSet}.
    @return: what makes the objects of scenarios on that reactor.
    """

    def make(report: Any) -> CAsyncSocket:
        return _ReportingSocket(report, reactor)

    return make


def unawaitedOn(reactor: Any) -> SocketFactory:
    """
    @param reactor: an C{IReactorFDSet}.
    @return: the same with C{CSocket}s that nobody awaits, which must be told what C{CAsyncSocket}s are told.
    """

    def make(report: Any) -> CAsyncSocket:
        return _ReportingUnawaited(report, reactor)

    return make


async def playScenario(
    reactor: Any, name: str, text: str, quiet: float = DEFAULT_QUIET, factory: SocketFactory | None = None
) -> list[Fields]:
    """
    Play one scenario on a running reactor.

    @param reactor: an C{IReactorFDSet} and C{IReactorTime}.
    @param name: of the scenario, for its trace.
    @param text: the scenario, decoded as Latin-1.
    @param quiet: for pumps that name no time, in seconds.
    @param factory: makes the objects; C{CAsyncSocket}s on C{reactor} when left out.
    @return: the trace. Mistakes in the scenario and exceptions of the class are records in it.
    """
    session = Session(name, factory or socketsOn(reactor), COMMANDS)
    try:
        for step in parseScenario(text):
            if isinstance(step, HandlerRule):
                session.rule(step)
            elif isinstance(step, Mistake):
                session.mistake(step)
            elif step.op == "pump":
                await _pump(reactor, session, step, quiet)
            else:
                session.execute(step)
    finally:
        session.finish()
    await _turn(reactor)
    return session.records


async def _pump(reactor: Any, session: Session, command: Command, quiet: float) -> None:
    session.records.append({"op": "pump", "line": command.line})
    milliseconds = parseNumber(command.optional(0))
    pump = Pump(reactor, quiet if milliseconds is None else max(0, milliseconds) / 1000)
    session.listening, session.notified = True, pump.notified
    ended = await pump.done
    session.listening = False
    if not ended:
        session.records.append({"limit": "pump", "line": command.line})


async def _turn(reactor: Any) -> None:
    # Lets what was closed at the end of a scenario leave the reactor before the next one opens descriptors.
    turned: Deferred[None] = Deferred()
    reactor.callLater(0, turned.callback, None)
    await turned
