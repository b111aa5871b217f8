"""
The file that a trace is written to: one JSON object a line.

What is written is kept until there is much of it, or for a second.  A file that takes no more ends the trace, and not
the program that is traced.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from threading import get_ident
from typing import Any, BinaryIO, Final

__all__ = ["DELAY", "LineFile"]

DELAY: Final = 1.0
"""Seconds after which at the latest a line is in the file, while the reactor runs."""
_BUFFER: Final = 1 << 16

_encode = json.JSONEncoder(separators=(",", ":")).encode


class LineFile:
    """
    The open file.

    @ivar lines: how many were written.
    """

    def __init__(self, path: str | os.PathLike[str], clock: Any, failed: Callable[[Exception], None]) -> None:
        """
        @param path: of the file; what it held is lost.
        @param clock: has a line written in time: a provider of C{IReactorTime}.
        @param failed: called with the error when the file takes no more.  It is closed then.
        @raise OSError: it can't be opened.
        """
        self.lines = 0
        self._file: BinaryIO | None = open(path, "wb", _BUFFER)  # noqa: SIM115  # for as long as the trace lasts
        self._clock = clock
        self._thread = get_ident()
        self._due: Any = None
        self._failed = failed

    def write(self, line: dict[str, Any]) -> None:
        """
        @param line: what JSON knows.
        """
        file = self._file
        if file is None:
            return
        try:
            file.write(_encode(line).encode("ascii") + b"\n")
        except (OSError, ValueError) as error:
            self._fail(error)
            return
        self.lines += 1
        if self._due is None and get_ident() == self._thread:
            self._due = self._clock.callLater(DELAY, self._flush)

    def _flush(self) -> None:
        self._due = None
        try:
            if self._file is not None:
                self._file.flush()
        except (OSError, ValueError) as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.abandon()
        self._failed(error)

    def _end(self) -> BinaryIO | None:
        file, self._file = self._file, None
        if self._due is not None:
            due, self._due = self._due, None
            due.cancel()
        return file

    def close(self) -> None:
        """
        Write what is left, and close the file; harmless when repeated.
        """
        file = self._end()
        if file is None:
            return
        try:
            file.close()
        except (OSError, ValueError) as error:
            self._failed(error)

    def abandon(self) -> None:
        """
        Close the file, and write nothing more to it.
        """
        file = self._end()
        if file is not None:
            # What the buffer still holds would be tried again: by close, and by the buffer's end.
            file.raw.close()  # type: ignore[attr-defined]  # BufferedWriter has it
