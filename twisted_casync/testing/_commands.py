"""
The commands of the scenario language, each over the member of C{CAsyncSocket} it stands for: here those that
make, change and name sockets, and the table of all.

A command is a function of the session and the command's tokens; it returns the fields of its record. Nothing
here waits for the reactor: between two pumps a scenario runs in one go, and so no notification can come in
between.
"""

from __future__ import annotations

import time

from twisted_casync import CAsyncSocket
from twisted_casync.testing._addresses import addressOf, isReachable, shownAddress, targetOf
from twisted_casync.testing._datacommands import DATA_COMMANDS
from twisted_casync.testing._optioncommands import OPTION_COMMANDS
from twisted_casync.testing._scenario import Command, ScenarioError, parseMask, parseNumber
from twisted_casync.testing._session import Fields, Operation, Session, boolResult, errorName
from twisted_casync.winsock import (
    AF_INET,
    AF_INET6,
    INVALID_SOCKET,
    SOCK_DGRAM,
    SOCK_STREAM,
    SetLastError,
    WSAError,
)

__all__ = ["COMMANDS", "DEFAULT_WAIT"]

DEFAULT_WAIT = 150
"""For how many milliseconds a C{pump} or a C{sleep} that names no time waits."""

_SHUTDOWNS = {None: 1, "recv": 0, "send": 1, "both": 2}


def _nop(session: Session, command: Command) -> None:
    """Nothing, and not logged."""


def _pump(session: Session, command: Command) -> Fields:
    # The runner takes the pumps of the scenario itself; one that gets here stands in a handler.
    raise ScenarioError("pump inside a handler")


def _sleep(session: Session, command: Command) -> Fields:
    wait = parseNumber(command.optional(0))
    time.sleep(max(0, DEFAULT_WAIT if wait is None else wait) / 1000)
    return {"op": command.op}


def _lasterror(session: Session, command: Command) -> Fields:
    return {"op": command.op, "value": errorName(CAsyncSocket.GetLastError())}


def _deadport(session: Session, command: Command) -> Fields:
    name = command.argument(0)
    return {"op": command.op, "port": name, **boolResult(session.reservePort(name))}


# -- the life of an object


def _kind(command: Command) -> tuple[int, int, int]:
    """
    @return: type, family and protocol; the numbers of families are Winsock's, the class takes the platform's.
    """
    kind, family = command.options.get("type", "stream"), command.options.get("family", "4")
    kinds = {"stream": SOCK_STREAM, "dgram": SOCK_DGRAM}
    families = {"4": AF_INET, "6": AF_INET6, "2": AF_INET, "23": AF_INET6}
    nSocketType = kinds.get(kind, parseNumber(kind))
    nAddressFormat = families.get(family, parseNumber(family))
    if nSocketType is None:
        raise ScenarioError(f"bad type {kind}")
    if nAddressFormat is None:
        raise ScenarioError(f"bad family {family}")
    return nSocketType, nAddressFormat, parseNumber(command.options.get("proto")) or 0


def _socket(session: Session, command: Command) -> Fields:
    nSocketType, nAddressFormat, nProtocolType = _kind(command)
    lEvent = parseMask(command.options.get("mask"))
    subject = session.closed(command.argument(0))
    ok = subject.socket.Socket(nSocketType, lEvent, nProtocolType, nAddressFormat)
    if subject.isOpen():
        subject.opened(nAddressFormat, nSocketType)
    return {"op": command.op, "sock": subject.name, **boolResult(ok)}


def _create(session: Session, command: Command) -> Fields:
    nSocketType, family, protocol = _kind(command)
    lEvent = parseMask(command.options.get("mask"))
    subject = session.closed(command.argument(0))
    host, port = command.options.get("host", "*"), command.options.get("port", "0")
    target = targetOf(session, family, nSocketType, host, port)
    if family == AF_INET and protocol == 0 and target.isPlain():
        ok = subject.socket.Create(target.port, nSocketType, lEvent, target.text())
    else:
        ok = subject.socket.CreateEx((family, nSocketType, protocol, "", target.sockaddr("0.0.0.0")), lEvent)
    if subject.isOpen():
        subject.opened(family, nSocketType)
    fields = {"op": command.op, "sock": subject.name, **boolResult(ok)}
    session.learnPort(subject, port if target.unknown else None)
    return fields


def _close(session: Session, command: Command) -> Fields:
    subject = session.subject(command.argument(0))
    subject.socket.Close()
    return {"op": command.op, "sock": subject.name, "ret": None, "err": None}


def _accept(session: Session, command: Command) -> Fields:
    listener = session.subject(command.argument(0))
    subject = session.closed(command.argument(1))
    peer = listener.socket.Accept(subject.socket, True, parseNumber(command.options.get("addrlen")))
    fields = {"op": command.op, "sock": listener.name, "new": subject.name, **boolResult(peer is not None)}
    if subject.isOpen():
        subject.opened(listener.family, listener.type)
    if peer is not None:
        fields["addr"] = shownAddress(session, listener.type, peer)
    return fields


def _detach(session: Session, command: Command) -> Fields:
    subject = session.subject(command.argument(0))
    name = command.argument(1)
    handle = subject.socket.Detach()
    session.detached(name, handle, subject)
    return {
        "op": command.op,
        "sock": subject.name,
        "handle": name,
        "ret": handle != INVALID_SOCKET,
        "err": None,
    }


def _attach(session: Session, command: Command) -> Fields:
    subject = session.closed(command.argument(0))
    name = command.argument(1)
    raw = next((raw for raw in reversed(session.handles) if raw.name == name), None)
    if raw is None:
        raise ScenarioError(f"no handle {name}")
    ok = subject.socket.Attach(raw.handle, parseMask(command.options.get("mask")))
    fields = {"op": command.op, "sock": subject.name, "handle": name, **boolResult(ok)}
    session.attached(subject, raw)
    return fields


def _closehandle(session: Session, command: Command) -> Fields:
    name = command.argument(0)
    ok = session.closeHandle(session.handleNamed(name))
    if not ok:
        SetLastError(WSAError.WSAENOTSOCK)
    return {"op": command.op, "handle": name, **boolResult(ok)}


def _fromhandle(session: Session, command: Command) -> Fields:
    name = command.argument(0)
    found = CAsyncSocket.FromHandle(session.handleNamed(name))
    known = [subject.name for subject in session.subjects.values() if subject.socket is found]
    value = None if found is None else known[0] if known else "(another)"
    return {"op": command.op, "handle": name, "value": value}


def _select(session: Session, command: Command) -> Fields:
    subject = session.subject(command.argument(0))
    ok = subject.socket.AsyncSelect(parseMask(command.optional(1)))
    return {"op": command.op, "sock": subject.name, **boolResult(ok)}


# -- addresses


def _bind(session: Session, command: Command) -> Fields:
    subject, target = addressOf(session, command, 1)
    if target.isPlain():
        ok = subject.socket.Bind(target.port, target.text())
    else:
        ok = subject.socket.Bind(target.sockaddr("0.0.0.0"), target.length)
    fields = {"op": command.op, "sock": subject.name, **boolResult(ok)}
    session.learnPort(subject, command.argument(2) if target.unknown else None)
    return fields


def _connect(session: Session, command: Command) -> Fields:
    subject, target = addressOf(session, command, 1)
    ok = False
    if isReachable(command, target):
        host = target.text()
        if target.isPlain() and host is not None:
            ok = subject.socket.Connect(host, target.port)
        else:
            ok = subject.socket.Connect(target.sockaddr("0.0.0.0"), target.length)
    fields = {"op": command.op, "sock": subject.name, **boolResult(ok)}
    session.learnPort(subject)
    return fields


def _names(session: Session, command: Command) -> Fields:
    subject = session.subject(command.argument(0))
    length = parseNumber(command.options.get("addrlen"))
    member = "GetPeerName" if command.op == "getpeername" else "GetSockName"
    if subject.family == AF_INET6 and length is None:
        address = getattr(subject.socket, f"{member}Ex")()
    else:
        address = getattr(subject.socket, member)(length)
    fields = {"op": command.op, "sock": subject.name, **boolResult(address is not None)}
    if address is not None:
        fields["addr"] = shownAddress(session, subject.type, address)
    return fields


def _listen(session: Session, command: Command) -> Fields:
    subject = session.subject(command.argument(0))
    backlog = parseNumber(command.optional(1))
    ok = subject.socket.Listen() if backlog is None else subject.socket.Listen(backlog)
    return {"op": command.op, "sock": subject.name, **boolResult(ok)}


def _shutdown(session: Session, command: Command) -> Fields:
    subject = session.subject(command.argument(0))
    how = command.optional(1)
    nHow = _SHUTDOWNS.get(how, parseNumber(how))
    if nHow is None:
        raise ScenarioError(f"bad how {how}")
    return {"op": command.op, "sock": subject.name, **boolResult(subject.socket.ShutDown(nHow))}


COMMANDS: dict[str, Operation] = {
    "accept": _accept,
    "attach": _attach,
    "bind": _bind,
    "close": _close,
    "closehandle": _closehandle,
    "connect": _connect,
    "create": _create,
    "deadport": _deadport,
    "detach": _detach,
    "fromhandle": _fromhandle,
    "getpeername": _names,
    "getsockname": _names,
    "lasterror": _lasterror,
    "listen": _listen,
    "nop": _nop,
    "pump": _pump,
    "select": _select,
    "shutdown": _shutdown,
    "sleep": _sleep,
    "socket": _socket,
    **DATA_COMMANDS,
    **OPTION_COMMANDS,
}
