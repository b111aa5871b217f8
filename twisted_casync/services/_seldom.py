"""A log of what may happen often: at most one line a second, which counts what it stands for."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

__all__ = ["PAUSE", "Seldom"]

# Seconds between two lines.
PAUSE = 1.0


class Seldom:
    """Says the first at once, and of those that follow within a second the last one, with their number.

    log: where to.
    text: the line, in the format of twisted.logger; it ends in {others}.
    clock: what to measure the second with.
    """

    def __init__(self, log: Logger, text: str, clock: IReactorTime) -> None:
        self._log = log
        self._text = text
        self._clock = clock
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
        """Say what is left, and leave the clock alone."""
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._unsaid:
            self._warn()

    def _say(self) -> None:
        self._warn()
        self._pause = self._clock.callLater(PAUSE, self._over)

    def _warn(self) -> None:
        others = f" (and {self._unsaid - 1} others)" if self._unsaid > 1 else ""
        # What is written later, or as JSON, has to be what it is now.
        said = {name: value if isinstance(value, (int, float)) else str(value) for name, value in self._last.items()}
        self._log.warn(self._text, others=others, count=self._unsaid, **said)
        self._unsaid, self._last = 0, {}

    def _over(self) -> None:
        self._pause = None
        if self._unsaid:
            self._say()
