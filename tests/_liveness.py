"""
Plays a random program on a reactor, and looks after each pump at what must hold always: no socket waits for an event
that is there, no bystander was harmed, nothing is registered that is closed, and a reactor that is left alone rests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any, Final, cast
from unittest import mock

from _liveness_actions import ACTIONS, RAISED, eventsOf
from _liveness_bystanders import Bystanders
from _liveness_grounds import groundOf
from _liveness_registered import misregistered
from _liveness_subjects import Subject, WaitingSubject
from twisted.logger import ILogObserver, LogEvent, Logger, globalLogPublisher
from zope.interface import provider

from twisted_casync import _failures
from twisted_casync.testing._scenario import Command, HandlerRule, Mistake, parseScenario

__all__ = ["faultsOf", "shrunk"]

_OF_NOBODY: Final = ("iterate", "fork", "janitor")
"""The actions that are no socket's."""
_PATIENCE: Final = 8
"""After how many turns in which nobody is told anything what is missing won't come."""
_QUIET: Final = 3
_MOST_TURNS: Final = 2000


class Found(Exception):
    """
    Something is wrong: what comes after it says no more.
    """


class World:
    """
    One playing of one program.

    @ivar faults: what was found.
    """

    eventsOf = staticmethod(eventsOf)

    def __init__(self, ground: Any) -> None:
        self.ground = ground
        self.faults: list[str] = []
        self.subjects: dict[str, Any] = {}
        self.bystanders = Bystanders(ground)
        self.notified = self.raised = self.depth = 0
        self.logged: list[LogEvent] = []
        self._numbers = count()
        self.bystanders.meet(self.turn, _PATIENCE)

    # -- what a program says

    def fault(self, text: str) -> None:
        self.faults.append(text)

    def subject(self, label: str) -> Any:
        """
        @return: the socket of a name, made where there is none yet; names that begin with C{W} wait.
        """
        if label not in self.subjects:
            one: Any = (WaitingSubject if label.startswith("W") else Subject)(self.ground.reactor)
            one.prepare(self, label)
            one.wanted = None
            self.subjects[label] = one
        return self.subjects[label]

    def extra(self) -> Any:
        """
        @return: a closed socket for whoever comes.
        """
        return self.subject(f"X{next(self._numbers)}")

    def isDatagram(self, one: Any) -> bool:
        return bool(one.stage == "datagram")

    def portOf(self, label: str, datagram: bool) -> int | None:
        """
        @return: where a socket, or nobody, is; L{None} when it is nowhere.
        """
        if label in ("dead", "nowhere"):
            return int(self.ground.deadPort)
        one = self.subjects.get(label)
        wanted = "datagram" if datagram else "listening"
        if one is None or not one.isOpen or one.stage != wanted:
            return None
        name = one.GetSockName()
        return None if name is None else int(name[1])

    def do(self, command: Command) -> None:
        """
        One action.  What it raises other than as planned is a fault.
        """
        one = None if command.op in _OF_NOBODY else self.subject(command.argument(0))
        try:
            ACTIONS[command.op](self, one, command)
        except Exception as error:
            self.fault(f"line {command.line}, {command.op}: {error!r}")

    def told(self, one: Any, event: str, code: int) -> None:
        self.notified += 1

    def react(self, one: Any, event: str, rule: HandlerRule) -> None:
        """
        What a program does in a handler.
        """
        self.depth += 1
        try:
            for command in rule.commands:
                if command.op == "raise":
                    self._raising(one, event)
                    raise RAISED[command.argument(0)]()
                if command.op != "nop":
                    self.do(command)
        finally:
            self.depth -= 1

    def _raising(self, one: Any, event: str) -> None:
        """
        A handler is about to raise: it costs its socket; in OnAccept the connection that was accepted last.
        """
        self.raised += 1
        if event != "OnAccept":
            one.aborts(told=event == "OnClose")
        elif one.accepted is not None:
            one.accepted.aborts()
        # Else the one that waits is gone.
        one.heard.discard("OnAccept")

    # -- turns

    def turn(self) -> None:
        try:
            self.ground.turn()
        except BaseException as error:
            self.fault(f"escaped from the reactor: {error!r}")

    def _goesOn(self) -> bool:
        """
        @return: whether anybody is told anything in another turn.
        """
        before = self.notified
        self.turn()
        return self.notified != before

    def mayTurn(self) -> bool:
        """
        @return: whether a turn can be made here.
        """
        return not self.depth or bool(self.ground.reenters)

    def within(self) -> None:
        """
        A handler makes turns, in which others are told.
        """
        if self.depth and self.mayTurn():
            self.bystanders.ask()
            self.untilAnswered()
            if self.bystanders.silent():
                self.fault(f"in the turns that a handler makes these are not told: {self.bystanders.silent()}")

    def untilAnswered(self) -> None:
        """
        Turn until the bystanders have answered, as far as they do.
        """
        for _ in range(_PATIENCE):
            if not self.bystanders.silent() or not self.bystanders.arrived():
                break
            self.turn()

    def missing(self) -> list[str]:
        return [f"{one.label}.{event}" for one in self.subjects.values() for event in sorted(one.missing())]

    def pump(self, where: str) -> None:
        """
        Turn until nothing more is told, and look.

        @raise Found: something is wrong.
        """
        self.bystanders.ask()
        quiet = waited = 0
        missing: list[str] = []
        for _ in range(_MOST_TURNS):
            before = self.notified
            self.turn()
            missing = self.missing()
            quiet = 0 if self.notified != before else quiet + 1
            # What has begun to hold a moment ago has its turns too.
            waited = waited + 1 if missing and quiet else 0
            if waited == _PATIENCE or (quiet >= _QUIET and not missing):
                break
        else:
            self.fault(f"{where}: does not come to rest")
        self.untilAnswered()
        for one in self.subjects.values():
            one.rests()
        for each in missing:
            self.fault(f"{where}: {each} is not told")
        for trouble in (*self._harm(), *misregistered(self.ground.reactor, self._goesOn)):
            self.fault(f"{where}: {trouble}")
        if self.faults:
            raise Found

    # -- what must hold

    def _harm(self) -> Iterator[str]:
        if self.bystanders.lost():
            yield self.bystanders.lost()
        if self.bystanders.silent():
            yield f"these bystanders do not answer: {self.bystanders.silent()}"
        for one in self.subjects.values():
            if one.isOpen != (one.m_hSocket != -1):
                yield f"{one.label} is {'closed' if one.isOpen else 'open'}"
        if len(self.logged) != self.raised:
            yield f"{self.raised} exceptions were raised and {len(self.logged)} logged: {self.logged!r}"
            self.raised = len(self.logged)

    def serves(self) -> str:
        """
        @return: what is wrong with the bystanders that this process, a child, has; nothing when all is well.
        """
        for one in self.subjects.values():
            # They are its parent's too, and so is what they would do.
            one.prepareNothing()
        self.bystanders.ask()
        self.untilAnswered()
        return "; ".join([*self.faults, *self._harm()])

    def cleanUp(self) -> None:
        """
        Take away what the reactor watches, as the janitor of trial does.  Whoever has left sockets open hears nothing
        more of them; those that come later, and who selects anew, do.
        """
        reactor = self.ground.reactor
        for call in reactor.getDelayedCalls():
            call.cancel()
        reactor.removeAll()
        left = [*reactor.removeAll(), *reactor.getReaders(), *reactor.getWriters()]
        left = [one for one in left if one not in reactor._internalReaders]
        if left:
            self.fault(f"behind the janitor the reactor still has {left!r}")
        for one in self.subjects.values():
            one.isLeft()
        self.bystanders.close()
        self.bystanders = Bystanders(self.ground)
        self.bystanders.meet(self.turn, _PATIENCE)

    def closeAll(self) -> None:
        for one in (*self.subjects.values(), *self.bystanders.sockets()):
            one.Close()

    # -- a program and its end

    def play(self, text: str) -> None:
        self.pump("at first")
        for step in parseScenario(text):
            if isinstance(step, HandlerRule):
                one = self.subject(step.sock)
                if step.once:
                    one.once[step.event].append(step)
                else:
                    one.standing[step.event] = step
            elif isinstance(step, Mistake):
                raise ValueError(f"line {step.line}: {step.message}")
            elif step.op == "pump":
                self.pump(f"line {step.line}")
            else:
                self.do(step)
        self.finish()

    def finish(self) -> None:
        """
        Everybody acts once more, and closes, one after the other: whoever waits hears of it.
        """
        newcomer = self.bystanders.newcomer()
        self.pump("a newcomer")
        newcomer.ask()
        for label, one in list(self.subjects.items()):
            if one.stage == "listening" and one.isOpen:
                self.do(Command("create", (f"{label}guest",)))
                self.do(Command("connect", (f"{label}guest", label)))
            elif one.stage in ("connected", "datagram"):
                self.do(Command("send", (label, "1")))
        self.pump("each acts")
        for label in list(self.subjects):
            self.do(Command("close", (label,)))
            self.pump(f"{label} closes")


@contextmanager
def _logged(world: World) -> Iterator[None]:
    """
    Keep what handlers have raised from Twisted's log, which would keep it itself until somebody listens.
    """

    @provider(ILogObserver)
    def other(event: LogEvent) -> None:
        failure = event.get("log_failure")
        if failure is not None:
            world.fault(f"logged: {failure.value!r}")

    mine = Logger(observer=cast(ILogObserver, world.logged.append))
    globalLogPublisher.addObserver(other)
    try:
        with mock.patch.object(_failures, "_log", mine):
            yield
    finally:
        globalLogPublisher.removeObserver(other)


def faultsOf(ground: str, text: str) -> list[str]:
    """
    Play a program.

    @param ground: one of L{GROUNDS}.
    @return: what is wrong; nothing when all is well.
    """
    faults: list[str] = []
    try:
        with groundOf(ground) as where:
            world = World(where)
            faults = world.faults
            try:
                with _logged(world), suppress(Found):
                    world.play(text)
            finally:
                world.closeAll()
                world.bystanders.close()
    except AssertionError as left:
        faults.append(str(left))
    return faults


def shrunk(text: str, fails: Callable[[str], bool]) -> str:
    """
    @return: the program without the lines that its fault does not need.
    """
    lines = text.splitlines(keepends=True)
    place = len(lines)
    while place:
        place -= 1
        shorter = lines[:place] + lines[place + 1 :]
        if fails("".join(shorter)):
            lines = shorter
    return "".join(lines)
