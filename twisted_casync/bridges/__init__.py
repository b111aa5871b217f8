"""
Between sockets and Twisted: a Twisted transport over a C{CAsyncSocket}.
"""

from __future__ import annotations

from ._view import IReactorOverCAsyncSocket, ReactorView, overCAsyncSockets

__all__ = ["IReactorOverCAsyncSocket", "ReactorView", "overCAsyncSockets"]
