"""
SendTo to a host name: of a socket that nobody holds, awaited, and in memory.
"""

from __future__ import annotations

import gc
import warnings
from typing import Any

import pytest
from _play import Script, played, turns
from _reactors import Recorder, must
from _resolvers import Book
from _streams import LOCALHOST
from test_sendqueue import HOST, OTHER, Books, failed, receiver, sender

from twisted_casync import SOCK_DGRAM, SOCKET_ERROR, CSocket, WSAError
from twisted_casync._sockaddr import HostName
from twisted_casync.testing import MemoryNetwork


@played
def test_what_was_taken_is_sent_though_nobody_holds_the_socket(reactor: Any) -> Script:
    book = Books(reactor)
    there, port = receiver()
    with there, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        one = sender(reactor)
        must(one.AsyncSelect(0))
        assert one.SendTo(b"1", None, port, HOST) == 1
        del one
        book.answerFor(HOST, LOCALHOST)
        book.waiting.clear()
        assert there.recv(9) == b"1"
        yield turns()
        gc.collect()
        assert [str(one.message) for one in warned if issubclass(one.category, ResourceWarning)] != []


@pytest.mark.parametrize("by", ["Detach and Attach", "Assign"])
@played
def test_another_object_with_the_socket_can_send_at_once(reactor: Any, by: str) -> Script:
    book = Books(reactor)
    there, port = receiver()
    one, other = sender(reactor), Recorder(reactor)
    with there:
        assert one.SendTo(b"1", None, port, HOST) == 1
        must(other.Assign(one) if by == "Assign" else other.Attach(one.Detach()))
        # What waits is not the other object's.
        assert other.SendTo(b"2", None, port, LOCALHOST) == 1
        assert there.recv(9) == b"2"
        book.answerFor(HOST, LOCALHOST)
        assert there.recv(9) == b"1"
        assert other.SendTo(b"3", None, port, LOCALHOST) == 1
        assert there.recv(9) == b"3"
    yield turns()


# -- awaited


@played
def test_an_awaited_SendTo_waits_for_the_name(reactor: Any) -> Script:
    book = Books(reactor)
    there, port = receiver()
    one = CSocket(reactor)
    must(one.Create(0, SOCK_DGRAM))
    results: list[Any] = []
    with there:
        one.SendTo(b"1", None, port, HOST).addBoth(results.append)
        yield turns()
        assert results == []
        book.answerFor(HOST, LOCALHOST)
        yield lambda: results == [1]
        assert there.recv(9) == b"1"
        one.SendTo(b"2", None, (HOST, port)).addBoth(results.append)
        assert results == [1, 1]
        assert there.recv(9) == b"2"
        waiting = one.SendTo(b"3", None, port, OTHER).addErrback(lambda failure: None)
        waiting.cancel()
        book.answerFor(OTHER, LOCALHOST)
        # Of what was cancelled nothing is sent.
        one.SendTo(b"4", None, port, HOST).addBoth(results.append)
        assert there.recv(9) == b"4"
    one.Close()


@pytest.mark.parametrize("late", [True, False], ids=["answered-later", "answered-at-once"])
@played
def test_an_awaited_SendTo_fails_when_the_name_has_no_address(reactor: Any, late: bool) -> Script:
    book = Book(reactor, late=late)
    one = CSocket(reactor)
    must(one.Create(0, SOCK_DGRAM))
    failures: list[Any] = []
    one.SendTo(b"1", None, 7, HOST).addErrback(failures.append)
    book.answer()
    yield lambda: failures != []
    assert failures[0].value.code is WSAError.WSAHOST_NOT_FOUND
    one.Close()


# -- in memory


def inMemory() -> tuple[MemoryNetwork, Recorder, Recorder, int]:
    """A network, a sender, a receiver and its port."""
    network = MemoryNetwork(hosts={HOST: [LOCALHOST]})
    one, there = sender(network), sender(network)
    network.settle()
    return network, one, there, must(there.GetSockName())[1]


def mail(there: Recorder) -> list[bytes]:
    buffer = bytearray(9)
    came = []
    while (count := there.Receive(buffer)) != SOCKET_ERROR:
        came.append(bytes(buffer[:count]))
    return came


def test_a_network_in_memory_looks_names_up_too() -> None:
    network, one, there, port = inMemory()
    assert one.SendTo(b"1", None, port, HOST) == 1
    assert one.SendTo(b"2", None, port, LOCALHOST) == 1
    assert one.SendTo(b"3", None, 7, OTHER) == 1
    network.settle()
    assert mail(there) == [b"1", b"2"]
    assert failed(one, one.Send(b"x"), WSAError.WSAHOST_NOT_FOUND)
    for sock in (one, there):
        sock.Close()


@pytest.mark.parametrize("end", ["Close", "Detach"])
def test_what_was_taken_in_memory_is_sent_after_the_end(end: str) -> None:
    network, one, there, port = inMemory()
    assert one.SendTo(b"1", None, port, HOST) == 1
    handle = getattr(one, end)()
    network.settle()
    assert mail(there) == [b"1"]
    if handle is not None:
        must(one.Attach(handle))
        assert one.SendTo(b"2", None, port, HOST) == 1
        network.settle()
        assert mail(there) == [b"2"]
        one.Close()
    there.Close()
    assert repr(network) == "<MemoryNetwork at 0 s, 0 sockets>"


def test_what_the_system_has_no_room_for_is_tried_again() -> None:
    network, one, there, port = inMemory()
    network.fail("Send", WSAError.WSAEWOULDBLOCK, one, times=2)
    assert one.SendTo(b"1", None, port, HOST) == 1
    assert one.SendTo(b"2", None, port, LOCALHOST) == 1
    network.settle()
    assert mail(there) == []
    network.advance(1)
    assert mail(there) == [b"1", b"2"]
    for sock in (one, there):
        sock.Close()


def test_an_error_of_an_earlier_datagram_costs_no_other() -> None:
    network, one, there, port = inMemory()
    network.fail("Send", WSAError.WSAECONNREFUSED, one)
    assert one.SendTo(b"1", None, port, HOST) == 1
    network.settle()
    assert mail(there) == [b"1"]
    assert failed(one, one.Receive(bytearray(9)), WSAError.WSAECONNRESET)
    for sock in (one, there):
        sock.Close()


def test_addresses_of_the_names_that_were_found_last_are_remembered() -> None:
    names = {f"{number}.invalid": [LOCALHOST] for number in range(300)}
    network = MemoryNetwork(hosts=names)
    one, there = sender(network), sender(network)
    port = must(there.GetSockName())[1]
    for name in names:
        assert one.SendTo(b"x", None, port, name) == 1
        network.settle()
    assert len(mail(there)) == len(names)
    queue = one._as_queue
    assert queue is not None
    known = [name for name in names if not isinstance(queue.addressOf(HostName(name, 7)), HostName)]
    assert known == list(names)[-256:]
    for sock in (one, there):
        sock.Close()
