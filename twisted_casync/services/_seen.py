"""What `twistd casync` can show of a running service: the options before its name, and what they bring about."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.logger import Logger
from twisted.python import usage

from twisted_casync._observe import observe, unobserve
from twisted_casync._threads import openSockets
from twisted_casync._where import parseWhere
from twisted_casync.services._counters import Counters
from twisted_casync.services._status import StatusLine
from twisted_casync.trace import Trace

__all__ = ["SeenOptions", "seen"]


def _file(path: str) -> str:
    """The path that a trace is written to, whatever directory the process changes to later."""
    path = os.path.abspath(path)
    if os.path.isdir(path):
        raise usage.UsageError(f"--trace {path}: is a directory")
    there = path if os.path.exists(path) else os.path.dirname(path)
    if not os.access(there, os.W_OK):
        reason = "can't be written" if os.path.exists(there) else "does not exist"
        raise usage.UsageError(f"--trace {path}: {there} {reason}")
    return path


def _place(where: str) -> str:
    """The server description of a place that HTTP can be served at."""
    if find_spec("prometheus_client") is None:
        raise usage.UsageError("--metrics needs prometheus_client: pip install 'twisted_casync[metrics]'")
    try:
        kind = parseWhere(where).kind
    except ValueError as error:
        raise usage.UsageError(f"--metrics {error}") from None
    if kind != "stream":
        raise usage.UsageError(f"--metrics {where!r}: HTTP is not served over datagrams")
    try:
        # What opens it is Twisted's endpoint, whose words may be fewer; making one opens nothing.
        serverFromString(None, where)
    except (LookupError, TypeError, ValueError) as error:
        raise usage.UsageError(f"--metrics {where!r}: {error}") from None
    return where


class SeenOptions(usage.Options):
    """The options; a subclass has the rest of the command line."""

    optParameters: list[list[Any]] = [
        ["trace", None, None, "Write what the sockets do to this file; see python -m twisted_casync.trace.", _file],
        ["metrics", None, None, "Serve metrics for Prometheus there, such as tcp:9090:interface=127.0.0.1.", _place],
    ]
    optFlags: list[list[Any]] = [
        ["status", None, "Show a line on the terminal that says how the service is doing."],
    ]


class _Seen(MultiService):
    """A service, and what is shown of it from before its start until after its end.

    begin, end: called in order, and in the opposite one.
    """

    def __init__(self, begin: list[Callable[[], None]], end: list[Callable[[], None]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._begin = begin
        self._end = end
        self._begun = False

    def _beginOnce(self) -> None:
        if not self._begun:
            self._begun = True
            for begin in self._begin:
                begin()

    def privilegedStartService(self) -> None:
        self._beginOnce()
        super().privilegedStartService()  # type: ignore[no-untyped-call]

    def startService(self) -> None:
        self._beginOnce()
        super().startService()  # type: ignore[no-untyped-call]

    def stopService(self) -> Deferred[Any]:
        """The Deferred fires when the service has ended, and nothing is shown of it any more."""
        stopped = maybeDeferred(super().stopService)
        return stopped.addBoth(self._endAll)

    def _endAll(self, result: Any) -> Any:
        self._begun = False
        for end in reversed(self._end):
            end()
        return result


def seen(options: SeenOptions, name: str, service: IService) -> IService:
    """Have a service show what its command line asks for.

    name: of the service. Returns the service itself when nothing is asked for.
    """
    if not (options["trace"] or options["metrics"] or options["status"]):
        return service
    begin: list[Callable[[], None]] = []
    end: list[Callable[[], None]] = []
    whole = _Seen(begin, end)
    if options["metrics"] or options["status"]:
        counters = Counters(name)
        begin.append(lambda: observe(counters, openSockets()))
        end.append(lambda: unobserve(counters, openSockets()))
        if options["metrics"]:
            from twisted_casync.services._metrics import metricsService

            metricsService(counters, options["metrics"]).setServiceParent(whole)
        if options["status"]:
            from twisted.internet import reactor

            line = StatusLine(counters, reactor)
            begin.append(line.start)
            end.append(line.stop)
    if options["trace"]:
        trace = Trace(options["trace"])
        begin.append(lambda: _start(trace))
        end.append(trace.stop)
    service.setServiceParent(whole)
    return whole


def _start(trace: Trace) -> None:
    try:
        trace.start()
    except OSError as error:
        Logger().critical("cannot write the trace {path}: {error}", path=trace.path, error=error)
        raise
