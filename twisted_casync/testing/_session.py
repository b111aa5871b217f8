"""
The world of one running scenario: its objects, the names of its ports and handles, and the trace it writes.

What the commands do with all that is in C{_commands}; when notifications may come is the runner's business.
"""

from __future__ import annotations

import socket
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from twisted.logger import Logger

from twisted_casync import CAsyncSocket
from twisted_casync._conduit import Conduit, conduitOf
from twisted_casync._threads import socketOf
from twisted_casync.testing._scenario import Command, HandlerRule, Mistake, ScenarioError
from twisted_casync.winsock import AF_INET, INVALID_SOCKET, SOCK_DGRAM, SOCK_STREAM, SetLastError, WSAError

__all__ = [
    "Bytes",
    "Fields",
    "Operation",
    "RawHandle",
    "Session",
    "SocketFactory",
    "Subject",
    "boolResult",
    "errorName",
    "failureName",
    "intResult",
]

_log = Logger("casync")

Fields = dict[str, Any]

# Makes a socket object that calls what it is given, with event and error code, at each of its notifications.
SocketFactory = Callable[[Callable[[str, int], None]], CAsyncSocket]

# A command: what it did, as the fields of its record, or None when it leaves no record.
Operation = Callable[["Session", Command], "Fields | None"]

_MOST_OBJECTS = 64
_LONGEST_NAME = 31


def errorName(code: int) -> str | int:
    """@return: the symbolic name of a Winsock error; C{0} where there is none."""
    if code == 0:
        return 0
    try:
        return WSAError(code).name
    except ValueError:
        return f"E{int(code)}"


def _conduitBehind(handle: int) -> Conduit | None:
    """
    @return: the conduit that a handle stands for; L{None} where it stands for a descriptor.
    """
    owner = socketOf(handle)
    sock: object = None if owner is None else owner._as_sock
    return sock if isinstance(sock, Conduit) else conduitOf(handle)


def _closeBehind(handle: int) -> None:
    """
    Close what a handle stands for, behind the back of its object.

    @raise OSError: there is nothing.
    """
    conduit = _conduitBehind(handle)
    if conduit is None:
        socket.close(handle)
    else:
        conduit.close()


def failureName() -> str:
    """@return: the name of the last error, for a member that has just failed."""
    return str(errorName(CAsyncSocket.GetLastError()) or "E0")


def boolResult(ok: object) -> Fields:
    """
    @return: the fields C{ret} and C{err} of a member that answers yes or no, taken right after the call.
    """
    return {"ret": bool(ok), "err": None if ok else failureName()}


def intResult(ret: int) -> Fields:
    """
    @return: the fields C{ret} and C{err} of a member that answers with a count, taken right after the call.
    """
    return {"ret": ret, "err": None if ret >= 0 else failureName()}


@dataclass
class Bytes:
    """How many bytes passed one way, and their CRC-32."""

    count: int = 0
    crc: int = 0

    def add(self, data: bytes | memoryview) -> None:
        """These passed."""
        self.count += len(data)
        self.crc = zlib.crc32(data, self.crc)


@dataclass(eq=False)
class Subject:
    """An object of the scenario: the socket under test, and what the scenario keeps about it."""

    name: str
    socket: CAsyncSocket
    family: int = AF_INET
    type: int = SOCK_STREAM
    sent: Bytes = field(default_factory=Bytes)
    got: Bytes = field(default_factory=Bytes)
    standing: dict[str, HandlerRule] = field(default_factory=dict)
    once: dict[str, deque[HandlerRule]] = field(default_factory=dict)

    def isOpen(self) -> bool:
        """Whether the object has a socket."""
        return self.socket.m_hSocket != INVALID_SOCKET

    def opened(self, family: int, type: int) -> None:
        """The object has a new socket: what was counted belonged to another."""
        self.family, self.type = family, type
        self.sent, self.got = Bytes(), Bytes()


@dataclass(frozen=True)
class RawHandle:
    """A handle that C{detach} gave a name to."""

    name: str
    handle: int
    family: int
    type: int


class Session:
    """
    One run of one scenario.

    @ivar records: the trace so far.
    @ivar notified: called after each notification and its handler; the runner's clock of quiet.
    @ivar listening: whether notifications are expected now, that is, whether a C{pump} runs. One that comes
        at another time shows in the trace, but no handler runs: a class that calls its handlers from inside
        its members would otherwise recurse for ever.
    """

    def __init__(self, name: str, factory: SocketFactory, operations: Mapping[str, Operation]) -> None:
        self.name = name
        self.records: list[Fields] = [{"scenario": name}]
        self.notified: Callable[[], None] = lambda: None
        self.listening = False
        self.subjects: dict[str, Subject] = {}
        self.handles: list[RawHandle] = []
        self._factory = factory
        self._operations = operations
        self._loose: set[int] = set()
        self._ports: list[tuple[bool, int, str]] = []
        self._reserved: list[socket.socket] = []
        self._within: str | None = None
        self._over = False
        SetLastError(0)

    # -- running

    def execute(self, command: Command) -> None:
        """Run one command and write its record. Whatever it raises goes into the record, and nowhere else."""
        try:
            operation = self._operations.get(command.op)
            if operation is None:
                raise ScenarioError(f"unknown command {command.op}")
            fields = operation(self, command)
        except ScenarioError as error:
            fields = {"script_error": str(error)}
        except Exception as error:
            # A member that raises is a finding about the class, to be compared like any other answer.
            _log.failure("{scenario}:{line} {op}", scenario=self.name, line=command.line, op=command.op)
            fields = {"op": command.op, "exception": f"{type(error).__name__}: {error}"}
            if command.arguments:
                fields["sock"] = command.arguments[0]
        if fields is not None:
            if self._within is not None:
                fields["in"] = self._within
            self.records.append({**fields, "line": command.line})

    def mistake(self, mistake: Mistake) -> None:
        """Record what is wrong with the scenario itself."""
        self.records.append({"script_error": mistake.message, "line": mistake.line})

    def rule(self, rule: HandlerRule) -> None:
        """Set a handler."""
        try:
            subject = self.subject(rule.sock)
        except ScenarioError as error:
            self.mistake(Mistake(str(error), rule.line))
            return
        if rule.once:
            subject.once.setdefault(rule.event, deque()).append(rule)
        else:
            subject.standing[rule.event] = rule

    def deliver(self, name: str, event: str, code: int) -> None:
        """A notification of the object C{name} came: write it, and run what the scenario says to it."""
        if self._over:
            return
        self.records.append({"note": event, "sock": name, "err": errorName(code)})
        if not self.listening:
            self.records[-1]["outside"] = "pump"
            return
        subject = self.subjects[name]
        waiting = subject.once.get(event)
        rule = waiting.popleft() if waiting else subject.standing.get(event)
        if rule is not None:
            before, self._within = self._within, f"{name}.{event}"
            for command in rule.commands:
                self.execute(command)
            self._within = before
        self.notified()

    def finish(self) -> None:
        """End the trace, and close whatever the scenario left open, so that the next one is not disturbed."""
        self.records.append({"end": self.name})
        self._over = True
        for subject in self.subjects.values():
            try:
                subject.socket.Close()
            except Exception as error:
                _log.failure("{scenario}: Close", scenario=self.name)
                self.records.append({"exception": f"Close: {type(error).__name__}: {error}"})
        for handle in self._loose:
            _closeBehind(handle)
        for reserved in self._reserved:
            reserved.close()

    # -- objects and handles

    def subject(self, name: str) -> Subject:
        """
        @return: the object C{name}, which comes into being with its first mention.
        @raise ScenarioError: there are 64 already, or the name is longer than 31 characters.
        """
        subject = self.subjects.get(name)
        if subject is None:
            if len(self.subjects) == _MOST_OBJECTS or len(name) > _LONGEST_NAME:
                raise ScenarioError("too many sockets")
            subject = Subject(name, self._factory(lambda event, code: self.deliver(name, event, code)))
            self.subjects[name] = subject
        return subject

    def closed(self, name: str) -> Subject:
        """
        @return: the object C{name}, which must have no socket.
        @raise ScenarioError: it has one.
        """
        subject = self.subject(name)
        if subject.isOpen():
            raise ScenarioError(f"{name} is attached already")
        return subject

    def detached(self, name: str, handle: int, subject: Subject) -> None:
        """Name a handle that no object owns any more."""
        self.handles.append(RawHandle(name, handle, subject.family, subject.type))
        if handle != INVALID_SOCKET:
            self._loose.add(handle)

    def attached(self, subject: Subject, raw: RawHandle) -> None:
        """Take note that C{subject} was given a named handle."""
        if subject.socket.m_hSocket == raw.handle:
            self._loose.discard(raw.handle)
            subject.family, subject.type = raw.family, raw.type

    def handleNamed(self, name: str) -> int:
        """
        @return: the handle with that name, else that of the object with that name, else C{INVALID_SOCKET}.
        """
        for raw in self.handles:
            if raw.name == name:
                return raw.handle
        return self.subjects[name].socket.m_hSocket if name in self.subjects else INVALID_SOCKET

    def closeHandle(self, handle: int) -> bool:
        """
        Close a descriptor beneath everybody.

        @return: whether it was one of this scenario's. The number of a descriptor that is closed already may
            belong to the reactor by now, so it is not tried.
        """
        owned = any(handle == subject.socket.m_hSocket for subject in self.subjects.values())
        if handle == INVALID_SOCKET or not (owned or handle in self._loose):
            return False
        self._loose.discard(handle)
        try:
            _closeBehind(handle)
        except OSError:
            return False  # an object's, and it was closed beneath that object before
        return True

    # -- ports

    def port(self, type: int, name: str) -> int | None:
        """@return: the port that has this C{@name} for sockets of C{type}, or L{None}."""
        datagram = type == SOCK_DGRAM
        return next((p for d, p, n in reversed(self._ports) if n == name and d == datagram), None)

    def portName(self, type: int, port: int) -> str | None:
        """@return: the C{@name} that a port number was given last, or L{None}."""
        datagram = type == SOCK_DGRAM
        return next((n for d, p, n in reversed(self._ports) if p == port and d == datagram), None)

    def learnPort(self, subject: Subject, name: str | None = None) -> None:
        """
        Name the local port of an object, if it has one, and that has no name or is to have another.

        The socket is asked behind the back of the object, whose last error this must not change.

        @param name: the name; L{None} for C{@} and the object's.
        """
        if not subject.isOpen():
            return
        probe: socket.socket | None = None
        try:
            handle = subject.socket.m_hSocket
            asked: socket.socket | Conduit | None = _conduitBehind(handle)
            if asked is None:
                asked = probe = socket.socket(fileno=handle)
            address = asked.getsockname()
        except OSError:
            return  # closed beneath the object: the members will tell
        finally:
            if probe is not None:
                probe.detach()
        port = address[1] if isinstance(address, tuple) and len(address) > 1 else 0
        # The system may give a port again that had another name; a name that was asked for is given all the same.
        if port and (name is not None or self.portName(subject.type, port) is None):
            self._ports.append((subject.type == SOCK_DGRAM, port, name or f"@{subject.name[:30]}"))

    def reservePort(self, name: str) -> bool:
        """
        Take a TCP port of 127.0.0.1 where nobody listens, and its UDP twin where nobody receives, for as long as
        the scenario runs, and name them.

        @return: whether they were found.
        """
        for _ in range(20):
            taken = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._reserved.append(taken)
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            twin = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._reserved.append(twin)
            try:
                twin.bind(("127.0.0.1", port))
            except OSError:
                continue
            # No other socket is given the number now. As this one hears only itself, Linux says to others that the
            # port is unreachable.
            twin.connect(("127.0.0.1", port))
            self._ports += [(False, port, name), (True, port, name)]
            return True
        return False
