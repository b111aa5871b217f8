"""A Twisted service that listens with CAsyncSockets: it opens them on start, and lets them finish on stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, runtime_checkable

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_casync import CAsyncSocket
from twisted_casync._where import CannotListen, Opened, Place, parseWhere
from twisted_casync.services._limits import Limited, Limiter, Limits
from twisted_casync.services._plugin import isSocketClass, whyNotMade, whySilent
from twisted_casync.services._starting import endingTwistd

__all__ = ["AsyncSocketService", "Draining"]

_log = Logger("casync")


@runtime_checkable
class Draining(Protocol):
    """A listening object that has something to finish before it goes; one without is just closed."""

    def drain(self, clock: IReactorTime, grace: float) -> Deferred[None]:
        """Close to new peers at once, finish with the present ones.

        @param clock: what to measure the time with.
        @param grace: seconds after which whatever is left is cut off.
        @return: a Deferred that fires with None when nothing is left; it never fails.
        """


_USUAL = Limits()


class AsyncSocketService(Service):
    """Listens at some places with objects that a factory makes.

    The places are opened in privilegedStartService where that is called (twistd does so before it gives up
    root), else in startService, and never earlier: twistd forks before it starts its services. When one of
    them can't be opened, none stays open, a line of the log says so, and twisted.internet.error.CannotListenError is
    raised: twistd exits with status 1, and no traceback. A service that was stopped can be started again.

    @param factory: a subclass of CAsyncSocket, which is called without arguments; or a function that is called with
        "stream" or "datagram" and returns a new CAsyncSocket without a socket. It makes one for each place. The
        service binds it and, for a stream, tells it to listen; from then on its handlers serve.
    @param where: server descriptions, as ["tcp:7007:interface=127.0.0.1"].
    @param grace: seconds that accepted connections may take to finish when the service is stopped.
    @param limits: what peers are allowed, at all places together; streams keep to it that are StreamListeners.
    @param reactor: measures time; None means the global reactor.
    @raise TypeError: the factory makes no sockets, or a description stands alone.
    @raise ValueError: a description is bad, or that of a socket that systemd has not passed; or a class has no handler
        for what comes there.
    """

    def __init__(
        self,
        factory: type[CAsyncSocket] | Callable[[str], CAsyncSocket],
        where: Iterable[str | Place],
        *,
        grace: float = 5.0,
        limits: Limits = _USUAL,
        reactor: Any = None,
    ) -> None:
        if wrong := whyNotMade(factory):
            raise TypeError(f"factory: {wrong}")
        if isinstance(where, str):
            raise TypeError(f"where must be several descriptions, as [{where!r}], not a str")
        self._factory = _maker(factory)
        self._places = [place if isinstance(place, Place) else parseWhere(place) for place in where]
        for place in self._places:
            if wrong := whySilent(factory, place.kind):
                raise ValueError(f"{place.description}: {factory!r} {wrong}")
            # Now, since twistd may become another process before it opens them.
            place.check()
        self._grace = grace
        self._limits = limits
        # There is one while the places are open.
        self._limiter: Limiter | None = None
        self._reactor = reactor
        self._open: list[Opened] = []

    @property
    def listeners(self) -> tuple[CAsyncSocket, ...]:
        """The open listening objects, in the order of the places."""
        return tuple(one.listener for one in self._open)

    def privilegedStartService(self) -> None:
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        with endingTwistd():
            self._openAll()

    def startService(self) -> None:
        if self._limiter is None:
            self._openAll()
        super().startService()  # type: ignore[no-untyped-call]

    def stopService(self) -> Deferred[None]:
        """Stop accepting. The Deferred fires when what was accepted has finished, or was cut off."""
        super().stopService()  # type: ignore[no-untyped-call]
        ending, self._open = self._open, []
        limiter, self._limiter = self._limiter, None
        finished: Deferred[Any] = gatherResults([self._finish(one) for one in ending])
        # Until then connections may be turned away.
        return finished.addBoth(_release, limiter)

    def _openAll(self) -> None:
        self._limiter = Limiter(self._limits, self._clock())
        try:
            for place in self._places:
                opened = place.open(self._factory)
                self._open.append(opened)
                self._limit(place, opened.listener)
                _log.info("listening on {name}", name=opened.name)
        except BaseException as error:
            _log.critical("{error}", error=error)
            while self._open:
                self._open.pop().close()
            self._limiter.stop()
            self._limiter = None
            raise

    def _limit(self, place: Place, listener: CAsyncSocket) -> None:
        if isinstance(listener, Limited) and self._limiter is not None:
            listener.keepTo(self._limiter)
        elif place.kind == "stream" and self._limits != _USUAL:
            # Those who ask for limits must not believe in ones that are not there.
            raise CannotListen(place, f"{type(listener).__name__} is no StreamListener, which could keep to limits")

    def _finish(self, one: Opened) -> Deferred[None]:
        finished: Deferred[None] | None = None
        try:
            if isinstance(one.listener, Draining):
                finished = one.listener.drain(self._clock(), self._grace)
        except BaseException:
            # The others are to come to their end in good order.
            _log.failure("{name} can't be ended in good order", name=one.name)
        one.close()
        if finished is None:
            finished = Deferred()
            finished.callback(None)
        return finished

    def _clock(self) -> IReactorTime:
        if self._reactor is None:
            from twisted.internet import reactor

            self._reactor = reactor
        return self._reactor  # type: ignore[no-any-return]


def _release(results: Any, limiter: Limiter | None) -> Any:
    if limiter is not None:
        limiter.stop()
    return results if isinstance(results, Failure) else None


def _maker(factory: Any) -> Callable[[str], CAsyncSocket]:
    if isSocketClass(factory):
        return lambda kind: factory()
    return factory  # type: ignore[no-any-return]
