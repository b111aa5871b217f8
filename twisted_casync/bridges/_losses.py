"""
What the end of a Twisted connection, or the failure to make one, is to a Winsock program.
"""

from __future__ import annotations

from typing import Final

from twisted.internet import defer, error
from twisted.internet.interfaces import ISSLTransport
from twisted.python.failure import Failure

from twisted_casync.winsock import WSAError, errorFromErrno

__all__ = ["failedBy", "lostBy"]

_FAILURES: Final = (
    # The first that fits: the later ones are more general.
    (error.ConnectionRefusedError, WSAError.WSAECONNREFUSED),
    (error.TCPTimedOutError, WSAError.WSAETIMEDOUT),
    (error.TimeoutError, WSAError.WSAETIMEDOUT),
    (error.NoRouteError, WSAError.WSAENETUNREACH),
    (error.DNSLookupError, WSAError.WSAHOST_NOT_FOUND),
    (error.UnknownHostError, WSAError.WSAHOST_NOT_FOUND),
    (error.ConnectBindError, WSAError.WSAEADDRNOTAVAIL),
    (error.ConnectingCancelledError, WSAError.WSAECONNABORTED),
    (defer.CancelledError, WSAError.WSAECONNABORTED),
)
"""Why Twisted has not connected."""


def failedBy(reason: Failure) -> WSAError:
    """
    Why a connection was not made.

    @param reason: what an endpoint's C{connect} fails with.
    @return: the code; C{WSAECONNABORTED} where Winsock has no word for it, such as a certificate that is not trusted.
    """
    for kind, code in _FAILURES:
        if reason.check(kind):
            return code
    number = getattr(reason.value, "osError", None)
    return errorFromErrno(number) if isinstance(number, int) else WSAError.WSAECONNABORTED


def lostBy(reason: Failure, transport: object) -> WSAError:
    """
    How a connection has ended.

    @param reason: what C{connectionLost} is called with.
    @param transport: the transport.
    @return: C{NO_ERROR} in good order; C{WSAECONNABORTED} by this side, or where a TLS connection was cut off without
        the end that its protocol asks for (RFC 8446, 6.1); else C{WSAECONNRESET}.
    """
    if reason.check(error.ConnectionDone, error.ProcessDone):
        return WSAError.NO_ERROR
    if reason.check(error.ConnectionAborted) or ISSLTransport.providedBy(transport):
        return WSAError.WSAECONNABORTED
    cut = reason.check(error.ConnectionLost, error.ProcessTerminated)
    return WSAError.WSAECONNRESET if cut else WSAError.WSAECONNABORTED
