"""
Between sockets and Twisted: a C{CAsyncSocket} over any transport.
"""

from __future__ import annotations

from twisted_casync.bridges._overtransport import SocketProtocol, connectOver, listenOver, reasonOf, transportOf

__all__ = ["SocketProtocol", "connectOver", "listenOver", "reasonOf", "transportOf"]
