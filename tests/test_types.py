"""
The types of results that depend on an argument: what mypy is told is what comes.

mypy reads C{assert_type} where it checks the tests; here the values are looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from twisted_casync import CAsyncSocket, CSocket
from twisted_casync.testing import MemoryNetwork

if TYPE_CHECKING:
    from typing_extensions import assert_type

    from twisted_casync._sockaddr import SockAddr

    Address = SockAddr | None
    Either = bool | SockAddr | None
    Pair = tuple[CSocket, SockAddr]
else:
    Address = Either = Pair = object

    def assert_type(value: Any, kind: object) -> Any:
        return value


def listening(network: MemoryNetwork) -> CAsyncSocket:
    """A listener for which two connections wait."""
    listener = CAsyncSocket()
    assert listener.Create(7007) and listener.Listen()
    for _ in range(2):
        client = CAsyncSocket()
        assert client.Create()
        client.Connect("127.0.0.1", 7007)
    network.settle()
    return listener


def test_accept_gives_a_bool_or_an_address(memory_network: MemoryNetwork) -> None:
    listener = listening(memory_network)
    assert assert_type(listener.Accept(CAsyncSocket()), bool) is True
    address = assert_type(listener.Accept(CAsyncSocket(), True), Address)
    assert isinstance(address, tuple)
    assert assert_type(listener.Accept(CAsyncSocket(), False), bool) is False
    assert assert_type(listener.Accept(CAsyncSocket(), lpSockAddr=True), Address) is None
    for wanted in (False, True):
        either = assert_type(listener.Accept(CAsyncSocket(), wanted), Either)
        assert either is (None if wanted else False)


class Child(CSocket):
    """A program's own."""


def test_an_awaited_accept_gives_the_object_or_it_and_an_address(memory_network: MemoryNetwork) -> None:
    child, listener = Child(), CSocket()
    assert listener.Create(7007) and listener.Listen()
    accepted: list[Any] = []
    assert_type(listener.Accept(child), Deferred[Child]).addCallback(accepted.append)
    client = CAsyncSocket()
    assert client.Create()
    client.Connect("127.0.0.1", 7007)
    memory_network.settle()
    assert accepted == [child]
    assert_type(listener.Accept(None, True), Deferred[Pair]).addCallback(accepted.append)
    other = CAsyncSocket()
    assert other.Create()
    other.Connect("127.0.0.1", 7007)
    memory_network.settle()
    assert isinstance(accepted[1][0], CSocket) and isinstance(accepted[1][1], tuple)
