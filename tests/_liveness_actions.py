"""
What random programs can do, each action with the commands of the scenario language that it is written as.

The members are called as programs call them.  What an action changes of what its socket is due is said beside the call.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

from _liveness_forks import FORKS
from _liveness_subjects import READABLE, WRITABLE, WaitingSubject

from twisted_casync import (
    LINGER,
    MSG_OOB,
    MSG_PEEK,
    SO_LINGER,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOCKET_ERROR,
    CAsyncSocket,
    GetLastError,
    WSAError,
)
from twisted_casync.testing._scenario import Command, parseMask, parseNumber

__all__ = ["ACTIONS", "RAISED", "eventsOf"]

Action = Callable[[Any, Any, Command], None]
"""Called with the world, the socket that it is about, and the command."""

_EVENTS: Final = {1: "OnReceive", 2: "OnSend", 4: "OnOutOfBandData", 8: "OnAccept", 16: "OnConnect", 32: "OnClose"}
_HOW: Final = {"receives": CAsyncSocket.receives, "sends": CAsyncSocket.sends, "both": CAsyncSocket.both}
_PIECE: Final = bytes(16384)
_MOST_PIECES: Final = 500


class Outcry(BaseException):
    """
    Something that is no Exception.
    """


RAISED: Final[dict[str, Callable[[], BaseException]]] = {
    "mistake": lambda: ValueError("a mistake"),
    "exit": lambda: SystemExit(3),
    "interrupt": KeyboardInterrupt,
    "cancelled": asyncio.CancelledError,
    "generator": GeneratorExit,
    "stop": StopIteration,
    "outcry": Outcry,
}
"""What a handler can raise."""


def eventsOf(mask: str | None) -> set[str]:
    """
    @return: the handlers of the events that a mask selects.
    """
    return {event for bit, event in _EVENTS.items() if parseMask(mask) & bit}


def _create(world: Any, one: Any, command: Command) -> None:
    if one.isOpen:
        return
    mask, datagram = command.options.get("mask"), command.options.get("type") == "dgram"
    if not datagram and not world.ground.creates:
        one.wanted = mask
        return
    made = one.Socket(SOCK_DGRAM if datagram else SOCK_STREAM, parseMask(mask))
    if made and one.Bind(0, "127.0.0.1"):
        world.ground.narrow(one)
        one.begin("datagram" if datagram else "unconnected", eventsOf(mask))


def _listen(world: Any, one: Any, command: Command) -> None:
    # A second Listen changes nothing.
    if one.stage != "listening" and world.ground.listen(one):
        one.stage, one.heard = "listening", set()


def _connect(world: Any, one: Any, command: Command) -> None:
    to = command.argument(1)
    byName = to.partition(":")[2] if to.startswith("name:") else None
    port = world.portOf(byName or to, world.isDatagram(one))
    datagram = one.stage == "datagram"
    if port is None or (datagram and byName):
        return
    host = "127.0.0.1" if byName is None else "nowhere.test" if byName == "nowhere" else "somewhere.test"
    begun = world.ground.connect(one, host, port)
    if not begun:
        return
    if datagram:
        one.heard.discard("OnSend")
    else:
        # Nothing tells when the class finds how it has ended, where that is not selected.
        one.looksUp = byName is not None
        one.stage, one.heard = "connecting" if "OnConnect" in one.selected else "unknown", set()


def _accept(world: Any, listener: Any, command: Command) -> None:
    into = command.optional(1)
    child = world.subject(into) if into else world.extra()
    if child.isOpen:
        return
    # Of a CSocket too, as nobody waits here.
    if CAsyncSocket.Accept(listener, child):
        child.begin("connected", set(listener.selected))
        listener.accepted = child
    listener.heard.discard("OnAccept")


def _recv(world: Any, one: Any, command: Command) -> None:
    size, flag = parseNumber(command.argument(1)) or 0, command.optional(2)
    flags = {"PEEK": MSG_PEEK, "OOB": MSG_OOB}.get(flag or "", 0)
    CAsyncSocket.Receive(one, bytearray(size), size, flags)
    one.heard -= {"OnOutOfBandData"} if flag == "OOB" else {"OnReceive", "OnOutOfBandData"}


def _send(world: Any, one: Any, command: Command) -> None:
    what = command.argument(1)
    if what == "urgent":
        _sent(one, CAsyncSocket.Send(one, b"!", 1, MSG_OOB), 1)
    elif what != "fill":
        size = parseNumber(what) or 0
        _sent(one, CAsyncSocket.Send(one, _PIECE, size), size)
    else:
        for _ in range(_MOST_PIECES):
            if not _sent(one, CAsyncSocket.Send(one, _PIECE), len(_PIECE)):
                break


def _sent(one: Any, count: int, size: int) -> bool:
    """
    @return: whether all of it was sent; else, if it would block, OnSend is to tell when to go on.
    """
    if count == SOCKET_ERROR:
        if GetLastError() == WSAError.WSAEWOULDBLOCK:
            one.heard.discard("OnSend")
        return False
    if count < size:
        one.heard.discard("OnSend")
    return count == size


def _sendto(world: Any, one: Any, command: Command) -> None:
    port = world.portOf(command.argument(1), True)
    if port is not None and one.stage == "datagram":
        host = "somewhere.test" if command.optional(2) == "name" else "127.0.0.1"
        _sent(one, CAsyncSocket.SendTo(one, b"mail", 4, port, host), 4)


def _shutdown(world: Any, one: Any, command: Command) -> None:
    how = command.argument(1)
    if one.ShutDown(_HOW[how]):
        one.shut |= {"receives", "sends"} if how == "both" else {how}


def _close(world: Any, one: Any, command: Command) -> None:
    one.Close()
    one.end()


def _reset(world: Any, one: Any, command: Command) -> None:
    if one.isOpen and not world.isDatagram(one):
        one.SetSockOpt(SO_LINGER, LINGER(1, 0))
    _close(world, one, command)


def _select(world: Any, one: Any, command: Command) -> None:
    mask = command.argument(1)
    if isinstance(one, WaitingSubject) or not one.AsyncSelect(parseMask(mask)):
        return
    one.selected, one.heard = eventsOf(mask), set()
    if one.stage == "connecting" and "OnConnect" not in one.selected:
        one.stage = "unknown"


def _move(world: Any, one: Any, command: Command) -> None:
    """
    Detach, and attach to another object, or to the same.
    """
    other = world.subject(command.argument(1))
    if other is not one and other.isOpen:
        return
    handle = one.Detach()
    if handle == -1:
        return
    stage, shut, broken = one.stage, one.shut, one.broken
    one.end()
    attached = other.Attach(handle)
    if not attached:
        world.fault(f"{other.label} can't be attached: {GetLastError()!r}")
        return
    # How an attempt to connect has ended nobody is told who did not begin it.
    other.begin("unknown" if stage == "connecting" else stage, eventsOf(None))
    other.shut, other.broken = set(shut), broken


def _pair(world: Any, one: Any, command: Command) -> None:
    """
    Two that are connected without a name, as socketpair(2) makes them.
    """
    other = world.subject(command.argument(1))
    if one.isOpen or other.isOpen or other is one or not world.ground.janitor:
        return
    for each, end in zip((one, other), socket.socketpair(), strict=True):
        if each.Attach(end):
            world.ground.narrow(each)
            each.begin("connected", eventsOf(None))


def _assign(world: Any, one: Any, command: Command) -> None:
    """
    Another object with the same socket.
    """
    other = world.subject(command.argument(1))
    if not other.isOpen and other.Assign(one):
        certain = one.stage in ("connected", "listening", "datagram") or (
            # Of an attempt that has succeeded the class may know that already; and the answer to who looks a name up
            # goes to that one.
            one.stage == "connecting" and not (one.looksUp or isinstance(one, WaitingSubject) or one.hasPeer())
        )
        other.begin(one.stage if certain else "another's", set(one.selected))
        other.shut, other.broken = set(one.shut), one.broken


def _wait(world: Any, one: Any, command: Command) -> None:
    if not isinstance(one, WaitingSubject):
        return
    what = command.argument(1)
    if what == "receive":
        one.wait(READABLE, one.Receive())
    elif what == "send":
        one.wait(WRITABLE, one.Send(_PIECE * 8))
    elif what == "accept":
        child = world.extra()
        call = one.Accept(child)
        call.addCallback(lambda _: child.begin("connected", set()))
        one.wait(READABLE, call)


def _cancel(world: Any, one: Any, command: Command) -> None:
    if isinstance(one, WaitingSubject):
        one.cancel()


def _iterate(world: Any, one: Any, command: Command) -> None:
    world.within()


def _fork(world: Any, one: Any, command: Command) -> None:
    # Else a child could do nothing but leave.
    FORKS[command.argument(0) if world.mayTurn() else "leave"](world)


def _janitor(world: Any, one: Any, command: Command) -> None:
    """
    What trial does after a test that has left sockets open.
    """
    if world.ground.janitor and not world.depth:
        world.cleanUp()


ACTIONS: Final[dict[str, Action]] = {
    "accept": _accept,
    "assign": _assign,
    "cancel": _cancel,
    "close": _close,
    "connect": _connect,
    "create": _create,
    "fork": _fork,
    "iterate": _iterate,
    "janitor": _janitor,
    "listen": _listen,
    "move": _move,
    "pair": _pair,
    "recv": _recv,
    "reset": _reset,
    "select": _select,
    "send": _send,
    "sendto": _sendto,
    "shutdown": _shutdown,
    "wait": _wait,
}
