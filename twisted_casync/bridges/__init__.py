"""
Between sockets and Twisted: a Twisted transport over a C{CAsyncSocket}, and a C{CAsyncSocket} over a Twisted transport.
"""

from __future__ import annotations

from twisted_casync.bridges._overendpoints import connectOver, listenOver
from twisted_casync.bridges._overtransport import SocketProtocol, reasonOf, transportOf
from twisted_casync.bridges._view import IReactorOverCAsyncSocket, ReactorView, overCAsyncSockets

__all__ = [
    "IReactorOverCAsyncSocket",
    "ReactorView",
    "SocketProtocol",
    "connectOver",
    "listenOver",
    "overCAsyncSockets",
    "reasonOf",
    "transportOf",
]
