"""
The commands that move data: Send, SendTo, Receive, ReceiveFrom, and the language's own fill, drain and
balance.
"""

from __future__ import annotations

import time

from twisted_casync import CAsyncSocket
from twisted_casync.testing._addresses import addressOf, isReachable, shownAddress
from twisted_casync.testing._scenario import Command, ScenarioError, parseData, parseFlags, parseNumber
from twisted_casync.testing._session import Bytes, Fields, Operation, Session, Subject, failureName, intResult
from twisted_casync.winsock import AF_INET6, MSG_OOB, MSG_PEEK, SOCKET_ERROR, WSAError

__all__ = ["DATA_COMMANDS"]

_SETTLE = 0.030  # seconds that fill and drain give the other side, before they believe that nothing goes any more
_MOST_ROUNDS = 200
_BIGGEST = 1 << 20


def _sent(session: Session, command: Command, subject: Subject, data: bytes, ret: int) -> Fields:
    fields = {"op": command.op, "sock": subject.name, **intResult(ret)}
    if ret > 0:
        subject.sent.add(data[:ret])
    session.learnPort(subject)
    return fields


def _send(session: Session, command: Command) -> Fields:
    subject = session.subject(command.argument(0))
    data, flags = parseData(command.argument(1)), parseFlags(command.optional(2))
    return _sent(session, command, subject, data, subject.socket.Send(data, len(data), flags))


def _sendto(session: Session, command: Command) -> Fields:
    subject, target = addressOf(session, command, 1)
    data, flags = parseData(command.argument(3)), parseFlags(command.optional(4))
    ret = SOCKET_ERROR
    if isReachable(command, target):
        send = subject.socket.SendToEx if subject.family == AF_INET6 else subject.socket.SendTo
        if target.isPlain():
            ret = send(data, len(data), target.port, target.text(), flags)
        else:
            ret = send(data, len(data), target.sockaddr("255.255.255.255"), target.length, flags)
    return _sent(session, command, subject, data, ret)


def _shown(data: bytes) -> str | Fields:
    if len(data) <= 64:
        return data.decode("latin-1")
    whole = Bytes()
    whole.add(data)
    return {"len": whole.count, "crc32": f"{whole.crc:08x}"}


def _recv(session: Session, command: Command) -> Fields:
    subject = session.subject(command.argument(0))
    size, flags = parseNumber(command.argument(1)), parseFlags(command.optional(2))
    if size is None or not 0 <= size <= _BIGGEST:
        raise ScenarioError("bad size")
    buffer = bytearray(size)
    address = None
    if command.op == "recvfrom":
        receive = subject.socket.ReceiveFromEx if subject.family == AF_INET6 else subject.socket.ReceiveFrom
        length = parseNumber(command.options.get("addrlen"))
        ret, address = receive(buffer, size, flags, lpSockAddrLen=length)
    else:
        ret = subject.socket.Receive(buffer, size, flags)
    fields = {"op": command.op, "sock": subject.name, **intResult(ret)}
    if ret >= 0:
        fields["data"] = _shown(bytes(buffer[:ret]))
    elif fields["err"] == "WSAEMSGSIZE":
        fields["data"] = _shown(bytes(buffer))
    if ret > 0 and not flags & (MSG_PEEK | MSG_OOB):
        subject.got.add(bytes(buffer[:ret]))
    session.learnPort(subject)
    if command.op == "recvfrom":
        fields["from"] = None if address is None else shownAddress(session, subject.type, address)
    return fields


def _chunk(command: Command, default: int) -> int:
    size = parseNumber(command.optional(1))
    return size if size is not None and 1 <= size <= _BIGGEST else default


def _fill(session: Session, command: Command) -> Fields:
    subject = session.subject(command.argument(0))
    chunk = b"f" * _chunk(command, 4096)
    last = 0
    stuck = 0
    for _ in range(_MOST_ROUNDS):
        before = subject.sent.count
        while (last := subject.socket.Send(chunk, len(chunk))) > 0:
            subject.sent.add(chunk[:last])
        if last == 0 or CAsyncSocket.GetLastError() != WSAError.WSAEWOULDBLOCK:
            break
        stuck = 0 if subject.sent.count > before else stuck + 1
        if stuck == 2:
            break
        time.sleep(_SETTLE)
    return {"op": command.op, "sock": subject.name, "last": last, "err": None if last >= 0 else failureName()}


def _drain(session: Session, command: Command) -> Fields:
    subject = session.subject(command.argument(0))
    buffer = memoryview(bytearray(_chunk(command, 65536)))
    start = subject.got.count
    stuck = 0
    while True:
        before = subject.got.count
        while (last := subject.socket.Receive(buffer, len(buffer))) > 0:
            subject.got.add(buffer[:last])
        if last == 0 or CAsyncSocket.GetLastError() != WSAError.WSAEWOULDBLOCK:
            break
        stuck = 0 if subject.got.count > before else stuck + 1
        if stuck == 2:
            break
        time.sleep(_SETTLE)
    fields: Fields = {"op": command.op, "sock": subject.name}
    if command.options.get("total") != "no":
        fields["total"] = subject.got.count - start
    return {**fields, "last": last, "err": None if last >= 0 else failureName()}


def _balance(session: Session, command: Command) -> Fields:
    sender, receiver = session.subject(command.argument(0)), session.subject(command.argument(1))
    return {
        "op": command.op,
        "sock": sender.name,
        "with": receiver.name,
        "value": sender.sent == receiver.got,
    }


DATA_COMMANDS: dict[str, Operation] = {
    "balance": _balance,
    "drain": _drain,
    "fill": _fill,
    "recv": _recv,
    "recvfrom": _recv,
    "send": _send,
    "sendto": _sendto,
}
