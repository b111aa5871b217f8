"""
The two tables of options of the reference, and what stands around them.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import pytest
from _reactors import must

from twisted_casync import (
    AF_INET,
    AF_INET6,
    IP_OPTIONS,
    IPPROTO_IP,
    IPPROTO_TCP,
    IPV6_V6ONLY,
    LINGER,
    SO_ACCEPTCONN,
    SO_BROADCAST,
    SO_DEBUG,
    SO_DONTLINGER,
    SO_DONTROUTE,
    SO_ERROR,
    SO_KEEPALIVE,
    SO_LINGER,
    SO_OOBINLINE,
    SO_RCVBUF,
    SO_RCVLOWAT,
    SO_RCVTIMEO,
    SO_REUSEADDR,
    SO_SNDBUF,
    SO_SNDLOWAT,
    SO_SNDTIMEO,
    SO_TYPE,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_MAXSEG,
    TCP_NODELAY,
    CAsyncSocket,
    CSocket,
    GetLastError,
    LevelOption,
    SetLastError,
    WSAError,
)

STREAM: Final = (SOCK_STREAM,)
DATAGRAM: Final = (SOCK_DGRAM,)
BOTH: Final = (SOCK_STREAM, SOCK_DGRAM)
SYSTEM: Final = object()
"""A default that is the system's."""


class Option(NamedTuple):
    """
    A row of the reference's tables, with Winsock's size and default.
    """

    name: str
    number: int
    type: Any
    size: int
    kinds: tuple[int, ...]
    settable: bool
    default: Any
    level: int = SOL_SOCKET
    platform: tuple[int, int] | None = None
    """Where the kernel keeps it as it is."""


OPTIONS: Final = [
    Option("SO_ACCEPTCONN", SO_ACCEPTCONN, bool, 4, STREAM, False, False),
    Option("SO_BROADCAST", SO_BROADCAST, bool, 4, DATAGRAM, True, False, platform=(1, socket.SO_BROADCAST)),
    Option("SO_DEBUG", SO_DEBUG, bool, 4, BOTH, True, False),
    Option("SO_DONTLINGER", SO_DONTLINGER, bool, 4, STREAM, True, True),
    Option("SO_DONTROUTE", SO_DONTROUTE, bool, 1, BOTH, True, False, platform=(1, socket.SO_DONTROUTE)),
    Option("SO_ERROR", SO_ERROR, int, 4, BOTH, False, 0),
    Option("SO_KEEPALIVE", SO_KEEPALIVE, bool, 1, STREAM, True, False, platform=(1, socket.SO_KEEPALIVE)),
    Option("SO_LINGER", SO_LINGER, LINGER, 4, STREAM, True, LINGER(0, 0)),
    Option("SO_OOBINLINE", SO_OOBINLINE, bool, 4, STREAM, True, False, platform=(1, socket.SO_OOBINLINE)),
    Option("SO_RCVBUF", SO_RCVBUF, int, 4, BOTH, True, SYSTEM),
    Option("SO_REUSEADDR", SO_REUSEADDR, bool, 4, BOTH, True, False),
    Option("SO_SNDBUF", SO_SNDBUF, int, 4, BOTH, True, SYSTEM),
    Option("SO_TYPE", SO_TYPE, int, 4, BOTH, False, SYSTEM),
    Option("TCP_NODELAY", TCP_NODELAY, bool, 1, STREAM, True, False, IPPROTO_TCP, (6, socket.TCP_NODELAY)),
]
EACH: Final = [(option, kind) for option in OPTIONS for kind in option.kinds]

KINDS: Final = {SOCK_STREAM: "stream", SOCK_DGRAM: "datagram"}


def label(value: Any) -> str | None:
    return value.name if isinstance(value, Option) else None


def each(condition: Callable[[Option], bool] = lambda option: True) -> pytest.MarkDecorator:
    """
    Run a test for every option on every type of socket that has it.
    """
    rows = [row for row in EACH if condition(row[0])]
    return pytest.mark.parametrize("option, kind", rows, ids=[f"{option.name}-{KINDS[kind]}" for option, kind in rows])


def opened(reactor: Any, kind: int = SOCK_STREAM) -> CAsyncSocket:
    one = CAsyncSocket(reactor)
    must(one.Socket(kind))
    return one


def get(one: CAsyncSocket, option: Option, *buffer: Any) -> Any:
    value, length = buffer or (None, None)
    return one.GetSockOpt(option.number, value, length, option.level)


def put(one: CAsyncSocket, option: Option, value: Any, length: int | None = None) -> bool:
    return one.SetSockOpt(option.number, value, length, option.level)


def raw(option: Option, value: Any) -> bytes:
    """
    A value as the bytes that C++ passes.
    """
    if option.type is LINGER:
        return bytes([value.l_onoff, 0, value.l_linger, 0])
    return int(value).to_bytes(option.size, "little")


def samples(option: Option) -> list[Any]:
    if option.type is bool:
        return [True, False, True]
    if option.type is int:
        return [20000, 65536, 0]
    return [LINGER(1, 5), LINGER(1, 0), LINGER(0, 0)]


def refused(answer: Any, code: WSAError) -> bool:
    """
    Did a member of these two fail, with this code?
    """
    return (answer is None or answer is False) and GetLastError() is code


# -- every row of the tables


@each()
def test_an_option_that_was_not_set_has_its_default(idle: Any, option: Option, kind: int) -> None:
    value = get(opened(idle, kind), option)
    assert isinstance(value, option.type)
    if option.default is not SYSTEM:
        assert value == option.default
    elif option is OPTIONS[-2]:
        assert value == kind
    else:
        assert value > 0


@each(lambda option: option.settable)
def test_what_was_set_is_read(idle: Any, option: Option, kind: int) -> None:
    one = opened(idle, kind)
    for value in samples(option):
        assert put(one, option, value) is True
        assert get(one, option) == value
        if option.platform:
            with socket.socket(fileno=socket.dup(int(one))) as plain:
                assert bool(plain.getsockopt(*option.platform)) is value


@each(lambda option: option.settable)
def test_what_was_set_as_bytes_is_read_as_bytes(idle: Any, option: Option, kind: int) -> None:
    one = opened(idle, kind)
    for value in samples(option):
        assert put(one, option, raw(option, value)) is True
        buffer = bytearray(b"\xee" * option.size)
        assert get(one, option, buffer, None) == option.size
        assert buffer == raw(option, value)
        assert get(one, option) == value


@each()
def test_every_length_of_the_buffer_to_read_into(idle: Any, option: Option, kind: int) -> None:
    """
    A BOOL can be read into one byte; of the options whose BOOL is one byte long, and of a LINGER, just that much is
    written; an int or BOOL of four is followed by zeros.
    """
    one = opened(idle, kind)
    value = raw(option, get(one, option))
    least = 1 if option.type is bool else 4
    fixed = option.size == 1 or option.type is LINGER
    for length in range(10):
        buffer = bytearray(b"\xee" * 12)
        SetLastError(0)
        written = get(one, option, buffer, length)
        if length < least:
            assert refused(written, WSAError.WSAEFAULT)
            assert buffer == b"\xee" * 12
        else:
            assert written == (option.size if fixed else length)
            assert buffer == value.ljust(12, b"\0")[:written] + b"\xee" * (12 - written)
            # A buffer of that length says the same as the length.
            assert get(one, option, bytearray(length), None) == written
    for length in (13, -1, 2**40):
        assert refused(get(one, option, bytearray(12), length), WSAError.WSAEFAULT)


@each(lambda option: option.settable)
def test_every_length_of_the_buffer_to_set_from(idle: Any, option: Option, kind: int) -> None:
    one = opened(idle, kind)
    least = 1 if option.type is bool else 4
    value = raw(option, samples(option)[0]).ljust(12, b"\0")
    for length, whole in itertools.product(range(10), (True, False)):
        SetLastError(0)
        # Either the buffer is so long, or so much of it is meant.
        answer = put(one, option, value, length) if whole else put(one, option, value[:length])
        if length < least:
            assert refused(answer, WSAError.WSAEFAULT)
        else:
            assert answer is True
            assert get(one, option) == samples(option)[0]
    for length in (13, -1, 2**40):
        assert refused(put(one, option, value, length), WSAError.WSAEFAULT)


@pytest.mark.parametrize(
    "option, kind",
    [(option, kind) for option in OPTIONS for kind in BOTH if kind not in option.kinds],
    ids=lambda value: value.name if isinstance(value, Option) else KINDS[value],
)
def test_an_option_of_another_type_of_socket_is_unknown(idle: Any, option: Option, kind: int) -> None:
    one = opened(idle, kind)
    assert get(one, option) is None
    assert GetLastError() == WSAError.WSAENOPROTOOPT
    SetLastError(0)
    assert put(one, option, option.type(1, 1) if option.type is LINGER else True) is False
    assert GetLastError() == WSAError.WSAENOPROTOOPT


@each(lambda option: not option.settable)
def test_an_option_that_is_only_read_is_not_set(idle: Any, option: Option, kind: int) -> None:
    one = opened(idle, kind)
    before = get(one, option)
    assert put(one, option, 1) is False
    assert GetLastError() == WSAError.WSAENOPROTOOPT
    assert get(one, option) == before


@pytest.mark.parametrize("kind", BOTH, ids=KINDS.values())
@pytest.mark.parametrize(
    "number, level",
    [
        (SO_RCVLOWAT, SOL_SOCKET),
        (SO_RCVTIMEO, SOL_SOCKET),
        (SO_SNDLOWAT, SOL_SOCKET),
        (SO_SNDTIMEO, SOL_SOCKET),
        (IP_OPTIONS, IPPROTO_IP),
        (TCP_MAXSEG, IPPROTO_TCP),
        # At another level than its own.
        (SO_KEEPALIVE, IPPROTO_TCP),
        (SO_LINGER, IPPROTO_IP),
        (TCP_NODELAY, SOL_SOCKET),
        (TCP_NODELAY, IPPROTO_IP),
        (IP_OPTIONS, SOL_SOCKET),
        (IPV6_V6ONLY, SOL_SOCKET),
    ],
)
def test_what_is_in_neither_table_is_unknown(idle: Any, number: int, level: int, kind: int) -> None:
    one = opened(idle, kind)
    assert refused(one.GetSockOpt(number, None, None, level), WSAError.WSAENOPROTOOPT)
    SetLastError(0)
    assert refused(one.SetSockOpt(number, 1, None, level), WSAError.WSAENOPROTOOPT)


@pytest.mark.parametrize(
    ("number", "meant"),
    [
        (socket.SO_RCVBUF, "SO_KEEPALIVE or SO_RCVBUF"),
        (socket.SO_KEEPALIVE, "SO_KEEPALIVE"),
        (socket.SO_REUSEADDR, "SO_ACCEPTCONN or SO_REUSEADDR"),
        (socket.SO_BROADCAST, "SO_BROADCAST"),
        (socket.TCP_NODELAY, "SO_DEBUG or TCP_NODELAY or IP_OPTIONS"),
        (0x1002, "SO_RCVBUF"),
        (~0x0080, "SO_DONTLINGER"),
        (True, "SO_DEBUG or TCP_NODELAY or IP_OPTIONS"),
        (0x7FFF, "one of SO_DEBUG, SO_ACCEPTCONN,"),
        (2**40, "one of SO_DEBUG, SO_ACCEPTCONN,"),
    ],
)
def test_the_number_of_an_option_is_a_type_error_that_says_what_to_write(idle: Any, number: int, meant: str) -> None:
    one = opened(idle)
    words = f"^nOptionName must be an option of twisted_casync, not the number {int(number)}: write {meant}"
    with pytest.raises(TypeError, match=words):
        one.GetSockOpt(number)
    with pytest.raises(TypeError, match=words):
        one.SetSockOpt(number, 1)
    assert one.GetSockOpt(SO_KEEPALIVE) is False
    assert one.GetSockOpt(SO_DEBUG) is False


def test_with_its_level_the_number_of_an_option_says_more(idle: Any) -> None:
    one = opened(idle)
    with pytest.raises(TypeError, match="number 1: write TCP_NODELAY$"):
        one.SetSockOpt(socket.TCP_NODELAY, True, None, IPPROTO_TCP)
    with pytest.raises(TypeError, match="number 15: write one of TCP_NODELAY, TCP_MAXSEG$"):
        one.GetSockOpt(15, None, None, socket.IPPROTO_TCP)
    assert one.GetSockOpt(TCP_NODELAY) is False


@pytest.mark.parametrize(
    ("option", "family", "kind"),
    [
        (TCP_NODELAY, AF_INET, SOCK_STREAM),
        (IPV6_V6ONLY, AF_INET6, SOCK_STREAM),
        (SO_BROADCAST, AF_INET, SOCK_DGRAM),
    ],
)
def test_an_option_has_its_level_where_none_is_given(idle: Any, option: LevelOption, family: int, kind: int) -> None:
    one = CAsyncSocket(idle)
    must(one.Socket(kind, nAddressFormat=family))
    for value in (True, False, True):
        assert one.SetSockOpt(option, value) is True
        assert one.GetSockOpt(option) is value
        assert one.GetSockOpt(option, None, None, option.level) is value
    buffer = bytearray(4)
    assert one.GetSockOpt(option, buffer)
    assert buffer[0] == 1
    assert one.GetSockOpt(SO_DEBUG) is False
    assert one.SetSockOpt(option, False, 4, option.level) is True
    assert one.GetSockOpt(option) is False


def test_an_awaited_socket_has_options_of_all_levels_too(idle: Any) -> None:
    one = CSocket(idle)
    must(one.Create())
    assert one.SetSockOpt(TCP_NODELAY, True) is True
    assert one.GetSockOpt(TCP_NODELAY) is True
    assert one.GetSockOpt(SO_DEBUG) is False


@pytest.mark.parametrize("option", [SO_KEEPALIVE, TCP_NODELAY, socket.SO_KEEPALIVE])
@pytest.mark.parametrize("level", [socket.SOL_SOCKET, True])
def test_the_socket_modules_number_of_a_level_is_a_type_error_that_says_what_to_write(
    idle: Any, option: int, level: int
) -> None:
    one = opened(idle)
    words = "^nLevel must be a level of twisted_casync, not the number 1: write nLevel=SOL_SOCKET$"
    with pytest.raises(TypeError, match=words):
        one.GetSockOpt(option, None, None, level)
    with pytest.raises(TypeError, match=words):
        one.SetSockOpt(option, True, nLevel=level)
    assert one.GetSockOpt(SO_KEEPALIVE) is False


@pytest.mark.parametrize("level", [17, -1, 0xFFFE, 2**40])
def test_a_number_that_is_no_level_is_invalid(idle: Any, level: int) -> None:
    one = opened(idle)
    assert refused(one.GetSockOpt(SO_KEEPALIVE, None, None, level), WSAError.WSAEINVAL)
    SetLastError(0)
    assert refused(one.SetSockOpt(SO_KEEPALIVE, 1, None, level), WSAError.WSAEINVAL)
    with pytest.raises(TypeError, match=f"^nOptionName .* number {socket.SO_KEEPALIVE}: write SO_KEEPALIVE$"):
        one.SetSockOpt(socket.SO_KEEPALIVE, 1, None, level)


@pytest.mark.parametrize("option", OPTIONS, ids=label)
def test_a_closed_socket_has_no_options(idle: Any, option: Option) -> None:
    one = CAsyncSocket(idle)
    assert refused(get(one, option), WSAError.WSAENOTSOCK)
    SetLastError(0)
    assert refused(put(one, option, 1), WSAError.WSAENOTSOCK)


# -- values


@pytest.mark.parametrize("number", [SO_SNDBUF, SO_RCVBUF])
@pytest.mark.parametrize(
    "value, read",
    [
        (2**31 - 1, 2**31 - 1),
        (2**31, -(2**31)),
        (2**32 + 5000, 5000),
        (-1, -1),
        (-(2**31), -(2**31)),
        (2**64 - 2, -2),
    ],
)
def test_an_int_is_that_of_c(idle: Any, number: int, value: int, read: int) -> None:
    one = opened(idle)
    assert one.SetSockOpt(number, value) is True
    assert one.GetSockOpt(number) == read
    buffer = bytearray(4)
    assert one.GetSockOpt(number, buffer) == 4
    assert buffer == (read & 0xFFFFFFFF).to_bytes(4, "little")


@pytest.mark.parametrize(
    "number, level, value, read",
    [
        (SO_OOBINLINE, SOL_SOCKET, 256, True),
        (SO_OOBINLINE, SOL_SOCKET, -1, True),
        (SO_OOBINLINE, SOL_SOCKET, 2**32, False),
        # One byte long: Winsock looks no further.
        (SO_KEEPALIVE, SOL_SOCKET, 256, False),
        (SO_KEEPALIVE, SOL_SOCKET, -1, True),
        (TCP_NODELAY, IPPROTO_TCP, 2, True),
        (TCP_NODELAY, IPPROTO_TCP, 2**40, False),
    ],
)
def test_a_number_is_a_bool_as_in_c(idle: Any, number: int, level: int, value: int, read: bool) -> None:
    one = opened(idle)
    assert one.SetSockOpt(number, value, None, level) is True
    assert one.GetSockOpt(number, None, None, level) is read


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.settable], ids=label)
@pytest.mark.parametrize("value", [None, "1", 1.5, [1], {}, object(), memoryview(b"12345678")[::2], (1,), (1, 2, 3)])
def test_a_value_of_another_type_is_a_type_error(idle: Any, option: Option, value: Any) -> None:
    one = opened(idle, option.kinds[0])
    with pytest.raises(TypeError, match="^lpOptionValue "):
        put(one, option, value)


@pytest.mark.parametrize("value", [1, True, ("1", 1), (1, None), (1.5, 1)])
def test_a_linger_of_another_type_is_a_type_error(idle: Any, value: Any) -> None:
    with pytest.raises(TypeError, match="^lpOptionValue "):
        opened(idle).SetSockOpt(SO_LINGER, value)


@pytest.mark.parametrize("option", OPTIONS, ids=label)
@pytest.mark.parametrize("buffer", [b"12345678", "12345678", 12345678, memoryview(bytearray(16))[::2]])
def test_a_buffer_that_cant_be_filled_is_a_type_error(idle: Any, option: Option, buffer: Any) -> None:
    with pytest.raises(TypeError, match="^lpOptionValue "):
        get(opened(idle, option.kinds[0]), option, buffer, None)


def test_numbers_that_are_none_are_type_errors_that_name_them(idle: Any) -> None:
    one: Any = opened(idle)
    with pytest.raises(TypeError, match="^nOptionName "):
        one.GetSockOpt("SO_KEEPALIVE")
    with pytest.raises(TypeError, match="^nLevel "):
        one.GetSockOpt(SO_KEEPALIVE, None, None, 6.0)
    for buffer in (bytearray(4), None):
        with pytest.raises(TypeError, match="^lpOptionLen "):
            one.GetSockOpt(SO_KEEPALIVE, buffer, "4")
    with pytest.raises(TypeError, match="^nOptionName "):
        one.SetSockOpt(None, 1)
    with pytest.raises(TypeError, match="^nOptionLen "):
        one.SetSockOpt(SO_KEEPALIVE, 1, 4.0)
    with pytest.raises(TypeError, match="^nLevel "):
        one.SetSockOpt(SO_KEEPALIVE, 1, 4, "SOL_SOCKET")
    assert one.GetSockOpt(SO_KEEPALIVE) is False


@pytest.mark.parametrize("kind", [SOCK_STREAM, SOCK_DGRAM])
def test_a_level_in_the_place_of_a_length_is_a_type_error_before_anything_else(idle: Any, kind: int) -> None:
    one: Any = opened(idle, kind)
    for rest in ((), (4,)):
        # Also where the option is not this socket's, and what stands in the place of the level is none.
        with pytest.raises(TypeError, match="^nOptionLen can't be IPPROTO_TCP: write nLevel=IPPROTO_TCP$"):
            one.SetSockOpt(TCP_NODELAY, True, IPPROTO_TCP, *rest)
        for buffer in (None, bytearray(4)):
            with pytest.raises(TypeError, match="^lpOptionLen can't be IPPROTO_TCP: write nLevel=IPPROTO_TCP$"):
                one.GetSockOpt(TCP_NODELAY, buffer, IPPROTO_TCP, *rest)


@pytest.mark.parametrize(
    ("option", "value", "level"),
    [
        (TCP_NODELAY, True, socket.IPPROTO_TCP),
        (SO_LINGER, (1, 0), 0xFFFF),
        (IPV6_V6ONLY, 1, socket.IPPROTO_IPV6),
    ],
)
def test_the_number_of_a_level_is_no_length_of_a_number(idle: Any, option: Any, value: Any, level: int) -> None:
    one = opened(idle)
    with pytest.raises(TypeError, match=f"^nOptionLen can't be {int(level)}: write nLevel=(IPPROTO|SOL)_"):
        one.SetSockOpt(option, value, level)
    # A buffer can be that long.
    assert one.SetSockOpt(SO_KEEPALIVE, bytes([1, 0, 0, 0, 0, 0]), 6) is True
