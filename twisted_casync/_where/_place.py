"""A place to listen: what a server description stands for, and how a socket comes to listen there."""

from __future__ import annotations

import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.error import CannotListenError

from twisted_casync import SOMAXCONN, CAsyncSocket, GetLastError
from twisted_casync._sockaddr import hostAndPort
from twisted_casync._where._inherited import Inherited, inherited
from twisted_casync._where._unixpath import UnixPath

__all__ = ["BoundPlace", "CannotListen", "InheritedPlace", "Opened", "Place", "UnixPlace", "nameOf"]


class CannotListen(CannotListenError):
    """Twisted's own error, for those that catch it, in words that name the place and Winsock's code."""

    def __init__(self, place: Place, reason: str) -> None:
        super().__init__(*place.hostAndPort(), reason)  # type: ignore[no-untyped-call]
        # Short, because twistd shows only the first hundred bytes when it runs in the background.
        self._message = f"cannot listen on {place.description}: {reason}"

    def __str__(self) -> str:
        return self._message


@dataclass
class Opened:
    """A listening object, and what else it occupies.

    @ivar name: what log lines call the place that it listens at.
    """

    listener: CAsyncSocket
    name: str = ""
    path: UnixPath | None = None

    def close(self) -> None:
        """Give all of it up; harmless when repeated."""
        self.listener.Close()
        if self.path is not None:
            self.path.release()


@dataclass(frozen=True)
class Place(ABC):
    """One place to listen.

    @ivar description: as it was written.
    @ivar scheme: what it begins with, in lower case.
    """

    description: str
    scheme: str

    @property
    @abstractmethod
    def kind(self) -> str:
        """What is served there: "stream" or "datagram"."""

    @abstractmethod
    def _listen(self, opened: Opened) -> str | None:
        """Have what was made listen, and name it; returns why that failed, or None.

        May raise OSError; whatever it has put into `opened` is closed after any failure.
        """

    def check(self) -> None:  # noqa: B027  # for most places there is nothing to look at
        """Look whether it can be opened, as far as that can be told before. Raises ValueError."""

    def hostAndPort(self) -> tuple[Any, Any]:
        """What a CannotListenError tells of it."""
        return None, self.description

    def open(self, factory: Callable[[str], CAsyncSocket]) -> Opened:
        """Have a new object listen here.

        @param factory: called with the place's kind, returns the object, without a socket.
        @raise CannotListen: it can't; or the factory has none of that kind, which a ValueError of it means. Nothing
            stays open then.
        @raise TypeError: the object is no CAsyncSocket.
        """
        try:
            listener = factory(self.kind)
        except ValueError as error:
            raise CannotListen(self, str(error)) from error
        if not isinstance(listener, CAsyncSocket):
            raise TypeError(f"{factory!r} has made {listener!r}, expected a CAsyncSocket")
        opened = Opened(listener)
        try:
            reason = self._listen(opened)
            if reason is not None:
                raise CannotListen(self, reason)
        except OSError as error:
            opened.close()
            # Without the path, which is in the description.
            raise CannotListen(self, f"{error.strerror or error}.") from error
        except ValueError as error:
            opened.close()
            raise CannotListen(self, str(error)) from error
        except BaseException:
            opened.close()
            raise
        return opened


@dataclass(frozen=True)
class BoundPlace(Place):
    """An address that a socket of ours is bound to.

    @ivar addrInfo: family, type, protocol, canonical name and address as socket.getaddrinfo gives them, for
        CreateEx.
    @ivar backlog: how many connections may wait to be accepted; None means as many as the system allows.
    """

    addrInfo: tuple[int, int, int, str, Any]
    backlog: int | None = None

    @property
    def kind(self) -> str:
        return "datagram" if self.addrInfo[1] == socket.SOCK_DGRAM else "stream"

    def hostAndPort(self) -> tuple[Any, Any]:
        address = self.addrInfo[4]
        return hostAndPort(address) if isinstance(address, tuple) else (None, address)

    def _listen(self, opened: Opened) -> str | None:
        if not opened.listener.CreateEx(self.addrInfo):
            return _lastError()
        if opened.path is not None:
            opened.path.bound()
        backlog = SOMAXCONN if self.backlog is None else self.backlog
        if self.kind == "stream" and not opened.listener.Listen(backlog):
            return _lastError()
        opened.name = nameOf(self.scheme, opened.listener.GetSockNameEx() if opened.path is None else self.addrInfo[4])
        return None


@dataclass(frozen=True)
class UnixPlace(BoundPlace):
    """A path in the file system.

    @ivar mode: the permissions of the file.
    @ivar lockfile: whether the path is guarded by PATH.lock, as Twisted does.
    """

    mode: int = 0o666
    lockfile: bool = True

    def _listen(self, opened: Opened) -> str | None:
        opened.path = UnixPath(self.addrInfo[4], self.mode, self.lockfile)
        reason = opened.path.claim()
        return super()._listen(opened) if reason is None else reason


@dataclass(frozen=True)
class InheritedPlace(Place):
    """A socket that systemd has opened: it goes on to take connections while nobody accepts them.

    @ivar domain: "INET", "INET6" or "UNIX", where the description says so.
    @ivar index: which of those that were passed; where it is None, the name says so.
    @ivar name: its name; where it is None, the index says which it is.
    """

    domain: str | None
    index: int | None
    name: str | None

    @property
    def kind(self) -> str:
        return self._found()[1]

    def check(self) -> None:
        self._found()

    def _listen(self, opened: Opened) -> str | None:
        one, _, scheme = self._found()
        mine = one.duplicate()
        if not opened.listener.Attach(mine):
            mine.close()
            return _lastError()
        name = opened.listener.GetSockNameEx()
        opened.name = nameOf(scheme, name[0] if scheme == "unix" and name else name)
        return None

    def _found(self) -> tuple[Inherited, str, str]:
        """The socket, its kind and its scheme. Raises ValueError, which says what was passed."""
        try:
            return self._find()
        except ValueError as error:
            raise ValueError(f"{self.description!r}: {error}") from None

    def _find(self) -> tuple[Inherited, str, str]:
        there = inherited()
        if not there:
            raise ValueError("systemd has passed no socket to this process (LISTEN_FDS is not set)")
        wanted = f"index {self.index}" if self.name is None else f"name {self.name!r}"
        several = [one for one in there if self.name in (None, one.name) and self.index in (None, one.index)]
        looks = [(one, *one.look()) for one in several]
        found = [(one, kind, scheme) for one, domain, kind, scheme in looks if self.domain in (None, domain)]
        if len(found) == 1:
            return found[0]
        if found:
            choices = " or ".join(f"index={one.index}" for one, _, _ in found)
            raise ValueError(f"{len(found)} sockets have the {wanted}, expected {choices}")
        if looks:
            raise ValueError(f"the socket of {wanted} is of domain={looks[0][1]}, not {self.domain}")
        raise ValueError(f"no socket of {wanted}; systemd has passed {', '.join(map(str, there))}")


def nameOf(scheme: str, address: Any) -> str:
    """The name that log lines use, as "tcp 127.0.0.1:7007", "tcp6 [::1]:7007" or "unix /run/echo.sock".

    @param address: a tuple or path as the socket module writes it.
    """
    if not isinstance(address, tuple):
        # Linux's names outside of the file system begin with NUL, which is written so.
        return f"{scheme} {os.fsdecode(address)}".replace("\0", "@").rstrip()
    host, port = hostAndPort(address)
    return f"{scheme} [{host}]:{port}" if ":" in host else f"{scheme} {host}:{port}"


def _lastError() -> str:
    error = GetLastError()
    return f"{error}: {error.message}"
