"""The command line that all services share: where to listen, and how long to take on stop."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from twisted.python import usage

from twisted_casync import __version__
from twisted_casync._where import KINDS, expected, parseWhere
from twisted_casync.services._limits import Limits

__all__ = ["ServiceOptions", "count", "named", "seconds"]


def seconds(text: str) -> float:
    """Read a number of seconds from a command line. Raises ValueError for one that is negative or endless."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < math.inf:
        raise ValueError(f"{text!r}: expected a number of seconds, 0 or more")
    return number


def named(option: str, read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Have what reads an option's value say whose it is when that is wrong: usage names no option.

    @param read: raises ValueError. What is returned raises UsageError.
    """

    def readNamed(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise usage.UsageError(f"--{option} {error}") from None

    return readNamed


def count(text: str) -> int:
    """Read a number from a command line. Raises ValueError for one with a sign, a point or anything else in it."""
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{text!r}: expected a number, 0 or more")
    return int(text)


class ServiceOptions(usage.Options):
    """The options of a service; a subclass adds its own optFlags and optParameters.

    After parsing, `self["where"]` is a list of places to listen (empty when the command line names none),
    `self["grace"]` a number of seconds, and `self.limits()` what peers are allowed.
    """

    synopsis = "[options] [WHERE...]"

    optParameters: list[list[Any]] = [
        ["grace", "g", 5.0, "On stop, how many seconds what was accepted may take to finish.", named("grace", seconds)],
        [
            "max-connections",
            None,
            None,
            "Most connections at a time; further ones are closed at once. 0: no limit. [default: as many as the "
            "limit of open files leaves]",
            named("max-connections", count),
        ],
        [
            "max-per-address",
            None,
            0,
            "Most of them from one IPv4 address or IPv6 /64. 0: no limit.",
            named("max-per-address", count),
        ],
        [
            "idle-timeout",
            None,
            0.0,
            "Seconds without traffic after which a connection is ended. 0: never.",
            named("idle-timeout", seconds),
        ],
    ]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self["where"] = []

    @property
    def _kinds(self) -> tuple[str, ...]:
        """What the service serves, as far as the command line that it is part of can tell."""
        return getattr(self.parent, "kinds", KINDS)

    def parseArgs(self, *where: str) -> None:
        for word in where:
            if word.startswith("-"):
                from twisted_casync.services._usage import Misplaced

                raise Misplaced(word)
        try:
            self["where"] = [parseWhere(description, self._kinds) for description in where]
            for place in self["where"]:
                place.check()
        except ValueError as error:
            raise usage.UsageError(str(error)) from None

    def limits(self) -> Limits:
        """What the command line allows peers."""
        return Limits(self["max-connections"], self["max-per-address"], self["idle-timeout"])

    def opt_version(self) -> None:
        """Display the version of twisted_casync and exit."""
        print("twisted_casync version:", __version__)
        raise SystemExit(0)

    def getUsage(self, width: int | None = None) -> str:
        lines = "\n".join(f"  {line}" for line in expected(self._kinds).splitlines())
        where = f"Each WHERE is a Twisted server description (a backslash quotes a character):\n{lines}"
        return f"{super().getUsage(width)}\n{where}\n"
