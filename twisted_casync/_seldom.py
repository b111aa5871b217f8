"""A log of what may happen often: at most one line a second, which counts what it stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger, LogLevel

__all__ = ["PAUSE", "Seldom", "SeldomLog"]

# Seconds between two lines.
PAUSE = 1.0


class Seldom:
    """Says the first at once, and of those that follow within a second the last one, with their number.

    @param log: where to.
    @param text: the line, in the format of twisted.logger; the number of those that it stands for is put behind it.
    @param clock: what to measure the second with.
    @param level: of twisted.logger.LogLevel.
    """

    def __init__(self, log: Logger, text: str, clock: IReactorTime, level: Any = LogLevel.warn) -> None:
        self._log = log
        self._text = f"{text}{{others}}"
        self._level = level
        # None: it is stopped.
        self._clock: IReactorTime | None = clock
        self._pause: IDelayedCall | None = None
        self._unsaid = 0
        self._last: dict[str, Any] = {}

    def happened(self, **fields: Any) -> None:
        """One more: it is said at once, or counted for the next line."""
        self._unsaid += 1
        self._last = fields
        if self._pause is None:
            self._say()

    def stop(self) -> None:
        """Say what is left, and leave the clock alone; what happens later is said as it comes."""
        self._clock = None
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._unsaid:
            self._say()

    def _say(self) -> None:
        others = f" (and {self._unsaid - 1} others)" if self._unsaid > 1 else ""
        # What is written later, or as JSON, has to be what it is now.
        said = {name: value if isinstance(value, (int, float)) else str(value) for name, value in self._last.items()}
        self._log.emit(self._level, self._text, others=others, count=self._unsaid, **said)
        self._unsaid, self._last = 0, {}
        if self._clock is not None:
            self._pause = self._clock.callLater(PAUSE, self._over)

    def _over(self) -> None:
        self._pause = None
        if self._unsaid:
            self._say()


class SeldomLog:
    """Several such lines, of which none keeps another from being said.

    @param log: where to.
    @param clock: called for what measures the seconds, when something is said for the first time.
    """

    def __init__(self, log: Logger, clock: Callable[[], IReactorTime]) -> None:
        self._log = log
        self._clock = clock
        self._lines: dict[str, Seldom] = {}

    def say(self, text: str, level: Any = LogLevel.warn, **fields: Any) -> None:
        """Something has happened once more, which a peer can have happen as often as it likes.

        @param text: the same each time, in the format of twisted.logger; what differs is in the fields.
        @param level: of twisted.logger.LogLevel.
        @param fields: of the event; those of the last one are logged.
        """
        line = self._lines.get(text)
        if line is None:
            line = self._lines[text] = Seldom(self._log, text, self._clock(), level)
        line.happened(**fields)

    def stop(self) -> None:
        """Say what is left, and leave the clock alone, until something is said again."""
        lines, self._lines = self._lines, {}
        for line in lines.values():
            line.stop()
