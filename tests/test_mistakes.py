"""
What who comes from C++ does wrong at first, and in which words it is said.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest
from _tls import client, server
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.ssl import CertificateOptions

from twisted_casync import (
    INVALID_SOCKET,
    LINGER,
    SO_KEEPALIVE,
    SO_LINGER,
    WSANOTINITIALISED,
    CAsyncSocket,
    CSocket,
    GetLastError,
    WSAError,
)
from twisted_casync._calls import HANDLERS
from twisted_casync.bridges import connectOver, listenOver
from twisted_casync.services import AsyncSocketService
from twisted_casync.testing import MemoryNetwork
from twisted_casync.tls import connectTLS


class Forgetful(CAsyncSocket):
    """
    Its constructor calls no other, which in C++ is how one is written.
    """

    def __init__(self, pDoc: object) -> None:
        self.m_pDoc = pDoc


class ForgetfulCSocket(CSocket):
    def __init__(self, pDoc: object) -> None:
        self.m_pDoc = pDoc


OPENINGS: dict[str, Callable[[Any], object]] = {
    "Create": lambda one: one.Create(),
    "Socket": lambda one: one.Socket(),
    "CreateEx": lambda one: one.CreateEx((2, 1, 0)),
    "Attach": lambda one: one.Attach(0),
    "Connect": lambda one: one.Connect("127.0.0.1", 7),
    "Close": lambda one: one.Close(),
    "SetSockOpt": lambda one: one.SetSockOpt(SO_KEEPALIVE, True),
}


@pytest.mark.parametrize(
    ("make", "member"),
    # A program's first call opens a socket; only the handlers' class has others where no wait comes first.
    [*((Forgetful, member) for member in OPENINGS), *((ForgetfulCSocket, member) for member in list(OPENINGS)[:4])],
)
def test_a_constructor_that_was_not_called_is_named(make: Callable[[object], Any], member: str) -> None:
    with pytest.raises(TypeError) as raised:
        OPENINGS[member](make(None))
    assert str(raised.value) == f"{make.__name__}.__init__ must call super().__init__() before anything else"
    # It says all, without the attribute of ours that is missing.
    assert raised.value.__suppress_context__


def test_a_connection_is_not_accepted_into_what_was_not_made(memory_network: MemoryNetwork) -> None:
    class Listener(CAsyncSocket):
        def OnAccept(self, nErrorCode: int) -> None:
            self.Accept(Forgetful(None))

    listener, client = Listener(), CAsyncSocket()
    assert listener.Create(7007) and listener.Listen() and client.Create()
    client.Connect("127.0.0.1", 7007)
    memory_network.settle()
    (failure,) = memory_network.flushFailures()
    assert failure.check(TypeError) and "Forgetful.__init__ must call super().__init__()" in failure.getErrorMessage()
    client.Close()


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        (SO_LINGER, 5, "a LINGER, a pair (l_onoff, l_linger) or a buffer, not int"),
        (SO_LINGER, "on", "a LINGER, a pair (l_onoff, l_linger) or a buffer, not str"),
        (SO_KEEPALIVE, LINGER(1, 5), "an int or a buffer, not LINGER"),
        (SO_KEEPALIVE, "on", "an int or a buffer, not str"),
    ],
)
def test_what_an_option_can_be_set_to_is_said(idle: Any, option: int, value: Any, expected: str) -> None:
    with CAsyncSocket(idle) as one:
        assert one.Create()
        with pytest.raises(TypeError) as raised:
            one.SetSockOpt(option, value)
        assert str(raised.value) == f"lpOptionValue must be {expected}"


async def waiting(self: Any, nErrorCode: int) -> None: ...


def generating(self: Any, nErrorCode: int) -> Iterator[None]:
    yield


async def both(self: Any, nErrorCode: int) -> AsyncIterator[None]:
    yield


Waits = Generator[Deferred[bytes], bytes, None]


def mixed(name: str, handler: Any) -> type:
    return type("Mixin", (), {name: handler})


@pytest.mark.parametrize("name", HANDLERS)
def test_a_handler_that_waits_is_refused_where_nobody_waits_for_it(name: str) -> None:
    with pytest.raises(TypeError) as raised:
        type("Late", (mixed(name, waiting), CAsyncSocket), {})
    assert str(raised.value) == f"Late.{name} would never run: only the handlers of a CSocket can wait"
    assert issubclass(type("Waiting", (mixed(name, waiting), CSocket), {}), CSocket)


@pytest.mark.parametrize("kind", [CAsyncSocket, CSocket])
@pytest.mark.parametrize("handler", [generating, both])
@pytest.mark.parametrize("name", HANDLERS)
def test_a_handler_that_yields_to_nobody_is_refused(name: str, handler: Any, kind: type) -> None:
    with pytest.raises(TypeError) as raised:
        type("Late", (mixed(name, handler), kind), {})
    assert str(raised.value) == f"Late.{name} would never run: it has a yield, and no @inlineCallbacks"


def test_a_handler_that_yields_to_inlineCallbacks_is_none_of_these() -> None:
    class Waiting(CSocket):
        @inlineCallbacks
        def OnReceive(self, nErrorCode: int) -> Waits:  # type: ignore[override]  # a CSocket's handlers can wait
            yield self.Receive(1)

    assert issubclass(Waiting, CSocket)


def test_who_calls_from_another_thread_reads_about_threads(idle: Any) -> None:
    errors: list[WSAError] = []

    def elsewhere(one: CAsyncSocket) -> None:
        assert one.GetPeerName() is None
        errors.append(GetLastError())

    with CAsyncSocket(idle) as one:
        assert one.Create()
        thread = threading.Thread(target=elsewhere, args=(one,))
        thread.start()
        thread.join()
    assert errors == [WSANOTINITIALISED]
    assert "another thread" in errors[0].message


# -- services, endpoints and TLS


class Connection(CAsyncSocket):
    """
    What is accepted, given as what accepts.
    """

    def OnReceive(self, nErrorCode: int) -> None: ...


PLACE = ["tcp:0:interface=127.0.0.1"]


@pytest.mark.parametrize(
    ("factory", "where", "why"),
    [
        (Connection, PLACE[0], r"where must be several descriptions, as \['tcp:0:interface=127.0.0.1'\], not a str"),
        (Connection(), PLACE, "factory: expected .* it is an object; its class Connection makes new ones"),
        (dict, PLACE, "factory: expected a subclass of CAsyncSocket, .* it is the class dict, which is none"),
        (None, PLACE, "factory: expected .* it is of type NoneType"),
    ],
)
def test_what_a_service_can_not_be_made_of(factory: Any, where: Any, why: str) -> None:
    with pytest.raises(TypeError, match=why):
        AsyncSocketService(factory, where)


@pytest.mark.parametrize(
    ("factory", "where", "missing"), [(Connection, "tcp:0", "OnAccept"), (CAsyncSocket, "udp:0", "OnReceive")]
)
def test_a_class_that_would_serve_nobody_makes_no_service(factory: Any, where: str, missing: str) -> None:
    with pytest.raises(ValueError, match=f"{where}: .*{factory.__name__}.* has no {missing} of its own"):
        AsyncSocketService(factory, [where])


@pytest.mark.parametrize(("over", "maker"), [(connectOver, "clientFromString"), (listenOver, "serverFromString")])
def test_a_description_is_no_endpoint(over: Callable[..., object], maker: str) -> None:
    with pytest.raises(TypeError, match=f"not 'tcp:localhost:80'; twisted.internet.endpoints.{maker} makes one"):
        over(CAsyncSocket(), "tcp:localhost:80")


def test_a_port_over_TLS_is_a_number_too() -> None:
    with pytest.raises(TypeError, match="port must be an int, not str"):
        connectTLS(CAsyncSocket(), "localhost", "443", client())  # type: ignore[call-overload]


def test_the_options_of_a_server_verify_no_other_and_do_not_connect() -> None:
    for options in (server(), CertificateOptions(), object()):
        sock = CAsyncSocket()
        with pytest.raises(TypeError, match=r"a client's, as clientOptions\('localhost'\) gives, not \w+"):
            connectTLS(sock, "localhost", 443, options)
        assert sock.m_hSocket == INVALID_SOCKET
