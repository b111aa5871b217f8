"""A datagram socket that answers, and that nobody can use to flood another.

Whoever forges the source of a datagram has its answer sent to somebody else. Two things keep that harmless, and
are the duty of this file and of what extends it: nothing is sent to where a service answers in its turn, since two of
them would go on for ever (CERT CA-1996-01), and an answer is not much longer than what was asked with.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import LogLevel

from twisted_casync import SOCKET_ERROR, CAsyncSocket, GetLastError
from twisted_casync._seldom import SeldomLog
from twisted_casync.services._clock import clockOf
from twisted_casync.services._speaking import logOf

__all__ = ["DatagramResponder"]

_BUFFER_SIZE = 65536

# Datagrams answered in one notification: enough to spare most of the notifications, few enough that a flood
# leaves the connections their turn.
_BATCH = 64

# Batches looked for on stop: together more datagrams than a receive buffer of the usual size holds.
_LAST_BATCHES = 16

# Below are the ports of services, as 7 (echo), 19 (chargen), 53 (domain) and 123 (ntp); a client's is above. Zero is
# nobody's. The inetd of OpenBSD draws the line here too.
_FIRST_OF_CLIENTS = 1024

# Where the services of this package answer unless they are told otherwise.
_OURS = frozenset((7007, 7013, 7019, 7037))


class DatagramResponder(CAsyncSocket):
    """Answers each datagram, or drops the answer when it can't be sent now. A subclass has `answer`.

    What comes from a port of services (below 1024, one of this package's default ports, or this socket's own
    number) is received and not answered.
    """

    def __init__(self, reactor: Any = None) -> None:
        super().__init__(reactor)
        self.reactor = reactor
        self._seldom = SeldomLog(logOf(type(self)), partial(clockOf, self))
        self._buffer = memoryview(bytearray(_BUFFER_SIZE))
        self._unanswered: frozenset[int] | None = None

    def answer(self, data: memoryview) -> bytes | memoryview | None:
        """What to send back; None for nothing.

        @param data: what has come, good until this returns.
        """
        raise NotImplementedError

    def OnReceive(self, nErrorCode: int) -> None:
        """Answer what is there; the last ReceiveFrom has more announced if there is more."""
        unanswered = self._unanswered or self._remembered()
        for _ in range(_BATCH):
            nRead, peer = self.ReceiveFrom(self._buffer)
            if nRead == SOCKET_ERROR:
                return
            if peer is None:
                continue  # from a UNIX socket without a name
            if isinstance(peer, tuple) and (peer[1] < _FIRST_OF_CLIENTS or peer[1] in unanswered):
                continue
            answer = self.answer(self._buffer[:nRead])
            if answer is not None and self.SendTo(answer, None, peer) == SOCKET_ERROR:
                self._dropped(len(answer), peer)

    def drain(self, clock: IReactorTime, grace: float) -> Deferred[None]:
        """Answer what has come, within reason; there is nothing to wait for."""
        for _ in range(_LAST_BATCHES):
            self.OnReceive(0)
        self.Close()
        return succeed(None)

    def Close(self) -> None:
        """Answer no more."""
        super().Close()
        self._seldom.stop()

    def _dropped(self, n: int, peer: Any) -> None:
        # Of a level that few read; but twistd writes all of them.
        self._seldom.say("dropped: {n} bytes to {peer}: {why}", LogLevel.debug, n=n, peer=peer, why=GetLastError())

    def _remembered(self) -> frozenset[int]:
        """The ports that are not answered; this socket's own is known once it is bound."""
        name = self.GetSockNameEx()
        self._unanswered = _OURS if name is None else _OURS | {name[1]}
        return self._unanswered
