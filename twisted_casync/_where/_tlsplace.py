"""A place to listen for TLS: ssl: of Twisted's server descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from twisted.internet.error import CannotListenError

from twisted_casync import SOMAXCONN, errorFromErrno
from twisted_casync._where._place import Opened, Place, nameOf

__all__ = ["TLSPlace"]


@dataclass(frozen=True)
class TLSPlace(Place):
    """An address where TLS is spoken from the first byte.

    The files are read once, when the place is checked: what comes later may not be allowed to, or be elsewhere.

    @ivar host: the address, numeric.
    @ivar port: its port.
    @ivar backlog: how many connections may wait for their handshake; None means as many as the system allows.
    @ivar files: what tls.serverOptions takes, by its names; None for what is left out.
    """

    host: str
    port: int
    backlog: int | None
    files: Mapping[str, str | None]

    @property
    def kind(self) -> str:
        return "stream"

    def check(self) -> None:
        """Read the files. Raises ValueError."""
        try:
            _ = self._options
        except (OSError, ValueError, ImportError) as problem:
            raise ValueError(f"{self.description!r}: {problem}") from None

    def hostAndPort(self) -> tuple[Any, Any]:
        return self.host, self.port

    @cached_property
    def _options(self) -> Any:
        # Not before it is wanted: what it needs may be missing, and takes long to load.
        from twisted_casync.tls import serverOptions

        return serverOptions(**self.files)  # type: ignore[arg-type]  # privateKey is there

    def _listen(self, opened: Opened) -> str | None:
        from twisted_casync.tls import listenTLS

        backlog = int(SOMAXCONN) if self.backlog is None else self.backlog
        try:
            listenTLS(opened.listener, self.port, self._options, interface=self.host, backlog=backlog)
        except CannotListenError as problem:
            # In the words of the other places.
            code = errorFromErrno(problem.socketError.errno)
            return f"{code}: {code.message}"
        opened.name = nameOf(self.scheme, opened.listener.GetSockNameEx())
        return None
