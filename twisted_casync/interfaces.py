"""What a socket of this package promises: the members of MFC's CAsyncSocket as zope interfaces.

The docstrings here are the only ones: an implementation copies them, so C{help(CAsyncSocket.Accept)} shows
them. How to read them:

 - After a failure a member returns False, None or SOCKET_ERROR, and L{IAsyncSocket.GetLastError} has the code.
   What Winsock would refuse at run time is such a code. What C++ would not compile (a str as a buffer, a float
   as a port) is a TypeError that names the parameter.
 - WSANOTINITIALISED, WSAENETDOWN, WSAEINPROGRESS and WSAENOTSOCK belong to every member; below each lists its
   own. WSANOTINITIALISED: called from a thread that is not the socket's. WSAENOTSOCK: the object has no open
   socket. WSAEINPROGRESS: another call of the socket is waiting, which in a class whose calls never wait
   cannot be.
 - A SOCKADDR is a tuple as the socket module writes it, (host, port) or (host, port, flow, scope), or the path
   of a UNIX socket; where one is taken, Twisted's IPv4Address, IPv6Address and UNIXAddress will do, and
   HostnameAddress where a name is looked up. A length beside it is that of the C structure in bytes (16 for
   IPv4, 28 for IPv6, 110 for UNIX): left out it is right, smaller is WSAEFAULT.
 - A port is an integer from 0 to 65535; another number is WSAEINVAL.
 - A buffer to fill is any writable contiguous buffer (bytearray, memoryview, array), filled in place without a
   copy; a buffer to send is any contiguous one. nBufLen is in bytes; None is the whole buffer, more than it
   holds is WSAEFAULT.
 - C{@see} names the section of the MFC reference that a member stands for, and says where C++ differs.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from zope.interface import Attribute, Interface

from ._serviceinterface import IAsyncSocketService

__all__ = ["IAsyncSocket", "IAsyncSocketNotifications", "IAsyncSocketService"]

# Any on purpose: zope verifies names and no types, and an implementation may want to narrow these types with
# typing.overload, which a union here would forbid.
SOCKADDR: TypeAlias = Any  # a tuple or a path as the socket module writes it, or a Twisted address
Buffer: TypeAlias = Any  # collections.abc.Buffer exists from Python 3.12 only
OptionValue: TypeAlias = Any  # bool, int, LINGER or a pair of ints; the option decides
Either: TypeAlias = Any  # differs between the overloads that the docstring names
SameKind: TypeAlias = Any  # another object of the implementing class


class IAsyncSocketNotifications(Interface):
    """The six handlers, one for each event of the mask, there to be overridden: as they are they do nothing.

    The reactor calls them, never a member from inside its own call, and only for events that are in the
    socket's mask. An event that was told is told again only after its re-enabling member was called, whatever
    that returned, and if there still or again is something to tell. After Close nothing is told any more.

    Any exception that leaves a handler is logged, the socket is aborted, and OnClose(WSAECONNABORTED) is called
    once, so that the application can forget the socket; no other socket notices. When OnAccept raises, the
    connection that it has accepted last is aborted; if it accepted none, the one that waits is reset. The listener
    goes on.

    nErrorCode is 0 or the code of what went wrong with the event. WSAENETDOWN, which the reference has for every
    handler, comes to OnClose; below are the others. GetLastError is left as it was."""

    def OnAccept(nErrorCode: int) -> None:
        """A connection waits to be taken with Accept, which re-enables this (FD_ACCEPT).

        @param nErrorCode: 0, or WSAEINVAL: the listener was shut down through another descriptor.
        @see: CAsyncSocket::OnAccept"""

    def OnClose(nErrorCode: int) -> None:
        """The peer has ended its stream, or the connection is gone (FD_CLOSE).

        With 0 the peer has finished sending, and Send still works until ShutDown or Close. While FD_READ is
        selected this waits until all data was received: it never comes to a program that does not receive. A
        reset does not wait. Told once; a further AsyncSelect tells it again, and so does the loss of the
        connection where a Send waits for OnSend. Never told of one's own Close, nor to a datagram socket.

        @param nErrorCode: 0, WSAECONNRESET (by the peer), WSAECONNABORTED (timeout, or aborted on this side).
        @see: CAsyncSocket::OnClose"""

    def OnConnect(nErrorCode: int) -> None:
        """An attempt to connect has ended (FD_CONNECT): once for each Connect that left WSAEWOULDBLOCK.

        With 0 the socket is connected, and OnSend follows. After a failure Connect may be called again. A
        datagram socket that was given an address is connected at once and gets OnSend alone.

        @param nErrorCode: 0, WSAEADDRINUSE, WSAEADDRNOTAVAIL, WSAEAFNOSUPPORT, WSAECONNREFUSED,
            WSAEDESTADDRREQ, WSAEFAULT, WSAEHOSTUNREACH, WSAEINVAL, WSAEISCONN, WSAEMFILE, WSAENETUNREACH,
            WSAENOBUFS, WSAENOTCONN, WSAENOTSOCK, WSAETIMEDOUT; WSAHOST_NOT_FOUND, WSATRY_AGAIN,
            WSANO_RECOVERY or WSANO_DATA when a name was not found.
        @see: CAsyncSocket::OnConnect; in C++ a name that is not found fails in Connect already."""

    def OnOutOfBandData(nErrorCode: int) -> None:
        """An urgent byte waits to be read with Receive and MSG_OOB (FD_OOB).

        Any Receive or ReceiveFrom re-enables this. There is one urgent byte at a time: a newer one takes the
        place of one that was not read. While SO_OOBINLINE is on this is not called: urgent data is announced
        by OnReceive then.

        @see: CAsyncSocket::OnOutOfBandData"""

    def OnReceive(nErrorCode: int) -> None:
        """Data waits (FD_READ); on a datagram socket also an empty datagram, or an error.

        Any Receive or ReceiveFrom re-enables this, also one that failed or only peeked. One Receive in each
        OnReceive is enough: what is left is told anew. Never called for the end of a stream: that is OnClose.

        @see: CAsyncSocket::OnReceive"""

    def OnSend(nErrorCode: int) -> None:
        """There is room to send (FD_WRITE).

        Told once after a connection was made or accepted, once when a datagram socket exists and when it was
        connected, and after each AsyncSelect of a socket that can send. Otherwise only after a Send that
        would have blocked or took a part, and when the host name of a SendTo is known. A Send that took
        everything brings none: a sender goes on until it has nothing left or meets WSAEWOULDBLOCK.

        @see: CAsyncSocket::OnSend"""


class IAsyncSocket(IAsyncSocketNotifications):
    """A socket whose calls never wait: they answer at once, and the handlers say when to call again.

    An object begins without a socket. Create, CreateEx, Socket, Attach, Assign and another socket's Accept
    give it one; Close and Detach take it away, after which the object can be used again. A socket belongs to
    its reactor's thread. The reactor keeps an open socket that waits for notifications alive; C{with} closes
    it at the end of a block.

    @see: CAsyncSocket"""

    receives = Attribute("0, for ShutDown: no more Receive.")
    sends = Attribute("1, for ShutDown: no more Send; the peer sees the end of the stream.")
    both = Attribute("2, for ShutDown: neither.")

    def Accept(
        rConnectedSocket: SameKind, lpSockAddr: Either = False, lpSockAddrLen: int | None = None
    ) -> bool | SOCKADDR | None:
        """Give the first connection that waits to another object. Re-enables OnAccept.

        @param rConnectedSocket: an object without a socket; it takes over this socket's mask and options with
            the connection, and its own OnSend and OnReceive follow.
        @param lpSockAddr: True to be told the peer's address.
        @param lpSockAddrLen: room for that address in bytes.
        @return: True or False; with lpSockAddr the peer's SOCKADDR or None.
            Errors: WSAEFAULT (lpSockAddrLen is too small), WSAEINVAL (Listen was not called, or
            rConnectedSocket has a socket already; nothing was touched), WSAEMFILE, WSAENOBUFS, WSAEOPNOTSUPP
            (not a stream), WSAEWOULDBLOCK (nobody waits).
        @see: CAsyncSocket::Accept, which writes the address through lpSockAddr."""

    def AsyncSelect(lEvent: int = 63) -> bool:
        """Choose which events are told, in place of those chosen before; makes the socket non-blocking.

        What the new mask names and already holds is told anew: data, an urgent byte, a waiting connection,
        room to send, a closed peer; only OnConnect is never repeated. What it leaves out is not told.

        @param lEvent: FD_READ, FD_WRITE, FD_OOB, FD_ACCEPT, FD_CONNECT, FD_CLOSE, or-ed; 0 for none; all by
            default.
        @return: True or False. Errors: WSAEINVAL.
        @see: CAsyncSocket::AsyncSelect, whose table explains FD_WRITE with the words for FD_READ."""

    def Attach(hSocket: Either, lEvent: int = 63) -> bool:
        """Take over an open socket and watch it; what already holds is told, as by AsyncSelect.

        A connection that is over can be attached: OnReceive tells the data that waits, OnClose how it has ended.
        Directions that were shut down, and options that were set, before Detach still are.

        @param hSocket: a descriptor (int), or a socket.socket, which loses its own.
        @param lEvent: the mask, as for AsyncSelect.
        @return: True or False. Errors: WSAEINVAL, WSAENOTSOCK (hSocket is no socket).
        @see: CAsyncSocket::Attach"""

    def Bind(nSocketPort: Either, lpszSocketAddress: Either = None) -> bool:
        """Give the socket its local address.

        Bind(nSocketPort, lpszSocketAddress=None), or Bind(lpSockAddr, nSockAddrLen=None) with a SOCKADDR and
        its length in bytes; the first argument tells which.

        @param nSocketPort: 0 lets the system choose.
        @param lpszSocketAddress: an address in numbers such as "128.56.22.8"; None for all interfaces.
        @return: True or False.
            Errors: WSAEADDRINUSE, WSAEADDRNOTAVAIL (not an address of this machine), WSAEACCES (the port
            needs privileges, or a socket that has the address does not share it), WSAEFAULT (nSockAddrLen is
            too small), WSAEAFNOSUPPORT (an address of another family), WSAEINVAL (bound already, no such
            port, or no address in numbers: names are not looked up), WSAENOBUFS.
        @see: CAsyncSocket::Bind. As on Windows, TIME_WAIT does not keep a listener off its port."""

    def BindEx(pAI: Either) -> bool:
        """Give the socket the address of an entry of getaddrinfo.

        @param pAI: the entry, as for CreateEx.
        @return: True or False. Errors: those of Bind; WSAEFAULT (the entry has no address), WSAEINVAL (None).
        @see: CAsyncSocket::BindEx of the header afxsock.h, which the reference leaves out."""

    def Close() -> None:
        """Close the socket and forget its notifications. Without a socket harmless; never fails.

        What Send took is still delivered, but with SO_LINGER of 0 seconds the connection is reset.

        @see: CAsyncSocket::Close"""

    def Connect(lpszHostAddress: Either, nHostPort: int | None = None) -> bool:
        """Begin a connection, or give a datagram socket its peer.

        Connect(lpszHostAddress, nHostPort), or Connect(lpSockAddr, nSockAddrLen=None) with a SOCKADDR and its
        length in bytes; the first argument tells which.

        An attempt normally returns False with WSAEWOULDBLOCK and ends in one OnConnect. With a host name it
        always does: the reactor looks the name up without blocking, and its addresses of the socket's family
        are tried in turn. A datagram socket that is given an address is connected at once, and may be given
        another later. An unbound socket is bound by this.

        @param lpszHostAddress: an address in numbers, or a host name, which a SOCKADDR may have too.
        @param nHostPort: the peer's port.
        @return: True when connected at once, else False.
            Errors: WSAEWOULDBLOCK (OnConnect will tell), WSAEADDRINUSE, WSAEADDRNOTAVAIL (also an address of
            all zeros), WSAEAFNOSUPPORT, WSAEALREADY (an attempt is under way), WSAECONNREFUSED,
            WSAEDESTADDRREQ, WSAEFAULT (nSockAddrLen is too small), WSAEINVAL (no such port, no possible
            host name, or the socket listens), WSAEISCONN, WSAEMFILE, WSAENETUNREACH, WSAENOBUFS, WSAETIMEDOUT.
        @see: CAsyncSocket::Connect, which waits for the lookup of a name, and tries one IPv4 address only."""

    def ConnectEx(pAI: Either) -> bool:
        """Connect to the address of an entry of getaddrinfo.

        @param pAI: the entry, as for CreateEx.
        @return: True or False. Errors: those of Connect; WSAEFAULT (the entry has no address), WSAEINVAL (None).
        @see: CAsyncSocket::ConnectEx of the header afxsock.h, which the reference leaves out."""

    def Create(
        nSocketPort: int = 0, nSocketType: int = 1, lEvent: int = 63, lpszSocketAddress: str | None = None
    ) -> bool:
        """Make an IPv4 socket and bind it, also to port 0: Socket, then Bind; if that fails, Close.

        @param nSocketPort: 0 lets the system choose.
        @param nSocketType: SOCK_STREAM (TCP) or SOCK_DGRAM (UDP).
        @param lEvent: the mask, as for AsyncSelect.
        @param lpszSocketAddress: the local address in numbers; None for all interfaces.
        @return: True or False.
            Errors: WSAEAFNOSUPPORT, WSAEMFILE, WSAENOBUFS, WSAEPROTONOSUPPORT, WSAEPROTOTYPE,
            WSAESOCKTNOSUPPORT (nSocketType), WSAEINVAL (the object has a socket already; nothing was
            touched), and those of Bind.
        @see: CAsyncSocket::Create. To set an option before Bind use Socket; for IPv6 and UNIX, CreateEx."""

    def CreateEx(pAI: Either, lEvent: int = 63) -> bool:
        """Make a socket of any family, and bind it if an address comes with it.

        @param pAI: an entry of socket.getaddrinfo: (family, type, protocol, canonname, sockaddr), or its
            first three fields. With no sockaddr, or None, the socket is not bound.
        @param lEvent: the mask, as for AsyncSelect.
        @return: True or False. Errors: those of Create.
        @see: CAsyncSocket::CreateEx. MFC's code never binds here; its reference says it does what Create
            does."""

    def Detach() -> int:
        """Give the socket away: open, non-blocking, watched by nobody, nothing that it received lost.

        @return: the descriptor, which is the caller's to close, or INVALID_SOCKET.
        @see: CAsyncSocket::Detach. m_hSocket becomes INVALID_SOCKET, which the reference calls NULL."""

    def FromHandle(hSocket: int) -> IAsyncSocket | None:
        """Find the object, among those of the calling thread, that has a descriptor. A static method.

        @param hSocket: the descriptor.
        @return: the object, or None if there is none, which is no error.
        @see: CAsyncSocket::FromHandle"""

    def GetLastError() -> int:
        """Get the code with which the last call of the calling thread failed. A static method.

        @return: a WSAError: an int with Winsock's number that prints as its name; 0 after a call that succeeded,
            and before the first call. Close and FromHandle leave it as it was.
        @see: CAsyncSocket::GetLastError"""

    def GetPeerName(lpSockAddrLen: int | None = None) -> tuple[str, int] | None:
        """Get the address of an IPv4 socket's peer: also while connecting, and when it has gone, until Close.

        @param lpSockAddrLen: room for the address in bytes.
        @return: (host, port), the host in numbers, or None. Errors: WSAEFAULT (lpSockAddrLen is too small),
            WSAENOTCONN.
        @see: CAsyncSocket::GetPeerName, which writes its results; for IPv6 see GetPeerNameEx."""

    def GetPeerNameEx() -> tuple[str, int] | None:
        """Get the address of the peer, IPv6 too, with the scope that belongs to it ("fe80::1%3").

        @return: (host, port), the host in numbers, or None. Errors: WSAEFAULT, WSAENOTCONN.
        @see: CAsyncSocket::GetPeerNameEx. MFC's code may find a host name; the reference wants numbers."""

    def GetSockName(lpSockAddrLen: int | None = None) -> tuple[str, int] | None:
        """Get the local address of an IPv4 socket, for example the port that the system chose.

        @param lpSockAddrLen: room for the address in bytes.
        @return: (host, port), the host in numbers, or None. Errors: WSAEFAULT (lpSockAddrLen is too small),
            WSAEINVAL (not bound).
        @see: CAsyncSocket::GetSockName, which writes its results; for IPv6 see GetSockNameEx."""

    def GetSockNameEx() -> tuple[str, int] | None:
        """Get the local address, IPv6 too, with the scope that belongs to it.

        @return: (host, port), the host in numbers, or None. Errors: WSAEFAULT, WSAEINVAL (not bound).
        @see: CAsyncSocket::GetSockNameEx. MFC's code may find a host name; the reference wants numbers."""

    def GetSockOpt(
        nOptionName: int, lpOptionValue: Buffer = None, lpOptionLen: int | None = None, nLevel: int | None = None
    ) -> OptionValue:
        """Read an option, from any socket in any state.

        @param nOptionName: SO_ACCEPTCONN, SO_BROADCAST, SO_DEBUG, SO_DONTLINGER, SO_DONTROUTE, SO_ERROR,
            SO_KEEPALIVE, SO_LINGER, SO_OOBINLINE, SO_RCVBUF, SO_REUSEADDR, SO_SNDBUF, SO_TYPE, or
            TCP_NODELAY: a constant of this package. A number is a TypeError: those of the socket module mean
            other options in Winsock.
        @param lpOptionValue: None, or a writable buffer for the value in Winsock's layout, little endian.
        @param lpOptionLen: how much room of that buffer there is, in bytes.
        @param nLevel: SOL_SOCKET; IPPROTO_TCP for TCP_NODELAY; None for the option's own. SOL_SOCKET of the socket
            module is a TypeError.
        @return: without a buffer a bool, an int (SO_RCVBUF and SO_SNDBUF in bytes; SO_ERROR a code, cleared
            by reading it) or a LINGER (l_linger in seconds); with one the number of bytes written; None after
            a failure.
            Errors: WSAEFAULT (lpOptionLen is too small), WSAEINVAL (nLevel), WSAENOPROTOOPT (no such option;
            SO_BROADCAST of a stream; SO_ACCEPTCONN, SO_DONTLINGER, SO_KEEPALIVE, SO_LINGER or SO_OOBINLINE of
            a datagram socket).
        @see: CAsyncSocket::GetSockOpt, which needs the buffer."""

    def IOCtl(lCommand: int, lpArgument: int = 0) -> bool | int | None:
        """Ask for the socket's mode, or change it, in any state.

        FIONBIO makes it non-blocking, or with lpArgument 0 blocking; that is refused before AsyncSelect(0).
        FIONREAD counts what one Receive would get: from a stream what is there, without urgent data; from a
        datagram socket the first datagram. SIOCATMARK asks whether no urgent byte waits to be read.

        @param lCommand: FIONBIO, FIONREAD or SIOCATMARK.
        @param lpArgument: for FIONBIO; the others take none.
        @return: FIONBIO: True or False. FIONREAD: bytes, or None. SIOCATMARK: True if none waits, False if
            one does (the opposite of BSD's sense), or None.
            Errors: WSAEOPNOTSUPP (no such command), WSAEINVAL (not for such a socket, or blocking while events are
            selected).
        @see: CAsyncSocket::IOCtl, which writes its result through lpArgument. Of an unknown command the reference
            says WSAEINVAL; Windows says WSAEOPNOTSUPP."""

    def Listen(nConnectionBacklog: int = 5) -> bool:
        """Let a bound stream socket receive connections; OnAccept tells of them. Repeating this is no error.

        @param nConnectionBacklog: how many may wait for Accept; clamped to what the platform can do.
        @return: True or False.
            Errors: WSAEADDRINUSE, WSAEINVAL (not bound), WSAEISCONN, WSAEMFILE, WSAENOBUFS, WSAEOPNOTSUPP (a
            datagram socket).
        @see: CAsyncSocket::Listen. Its limit of 5 is only the default here; SOMAXCONN asks for the most."""

    def Receive(lpBuf: Buffer, nBufLen: int | None = None, nFlags: int = 0) -> int:
        """Fetch what has arrived. Re-enables OnReceive and OnOutOfBandData.

        A stream gives what there is, up to nBufLen, but never urgent and normal data together. A datagram
        socket gives one datagram: if that is longer than nBufLen the buffer is filled, the rest is lost, and
        the call fails with WSAEMSGSIZE.

        @param lpBuf: the buffer to fill.
        @param nBufLen: how much of it, in bytes.
        @param nFlags: MSG_PEEK leaves the data where it is; MSG_OOB fetches the urgent byte.
        @return: the number of bytes; 0 at the end of the stream, or for an empty datagram; or SOCKET_ERROR.
            Errors: WSAEWOULDBLOCK (nothing has arrived), WSAENOTCONN, WSAEOPNOTSUPP (MSG_OOB, not a stream),
            WSAESHUTDOWN (after ShutDown of receives), WSAEMSGSIZE, WSAEFAULT (nBufLen), WSAEINVAL (not bound;
            MSG_OOB while SO_OOBINLINE is on), WSAECONNABORTED, WSAECONNRESET (also if nobody is at a
            connected datagram socket's peer address), WSAHOST_NOT_FOUND (as for SendTo).
        @see: CAsyncSocket::Receive"""

    def ReceiveFrom(
        lpBuf: Buffer, nBufLen: int | None = None, nFlags: int = 0, *, lpSockAddrLen: int | None = None
    ) -> tuple[int, SOCKADDR | None]:
        """Fetch a datagram and its sender's address; a stream tells none.

        @param lpBuf: the buffer to fill.
        @param nBufLen: how much of it, in bytes.
        @param nFlags: MSG_PEEK or MSG_OOB, as for Receive.
        @param lpSockAddrLen: room for the address in bytes.
        @return: (count, SOCKADDR or None), or (SOCKET_ERROR, None).
            Errors: WSAEWOULDBLOCK, WSAEFAULT (nBufLen; lpSockAddrLen is too small), WSAEINVAL (not bound),
            WSAENOTCONN (a stream), WSAEOPNOTSUPP (MSG_OOB, not a stream), WSAESHUTDOWN, WSAEMSGSIZE,
            WSAECONNABORTED, WSAECONNRESET, WSAHOST_NOT_FOUND (as for SendTo).
        @see: CAsyncSocket::ReceiveFrom, which writes the address; for IPv6 see ReceiveFromEx."""

    def ReceiveFromEx(
        lpBuf: Buffer, nBufLen: int | None = None, nFlags: int = 0, *, lpSockAddrLen: int | None = None
    ) -> tuple[int, SOCKADDR | None]:
        """Fetch a datagram and its sender's address, IPv6 too. Parameters as for ReceiveFrom.

        @return: (count, SOCKADDR or None), or (SOCKET_ERROR, None).
            Errors: WSAEWOULDBLOCK, WSAEFAULT (nBufLen; lpSockAddrLen is too small), WSAEINVAL (not bound),
            WSAENOTCONN (a stream), WSAEOPNOTSUPP (MSG_OOB, not a stream), WSAESHUTDOWN, WSAEMSGSIZE,
            WSAECONNABORTED, WSAECONNRESET, WSAHOST_NOT_FOUND (as for SendTo).
        @see: CAsyncSocket::ReceiveFromEx. MFC's code may find a host name; the reference wants numbers."""

    def Send(lpBuf: Buffer, nBufLen: int | None = None, nFlags: int = 0) -> int:
        """Send on a connected socket what there is room for; OnSend tells when there is more room.

        @param lpBuf: the data.
        @param nBufLen: how much of it, in bytes.
        @param nFlags: MSG_OOB makes the last byte urgent (streams only); MSG_DONTROUTE does not route.
        @return: the number of bytes taken, from a stream's sender often not all, or SOCKET_ERROR.
            Errors: WSAEWOULDBLOCK (no room), WSAEACCES (a broadcast address without SO_BROADCAST), WSAEFAULT
            (nBufLen), WSAENETRESET, WSAENOBUFS, WSAENOTCONN, WSAEOPNOTSUPP (MSG_OOB, not a stream),
            WSAESHUTDOWN (after ShutDown of sends), WSAEMSGSIZE (too long a datagram; none was sent),
            WSAEINVAL, WSAECONNABORTED, WSAECONNRESET, WSAHOST_NOT_FOUND (as for SendTo).
        @see: CAsyncSocket::Send. Windows takes all or nothing; here it can be a part, and OnSend follows."""

    def SendTo(
        lpBuf: Buffer, nBufLen: int | None, nHostPort: Either, lpszHostAddress: Either = None, nFlags: int = 0
    ) -> int:
        """Send a datagram to an address.

        SendTo(lpBuf, nBufLen, nHostPort, lpszHostAddress=None, nFlags=0), or SendTo(lpBuf, nBufLen,
        lpSockAddr, nSockAddrLen=None, nFlags=0) with a SOCKADDR and its length in bytes; the third argument
        tells which.

        An unbound socket is bound by this. On a connected stream the address is ignored. A host name is
        looked up by the reactor without blocking: the datagram is taken and leaves when the address is known,
        and later datagrams leave after it. If the name has no address, the next call that sends or receives
        fails with WSAHOST_NOT_FOUND.

        @param lpBuf: the data.
        @param nBufLen: how much of it, in bytes; None for all.
        @param nHostPort: the receiver's port.
        @param lpszHostAddress: an address in numbers, or a host name, which a SOCKADDR may have too; None for
            a broadcast to 255.255.255.255, which takes SO_BROADCAST.
        @param nFlags: MSG_DONTROUTE, or MSG_OOB on a stream, as for Send.
        @return: the number of bytes taken, or SOCKET_ERROR.
            Errors: WSAEWOULDBLOCK, WSAEACCES (a broadcast without SO_BROADCAST), WSAEFAULT (nBufLen;
            nSockAddrLen is too small), WSAEINVAL (the port, or the host name), WSAENETRESET, WSAENOBUFS,
            WSAENOTCONN (a stream), WSAEOPNOTSUPP (MSG_OOB, not a stream), WSAESHUTDOWN, WSAEMSGSIZE,
            WSAECONNABORTED, WSAECONNRESET, WSAEADDRNOTAVAIL, WSAEAFNOSUPPORT, WSAEDESTADDRREQ,
            WSAENETUNREACH, WSAHOST_NOT_FOUND (an earlier one's name has no address).
        @see: CAsyncSocket::SendTo, which waits for the lookup of a name; for IPv6 see SendToEx."""

    def SendToEx(
        lpBuf: Buffer, nBufLen: int | None, nHostPort: Either, lpszHostAddress: Either = None, nFlags: int = 0
    ) -> int:
        """Send a datagram to an address, IPv6 too. Overloads and parameters as for SendTo.

        @return: the number of bytes taken, or SOCKET_ERROR.
            Errors: WSAEWOULDBLOCK, WSAEACCES (a broadcast without SO_BROADCAST), WSAEFAULT (nBufLen;
            nSockAddrLen is too small), WSAEINVAL (the port, or the host name), WSAENETRESET, WSAENOBUFS,
            WSAENOTCONN (a stream), WSAEOPNOTSUPP (MSG_OOB, not a stream), WSAESHUTDOWN, WSAEMSGSIZE,
            WSAECONNABORTED, WSAECONNRESET, WSAEADDRNOTAVAIL, WSAEAFNOSUPPORT, WSAEDESTADDRREQ,
            WSAENETUNREACH, WSAHOST_NOT_FOUND (an earlier one's name has no address).
        @see: CAsyncSocket::SendToEx. IPv6 knows no broadcast: its sockets need a host."""

    def SetSockOpt(
        nOptionName: int, lpOptionValue: OptionValue, nOptionLen: int | None = None, nLevel: int | None = None
    ) -> bool:
        """Set an option, of any socket in any state.

        @param nOptionName: SO_BROADCAST, SO_DEBUG, SO_DONTLINGER, SO_DONTROUTE, SO_KEEPALIVE, SO_LINGER,
            SO_OOBINLINE, SO_RCVBUF, SO_REUSEADDR (before Bind), SO_SNDBUF, or TCP_NODELAY, as for
            GetSockOpt.
        @param lpOptionValue: a bool, an int (SO_RCVBUF and SO_SNDBUF in bytes), a LINGER or a pair (on or
            off, seconds); or a buffer with the value in Winsock's layout, little endian.
        @param nOptionLen: how much of that buffer, in bytes.
        @param nLevel: SOL_SOCKET; IPPROTO_TCP for TCP_NODELAY; None for the option's own, as for GetSockOpt.
        @return: True or False.
            Errors: WSAEFAULT (nOptionLen), WSAEINVAL (nLevel; SO_REUSEADDR and SO_EXCLUSIVEADDRUSE both on),
            WSAENETRESET, WSAENOTCONN, WSAENOPROTOOPT (no such option; SO_BROADCAST of a stream; SO_DONTLINGER,
            SO_KEEPALIVE, SO_LINGER or SO_OOBINLINE of a datagram socket).
        @see: CAsyncSocket::SetSockOpt. Beyond the thread SO_REUSEADDR means what the platform means."""

    def ShutDown(nHow: int = 1) -> bool:
        """End one direction of the socket or both; it stays open until Close. Repeating this is no error.

        After sends, the peer gets what was sent and then the end of the stream, and Send fails with
        WSAESHUTDOWN. After receives, Receive fails so, whatever has arrived, and OnReceive is not called;
        OnClose still is.

        @param nHow: receives (0), sends (1) or both (2).
        @return: True or False. Errors: WSAEINVAL (nHow), WSAENOTCONN (a stream that is not connected).
        @see: CAsyncSocket::ShutDown"""

    def Socket(nSocketType: int = 1, lEvent: int = 63, nProtocolType: int = 0, nAddressFormat: int = 2) -> bool:
        """Make a socket and leave Bind to the caller, who can set options before.

        @param nSocketType: SOCK_STREAM or SOCK_DGRAM.
        @param lEvent: the mask, as for AsyncSelect.
        @param nProtocolType: the protocol's number; 0 for the usual one of the type.
        @param nAddressFormat: PF_INET, PF_INET6 or PF_UNIX.
        @return: True or False. Errors: those of Create that are not Bind's; the reference lists none.
        @see: CAsyncSocket::Socket"""

    def Assign(rSrc: SameKind) -> bool:
        """Make this object a second one on another's socket: a duplicated descriptor, the same mask.

        @param rSrc: the other object; C{copy.copy(rSrc)} does this with a new object.
        @return: True or False. Errors: WSAEMFILE.
        @see: CAsyncSocket::operator =, which Python can't overload, and MFC declares but does not define."""

    def __int__() -> int:
        """Get m_hSocket, the descriptor; where there is none that is INVALID_SOCKET and not NULL.

        @see: CAsyncSocket::operator SOCKET"""

    def fileno() -> int:
        """Get m_hSocket, for what takes any object with a C{fileno}.

        @see: CAsyncSocket::operator SOCKET"""

    m_hSocket = Attribute("The descriptor, an int not to be set; INVALID_SOCKET when there is none.")
