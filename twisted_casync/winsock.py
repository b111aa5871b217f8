"""
Winsock's numbers and words: events, errors, options, ioctls, flags.

One row is one fact.  The names and the numbers are those of ``winsock2.h``; the sentences of the errors are
Microsoft's ("Windows Sockets Error Codes", Win32 documentation).  What an ``errno`` of this platform, or a
failure of a name lookup, means to a Winsock program is said in the same rows, and nowhere else: no other module
of the package interprets an ``errno``.

L{GetLastError} is kept per thread, as Winsock keeps it.
"""

from __future__ import annotations

import errno
import socket
from enum import IntEnum, IntFlag
from threading import get_ident
from typing import Final, NamedTuple

from ._lasterror import LastError, inError

__all__ = [
    "AF_INET",
    "AF_INET6",
    "AF_UNIX",
    "FD_ACCEPT",
    "FD_ALL_EVENTS",
    "FD_CLOSE",
    "FD_CONNECT",
    "FD_OOB",
    "FD_READ",
    "FD_WRITE",
    "FIONBIO",
    "FIONREAD",
    "INVALID_SOCKET",
    "IPPROTO_IP",
    "IPPROTO_IPV6",
    "IPPROTO_TCP",
    "IPV6_V6ONLY",
    "IP_OPTIONS",
    "LINGER",
    "MSG_DONTROUTE",
    "MSG_OOB",
    "MSG_PEEK",
    "PF_INET",
    "PF_INET6",
    "PF_UNIX",
    "SIOCATMARK",
    "SOCKET_ERROR",
    "SOCK_DGRAM",
    "SOCK_STREAM",
    "SOL_SOCKET",
    "SOMAXCONN",
    "SO_ACCEPTCONN",
    "SO_BROADCAST",
    "SO_DEBUG",
    "SO_DONTLINGER",
    "SO_DONTROUTE",
    "SO_ERROR",
    "SO_EXCLUSIVEADDRUSE",
    "SO_KEEPALIVE",
    "SO_LINGER",
    "SO_OOBINLINE",
    "SO_RCVBUF",
    "SO_RCVLOWAT",
    "SO_RCVTIMEO",
    "SO_REUSEADDR",
    "SO_SNDBUF",
    "SO_SNDLOWAT",
    "SO_SNDTIMEO",
    "SO_TYPE",
    "TCP_MAXSEG",
    "TCP_NODELAY",
    "Command",
    "Event",
    "GetLastError",
    "IPOption",
    "IPv6Option",
    "Level",
    "LevelOption",
    "MessageFlag",
    "Option",
    "SetLastError",
    "TCPOption",
    "WSAEACCES",
    "WSAEADDRINUSE",
    "WSAEADDRNOTAVAIL",
    "WSAEAFNOSUPPORT",
    "WSAEALREADY",
    "WSAEBADF",
    "WSAECONNABORTED",
    "WSAECONNREFUSED",
    "WSAECONNRESET",
    "WSAEDESTADDRREQ",
    "WSAEFAULT",
    "WSAEHOSTDOWN",
    "WSAEHOSTUNREACH",
    "WSAEINPROGRESS",
    "WSAEINTR",
    "WSAEINVAL",
    "WSAEISCONN",
    "WSAEMFILE",
    "WSAEMSGSIZE",
    "WSAENETDOWN",
    "WSAENETRESET",
    "WSAENETUNREACH",
    "WSAENOBUFS",
    "WSAENOPROTOOPT",
    "WSAENOTCONN",
    "WSAENOTSOCK",
    "WSAEOPNOTSUPP",
    "WSAEPFNOSUPPORT",
    "WSAEPROCLIM",
    "WSAEPROTONOSUPPORT",
    "WSAEPROTOTYPE",
    "WSAESHUTDOWN",
    "WSAESOCKTNOSUPPORT",
    "WSAETIMEDOUT",
    "WSAEWOULDBLOCK",
    "WSAError",
    "WSAHOST_NOT_FOUND",
    "WSANOTINITIALISED",
    "WSANO_DATA",
    "WSANO_RECOVERY",
    "WSASYSCALLFAILURE",
    "WSASYSNOTREADY",
    "WSATRY_AGAIN",
    "WSAVERNOTSUPPORTED",
    "errnoFromError",
    "errorFromErrno",
    "errorFromLookup",
]


class Event(IntFlag):
    """
    The network events of C{WSAAsyncSelect}, the bits of C{lEvent}.
    """

    FD_READ = 1
    FD_WRITE = 2
    FD_OOB = 4
    FD_ACCEPT = 8
    FD_CONNECT = 16
    FD_CLOSE = 32
    FD_ALL_EVENTS = 63


class MessageFlag(IntFlag):
    """
    The bits of C{nFlags} that the reference names.  Linux gives these three the same numbers.
    """

    MSG_OOB = 1
    MSG_PEEK = 2
    MSG_DONTROUTE = 4


class Level(IntEnum):
    """
    The levels at which an option can be defined.
    """

    IPPROTO_IP = 0
    IPPROTO_TCP = 6
    IPPROTO_IPV6 = 41
    SOL_SOCKET = 0xFFFF


class LevelOption(IntEnum):
    """
    An option with its level: a number is another option at each level.
    """

    level: Level

    def __init_subclass__(cls, level: Level) -> None:
        super().__init_subclass__()
        cls.level = level


class Option(LevelOption, level=Level.SOL_SOCKET):
    """
    The options of level C{SOL_SOCKET}, in the reference's two tables and beside them.
    """

    SO_DEBUG = 0x0001
    SO_ACCEPTCONN = 0x0002
    SO_REUSEADDR = 0x0004
    SO_KEEPALIVE = 0x0008
    SO_DONTROUTE = 0x0010
    SO_BROADCAST = 0x0020
    SO_LINGER = 0x0080
    SO_OOBINLINE = 0x0100
    SO_DONTLINGER = ~0x0080
    SO_EXCLUSIVEADDRUSE = ~0x0004
    SO_SNDBUF = 0x1001
    SO_RCVBUF = 0x1002
    SO_SNDLOWAT = 0x1003
    SO_RCVLOWAT = 0x1004
    SO_SNDTIMEO = 0x1005
    SO_RCVTIMEO = 0x1006
    SO_ERROR = 0x1007
    SO_TYPE = 0x1008


class TCPOption(LevelOption, level=Level.IPPROTO_TCP):
    """
    The options of level C{IPPROTO_TCP}.
    """

    TCP_NODELAY = 1
    TCP_MAXSEG = 4


class IPOption(LevelOption, level=Level.IPPROTO_IP):
    """
    The options of level C{IPPROTO_IP}.
    """

    IP_OPTIONS = 1


class IPv6Option(LevelOption, level=Level.IPPROTO_IPV6):
    """
    The options of level C{IPPROTO_IPV6}.
    """

    IPV6_V6ONLY = 27


class Command(IntEnum):
    """
    The commands of C{IOCtl}.
    """

    FIONREAD = 0x4004667F
    SIOCATMARK = 0x40047307
    FIONBIO = 0x8004667E


class WSAError(IntEnum):
    """
    An error code of Winsock.  It equals its number, prints as its name, and has a one-line C{message}.

    Each row: the number, the sentence, and the names of this platform's C{errno}s (C{E...}) and name lookup
    failures (C{EAI_...}) that mean it.  Names, because not every platform has every one.
    """

    message: str
    platform: tuple[str, ...]

    def __new__(cls, number: int, message: str = "", *platform: str) -> WSAError:
        member = int.__new__(cls, number)
        member._value_ = number
        member.message = message
        member.platform = platform
        return member

    def __str__(self) -> str:
        return self.name

    NO_ERROR = 0, "The operation completed successfully."
    WSAEINTR = 10004, "Interrupted function call."
    WSAEBADF = 10009, "File handle is not valid."
    WSAEACCES = 10013, "Permission denied.", "EACCES", "EPERM"
    WSAEFAULT = 10014, "Bad address.", "EFAULT"
    WSAEINVAL = 10022, "Invalid argument.", "EINVAL", "ENOENT", "ENOTDIR", "ENAMETOOLONG", "ELOOP"
    WSAEMFILE = 10024, "Too many open files.", "EMFILE", "ENFILE"
    # EINTR: WSAEINTR is of a blocking call that the program has cancelled.  A call that does not block, and that a
    # signal has interrupted, moved nothing and can be repeated; a connect goes on by itself (connect(2)).
    WSAEWOULDBLOCK = 10035, "Resource temporarily unavailable.", "EAGAIN", "EWOULDBLOCK", "EINPROGRESS", "EINTR"
    WSAEINPROGRESS = 10036, "Operation now in progress."
    WSAEALREADY = 10037, "Operation already in progress.", "EALREADY"
    WSAENOTSOCK = 10038, "Socket operation on nonsocket.", "ENOTSOCK", "EBADF"
    WSAEDESTADDRREQ = 10039, "Destination address required.", "EDESTADDRREQ"
    WSAEMSGSIZE = 10040, "Message too long.", "EMSGSIZE"
    WSAEPROTOTYPE = 10041, "Protocol wrong type for socket.", "EPROTOTYPE"
    WSAENOPROTOOPT = 10042, "Bad protocol option.", "ENOPROTOOPT"
    WSAEPROTONOSUPPORT = 10043, "Protocol not supported.", "EPROTONOSUPPORT"
    WSAESOCKTNOSUPPORT = 10044, "Socket type not supported.", "ESOCKTNOSUPPORT"
    WSAEOPNOTSUPP = 10045, "Operation not supported.", "EOPNOTSUPP", "ENOTSUP"
    WSAEPFNOSUPPORT = 10046, "Protocol family not supported.", "EPFNOSUPPORT"
    WSAEAFNOSUPPORT = 10047, "Address family not supported by protocol family.", "EAFNOSUPPORT"
    WSAEADDRINUSE = 10048, "Address already in use.", "EADDRINUSE", "EEXIST"
    WSAEADDRNOTAVAIL = 10049, "Cannot assign requested address.", "EADDRNOTAVAIL"
    WSAENETDOWN = 10050, "Network is down.", "ENETDOWN"
    WSAENETUNREACH = 10051, "Network is unreachable.", "ENETUNREACH"
    WSAENETRESET = 10052, "Network dropped connection on reset.", "ENETRESET"
    # EPIPE is what Linux says of a connection that was reset after the peer had closed it (tcp_reset() in
    # CLOSE_WAIT): data was sent to a peer that is gone.  Windows says WSAECONNABORTED there.
    WSAECONNABORTED = 10053, "Software caused connection abort.", "ECONNABORTED", "EPIPE"
    WSAECONNRESET = 10054, "Connection reset by peer.", "ECONNRESET"
    WSAENOBUFS = 10055, "No buffer space available.", "ENOBUFS", "ENOMEM"
    WSAEISCONN = 10056, "Socket is already connected.", "EISCONN"
    WSAENOTCONN = 10057, "Socket is not connected.", "ENOTCONN"
    WSAESHUTDOWN = 10058, "Cannot send after socket shutdown.", "ESHUTDOWN"
    WSAETIMEDOUT = 10060, "Connection timed out.", "ETIMEDOUT"
    WSAECONNREFUSED = 10061, "Connection refused.", "ECONNREFUSED"
    WSAEHOSTDOWN = 10064, "Host is down.", "EHOSTDOWN"
    WSAEHOSTUNREACH = 10065, "No route to host.", "EHOSTUNREACH"
    WSAEPROCLIM = 10067, "Too many processes."
    WSASYSNOTREADY = 10091, "Network subsystem is unavailable."
    WSAVERNOTSUPPORTED = 10092, "Winsock.dll version out of range."
    WSANOTINITIALISED = 10093, "WSAStartup not yet performed in this thread, or the socket is another thread's."
    WSASYSCALLFAILURE = 10107, "System call failure."
    WSAHOST_NOT_FOUND = 11001, "Host not found.", "EAI_NONAME"
    WSATRY_AGAIN = 11002, "Nonauthoritative host not found.", "EAI_AGAIN"
    WSANO_RECOVERY = 11003, "This is a nonrecoverable error.", "EAI_FAIL"
    WSANO_DATA = 11004, "Valid name, no data record of requested type.", "EAI_NODATA", "EAI_ADDRFAMILY"


class LINGER(NamedTuple):
    """
    Winsock's C{struct linger}: the value of C{SO_LINGER}.

    @ivar l_onoff: not 0 when C{Close} shall linger.
    @ivar l_linger: for how many seconds; with 0 C{Close} resets the connection.
    """

    l_onoff: int
    l_linger: int


FD_READ: Final = Event.FD_READ
FD_WRITE: Final = Event.FD_WRITE
FD_OOB: Final = Event.FD_OOB
FD_ACCEPT: Final = Event.FD_ACCEPT
FD_CONNECT: Final = Event.FD_CONNECT
FD_CLOSE: Final = Event.FD_CLOSE
FD_ALL_EVENTS: Final = Event.FD_ALL_EVENTS

MSG_OOB: Final = MessageFlag.MSG_OOB
MSG_PEEK: Final = MessageFlag.MSG_PEEK
MSG_DONTROUTE: Final = MessageFlag.MSG_DONTROUTE

SOL_SOCKET: Final = Level.SOL_SOCKET
IPPROTO_IP: Final = Level.IPPROTO_IP
IPPROTO_TCP: Final = Level.IPPROTO_TCP
IPPROTO_IPV6: Final = Level.IPPROTO_IPV6

SO_DEBUG: Final = Option.SO_DEBUG
SO_ACCEPTCONN: Final = Option.SO_ACCEPTCONN
SO_REUSEADDR: Final = Option.SO_REUSEADDR
SO_KEEPALIVE: Final = Option.SO_KEEPALIVE
SO_DONTROUTE: Final = Option.SO_DONTROUTE
SO_BROADCAST: Final = Option.SO_BROADCAST
SO_LINGER: Final = Option.SO_LINGER
SO_OOBINLINE: Final = Option.SO_OOBINLINE
SO_DONTLINGER: Final = Option.SO_DONTLINGER
SO_EXCLUSIVEADDRUSE: Final = Option.SO_EXCLUSIVEADDRUSE
SO_SNDBUF: Final = Option.SO_SNDBUF
SO_RCVBUF: Final = Option.SO_RCVBUF
SO_SNDLOWAT: Final = Option.SO_SNDLOWAT
SO_RCVLOWAT: Final = Option.SO_RCVLOWAT
SO_SNDTIMEO: Final = Option.SO_SNDTIMEO
SO_RCVTIMEO: Final = Option.SO_RCVTIMEO
SO_ERROR: Final = Option.SO_ERROR
SO_TYPE: Final = Option.SO_TYPE

TCP_NODELAY: Final = TCPOption.TCP_NODELAY
TCP_MAXSEG: Final = TCPOption.TCP_MAXSEG
IP_OPTIONS: Final = IPOption.IP_OPTIONS
IPV6_V6ONLY: Final = IPv6Option.IPV6_V6ONLY

FIONREAD: Final = Command.FIONREAD
FIONBIO: Final = Command.FIONBIO
SIOCATMARK: Final = Command.SIOCATMARK

SOCKET_ERROR: Final = -1
INVALID_SOCKET: Final = -1
SOMAXCONN: Final = 0x7FFFFFFF

# Families and types are the platform's: a program that asks for AF_INET6 means this machine's IPv6.
AF_INET: Final = int(socket.AF_INET)
AF_INET6: Final = int(socket.AF_INET6)
AF_UNIX: Final = int(socket.AF_UNIX)
PF_INET: Final = AF_INET
PF_INET6: Final = AF_INET6
PF_UNIX: Final = AF_UNIX
SOCK_STREAM: Final = int(socket.SOCK_STREAM)
SOCK_DGRAM: Final = int(socket.SOCK_DGRAM)


WSAEINTR: Final = WSAError.WSAEINTR
WSAEBADF: Final = WSAError.WSAEBADF
WSAEACCES: Final = WSAError.WSAEACCES
WSAEFAULT: Final = WSAError.WSAEFAULT
WSAEINVAL: Final = WSAError.WSAEINVAL
WSAEMFILE: Final = WSAError.WSAEMFILE
WSAEWOULDBLOCK: Final = WSAError.WSAEWOULDBLOCK
WSAEINPROGRESS: Final = WSAError.WSAEINPROGRESS
WSAEALREADY: Final = WSAError.WSAEALREADY
WSAENOTSOCK: Final = WSAError.WSAENOTSOCK
WSAEDESTADDRREQ: Final = WSAError.WSAEDESTADDRREQ
WSAEMSGSIZE: Final = WSAError.WSAEMSGSIZE
WSAEPROTOTYPE: Final = WSAError.WSAEPROTOTYPE
WSAENOPROTOOPT: Final = WSAError.WSAENOPROTOOPT
WSAEPROTONOSUPPORT: Final = WSAError.WSAEPROTONOSUPPORT
WSAESOCKTNOSUPPORT: Final = WSAError.WSAESOCKTNOSUPPORT
WSAEOPNOTSUPP: Final = WSAError.WSAEOPNOTSUPP
WSAEPFNOSUPPORT: Final = WSAError.WSAEPFNOSUPPORT
WSAEAFNOSUPPORT: Final = WSAError.WSAEAFNOSUPPORT
WSAEADDRINUSE: Final = WSAError.WSAEADDRINUSE
WSAEADDRNOTAVAIL: Final = WSAError.WSAEADDRNOTAVAIL
WSAENETDOWN: Final = WSAError.WSAENETDOWN
WSAENETUNREACH: Final = WSAError.WSAENETUNREACH
WSAENETRESET: Final = WSAError.WSAENETRESET
WSAECONNABORTED: Final = WSAError.WSAECONNABORTED
WSAECONNRESET: Final = WSAError.WSAECONNRESET
WSAENOBUFS: Final = WSAError.WSAENOBUFS
WSAEISCONN: Final = WSAError.WSAEISCONN
WSAENOTCONN: Final = WSAError.WSAENOTCONN
WSAESHUTDOWN: Final = WSAError.WSAESHUTDOWN
WSAETIMEDOUT: Final = WSAError.WSAETIMEDOUT
WSAECONNREFUSED: Final = WSAError.WSAECONNREFUSED
WSAEHOSTDOWN: Final = WSAError.WSAEHOSTDOWN
WSAEHOSTUNREACH: Final = WSAError.WSAEHOSTUNREACH
WSAEPROCLIM: Final = WSAError.WSAEPROCLIM
WSASYSNOTREADY: Final = WSAError.WSASYSNOTREADY
WSAVERNOTSUPPORTED: Final = WSAError.WSAVERNOTSUPPORTED
WSANOTINITIALISED: Final = WSAError.WSANOTINITIALISED
WSASYSCALLFAILURE: Final = WSAError.WSASYSCALLFAILURE
WSAHOST_NOT_FOUND: Final = WSAError.WSAHOST_NOT_FOUND
WSATRY_AGAIN: Final = WSAError.WSATRY_AGAIN
WSANO_RECOVERY: Final = WSAError.WSANO_RECOVERY
WSANO_DATA: Final = WSAError.WSANO_DATA

_NO_ERROR: Final = WSAError.NO_ERROR
_ERRNOS = {getattr(errno, name): code for code in WSAError for name in code.platform if hasattr(errno, name)}
# By their prefix: the socket module has some names of errno too, and other platforms give both the same numbers.
_LOOKUPS = {
    getattr(socket, name): code
    for code in WSAError
    for name in code.platform
    if name.startswith("EAI_") and hasattr(socket, name)
}


def errorFromErrno(number: int | None) -> WSAError:
    """
    What an C{errno} means to a Winsock program.

    @param number: the C{errno} of a failed system call, or of an C{OSError} ("C{.errno}").
    @return: the code; C{NO_ERROR} for 0 and L{None}, C{WSASYSCALLFAILURE} for one that no socket call is known to give.
    """
    return _ERRNOS.get(number, WSASYSCALLFAILURE) if number else _NO_ERROR


def errorFromLookup(number: int | None) -> WSAError:
    """
    What a failure of C{getaddrinfo} means to a Winsock program.

    @param number: the C{errno} of a C{socket.gaierror}: one of the C{EAI_} numbers.
    @return: the code; C{WSAHOST_NOT_FOUND} where the platform gives no reason, as Twisted's resolvers do.
    """
    return _LOOKUPS.get(number or 0, WSAError.WSAHOST_NOT_FOUND)


def errnoFromError(code: WSAError) -> int:
    """
    What this platform calls an error of Winsock, for an C{OSError} that carries both.

    @param code: the code.
    @return: the C{errno} of the same name, 0 for C{NO_ERROR}; of a failed lookup the number of C{socket.gaierror};
        C{EINVAL} where the platform has none, as CPython does on Windows.
    """
    if not code:
        return 0
    number: int | None = getattr(errno, code.name.removeprefix("WSA"), None)
    if number is None:
        number = next((getattr(socket, name) for name in code.platform if hasattr(socket, name)), errno.EINVAL)
    return number


_last: Final = LastError(_NO_ERROR)


def GetLastError() -> WSAError:
    """
    The error of the last call of this thread, if that failed (C{CAsyncSocket::GetLastError}).

    @return: the code; C{NO_ERROR} after a call that succeeded.
    """
    return _last.code


def SetLastError(code: int) -> None:
    """
    Set what L{GetLastError} answers to this thread (C{WSASetLastError}).

    @param code: a number of Winsock.
    """
    _last.code = code if type(code) is WSAError else WSAError(code)
    (inError.add if code else inError.discard)(get_ident())
