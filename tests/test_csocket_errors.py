"""
The exceptions of awaited calls: a class for each family of Winsock's errors, which are builtin exceptions too.
"""

from __future__ import annotations

import errno
import pickle
import socket

import pytest

from twisted_casync import IncompleteRead, LimitExceeded, WinsockError, WSAError, errors, winsockError
from twisted_casync.winsock import errnoFromError, errorFromErrno

CODES = [code for code in WSAError if code]

BUILTIN = {
    "WSAEINTR": InterruptedError,
    "WSAEACCES": PermissionError,
    "WSAEWOULDBLOCK": BlockingIOError,
    "WSAEINPROGRESS": BlockingIOError,
    "WSAEALREADY": BlockingIOError,
    "WSAECONNREFUSED": ConnectionRefusedError,
    "WSAECONNRESET": ConnectionResetError,
    "WSAENETRESET": ConnectionResetError,
    "WSAECONNABORTED": ConnectionAbortedError,
    "WSAESHUTDOWN": BrokenPipeError,
    "WSAETIMEDOUT": TimeoutError,
    "WSAEINVAL": ValueError,
    "WSAEFAULT": ValueError,
    "WSAHOST_NOT_FOUND": socket.gaierror,
    "WSATRY_AGAIN": socket.gaierror,
}


@pytest.mark.parametrize("code", CODES, ids=str)
def test_an_error_says_what_it_is(code: WSAError) -> None:
    error = winsockError(code)
    assert isinstance(error, OSError)
    assert (error.code, error.winerror, error.name, error.partial) == (code, int(code), code.name, b"")
    assert error.strerror == code.message
    assert str(error) == f"[{code.name} {int(code)}] {code.message}"
    assert isinstance(error, BUILTIN.get(code.name, OSError))
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.code, str(again)) == (type(error), code, str(error))


def test_every_error_has_a_family_and_every_family_an_error() -> None:
    families = {type(winsockError(code)) for code in CODES}
    assert WinsockError not in families
    public = {getattr(errors, name) for name in errors.__all__ if name.startswith("Winsock")} - {WinsockError}
    assert families == public
    assert all(issubclass(family, WinsockError) for family in families)


def test_no_family_hides_in_another() -> None:
    families = {type(winsockError(code)) for code in CODES}
    assert all(not issubclass(one, other) for one in families for other in families if one is not other)


@pytest.mark.parametrize("code", CODES, ids=str)
def test_errno_is_this_platform_s(code: WSAError) -> None:
    number = winsockError(code).errno
    assert number == errnoFromError(code)
    if code.name.startswith("WSAE"):
        assert number == getattr(errno, code.name[3:], errno.EINVAL)
    if code.platform and code.platform[0].startswith("E") and not code.platform[0].startswith("EAI"):
        assert errorFromErrno(number) is code


def test_errno_of_a_lookup_is_that_of_gaierror() -> None:
    assert winsockError(WSAError.WSAHOST_NOT_FOUND).errno == socket.EAI_NONAME
    assert winsockError(WSAError.WSATRY_AGAIN).errno == socket.EAI_AGAIN


def test_a_number_that_is_no_error_of_winsock() -> None:
    with pytest.raises(ValueError, match="12345"):
        winsockError(12345)


def test_what_the_helpers_raise_is_none_of_winsock() -> None:
    incomplete, limit = IncompleteRead(b"abc", 5), LimitExceeded(7)
    assert not isinstance(incomplete, (WinsockError, EOFError)) and not isinstance(limit, OSError)
    assert str(incomplete) == "the stream ended after 3 bytes, and 5 bytes were asked for"
    assert str(limit) == "no delimiter in 7 bytes"
    assert pickle.loads(pickle.dumps(incomplete)).partial == b"abc"
    assert pickle.loads(pickle.dumps(limit)).limit == 7
