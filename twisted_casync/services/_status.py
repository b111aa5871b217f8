"""A line at the bottom of the terminal that says how a service is doing, drawn anew each second."""

from __future__ import annotations

import os

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import ILogObserver, LogEvent, Logger, globalLogPublisher
from zope.interface import implementer

from twisted_casync.services._counters import Counters, Counts

__all__ = ["StatusLine"]

_log = Logger("casync")

# Carriage return, and "erase in line" of ECMA-48 from the cursor on: what every terminal of today understands.
_ERASE = b"\r\x1b[K"
_EVERY = 1.0
_COLUMNS = 80


@implementer(ILogObserver)
class StatusLine:
    """Draws the line, and takes it away before anything is logged; a second later it is there again.

    As an observer of the log it has to come before the one that writes to the terminal. So it registers itself when
    it is made, which twistd does before it begins to log.

    @param counters: what it shows.
    @param clock: says when a second is over.
    @param fd: the terminal's descriptor.
    """

    def __init__(self, counters: Counters, clock: IReactorTime, fd: int = 2) -> None:
        self._counters = counters
        self._clock = clock
        self._fd = fd
        self._drawn = False
        # When it was drawn last, and what it said.
        self._before: tuple[float, Counts] | None = None
        self._loop = LoopingCall(self._draw)
        self._loop.clock = clock
        globalLogPublisher.addObserver(self)

    def start(self) -> None:
        """Begin to draw; where there is no terminal, one line in the log says that nothing will be."""
        # It is there already, but for a second start.
        globalLogPublisher.addObserver(self)
        if os.isatty(self._fd):
            self._loop.start(_EVERY)
        else:
            _log.info("no status line: standard error is no terminal")

    def stop(self) -> None:
        """Leave the terminal as it was; harmless when repeated."""
        if self._loop.running:
            self._loop.stop()
        self._erase()
        globalLogPublisher.removeObserver(self)

    def __call__(self, event: LogEvent) -> None:
        """Something is about to be logged: make room for it."""
        self._erase()

    def _erase(self) -> None:
        if self._drawn:
            self._drawn = False
            self._write(_ERASE)

    def _draw(self) -> None:
        now = self._clock.seconds(), self._counters.total()
        when, before = self._before or now
        text = _text(self._counters.service, now[1], before, now[0] - when)
        self._before = now
        try:
            columns = os.get_terminal_size(self._fd).columns or _COLUMNS
        except OSError:
            columns = _COLUMNS
        # In the last column a terminal may go to the next line.
        self._drawn = True
        self._write(_ERASE + text[: columns - 1].encode("ascii", "replace"))

    def _write(self, data: bytes) -> None:
        try:
            os.write(self._fd, data)
        except OSError as error:
            # The terminal is gone; the service isn't.
            self._drawn = False
            if self._loop.running:
                self._loop.stop()
                _log.info("no status line any more: {error}", error=error)


def _text(service: str, now: Counts, before: Counts, seconds: float) -> str:
    def rate(new: int, old: int) -> float:
        return (new - old) / seconds if seconds > 0 else 0.0

    # Of those accepted; there is room for it only where there is something to say.
    met = sum(now.limited.values())
    limited = f", {met:,} limited" if met else ""
    return " | ".join(
        [
            f"{service}: {now.active:,} active",
            f"{now.accepted:,} accepted ({rate(now.accepted, before.accepted):,.0f}/s{limited})",
            f"{rate(now.bytesIn, before.bytesIn) / 1e6:,.2f} MB/s in",
            f"{rate(now.bytesOut, before.bytesOut) / 1e6:,.2f} MB/s out",
            f"{rate(now.receives, before.receives):,.0f} messages/s",
        ]
    )
