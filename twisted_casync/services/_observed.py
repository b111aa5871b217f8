"""ObservedService: a service, and what is shown of it while it runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from twisted_casync._observe import observe, unobserve
from twisted_casync._threads import openSockets
from twisted_casync._where import parseWhere
from twisted_casync.services._counters import Counters, Counts
from twisted_casync.services._starting import endingTwistd
from twisted_casync.services._status import StatusLine
from twisted_casync.trace import Trace

__all__ = ["ObservedService", "metricsPlace"]

_log = Logger("casync")


def metricsPlace(where: str) -> str:
    """Look whether metrics can be served at a place, as far as that can be told before it is opened.

    @param where: a server description.
    @return: it.
    @raise ValueError: it is none, or no place for HTTP.
    @raise ModuleNotFoundError: prometheus_client is missing.
    """
    if find_spec("prometheus_client") is None:
        raise ModuleNotFoundError(
            "needs prometheus_client: pip install 'twisted_casync[metrics]'", name="prometheus_client"
        )
    place = parseWhere(where)
    # What of files, as those of TLS, can be read now.
    place.check()
    if place.kind != "stream":
        raise ValueError(f"{where!r}: HTTP is not served over datagrams")
    try:
        # What opens it is Twisted's endpoint, whose words may be fewer; making one opens nothing.
        serverFromString(None, where)
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{where!r}: {error}") from None
    return where


class _Metrics(MultiService):
    """The service of the metrics; of what it can't have it says that it is theirs."""

    def __init__(self, service: IService, where: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._where = where
        service.setServiceParent(self)

    def privilegedStartService(self) -> None:
        with endingTwistd(self._why):
            self._saying(super().privilegedStartService)

    def startService(self) -> None:
        self._saying(super().startService)

    def _saying(self, start: Callable[[], Any]) -> None:
        try:
            start()
        except (CannotListenError, OSError) as error:
            _log.critical("{error}", error=self._why(error), where=self._where)
            raise

    def _why(self, error: Exception) -> str:
        reason = error.socketError if isinstance(error, CannotListenError) else error
        return f"cannot serve metrics at {self._where}: {getattr(reason, 'strerror', None) or reason}."


class ObservedService(MultiService):
    """A service that is observed from before its start until after its end: counted, and shown as you ask for.

    It becomes the parent of the service, and takes its place: add it to an Application, or start and stop it. What is
    counted and traced are all sockets of the process, so that one is enough for all services together; they are told
    apart by their classes.

    Starting it raises what the service raises; twisted.internet.error.CannotListenError where metrics can't be
    served; OSError for a trace that can't be written. Nothing is observed then. It can be started again.

    @param service: an AsyncSocketService, or any service in which sockets are used, a MultiService with several too.
        It has no parent yet, and does not run.
    @param name: what metrics and the status line call it.
    @param metrics: where to serve its numbers to Prometheus over HTTP, a server description as
        "tcp:9090:interface=127.0.0.1"; it needs the extra twisted_casync[metrics]. None: nowhere.
    @param status: whether to show, on the last line of the terminal at standard error, how it is doing. The object
        has to be made before logging begins, as it is in a .tac file.
    @param trace: the file to write each call and each notification to, as twisted_casync.trace.Trace does. None: none.
    @raise ValueError: a bad description.
    @raise ModuleNotFoundError: prometheus_client is missing.
    """

    def __init__(
        self,
        service: IService,
        name: str,
        *,
        metrics: str | None = None,
        status: bool = False,
        trace: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._counters = Counters(name)
        # Each is begun and ended, in order and in the opposite one.
        self._shown: list[tuple[Callable[[], None], Callable[[], None]]] = [(self._count, self._countNoMore)]
        self._ends: list[Callable[[], None]] = []
        if metrics is not None:
            metricsPlace(metrics)
            from twisted_casync.services._metrics import metricsService

            shown: IService = _Metrics(metricsService(self._counters, metrics), metrics)
            shown.setServiceParent(self)
        if status:
            from twisted.internet import reactor

            line = StatusLine(self._counters, reactor)
            self._shown.append((line.start, line.stop))
        if trace is not None:
            traced = Trace(trace)
            self._shown.append((lambda: self._trace(traced), traced.stop))
        service.setServiceParent(self)

    def counts(self) -> Counts:
        """What the sockets have done since it was made, while it was started. Any thread may ask."""
        return self._counters.total()

    def countsByClass(self) -> dict[str, Counts]:
        """The same, by the name of the sockets' class. Any thread may ask."""
        return self._counters.byClass()

    def privilegedStartService(self) -> None:
        with endingTwistd():
            self._begin()
        self._orEnd(super().privilegedStartService)

    def startService(self) -> None:
        self._begin()
        self._orEnd(super().startService)

    def stopService(self) -> Deferred[None]:
        """The Deferred fires when the service has ended, and nothing is shown of it any more."""
        stopped: Deferred[Any] = maybeDeferred(super().stopService)
        return stopped.addBoth(self._ended)

    def _begin(self) -> None:
        """Once, whether twistd starts it in one step or, with privileges, in two."""
        if not self._ends:
            self._orEnd(self._beginAll)

    def _beginAll(self) -> None:
        for begin, end in self._shown:
            begin()
            self._ends.append(end)

    def _orEnd(self, start: Callable[[], Any]) -> None:
        try:
            start()
        except BaseException:
            self._ended(None)
            raise

    def _ended(self, result: Any) -> Any:
        while self._ends:
            self._ends.pop()()
        return result

    def _count(self) -> None:
        observe(self._counters, openSockets())

    def _countNoMore(self) -> None:
        unobserve(self._counters, openSockets())
        self._counters.stopped()

    def _trace(self, trace: Trace) -> None:
        try:
            trace.start()
        except OSError as error:
            _log.critical("cannot write the trace {path}: {error}", path=trace.path, error=error)
            raise
