"""
The recorded scenarios of streams, where each connection is over a Twisted transport as soon as it is made.
"""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from _reactors import must
from _recorded import RECORDED, RECORDED_TRACES, knownDeviations
from test_scenarios import played
from twisted.internet.protocol import Factory

from twisted_casync import INVALID_SOCKET, CAsyncSocket
from twisted_casync.bridges import SocketProtocol, transportOf
from twisted_casync.testing._recorder import RecordingSocket
from twisted_casync.testing._session import SocketFactory

KINDS = ("accept", "close", "connect", "mix", "race", "read", "select", "shutdown", "v6", "write")
"""Of the others datagrams, urgent data, options, handles and names are the point."""

_TURN = "what has come and what is sent moves in the reactor's turns, not inside a member"
_BUFFERS = "the transport's buffer is between the socket and the peer's: how much fits is another number"

LEFT_OUT = {
    "accept-inherits-options": "a transport has options of its own",
    "close-data-handler-loop": _TURN,
    "close-recv-before-onclose": _TURN,
    "mix-greedy-handler": _TURN,
    "race-abort-data-at-once": _TURN,
    "race-close-data-at-once": _TURN,
    "race-fill-drain-small": _BUFFERS,
    "race-fill-two-rounds-handlers": _BUFFERS,
    "race-many-sends-small-recvs": _TURN,
    "race-select-all-at-once": _TURN,
    "race-send-recv-send": _TURN,
    "read-handler-reads-other": _TURN,
    "read-recv-in-onsend": _TURN,
    "read-stale-new-data": _TURN,
    "v6-accept-in-handler": _TURN,
    "write-after-peer-closed": _TURN,
    "write-big": _BUFFERS,
    "write-fill-abort": _BUFFERS,
    "write-fill-close": _BUFFERS,
    "write-fill-in-handler": _BUFFERS,
    "write-fill-peer-aborts": _BUFFERS,
    "write-fill-select-again": _BUFFERS,
    "write-fill-shutdown": _BUFFERS,
    "write-mask-without-write": _BUFFERS,
}
"""The scenarios that go otherwise over a transport, and why."""


def scenarios() -> dict[str, Path]:
    """
    @return: those in which a connection is made.
    """
    found = {path.stem: path for path in RECORDED.glob("*.txt") if "accept" in path.read_text("latin-1")}
    return {name: path for name, path in found.items() if name.split("-")[0] in KINDS}


class OverTransport(RecordingSocket):
    """
    A socket that goes over to a transport when it is connected, and keeps what it has selected.
    """

    def __init__(self, report: Any, reactor: Any) -> None:
        super().__init__(reactor)
        self._report, self._reactor = report, reactor

    def Accept(self, rConnectedSocket: Any, lpSockAddr: bool = False, lpSockAddrLen: int | None = None) -> Any:
        result = CAsyncSocket.Accept(self, rConnectedSocket, lpSockAddr, lpSockAddrLen)
        if rConnectedSocket.m_hSocket != INVALID_SOCKET:
            rConnectedSocket.goOver()
        return result

    def notified(self, name: str, nErrorCode: int) -> None:
        if name == "OnConnect" and nErrorCode == 0:
            self.goOver()
        self._report(name, nErrorCode)

    def goOver(self) -> None:
        """
        Be attached to a transport of Twisted's that has this socket's descriptor.
        """
        if transportOf(self) is not None:
            return
        family, selected = self._as_family, self._as_rules.selected
        descriptor = must(self.Detach())
        protocol = SocketProtocol(self, selected, reactor=self._reactor)
        self._reactor.adoptStreamConnection(descriptor, family, Factory.forProtocol(lambda: protocol))
        socket.close(descriptor)


def overTransportsOn(reactor: Any) -> SocketFactory:
    return lambda report: OverTransport(report, reactor)


@pytest.mark.parametrize("leftOut", [False, True], ids=["as recorded", "otherwise, with a reason"])
@pytest.mark.parametrize("way", ["epoll-window", "asyncio-window"])
def test_streams_go_over_transports_as_recorded(way: str, leftOut: bool, tmp_path: Path) -> None:
    chosen = {name: path for name, path in scenarios().items() if (name in LEFT_OUT) == leftOut}
    for path in chosen.values():
        shutil.copy(path, tmp_path)
    tally = played(way, tmp_path, RECORDED_TRACES, knownDeviations(), limit=60, sockets=overTransportsOn)
    assert {difference.scenario for difference in tally.open} == (set(LEFT_OUT) if leftOut else set())
    assert len(chosen) >= (len(LEFT_OUT) if leftOut else 90)
