"""
A second reading of the rules: what C{docs/decisions.md} says, as a plain and slow program over an abstract network.

It reads a scenario (the language of C{twisted_casync.testing}) and predicts its trace.  It shares nothing with the
class but the language: no bit masks, no reactor, no descriptors.  A socket is a state, the set of events that are
selected, and the set of those that were told and not enabled again since; whether an event holds is read from the
network.

What no rule determines is drawn by lot: which socket is next, and how long before it is told of something it was looked
at.  L{predict} plays a scenario under all lots, or under many, and says that it is undetermined when they differ.

Not modelled, and as good as undetermined: urgent data, full buffers, IPv6, handles, most options, mistakes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from _loopback import Listener, Mailbox, Network, Undetermined
from _lots import Lots, playings
from _rules import ORDER, Socket

from twisted_casync.testing._scenario import (
    Command,
    HandlerRule,
    Mistake,
    Step,
    parseData,
    parseMask,
    parseNumber,
    parseScenario,
)

__all__ = ["Record", "Undetermined", "predict"]

_MOST_NOTIFICATIONS = 150  # notifications in one pump: a handler that calls for its own next one never ends

BITS = {1: "OnReceive", 2: "OnSend", 8: "OnAccept", 16: "OnConnect", 32: "OnClose"}
HOST = "127.0.0.1"
MODELLED: dict[str, set[tuple[str, ...]]] = {
    "setsockopt": {("SO_LINGER", "1,0"), ("TCP_NODELAY", "1")},
    "ioctl": {("FIONREAD",)},
    "shutdown": {(), ("recv",), ("send",), ("both",)},
}
"""Commands that are modelled in part: with which arguments, after the object."""
OPTIONS = {"host", "mask", "port", "type"}
_LONGEST = 64  # bytes that a trace shows

Record = dict[str, Any]


class Failed(Exception):
    """
    A member fails; with its code, and what else its record says.
    """

    def __init__(self, code: str, **fields: Any) -> None:
        self.code = code
        self.fields = fields


class Model:
    """
    One scenario, under one lot.
    """

    def __init__(self, lot: Lots) -> None:
        self.lot = lot
        self.trace: list[Record] = []
        self.network = Network()
        self.sockets: dict[str, Socket] = {}
        self.ports: dict[tuple[bool, str], int] = {}
        self.names: dict[int, str] = {}
        self.within: str | None = None
        self.pumping = False

    def play(self, steps: list[Step]) -> list[Record]:
        for step in steps:
            if isinstance(step, Mistake):
                raise Undetermined
            if isinstance(step, HandlerRule):
                socket = self.socket(step.sock)
                if step.once:
                    socket.once.setdefault(step.event, []).append(step)
                else:
                    socket.standing[step.event] = step
            elif step.op == "pump":
                self.trace.append({"op": "pump", "line": step.line})
                self.pump()
            else:
                self.execute(step)
        return self.trace

    def socket(self, name: str) -> Socket:
        if name not in self.sockets:
            self.sockets[name] = Socket(name)
        return self.sockets[name]

    def toss(self) -> bool:
        return self.lot.draw(2) == 1

    # -- notifications

    def pump(self) -> None:
        self.pumping = True
        for _ in range(_MOST_NOTIFICATIONS):
            due = [socket for socket in self.sockets.values() if socket.isDue()]
            if not due:
                self.pumping = False
                return
            socket = due[self.lot.draw(len(due))]
            if len(due) > 1 and socket.state != "connecting" and socket.found is None and self.toss():
                # Looked at now, and told when others have had their turn.
                socket.found = socket.news()
            else:
                self.turn(socket)
        raise Undetermined

    def turn(self, socket: Socket) -> None:
        """
        Tell a socket all that was found, in one go.
        """
        if socket.state == "connecting":
            socket.conclude()
            # The connection is announced before what has happened on it.
            socket.now = {"OnConnect", "OnSend"} if socket.state == "connected" else {"OnConnect"}
        else:
            socket.now = socket.news() if socket.found is None else socket.found
        socket.found = None
        for event in ORDER:
            if event not in socket.now or not socket.isNews(event):
                continue
            if not socket.holds(event) and not (socket.wasFound(event) and self.toss()):
                # It held when the socket was looked at, and does no more.
                continue
            code = socket.error(event)
            if event == "OnConnect":
                socket.outcome = None
            socket.heard.add(event)
            self.trace.append({"note": event, "sock": socket.name, "err": code})
            waiting = socket.once.get(event)
            rule = waiting.pop(0) if waiting else socket.standing.get(event)
            self.within = f"{socket.name}.{event}"
            for command in rule.commands if rule is not None else ():
                self.execute(command)
            self.within = None
        socket.now = set()

    # -- members

    def execute(self, command: Command) -> None:
        if command.op == "nop":
            return
        member: Callable[[Socket, Command], Record | None] | None = getattr(self, f"do_{command.op}", None)
        modelled = MODELLED.get(command.op, {command.arguments[1:]})
        if member is None or command.arguments[1:] not in modelled or command.options.keys() - OPTIONS:
            raise Undetermined
        if command.op == "accept" and self.socket(command.argument(1)).state != "closed":
            # A mistake of the scenario.
            raise Undetermined
        record: Record = {"op": command.op}
        if command.op == "deadport":
            record |= {"port": command.argument(0), "ret": True, "err": None}
            self.dead(command.argument(0))
        else:
            socket = self.socket(command.argument(0))
            record |= {"sock": socket.name, "ret": True, "err": None}
            try:
                if socket.state == "closed" and command.op not in ("create", "close"):
                    raise Failed("WSAENOTSOCK")
                record |= member(socket, command) or {}
            except Failed as failed:
                record |= {"ret": -1 if command.op[:4] in ("send", "recv") else False, "err": failed.code}
                record |= failed.fields
            if command.op == "recvfrom":
                record.setdefault("from", None)
            if command.op in ("setsockopt", "ioctl", "accept"):
                record[{"setsockopt": "opt", "ioctl": "cmd", "accept": "new"}[command.op]] = command.argument(1)
        if self.within is not None:
            record["in"] = self.within
        self.trace.append({**record, "line": command.line})

    def dead(self, name: str) -> None:
        port = self.network.port()
        self.network.dead.add(port)
        self.ports[False, name] = self.ports[True, name] = port

    def do_deadport(self, socket: Socket, command: Command) -> None: ...

    def do_create(self, socket: Socket, command: Command) -> None:
        if socket.state != "closed":
            raise Undetermined
        datagram = command.options.get("type") == "dgram"
        name = command.options.get("port", f"@{socket.name}")
        if "port" in command.options and (datagram, name) in self.ports:
            raise Undetermined
        socket.port = self.network.port()
        self.ports[datagram, name] = socket.port
        self.names[socket.port] = name
        socket.selected = self.mask(command.options.get("mask"))
        if datagram:
            socket.mailbox = self.network.mailboxes[socket.port] = Mailbox(socket.port)
        socket.enter("datagram" if datagram else "bound")
        self.canSend(socket)

    @staticmethod
    def canSend(socket: Socket) -> None:
        """
        A socket comes into being and can send: what it is ready for at this moment is told before what comes later.
        """
        if socket.isNews("OnSend"):
            socket.found = socket.news()

    @staticmethod
    def mask(text: str | None) -> set[str]:
        return {event for bit, event in BITS.items() if parseMask(text) & bit}

    def do_close(self, socket: Socket, command: Command) -> Record:
        if socket.state == "listening":
            self.network.listeners.pop(socket.port).close()
        elif socket.state == "datagram":
            del self.network.mailboxes[socket.port]
        end = socket.end if socket.state == "connected" else socket.attempt
        if end is not None and socket.state in ("connected", "connecting"):
            end.abortive = socket.abortive
            end.close()
        socket.blank()
        return {"ret": None}

    def do_listen(self, socket: Socket, command: Command) -> None:
        if socket.state == "bound":
            socket.listener = self.network.listeners[socket.port] = Listener(socket.port)
            socket.enter("listening")
        elif socket.state != "listening":
            raise Undetermined

    def target(self, command: Command, datagram: bool) -> int:
        port = self.ports.get((datagram, command.argument(2)))
        if port is None:
            raise Undetermined
        return port

    def progress(self, socket: Socket) -> None:
        """
        A member is called while connecting: what is connected already can be used.
        """
        if socket.state == "connecting" and socket.attempt is not None:
            if socket.attempt.reset is not None:
                # Already lost again: whether that is known yet is not determined.
                raise Undetermined
            socket.conclude()
            socket.found = None if self.pumping and self.toss() else {"OnConnect", "OnSend"}

    def do_connect(self, socket: Socket, command: Command) -> None:
        if socket.state == "datagram":
            if socket.mailbox.refused:
                raise Undetermined
            socket.mailbox.peer = self.target(command, True)
            socket.heard.discard("OnSend")
            return
        self.progress(socket)
        if socket.state == "connecting":
            raise Failed("WSAEALREADY")
        if socket.state == "connected":
            raise Failed("WSAEISCONN")
        if socket.state == "listening":
            raise Failed("WSAEINVAL")
        socket.attempt = self.network.connect(socket.port, self.target(command, False))
        socket.outcome = None
        socket.enter("connecting")
        raise Failed("WSAEWOULDBLOCK")

    def do_accept(self, listener: Socket, command: Command) -> Record:
        socket = self.socket(command.argument(1))
        if listener.state != "listening":
            raise Failed("WSAEOPNOTSUPP" if listener.state == "datagram" else "WSAEINVAL")
        listener.heard.discard("OnAccept")
        if not listener.listener.waiting:
            raise Failed("WSAEWOULDBLOCK")
        socket.end = listener.listener.waiting.pop(0)
        socket.port = listener.port
        socket.selected = set(listener.selected)
        socket.enter("connected")
        self.canSend(socket)
        return {"addr": [HOST, self.names[socket.end.peer.port]]}

    def do_select(self, socket: Socket, command: Command) -> None:
        socket.selected = self.mask(command.optional(1))
        socket.heard = set()
        socket.now = set()
        if "OnConnect" not in socket.selected:
            socket.outcome = None
        if socket.found and self.toss():
            # What was found before may be told first, or in one with what is found now.
            socket.found = None

    def do_shutdown(self, socket: Socket, command: Command) -> None:
        self.progress(socket)
        if socket.state not in ("connected", "datagram"):
            raise Failed("WSAENOTCONN")
        how = command.optional(1) or "send"
        if how != "recv":
            if socket.state == "connected":
                socket.end.finish()
            socket.shutOut = True
        if how != "send":
            socket.shutIn = True

    def do_setsockopt(self, socket: Socket, command: Command) -> None:
        if command.argument(1) == "SO_LINGER":
            socket.abortive = True

    def do_ioctl(self, socket: Socket, command: Command) -> Record:
        if socket.shutIn:
            raise Undetermined
        if socket.state == "datagram":
            return {"value": len(socket.mailbox.queue[0][0]) if socket.mailbox.queue else 0}
        end = socket.end if socket.state == "connected" else socket.attempt
        return {"value": len(end.queue) if end is not None and socket.state.startswith("connect") else 0}

    # -- data

    def do_send(self, socket: Socket, command: Command) -> Record:
        data = parseData(command.argument(1))
        if command.optional(2) is not None:
            raise Undetermined
        self.progress(socket)
        if socket.state == "datagram":
            return self.post(socket, socket.mailbox.peer, data)
        if socket.state != "connected":
            raise Failed("WSAENOTCONN")
        if socket.shutOut:
            raise Failed("WSAESHUTDOWN")
        if socket.end.reset is not None:
            raise Failed("WSAECONNRESET")
        socket.end.send(data)
        return {"ret": len(data)}

    def do_sendto(self, socket: Socket, command: Command) -> Record:
        port = self.target(command, True)
        if socket.state != "datagram" or socket.mailbox.peer not in (None, port):
            raise Undetermined
        return self.post(socket, port, parseData(command.argument(3)))

    def post(self, socket: Socket, port: int | None, data: bytes) -> Record:
        if socket.shutOut:
            raise Failed("WSAESHUTDOWN")
        if port is None:
            raise Failed("WSAENOTCONN")
        if socket.mailbox.refused:
            # Linux may say it to whoever calls next.
            raise Undetermined
        self.network.post(socket.mailbox, port, data)
        return {"ret": len(data)}

    def do_recv(self, socket: Socket, command: Command) -> Record:
        size, peek = parseNumber(command.argument(1)) or 0, command.optional(2) == "PEEK"
        if not peek and command.optional(2) is not None:
            raise Undetermined
        self.progress(socket)
        # Also of one that fails.
        socket.heard.discard("OnReceive")
        if socket.found and self.toss():
            # What is left is found anew.
            socket.found = socket.found - {"OnReceive"}
        if socket.state not in ("connected", "datagram"):
            raise Failed("WSAENOTCONN")
        if socket.shutIn:
            raise Failed("WSAESHUTDOWN")
        if socket.state == "datagram":
            return self.receiveDatagram(socket.mailbox, size, peek, command.op == "recvfrom")
        end = socket.end
        if end.queue:
            data = end.queue[:size]
            if len(data) > _LONGEST:
                raise Undetermined
            if not peek:
                end.queue = end.queue[size:]
            return {"ret": len(data), "data": data.decode("latin-1")}
        if end.reset is not None:
            raise Failed(end.reset)
        if not end.finished:
            raise Failed("WSAEWOULDBLOCK")
        return {"ret": 0, "data": ""}

    do_recvfrom = do_recv

    def receiveDatagram(self, mailbox: Mailbox, size: int, peek: bool, sender: bool) -> Record:
        if mailbox.refused:
            mailbox.refused = False
            raise Failed("WSAECONNRESET")
        if not mailbox.queue:
            raise Failed("WSAEWOULDBLOCK")
        data, port = mailbox.queue[0] if peek else mailbox.queue.pop(0)
        if min(len(data), size) > _LONGEST:
            raise Undetermined
        fields: Record = {"data": data[:size].decode("latin-1")}
        if sender:
            fields["from"] = [HOST, self.names[port]]
        if len(data) > size:
            raise Failed("WSAEMSGSIZE", **fields)
        return {"ret": len(data), **fields}


def phases(trace: list[Record]) -> list[tuple[Record, dict[str, list[Record]]]]:
    """
    @return: what of a trace is determined: the commands in order, and what came to each socket in each pump.
    """
    found: list[tuple[Record, dict[str, list[Record]]]] = []
    for record in trace:
        told = "note" in record
        if told or "in" in record:
            name = record["sock"] if told else record["in"].partition(".")[0]
            found[-1][1].setdefault(name, []).append(record)
        else:
            found.append((record, {}))
    return found


def predict(text: str) -> list[Record]:
    """
    @param text: a scenario.
    @return: its trace, without the records that begin and end it.
    @raise Undetermined: its trace depends on what no rule determines.
    """
    trace: list[Record] | None = None
    steps = parseScenario(text)
    for lots in playings():
        played = Model(lots).play(steps)
        if trace is None:
            trace, expected = played, phases(played)
        elif phases(played) != expected:
            raise Undetermined
    assert trace is not None
    return trace
