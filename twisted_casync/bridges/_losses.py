"""
What the end of a Twisted connection, or the failure to make one, is to a Winsock program, and to a reader of the log.
"""

from __future__ import annotations

from typing import Any, Final, cast

from twisted.internet import defer, error
from twisted.internet.interfaces import ISSLTransport
from twisted.python.failure import Failure

from twisted_casync.winsock import WSAError, errorFromErrno

__all__ = ["failedBy", "lostBy", "wordsOf"]

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
    if ISSLTransport.providedBy(transport):
        ended = reason.check(error.ConnectionLost) and _hasEnded(cast(Any, transport))
        return WSAError.NO_ERROR if ended else WSAError.WSAECONNABORTED
    if reason.check(error.ConnectionAborted):
        return WSAError.WSAECONNABORTED
    cut = reason.check(error.ConnectionLost, error.ProcessTerminated)
    return WSAError.WSAECONNRESET if cut else WSAError.WSAECONNABORTED


def _hasEnded(transport: Any) -> bool:
    """
    @return: whether the peer has ended TLS as it should.  It may have left at once, so that the answer found nobody.
    """
    from OpenSSL.SSL import RECEIVED_SHUTDOWN

    handle = transport.getHandle()
    return hasattr(handle, "get_shutdown") and bool(handle.get_shutdown() & RECEIVED_SHUTDOWN)


def wordsOf(reason: Failure, transport: Any) -> str:
    """
    Why there is no connection, or no longer, for a line of the log.

    @param reason: what C{connectionLost} is called with.
    @param transport: the transport, which is not forgotten yet.
    @return: what OpenSSL or service-identity have found, where it was they.
    """
    value: Any = reason.value
    if not ISSLTransport.providedBy(transport):
        return reason.getErrorMessage()
    if reason.check(error.ConnectionDone, error.ConnectionLost):
        return "the peer has closed the connection"
    # service-identity's, which may be missing.
    mismatches = getattr(value, "errors", None)
    if mismatches:
        return f"the certificate is not for {', '.join(_identity(each.mismatched_id) for each in mismatches)}"
    queue = value.args[0] if value.args else None
    if not isinstance(queue, list):
        return reason.getErrorMessage()
    # OpenSSL's, as (library, function, reason).
    words = ", ".join(dict.fromkeys(entry[-1] for entry in queue)) or "OpenSSL does not say why"
    found = _verified(cast(Any, transport).getHandle())
    return f"{words}: {found}" if found and "certificate verify failed" in words else words


def _identity(wanted: Any) -> str:
    name = getattr(wanted, "hostname", None) or getattr(wanted, "ip", wanted)
    return name.decode() if isinstance(name, bytes) else str(name)


def _verified(connection: Any) -> str:
    """
    @return: what is wrong with the peer's certificate; nothing if that is not known.
    """
    # pyOpenSSL tells it only inside the verification, where Twisted has its own callback.
    from OpenSSL._util import ffi, lib

    code = lib.SSL_get_verify_result(connection._ssl)
    words: bytes = ffi.string(lib.X509_verify_cert_error_string(code)) if code else b""
    return words.decode()
