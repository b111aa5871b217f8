"""
The scenario language: text in, steps out.

Nothing here opens a socket or knows a reactor, so that a mistake in a scenario is found by reading it, and
the meaning of every token can be tested as a function.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from twisted_casync.winsock import (
    FD_ACCEPT,
    FD_ALL_EVENTS,
    FD_CLOSE,
    FD_CONNECT,
    FD_OOB,
    FD_READ,
    FD_WRITE,
    MSG_DONTROUTE,
    MSG_OOB,
    MSG_PEEK,
)

__all__ = [
    "EVENTS",
    "Command",
    "HandlerRule",
    "Mistake",
    "ScenarioError",
    "Step",
    "parseData",
    "parseFlags",
    "parseMask",
    "parseNumber",
    "parseScenario",
]

EVENTS = ("OnAccept", "OnConnect", "OnReceive", "OnSend", "OnOutOfBandData", "OnClose")

_MASKS = {
    "ALL": int(FD_ALL_EVENTS),
    "NONE": 0,
    "READ": int(FD_READ),
    "WRITE": int(FD_WRITE),
    "OOB": int(FD_OOB),
    "ACCEPT": int(FD_ACCEPT),
    "CONNECT": int(FD_CONNECT),
    "CLOSE": int(FD_CLOSE),
}
_FLAGS = {"PEEK": int(MSG_PEEK), "OOB": int(MSG_OOB), "DONTROUTE": int(MSG_DONTROUTE)}

# Blank means what C's isspace() means in its plain locale. str.split() would also split at the bytes 0x85 and
# 0xA0, which are data here.
_TOKEN = re.compile(r"[^ \t\n\v\f\r]+")
_BLANKS = " \t\n\v\f\r"
_NUMBER = re.compile(r"([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")
_LONG_MIN, _LONG_MAX = -(2**31), 2**31 - 1
_LONGEST_DATA = 64 * 1024 * 1024


class ScenarioError(ValueError):
    """
    A mistake in a scenario (not in the class it drives). It becomes a ``script_error`` record in the trace.
    """


@dataclass(frozen=True)
class Command:
    """
    One command.

    @ivar op: the first token.
    @ivar arguments: the positional tokens after it, in order.
    @ivar options: the C{key=value} tokens, wherever they stood.
    @ivar line: the number of its line, from 1; for a command of a handler, that of the C{on} or C{once}.
    """

    op: str
    arguments: tuple[str, ...]
    options: dict[str, str] = field(default_factory=dict)
    line: int = 0

    def argument(self, index: int) -> str:
        """
        @return: the positional token C{index}, from 0.
        @raise ScenarioError: there is none.
        """
        if index >= len(self.arguments):
            raise ScenarioError(f"{self.op}: too few arguments")
        return self.arguments[index]

    def optional(self, index: int) -> str | None:
        """@return: the positional token C{index}, from 0, or L{None} when it was left out."""
        return self.arguments[index] if index < len(self.arguments) else None


@dataclass(frozen=True)
class HandlerRule:
    """What an object does at a notification, from now on (C{on}) or a single time (C{once})."""

    sock: str
    event: str
    once: bool
    commands: tuple[Command, ...]
    line: int


@dataclass(frozen=True)
class Mistake:
    """A line that can't be understood. It is met at its place, when what stands before it has run."""

    message: str
    line: int


Step = Command | HandlerRule | Mistake


def parseScenario(text: str) -> list[Step]:
    """
    Read a scenario.

    @param text: the file, decoded as Latin-1: one character a byte, so that literal data survives as it is.
    @return: its steps in order. A line that is wrong is a L{Mistake} among them: reading never fails.
    """
    steps: list[Step] = []
    for line, written in enumerate(text.split("\n"), 1):
        stripped = written.strip(_BLANKS)
        if not stripped or stripped.startswith("#"):
            continue
        if stripped.startswith(("on ", "once ")):
            steps.append(_parseHandler(stripped, line))
        elif (command := _parseCommand(stripped, line)) is not None:
            steps.append(command)
    return steps


def _parseCommand(text: str, line: int) -> Command | None:
    op: str | None = None
    arguments: list[str] = []
    options: dict[str, str] = {}
    for token in _TOKEN.findall(text):
        if token.startswith("#"):
            break
        key, equals, value = token.partition("=")
        if op is None:
            op = token
        elif equals and "a" <= key[:1] <= "z":
            options.setdefault(key, value)
        else:
            arguments.append(token)
    return None if op is None else Command(op, tuple(arguments), options, line)


def _parseHandler(text: str, line: int) -> HandlerRule | Mistake:
    # The colon that ends the head is followed by a blank or by nothing: an address may be full of colons.
    head, colon, body = text.partition(": ")
    if not colon:
        if not text.endswith(":"):
            return Mistake("handler without a colon", line)
        head, body = text[:-1], ""
    words = _TOKEN.findall(head)
    if len(words) < 3:
        return Mistake("bad handler", line)
    event = words[2] if words[2] in EVENTS else f"On{words[2]}"
    if event not in EVENTS:
        return Mistake(f"bad event {words[2]}", line)
    commands = [_parseCommand(part, line) for part in body.split(";")]
    return HandlerRule(words[1], event, words[0] == "once", tuple(c for c in commands if c is not None), line)


def parseNumber(text: str | None) -> int | None:
    """
    @param text: decimal, or as C writes hexadecimal (C{0x1F}) and octal (C{017}), with a sign or without.
    @return: its value, or the nearest that Windows' 32-bit C{long} can hold; L{None} when it is no number, or
        nothing was written.
    """
    match = _NUMBER.fullmatch(text) if text is not None else None
    if match is None:
        return None
    digits = match[2]
    octal = len(digits) > 1 and digits[0] == "0" and digits[1] not in "xX"
    value = int(digits, 8) if octal else int(digits, 0)
    return max(_LONG_MIN, min(_LONG_MAX, -value if match[1] == "-" else value))


def parseMask(text: str | None) -> int:
    """
    @param text: event names joined by C{|}, taken out by C{-}; or a number; L{None} for all events.
    @return: the FD_* bits.
    @raise ScenarioError: an unknown name.
    """
    if text is None:
        return int(FD_ALL_EVENTS)
    number = parseNumber(text)
    if number is not None:
        return number
    mask = 0
    for sign, name in re.findall(r"(^|[|-])([^|-]*)", text):
        if name not in _MASKS:
            raise ScenarioError(f"bad mask {text}")
        mask = mask & ~_MASKS[name] if sign == "-" else mask | _MASKS[name]
    return mask


def parseFlags(text: str | None) -> int:
    """
    @param text: C{PEEK}, C{OOB}, C{DONTROUTE} joined by C{|}; or a number; L{None} for no flags.
    @return: the MSG_* bits.
    @raise ScenarioError: an unknown name.
    """
    if text is None:
        return 0
    number = parseNumber(text)
    if number is not None:
        return number
    flags = 0
    for name in filter(None, text.split("|")):
        if name not in _FLAGS:
            raise ScenarioError(f"bad flags {text}")
        flags |= _FLAGS[name]
    return flags


def parseData(text: str) -> bytes:
    """
    @param text: literal text, C{hex:...}, or C{""}; each of them repeated by C{*N} at its end.
    @raise ScenarioError: odd or foreign digits after C{hex:}, a negative C{N}, or more than 64 MiB.
    """
    unit, star, times = text.rpartition("*")
    repeat = parseNumber(times) if star else None
    if repeat is None:
        unit, repeat = text, 1
    if unit == '""':
        data = b""
    elif unit.startswith("hex:"):
        data = _checked(text, lambda: bytes.fromhex(unit[4:]))
    else:
        data = _checked(text, lambda: unit.encode("latin-1"))
    if repeat < 0 or repeat * len(data) > _LONGEST_DATA:
        raise ScenarioError(f"bad data {text}")
    return data * repeat


def _checked(text: str, decode: Callable[[], bytes]) -> bytes:
    try:
        return decode()
    except ValueError as error:
        raise ScenarioError(f"bad data {text}") from error
