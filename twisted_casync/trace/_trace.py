"""
A trace: begun, and ended, in any program.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from twisted.logger import Logger

from twisted_casync._fork import remember
from twisted_casync._observe import observe, unobserve
from twisted_casync._threads import openSockets
from twisted_casync.trace._file import LineFile
from twisted_casync.trace._tracer import Tracer

__all__ = ["FORMAT", "Trace"]

_log = Logger("casync")

FORMAT = 1
"""The number of the format, in the first line of each trace."""


class Trace:
    """
    Writes down what sockets do: each call, each notification, one JSON object a line.

    As a context manager it traces what happens inside::

        with Trace("sockets.jsonl"):
            reactor.run()

    Or it is started, and ends when it is stopped or when the reactor has stopped.  All sockets take part that belong to
    the calling thread, and those of any thread that are made or opened while it lasts.  A child process does not go on
    with its parent's trace.

    A file that takes no more ends the trace, with a line in the log; the program goes on.
    """

    def __init__(self, path: str | os.PathLike[str], *, preview: int = 0, reactor: Any = None) -> None:
        """
        @param path: of the file, which is written anew.
        @param preview: how many bytes of data that was moved are shown with each call; 0 shows none of it, which may be
            secret.
        @param reactor: the sockets' reactor; L{None} for the global one.
        """
        self.path = os.path.abspath(path)
        self._preview = preview
        self._reactor = reactor
        self._file: LineFile | None = None
        self._tracer: Tracer | None = None

    def start(self) -> None:
        """
        Begin.

        @raise OSError: the file can't be opened.
        @raise ValueError: it has begun already.
        """
        if self._file is not None:
            raise ValueError(f"the trace {self.path} has begun already")
        reactor = self._reactor
        if reactor is None:
            from twisted.internet import reactor
        file = self._file = LineFile(self.path, reactor, self._failed)
        file.write({"trace": FORMAT, "time": time.time_ns(), "pid": os.getpid(), "program": sys.argv})
        tracer = self._tracer = Tracer(file.write, self._preview)
        observe(tracer, openSockets())
        remember(self)
        # After all sockets were told that the reactor stops.
        reactor.addSystemEventTrigger("after", "shutdown", self.stop)

    def stop(self) -> None:
        """
        End; harmless when repeated.  All that happened until now is in the file.
        """
        self._end()
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _end(self) -> None:
        tracer, self._tracer = self._tracer, None
        if tracer is not None:
            tracer.write = None
            unobserve(tracer, openSockets())

    def _failed(self, error: Exception) -> None:
        self._end()
        self._file = None
        _log.error("the trace {path} ends here: {error}", path=self.path, error=error)

    def forked(self) -> None:
        """
        This process is a child: what is not written yet, its parent will write.
        """
        file, self._file = self._file, None
        self._end()
        if file is not None:
            file.abandon()

    def __enter__(self) -> Trace:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
