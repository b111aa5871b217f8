"""The other end of an accepted connection, which connects to where that goes on to."""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall

from twisted_casync import IPPROTO_TCP, SOCK_STREAM, TCP_NODELAY, GetLastError, WSAError
from twisted_casync.services._clock import clockOf
from twisted_casync.services._relay import RelayConnection
from twisted_casync.services._target import Target

__all__ = ["OutgoingConnection"]


class OutgoingConnection(RelayConnection):
    """Connects, and then becomes the other end of the accepted connection; if it can't, that is reset.

    @param incoming: the accepted connection.
    @param target: where to; a host name's IPv4 addresses are tried first, then those of IPv6.
    """

    __slots__ = ("_errors", "_families", "_incoming", "_late", "_target")

    def __init__(self, incoming: RelayConnection, target: Target) -> None:
        super().__init__(incoming.listener)
        self._incoming = incoming
        self._target = target
        self._families = list(target.families)
        self._errors: list[int] = []
        self._late: IDelayedCall | None = None

    def begin(self, seconds: float) -> None:
        """Connect within that time."""
        self._late = clockOf(self.listener).callLater(seconds, self._failed, WSAError.WSAETIMEDOUT)
        self._connect()

    def OnConnect(self, nErrorCode: int) -> None:
        """It has ended well, or is tried with the next family."""
        if nErrorCode == 0:
            self._connected()
            return
        self._errors.append(nErrorCode)
        if self._families:
            self.Close()
            self._connect()
        else:
            # What a connection failed with says more than that a name has no address of the other family: lookups
            # have the higher numbers.
            self._failed(min(self._errors))

    def end(self, nErrorCode: int = 0) -> None:
        self._waitNoLonger()
        super().end(nErrorCode)

    def _connect(self) -> None:
        if not self.Socket(SOCK_STREAM, nAddressFormat=self._families.pop(0)):
            self.OnConnect(GetLastError())
        elif self.Connect(*self._target.address):
            self.OnConnect(0)
        elif (error := GetLastError()) != WSAError.WSAEWOULDBLOCK:
            self.OnConnect(error)

    def _connected(self) -> None:
        self._waitNoLonger()
        self.other, self._incoming.other = self._incoming, self
        for one in (self, self._incoming):
            # What comes in small pieces goes on in them, without delay. Fails for a UNIX socket, which delays nothing.
            one.SetSockOpt(TCP_NODELAY, True, nLevel=IPPROTO_TCP)
        self.goOn()

    def _failed(self, nErrorCode: int) -> None:
        error = WSAError(nErrorCode)
        self.listener.warn(
            "cannot connect to {target} for {peer}: {error}: {message}",
            target=self._target.text,
            peer=self._incoming.peer,
            error=error,
            message=error.message,
        )
        self._incoming.end(error)

    def _waitNoLonger(self) -> None:
        late, self._late = self._late, None
        if late is not None and late.active():
            late.cancel()
