"""
TLS begun on a transport that is in use, as SMTP's and others' STARTTLS do, by Twisted's own TLS.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.interfaces import ISSLTransport
from zope.interface import alsoProvides

__all__ = ["startTLS"]


class _Beneath:
    """
    The transport as TLS sees it: without TLS.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self._transport.writeClear(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        self._transport.writeSequenceClear(iovec)

    def loseConnection(self) -> None:
        self._transport.loseClear()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._transport.registerClearProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self._transport.unregisterClearProducer()


def startTLS(transport: Any, contextFactory: Any, normal: bool) -> Any:
    """
    Put TLS between a transport and its protocol.

    @param transport: a L{transport.Connection}; C{isClient} says which side it is.
    @param contextFactory: an C{IOpenSSLContextFactory} or its kin.
    @param normal: whether the client of the connection is the client of TLS.
    @return: the protocol of TLS, through which the transport goes on.
    """
    # Not before it is wanted: pyOpenSSL may be missing.
    from twisted.protocols.tls import TLSMemoryBIOFactory

    # There is no factory beneath: the protocol is there already.
    factory = TLSMemoryBIOFactory(
        contextFactory,
        transport.isClient is normal,
        None,  # type: ignore[arg-type]  # as Twisted does
        transport.reactor,
    )
    tls = factory.protocol(factory, transport.protocol, False)
    producer, streaming = transport.producer, transport.streamingProducer
    if producer is not None:
        transport.unregisterProducer()
    transport.protocol = tls
    transport.getPeerCertificate = tls.getPeerCertificate
    alsoProvides(transport, ISSLTransport)
    tls.makeConnection(_Beneath(transport))
    if producer is not None:
        tls.registerProducer(producer, streaming)
    return tls
