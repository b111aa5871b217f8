"""A Twisted service that listens with CAsyncSockets: it opens them on start, and lets them finish on stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from twisted_casync import SOMAXCONN, CAsyncSocket, GetLastError
from twisted_casync._strports import Place, nameOf, parseWhere
from twisted_casync.services._unixpath import UnixPath

__all__ = ["AsyncSocketService", "Draining"]


@runtime_checkable
class Draining(Protocol):
    """A listening object that has something to finish before it goes; one without is just closed."""

    def drain(self, clock: IReactorTime, grace: float) -> Deferred[None]:
        """Close to new peers at once, finish with the present ones.

        clock: what to measure the time with.
        grace: seconds after which whatever is left is cut off.

        Returns a Deferred that fires with None when nothing is left; it never fails.
        """


class _CannotListen(CannotListenError):
    """Twisted's own error, for those that catch it, in words that name the place and Winsock's code."""

    def __init__(self, place: Place, reason: str) -> None:
        address = place.addrInfo[4]
        host, port = address[:2] if isinstance(address, tuple) else (None, address)
        super().__init__(host, port, reason)  # type: ignore[no-untyped-call]
        # Short, because twistd shows only the first hundred bytes when it runs in the background.
        self._message = f"cannot listen on {place.description}: {reason}"

    def __str__(self) -> str:
        return self._message


@dataclass
class _Open:
    """A listening object and what it occupies."""

    listener: CAsyncSocket
    path: UnixPath | None

    def close(self) -> None:
        self.listener.Close()
        if self.path is not None:
            self.path.release()


class AsyncSocketService(Service):
    """Listens at some places with objects that a factory makes.

    factory: called with "stream" or "datagram" for each place, returns a new CAsyncSocket without a socket.
        The service
        binds it and, for a stream, tells it to listen; from then on its handlers serve.
    where: server descriptions, as "tcp:7007:interface=127.0.0.1".
    grace: seconds that accepted connections may take to finish when the service is stopped.
    reactor: measures that time; None means the global reactor.

    The places are opened in privilegedStartService where that is called (twistd does so before it gives up
    root), else in startService, and never earlier: twistd forks before it starts its services. When one of
    them can't be opened, none stays open and twisted.internet.error.CannotListenError is raised, so twistd
    exits. A service that was stopped can be started again.

    Raises ValueError for a bad description.
    """

    _log = Logger()

    def __init__(
        self,
        factory: Callable[[str], CAsyncSocket],
        where: Iterable[str | Place],
        *,
        grace: float = 5.0,
        reactor: Any = None,
    ) -> None:
        self._factory = factory
        self._places = [place if isinstance(place, Place) else parseWhere(place) for place in where]
        self._grace = grace
        self._reactor = reactor
        self._open: list[_Open] = []

    @property
    def listeners(self) -> tuple[CAsyncSocket, ...]:
        """The open listening objects, in the order of the places."""
        return tuple(one.listener for one in self._open)

    def privilegedStartService(self) -> None:
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        self._openAll()

    def startService(self) -> None:
        if not self._open:
            self._openAll()
        super().startService()  # type: ignore[no-untyped-call]

    def stopService(self) -> Deferred[None]:
        """Stop accepting. The Deferred fires when what was accepted has finished, or was cut off."""
        super().stopService()  # type: ignore[no-untyped-call]
        ending, self._open = self._open, []
        return gatherResults([self._finish(one) for one in ending]).addCallback(lambda results: None)

    def _openAll(self) -> None:
        try:
            for place in self._places:
                self._open.append(self._listenAt(place))
        except BaseException as error:
            self._log.critical("{error}", error=error)
            while self._open:
                self._open.pop().close()
            raise

    def _listenAt(self, place: Place) -> _Open:
        address = place.addrInfo[4]
        path = UnixPath(address, place.mode, place.lockfile) if place.scheme == "unix" else None
        opened = _Open(self._factory(place.kind), path)
        try:
            reason = self._listen(opened, place)
            if reason is not None:
                raise _CannotListen(place, reason)
        except OSError as error:
            opened.close()
            raise _CannotListen(place, str(error)) from error
        except BaseException:
            opened.close()
            raise
        bound = opened.listener.GetSockNameEx() if path is None else address
        self._log.info("listening on {name}", name=nameOf(place.scheme, bound))
        return opened

    def _listen(self, opened: _Open, place: Place) -> str | None:
        """Open what was made; returns why it failed, or None."""
        if opened.path is not None and (reason := opened.path.claim()) is not None:
            return reason
        listener = opened.listener
        if not listener.CreateEx(place.addrInfo):
            return _lastError()
        if opened.path is not None:
            opened.path.bound()
        backlog = SOMAXCONN if place.backlog is None else place.backlog
        if place.kind == "stream" and not listener.Listen(backlog):
            return _lastError()
        return None

    def _finish(self, one: _Open) -> Deferred[None]:
        finished: Deferred[None] | None = None
        if isinstance(one.listener, Draining):
            finished = one.listener.drain(self._clock(), self._grace)
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


def _lastError() -> str:
    error = GetLastError()
    return f"{error}: {error.message}"
