"""
The port of a datagram protocol, over a C{CAsyncSocket}.

Nothing here is the socket module's, or bound beforehand: a datagram socket of Twisted's is what a C{CAsyncSocket} is
anyway, but that one for IPv6 also receives from IPv4.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.error import InvalidAddressError, MessageLengthError
from twisted.internet.interfaces import ISystemHandle, IUDPTransport
from twisted.logger import Logger
from twisted.python.context import call as callInContext
from twisted.python.log import ILogContext
from zope.interface import implementer

from twisted_casync import (
    AF_INET,
    AF_INET6,
    FD_READ,
    IPPROTO_IPV6,
    IPV6_V6ONLY,
    SO_BROADCAST,
    SOCK_DGRAM,
    SOCKET_ERROR,
    GetLastError,
    WSAError,
)

from ._listening import Listener
from ._names import THIS_MACHINE, prefixOf, problemOf
from ._opening import familyOf

__all__ = ["DatagramPort"]

_RECEIVING: Final = int(FD_READ)

_MOST: Final = 256
"""How many datagrams the protocol is told of in one turn, however short they are."""

_EVERYBODY: Final = "<broadcast>"
"""What the socket module calls 255.255.255.255."""

_log = Logger("casync")


@implementer(IUDPTransport, ISystemHandle)
class DatagramPort(Listener):
    """
    The transport of a datagram protocol, which receives at a port.

    @ivar protocol: whom it tells.
    @ivar maxPacketSize: how many bytes of a datagram are received at most; the rest of a longer one is lost.
    @cvar maxThroughput: after how many bytes received in one turn the others have theirs.
    """

    selected = _RECEIVING
    addressType = "UDP"

    maxThroughput = 256 * 1024

    def __init__(
        self, port: Any, protocol: Any, interface: str = "", maxPacketSize: int = 8192, reactor: Any = None
    ) -> None:
        """
        @raise InvalidAddressError: C{interface} is not an address.
        """
        if interface and not (isIPAddress(interface) or isIPv6Address(interface)):
            raise InvalidAddressError(interface, "not an IPv4 or IPv6 address.")
        super().__init__(port, interface, reactor, "UDP")
        self.protocol = protocol
        self.maxPacketSize = maxPacketSize
        self.addressFamily = familyOf(interface)
        self.logstr = f"{prefixOf(protocol)} (UDP)"
        self._context = {ILogContext: {"isError": 0, "system": self.logstr}}
        self._peer: tuple[str, int] | None = None
        # Where the last datagram came from: as the protocol was told, and in full.
        self._source: Any = None
        self._name: Any = None

    def startListening(self) -> None:
        """
        Bind, and listen.

        @raise CannotListenError: it can't.
        """
        if not self.Socket(SOCK_DGRAM, _RECEIVING, 0, self.addressFamily):
            raise self._cannot(GetLastError())
        # As Linux has it: at "::", for IPv4 too.
        mixed = self.addressFamily != AF_INET6 or self.SetSockOpt(IPV6_V6ONLY, False, nLevel=IPPROTO_IPV6)
        if not (mixed and self.Bind(self.port, self.interface or None)):
            failure = self._cannot(GetLastError())
            self.Close()
            raise failure
        self._serve()

    def listenWith(self, sock: Any) -> None:
        """
        Listen with a socket that is bound.

        @raise CannotListenError: it can't be used.
        """
        if not self.Attach(sock, _RECEIVING):
            sock.close()
            raise self._cannot(GetLastError())
        self._serve()

    def _serve(self) -> None:
        self._peer = self._source = self._name = None
        self._begin(self.protocol, self._made)

    def _made(self) -> None:
        self.protocol.makeConnection(self)

    def _stop(self) -> None:
        self.protocol.doStop()

    # -- receiving

    def OnReceive(self, nErrorCode: int) -> None:
        """
        Datagrams: tell the protocol of each, within limits.
        """
        self._turn.during(self, callInContext, self._context, self._receive)

    def _receive(self) -> None:
        buffer = self._turn.room(self.maxPacketSize)
        whole = self.addressFamily != AF_INET6
        received = 0
        for _ in range(_MOST):
            count, name = self.ReceiveFrom(buffer)
            if count == SOCKET_ERROR:
                code = GetLastError()
                if code is not WSAError.WSAEMSGSIZE:
                    if code is not WSAError.WSAEWOULDBLOCK:
                        self._undelivered(code)
                    return
                count = len(buffer)
            self._name = name
            self._source = name if whole else name[:2]  # type: ignore[index]  # it is a tuple
            try:
                self.protocol.datagramReceived(buffer[:count].tobytes(), self._source)
            except BaseException:
                _log.failure("The application of {port!r} failed; it goes on", port=self)
            if not self._reading:
                # Stopped, or closed, by what it was told.
                return
            received += count
            if received >= self.maxThroughput:
                break
        # The others have their turn: what else is there is told again in the next one.
        self.AsyncSelect(_RECEIVING)

    def _undelivered(self, code: WSAError) -> None:
        """
        Something that was sent has not arrived, which the system says of a socket with a peer.  This port is well.
        """
        if code is not WSAError.WSAECONNRESET:
            _log.warn("What {port!r} has sent was not delivered: {why}", port=self, why=code.message)
        elif self._peer is not None:
            try:
                self.protocol.connectionRefused()
            except BaseException:
                _log.failure("The application of {port!r} failed; it goes on", port=self)

    # -- sending

    def write(self, datagram: bytes, addr: tuple[str, int] | None = None) -> None:
        """
        Send a datagram, now.

        @param addr: an address in numbers, or C{"<broadcast>"}, and a port; L{None}: to the peer of C{connect}, which
            is the only one then.
        @raise InvalidAddressError: it is a name, or of the other family.
        @raise ValueError: there is a peer, and it is another; or there is none, and C{addr} is L{None}.
        @raise MessageLengthError: no datagram can be so long.
        @raise OSError: the system does not take it: a C{BlockingIOError} where it has no room for now.
        """
        if self._peer is not None:
            if addr is not None and addr != self._peer:
                raise ValueError(f"the transport is connected to {self._peer}, and can't write to {addr}")
            count = self.Send(datagram)
        elif addr is None:
            raise ValueError("a transport that is not connected has to be told where to write to")
        elif addr is self._source:
            # An answer; of IPv6 with the scope that it came with.
            count = self.SendTo(datagram, None, self._name)
        else:
            count = self.SendTo(datagram, None, addr[1], self._destination(addr[0]))
        if count == SOCKET_ERROR:
            self._unsent(GetLastError())

    def _destination(self, host: str) -> str | None:
        """
        @return: an address; L{None} for everybody's.
        """
        broadcast = host == _EVERYBODY
        if not (broadcast or isIPAddress(host) or isIPv6Address(host)):
            raise InvalidAddressError(host, "write() only accepts IP addresses, not hostnames")
        if self.addressFamily != (AF_INET6 if isIPv6Address(host) else AF_INET):
            raise InvalidAddressError(host, f"it is no address of the family of {self.interface or 'IPv4'}")
        return None if broadcast else THIS_MACHINE.get(host, host)

    def _unsent(self, code: WSAError) -> None:
        if code is WSAError.WSAEMSGSIZE:
            raise MessageLengthError("message too long")
        if code is not WSAError.WSAECONNRESET:
            raise problemOf(code)
        # It is about an earlier one.
        if self._peer is not None:
            self.protocol.connectionRefused()

    def writeSequence(self, seq: Iterable[bytes], addr: tuple[str, int] | None = None) -> None:
        """
        C{write} of some pieces, as one datagram.
        """
        self.write(b"".join(seq), addr)

    def connect(self, host: str, port: int) -> None:
        """
        Have one peer: nothing is sent to others from now on, and nothing received from them.

        @param host: an address in numbers.
        @raise InvalidAddressError: it is a name.
        @raise RuntimeError: there is a peer already.
        @raise OSError: the system does not take it.
        """
        if self._peer is not None:
            raise RuntimeError("already connected, reconnecting is not currently supported")
        if not (isIPAddress(host) or isIPv6Address(host)):
            raise InvalidAddressError(host, "not an IPv4 or IPv6 address.")
        if not self.Connect(THIS_MACHINE.get(host, host), port):
            raise problemOf(GetLastError())
        self._peer = host, port

    # -- names and options

    def getHandle(self) -> Any:
        """
        @return: the socket, as the socket module has it.
        """
        return self.socket

    def getBroadcastAllowed(self) -> bool:
        """
        @return: whether C{write} may be to everybody.
        """
        return bool(self.GetSockOpt(SO_BROADCAST))

    def setBroadcastAllowed(self, enabled: bool) -> None:
        """
        @param enabled: let C{write} be to everybody.
        """
        self.SetSockOpt(SO_BROADCAST, bool(enabled))

    def logPrefix(self) -> str:
        """
        @return: what names it in a line of Twisted's log.
        """
        return self.logstr

    def __repr__(self) -> str:
        where = f"on {self._realPortNumber}" if self.connected else "not connected"
        return f"<{type(self.protocol)} {where}>"
