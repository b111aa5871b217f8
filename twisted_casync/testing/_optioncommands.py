"""
The commands for options and ioctls: GetSockOpt, SetSockOpt, IOCtl.

Winsock's options are buffers with a length, and the traces show lengths; so options are read into a buffer
here, and written from one wherever the scenario's value isn't what the class would be given in Python.
"""

from __future__ import annotations

import re
import struct
from typing import Any

from twisted_casync.testing._scenario import Command, ScenarioError, parseNumber
from twisted_casync.testing._session import Fields, Operation, Session, boolResult, errorName
from twisted_casync.winsock import (
    FIONBIO,
    FIONREAD,
    IP_OPTIONS,
    IPPROTO_IP,
    IPPROTO_TCP,
    IPV6_V6ONLY,
    LINGER,
    SIOCATMARK,
    SOL_SOCKET,
    TCP_MAXSEG,
    TCP_NODELAY,
    LevelOption,
    Option,
)

__all__ = ["OPTION_COMMANDS"]

_OPTIONS: dict[str, LevelOption] = {
    option.name: option for option in (*Option, TCP_NODELAY, TCP_MAXSEG, IP_OPTIONS, IPV6_V6ONLY)
}
_UNKNOWN = Option.SO_SNDLOWAT
"""Stands for a number that is no option: the class does not support this one."""
_LEVELS = {"SOL_SOCKET": SOL_SOCKET, "IPPROTO_TCP": IPPROTO_TCP, "IPPROTO_IP": IPPROTO_IP}
_IOCTLS = {"FIONBIO": FIONBIO, "FIONREAD": FIONREAD, "SIOCATMARK": SIOCATMARK}
_LONGEST = 1 << 16


def _option(command: Command) -> tuple[str, int | None, LevelOption]:
    """@return: the option as written, its level where one is, and the option."""
    name = command.argument(1)
    level, written = None, command.options.get("level")
    if written is not None:
        level = _LEVELS.get(written, parseNumber(written))
        if level is None:
            raise ScenarioError(f"bad level {written}")
    option, number = _OPTIONS.get(name), parseNumber(name)
    if option is None:
        if number is None:
            raise ScenarioError(f"bad option {name}")
        at = SOL_SOCKET if level is None else level
        option = next((one for one in _OPTIONS.values() if (one.level, one) == (at, number)), _UNKNOWN)
    return name, level, option


def _length(command: Command) -> int | None:
    length = parseNumber(command.options.get("optlen"))
    if length is not None and not 0 <= length <= _LONGEST:
        raise ScenarioError(f"bad optlen {length}")
    return length


def _decoded(name: str, value: bytes) -> Any:
    """
    @return: the value of an option as a trace shows it: what the bytes are, read as Winsock's program would.
    """
    whole = value.ljust(4, b"\0")
    low, high = struct.unpack_from("<HH", whole)
    number = struct.unpack_from("<i", whole)[0]
    if name == "SO_LINGER":
        return [low, high]
    if name == "SO_ERROR" and number:
        return errorName(number)
    return number if len(value) >= 4 else low


def _getsockopt(session: Session, command: Command) -> Fields:
    subject = session.subject(command.argument(0))
    name, level, option = _option(command)
    length = _length(command)
    buffer = bytearray(4 if length is None else length)
    written = subject.socket.GetSockOpt(option, buffer, nLevel=level)
    fields = {"op": command.op, "sock": subject.name, "opt": name, **boolResult(written is not None)}
    if written is not None:
        fields.update(optlen=written, value=_decoded(name, bytes(buffer[:written])))
    return fields


def _encoded(name: str, text: str, length: int | None) -> int | LINGER | bytes:
    """
    @return: a value as a Python program gives it; as bytes where it or its length isn't what the option
        takes.
    """
    pair, number = re.fullmatch(r"(-?\d+),(-?\d+)", text), parseNumber(text)
    raw: bytes
    if pair is not None:
        linger = LINGER(int(pair[1]) & 0xFFFF, int(pair[2]) & 0xFFFF)
        if name == "SO_LINGER" and length is None:
            return linger
        raw = struct.pack("<HH", *linger)
    elif number is not None:
        if name != "SO_LINGER" and length is None:
            return number
        raw = struct.pack("<I", number & 0xFFFFFFFF)
    else:
        raise ScenarioError(f"bad value {text}")
    return raw.ljust(length or 0, b"\0")


def _setsockopt(session: Session, command: Command) -> Fields:
    subject = session.subject(command.argument(0))
    name, level, option = _option(command)
    length = _length(command)
    ok = subject.socket.SetSockOpt(option, _encoded(name, command.argument(2), length), length, level)
    return {"op": command.op, "sock": subject.name, "opt": name, **boolResult(ok)}


def _ioctl(session: Session, command: Command) -> Fields:
    subject = session.subject(command.argument(0))
    name = command.argument(1)
    number = _IOCTLS.get(name, parseNumber(name))
    if number is None:
        raise ScenarioError("bad ioctl")
    answer = subject.socket.IOCtl(number, parseNumber(command.optional(2)) or 0)
    # A mark that is not there is False, and no failure; the members without an output fail with False.
    ok = answer is not None if number in (FIONREAD, SIOCATMARK) else bool(answer)
    fields = {"op": command.op, "sock": subject.name, "cmd": name, **boolResult(ok)}
    if ok and number != FIONBIO:
        fields["value"] = int(answer or 0)
    return fields


OPTION_COMMANDS: dict[str, Operation] = {
    "getsockopt": _getsockopt,
    "ioctl": _ioctl,
    "setsockopt": _setsockopt,
}
