"""
Winsock's numbers and words: those of C{winsock2.h} and of "Windows Sockets Error Codes" of the Win32 documentation.
"""

from __future__ import annotations

import errno
import socket
import threading

import pytest

import twisted_casync
from twisted_casync import LINGER, GetLastError, SetLastError, WSAError, winsock
from twisted_casync.winsock import errnoFromError, errorFromErrno, errorFromLookup

NUMBERS = {
    "FD_READ": 0x01,
    "FD_WRITE": 0x02,
    "FD_OOB": 0x04,
    "FD_ACCEPT": 0x08,
    "FD_CONNECT": 0x10,
    "FD_CLOSE": 0x20,
    "FD_ALL_EVENTS": 0x3F,
    "MSG_OOB": 0x1,
    "MSG_PEEK": 0x2,
    "MSG_DONTROUTE": 0x4,
    "SOL_SOCKET": 0xFFFF,
    "IPPROTO_IP": 0,
    "IPPROTO_TCP": 6,
    "IPPROTO_IPV6": 41,
    "SO_DEBUG": 0x0001,
    "SO_ACCEPTCONN": 0x0002,
    "SO_REUSEADDR": 0x0004,
    "SO_KEEPALIVE": 0x0008,
    "SO_DONTROUTE": 0x0010,
    "SO_BROADCAST": 0x0020,
    "SO_LINGER": 0x0080,
    "SO_OOBINLINE": 0x0100,
    "SO_DONTLINGER": -129,
    "SO_EXCLUSIVEADDRUSE": -5,
    "SO_SNDBUF": 0x1001,
    "SO_RCVBUF": 0x1002,
    "SO_SNDLOWAT": 0x1003,
    "SO_RCVLOWAT": 0x1004,
    "SO_SNDTIMEO": 0x1005,
    "SO_RCVTIMEO": 0x1006,
    "SO_ERROR": 0x1007,
    "SO_TYPE": 0x1008,
    "TCP_NODELAY": 1,
    "TCP_MAXSEG": 4,
    "IP_OPTIONS": 1,
    "IPV6_V6ONLY": 27,
    "FIONREAD": 0x4004667F,
    "FIONBIO": 0x8004667E,
    "SIOCATMARK": 0x40047307,
    "SOCKET_ERROR": -1,
    "INVALID_SOCKET": -1,
    "SOMAXCONN": 0x7FFFFFFF,
    # The platform's own.
    "AF_INET": socket.AF_INET,
    "AF_INET6": socket.AF_INET6,
    "AF_UNIX": socket.AF_UNIX,
    "PF_INET": socket.AF_INET,
    "PF_INET6": socket.AF_INET6,
    "PF_UNIX": socket.AF_UNIX,
    "SOCK_STREAM": socket.SOCK_STREAM,
    "SOCK_DGRAM": socket.SOCK_DGRAM,
}

ERRORS = {
    "WSAEINTR": 10004,
    "WSAEBADF": 10009,
    "WSAEACCES": 10013,
    "WSAEFAULT": 10014,
    "WSAEINVAL": 10022,
    "WSAEMFILE": 10024,
    "WSAEWOULDBLOCK": 10035,
    "WSAEINPROGRESS": 10036,
    "WSAEALREADY": 10037,
    "WSAENOTSOCK": 10038,
    "WSAEDESTADDRREQ": 10039,
    "WSAEMSGSIZE": 10040,
    "WSAEPROTOTYPE": 10041,
    "WSAENOPROTOOPT": 10042,
    "WSAEPROTONOSUPPORT": 10043,
    "WSAESOCKTNOSUPPORT": 10044,
    "WSAEOPNOTSUPP": 10045,
    "WSAEPFNOSUPPORT": 10046,
    "WSAEAFNOSUPPORT": 10047,
    "WSAEADDRINUSE": 10048,
    "WSAEADDRNOTAVAIL": 10049,
    "WSAENETDOWN": 10050,
    "WSAENETUNREACH": 10051,
    "WSAENETRESET": 10052,
    "WSAECONNABORTED": 10053,
    "WSAECONNRESET": 10054,
    "WSAENOBUFS": 10055,
    "WSAEISCONN": 10056,
    "WSAENOTCONN": 10057,
    "WSAESHUTDOWN": 10058,
    "WSAETIMEDOUT": 10060,
    "WSAECONNREFUSED": 10061,
    "WSAEHOSTDOWN": 10064,
    "WSAEHOSTUNREACH": 10065,
    "WSAEPROCLIM": 10067,
    "WSASYSNOTREADY": 10091,
    "WSAVERNOTSUPPORTED": 10092,
    "WSANOTINITIALISED": 10093,
    "WSASYSCALLFAILURE": 10107,
    "WSAHOST_NOT_FOUND": 11001,
    "WSATRY_AGAIN": 11002,
    "WSANO_RECOVERY": 11003,
    "WSANO_DATA": 11004,
}

ERRNOS = {
    # The call did nothing, and can be repeated; only a blocking one would have been cancelled.
    errno.EINTR: "WSAEWOULDBLOCK",
    errno.EPERM: "WSAEACCES",
    errno.EACCES: "WSAEACCES",
    errno.EFAULT: "WSAEFAULT",
    errno.EINVAL: "WSAEINVAL",
    # The path of a UNIX socket.
    errno.ENOENT: "WSAEINVAL",
    errno.ENOTDIR: "WSAEINVAL",
    errno.ENAMETOOLONG: "WSAEINVAL",
    errno.ELOOP: "WSAEINVAL",
    errno.EEXIST: "WSAEADDRINUSE",
    errno.EMFILE: "WSAEMFILE",
    errno.ENFILE: "WSAEMFILE",
    errno.EAGAIN: "WSAEWOULDBLOCK",
    errno.EWOULDBLOCK: "WSAEWOULDBLOCK",
    # What connect(2) says where Winsock's says that it would block.
    errno.EINPROGRESS: "WSAEWOULDBLOCK",
    errno.EALREADY: "WSAEALREADY",
    errno.EBADF: "WSAENOTSOCK",
    errno.ENOTSOCK: "WSAENOTSOCK",
    errno.EDESTADDRREQ: "WSAEDESTADDRREQ",
    errno.EMSGSIZE: "WSAEMSGSIZE",
    errno.EPROTOTYPE: "WSAEPROTOTYPE",
    errno.ENOPROTOOPT: "WSAENOPROTOOPT",
    errno.EPROTONOSUPPORT: "WSAEPROTONOSUPPORT",
    errno.ESOCKTNOSUPPORT: "WSAESOCKTNOSUPPORT",
    errno.EOPNOTSUPP: "WSAEOPNOTSUPP",
    errno.EPFNOSUPPORT: "WSAEPFNOSUPPORT",
    errno.EAFNOSUPPORT: "WSAEAFNOSUPPORT",
    errno.EADDRINUSE: "WSAEADDRINUSE",
    errno.EADDRNOTAVAIL: "WSAEADDRNOTAVAIL",
    errno.ENETDOWN: "WSAENETDOWN",
    errno.ENETUNREACH: "WSAENETUNREACH",
    errno.ENETRESET: "WSAENETRESET",
    errno.ECONNABORTED: "WSAECONNABORTED",
    errno.EPIPE: "WSAECONNABORTED",
    errno.ECONNRESET: "WSAECONNRESET",
    errno.ENOBUFS: "WSAENOBUFS",
    errno.ENOMEM: "WSAENOBUFS",
    errno.EISCONN: "WSAEISCONN",
    errno.ENOTCONN: "WSAENOTCONN",
    errno.ESHUTDOWN: "WSAESHUTDOWN",
    errno.ETIMEDOUT: "WSAETIMEDOUT",
    errno.ECONNREFUSED: "WSAECONNREFUSED",
    errno.EHOSTDOWN: "WSAEHOSTDOWN",
    errno.EHOSTUNREACH: "WSAEHOSTUNREACH",
}

LOOKUPS = {
    "EAI_NONAME": "WSAHOST_NOT_FOUND",
    "EAI_AGAIN": "WSATRY_AGAIN",
    "EAI_FAIL": "WSANO_RECOVERY",
    "EAI_NODATA": "WSANO_DATA",
    "EAI_ADDRFAMILY": "WSANO_DATA",
}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_constant_has_the_number_of_the_header(name: str) -> None:
    assert getattr(twisted_casync, name) == NUMBERS[name]
    assert name in winsock.__all__


def test_there_is_no_constant_beside_them() -> None:
    assert {name for name in winsock.__all__ if name.isupper()} == {*NUMBERS, *ERRORS, "LINGER"}


def test_the_six_events_together_are_all_events() -> None:
    six = (
        winsock.FD_READ | winsock.FD_WRITE | winsock.FD_OOB | winsock.FD_ACCEPT | winsock.FD_CONNECT | winsock.FD_CLOSE
    )
    assert six == winsock.FD_ALL_EVENTS


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_equals_its_number_and_prints_as_its_name(name: str) -> None:
    error = getattr(twisted_casync, name)
    assert error == ERRORS[name]
    assert error is WSAError(ERRORS[name])
    assert str(error) == f"{error}" == name
    assert name in winsock.__all__


def test_there_is_no_error_beside_them_but_success() -> None:
    assert {error.name: int(error) for error in WSAError} == {"NO_ERROR": 0, **ERRORS}
    assert str(WSAError(0)) == "NO_ERROR"
    assert not WSAError.NO_ERROR


def test_no_error_is_no_errno() -> None:
    assert errnoFromError(WSAError.NO_ERROR) == 0
    assert errorFromErrno(0) is WSAError.NO_ERROR


@pytest.mark.parametrize("error", WSAError, ids=str)
def test_an_error_says_in_one_sentence_what_it_means(error: WSAError) -> None:
    assert error.message == error.message.strip()
    assert error.message.endswith(".")
    assert "\n" not in error.message
    assert len(error.message) > len("Bad.")


def test_no_two_errors_say_the_same() -> None:
    assert len({error.message for error in WSAError}) == len(WSAError)


@pytest.mark.parametrize("number", ERRNOS, ids=errno.errorcode.get)
def test_an_errno_means_one_error(number: int) -> None:
    assert str(errorFromErrno(number)) == ERRNOS[number]


def test_no_other_errno_means_anything_to_a_socket() -> None:
    others = set(errno.errorcode) - set(ERRNOS)
    assert {errorFromErrno(number) for number in others} == {WSAError.WSASYSCALLFAILURE}
    assert errorFromErrno(max(errno.errorcode) + 1) is WSAError.WSASYSCALLFAILURE


def test_no_errno_is_no_error() -> None:
    assert errorFromErrno(0) is errorFromErrno(None) is WSAError.NO_ERROR


@pytest.mark.parametrize("name", [name for name in LOOKUPS if hasattr(socket, name)])
def test_a_lookup_fails_with_an_error_of_its_own(name: str) -> None:
    assert str(errorFromLookup(getattr(socket, name))) == LOOKUPS[name]


def test_a_lookup_that_fails_without_a_reason_has_found_no_host() -> None:
    assert errorFromLookup(None) is errorFromLookup(0) is errorFromLookup(12345) is WSAError.WSAHOST_NOT_FOUND


def test_an_errno_is_no_reason_of_a_lookup() -> None:
    assert {errorFromLookup(number) for number in errno.errorcode} == {WSAError.WSAHOST_NOT_FOUND}


def test_LINGER_is_the_pair_of_the_header() -> None:
    assert LINGER(1, 5) == LINGER(l_onoff=1, l_linger=5) == (1, 5)


# -- GetLastError


def test_the_last_error_stays_until_the_next() -> None:
    SetLastError(10035)
    assert GetLastError() is WSAError.WSAEWOULDBLOCK
    assert GetLastError() is WSAError.WSAEWOULDBLOCK
    SetLastError(0)
    assert GetLastError() is WSAError.NO_ERROR


def test_each_thread_has_a_last_error_of_its_own() -> None:
    SetLastError(WSAError.WSAEWOULDBLOCK)
    seen = []

    def other() -> None:
        seen.append(GetLastError())
        SetLastError(WSAError.WSAEFAULT)
        seen.append(GetLastError())

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen == [WSAError.NO_ERROR, WSAError.WSAEFAULT]
    assert GetLastError() is WSAError.WSAEWOULDBLOCK


def test_a_number_that_is_no_error_is_not_taken() -> None:
    SetLastError(WSAError.WSAEFAULT)
    with pytest.raises(ValueError, match="123"):
        SetLastError(123)
    assert GetLastError() is WSAError.WSAEFAULT
