"""
What a test wants to go wrong between two sockets of a memory network goes wrong, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from _reactors import Recorder, must
from _streams import fill, told

from twisted_casync import MSG_OOB, CSocket, GetLastError, WSAError
from twisted_casync.testing import Faults, MemoryNetwork

RESET, ABORTED = WSAError.WSAECONNRESET, WSAError.WSAECONNABORTED
HERE = ("127.0.0.1", 7)


@pytest.fixture
def network() -> Any:
    with MemoryNetwork().installed() as network:
        yield network


@pytest.fixture
def pair(network: MemoryNetwork) -> tuple[Recorder, Recorder]:
    client, server = Recorder(), Recorder()
    network.pair(client, server)
    network.settle()
    client.told.clear()
    server.told.clear()
    return client, server


Pair = tuple[Recorder, Recorder]


def failed(code: WSAError, result: Any) -> bool:
    return result in (-1, False) and GetLastError() == code


# -- sending


def test_short_sends_take_what_is_said_and_then_all(network: MemoryNetwork, pair: Pair) -> None:
    client, server = pair
    network.outgoing(client).script(Faults(shortSends=[3, 1]))
    assert [client.Send(b"hello") for _ in range(3)] == [3, 1, 5]
    network.settle()
    server.readAll()
    assert server.received == b"helhhello"
    # Two of them were short, so that there is an OnSend due, and one.
    assert client.told == told("OnSend")


def test_every_send_is_short_where_a_number_is_said(network: MemoryNetwork, pair: Pair) -> None:
    client, _ = pair
    network.outgoing(client).script(Faults(shortSends=2))
    assert [client.Send(b"hello") for _ in range(4)] == [2, 2, 2, 2]


def test_a_blocked_way_takes_nothing_until_its_time_is_over(network: MemoryNetwork, pair: Pair) -> None:
    client, server = pair
    network.outgoing(client).script(Faults(blocked=2.0))
    assert failed(WSAError.WSAEWOULDBLOCK, client.Send(b"x"))
    network.advance(1.9)
    assert client.told == []
    assert failed(WSAError.WSAEWOULDBLOCK, client.Send(b"x"))
    network.advance(0.1)
    assert client.told == told("OnSend")
    assert client.Send(b"x") == 1
    # The way back was not blocked.
    assert server.Send(b"y") == 1


def test_an_awaited_send_waits_through_all_that(network: MemoryNetwork) -> None:
    client, server = CSocket(), CSocket()
    network.pair(client, server)
    network.outgoing(client).script(Faults(shortSends=7, blocked=1.5, pieces=[1, 2, 3], delay=0.25))
    sending = client.Send(bytes(range(100)))
    assert network.run(server.receiveExactly(100)) == bytes(range(100))
    assert network.run(sending) == 100
    assert network.seconds() == 1.75


# -- arriving


def test_data_arrives_in_the_pieces_that_are_said(network: MemoryNetwork, pair: Pair) -> None:
    client, server = pair
    pieces: list[bytes] = []

    def some(sock: Recorder) -> None:
        buffer = bytearray(100)
        pieces.append(bytes(buffer[: must(sock.Receive(buffer))]))

    server.handlers["OnReceive"] = some
    network.outgoing(client).script(Faults(pieces=[1, 2, 3]))
    # One piece a moment, so that each is told by itself.
    must(client.Send(b"0123456789"))
    while network.step():
        pass
    assert b"".join(pieces) == b"0123456789"
    assert [len(piece) for piece in pieces] == [1, 2, 3, 4]


def test_a_delay_keeps_the_order(network: MemoryNetwork, pair: Pair) -> None:
    client, server = pair
    way = network.outgoing(client)
    way.script(Faults(delay=1.0))
    must(client.Send(b"slow "))
    way.script(Faults())
    must(client.Send(b"fast"))
    network.advance(0.9)
    assert server.told == []
    network.advance(0.1)
    server.readAll()
    assert server.received == b"slow fast"


def test_what_is_held_arrives_when_it_is_released(network: MemoryNetwork, pair: Pair) -> None:
    client, server = pair
    way = network.outgoing(client)
    assert network.incoming(server) is way
    way.hold()
    must(client.Send(b"abc"))
    must(client.Send(b"!", None, MSG_OOB))
    client.Close()
    network.advance(100)
    assert server.told == [] and way.flying == 4
    way.release()
    network.settle()
    assert server.told == told("OnReceive", "OnOutOfBandData")
    assert server.Receive(bytearray(9)) == 3
    assert server.Receive(bytearray(1), 1, MSG_OOB) == 1
    network.settle()
    assert server.told[-1] == ("OnClose", 0)


# -- ends


@pytest.mark.parametrize(
    ("faults", "near", "far"),
    [
        (Faults(resetAfter=7), [("OnClose", RESET)], [("OnReceive", 0), ("OnClose", RESET)]),
        (Faults(abortAfter=7), [("OnClose", ABORTED)], [("OnReceive", 0), ("OnClose", ABORTED)]),
        (Faults(endAfter=7), [], [("OnReceive", 0), ("OnClose", 0)]),
    ],
    ids=["reset", "abort", "end"],
)
@pytest.mark.parametrize("sends", [[b"0123456789"], [b"01234", b"56789"], [b"0123456", b"789"]])
def test_a_connection_ends_after_as_many_bytes_as_are_said(
    network: MemoryNetwork, pair: Pair, faults: Faults, near: list[Any], far: list[Any], sends: list[bytes]
) -> None:
    client, server = pair
    server.handlers["OnReceive"] = Recorder.readAll
    network.outgoing(client).script(faults)
    assert [client.Send(data) for data in sends] == [len(data) for data in sends]
    network.settle()
    assert server.received == b"0123456"
    assert client.told == near
    assert list(dict.fromkeys(server.told)) == far


def test_an_urgent_byte_behind_the_end_is_lost(network: MemoryNetwork, pair: Pair) -> None:
    client, server = pair
    network.outgoing(client).script(Faults(endAfter=2))
    assert client.Send(b"ab!", None, MSG_OOB) == 3
    network.settle()
    assert server.told == told("OnReceive")
    assert server.readAll() == 0 and server.received == b"ab"


@pytest.mark.parametrize("code", [RESET, WSAError.WSAENETDOWN, ABORTED])
def test_a_connection_is_broken_for_both_ends(network: MemoryNetwork, pair: Pair, code: WSAError) -> None:
    client, server = pair
    network.reset(server, code)
    network.settle()
    assert client.told == server.told == told("OnClose", code=code)


@pytest.mark.parametrize("code", [RESET, ABORTED])
def test_a_Send_that_waits_after_the_end_of_the_stream_is_told_how_it_is_lost(
    network: MemoryNetwork, pair: Pair, code: WSAError
) -> None:
    client, server = pair
    must(server.AsyncSelect(0))
    must(server.ShutDown())
    network.settle()
    fill(client)
    network.reset(client, code)
    network.settle()
    assert client.told == [("OnClose", 0), ("OnClose", code)]
    assert failed(code, client.Receive(bytearray(1)))


# -- connections that are made by the program


class Listener(Recorder):
    def OnAccept(self, nErrorCode: int) -> None:
        self.child = Recorder()
        must(self.Accept(self.child))


def connecting() -> Recorder:
    client = Recorder()
    must(client.Create())
    client.Connect(*HERE)
    return client


@pytest.fixture
def listener(network: MemoryNetwork) -> Listener:
    listener = Listener()
    must(listener.Create(HERE[1]))
    must(listener.Listen())
    return listener


def test_a_script_of_an_address_is_that_of_its_connections(network: MemoryNetwork, listener: Listener) -> None:
    network.script(HERE, toListener=Faults(shortSends=1), toClient=Faults(delay=3.0))
    client = connecting()
    network.settle()
    assert client.told == []
    # The answer is on the way back too.
    network.advance(3)
    assert client.told == told("OnConnect", "OnSend")
    assert client.Send(b"abc") == 1
    assert listener.child.Send(b"abc") == 3
    network.settle()
    assert listener.child.names()[-1] == "OnReceive" and client.names()[-1] == "OnSend"
    network.advance(3)
    assert client.names()[-1] == "OnReceive"


def test_connects_are_refused_as_often_as_is_said(network: MemoryNetwork, listener: Listener) -> None:
    network.refuse(HERE, WSAError.WSAENETUNREACH, times=2)
    outcomes = []
    for _ in range(3):
        client = connecting()
        network.settle()
        outcomes.append(client.told[0])
    unreachable = ("OnConnect", WSAError.WSAENETUNREACH)
    assert outcomes == [unreachable, unreachable, ("OnConnect", 0)]


def test_connects_are_refused_until_they_are_no_more(network: MemoryNetwork, listener: Listener) -> None:
    network.refuse(HERE)
    clients = [connecting() for _ in range(3)]
    network.settle()
    assert all(client.told == told("OnConnect", code=WSAError.WSAECONNREFUSED) for client in clients)
    network.refuse(HERE, times=0)
    client = connecting()
    network.settle()
    assert client.told == told("OnConnect", "OnSend")


# -- calls that fail

CALLS: list[tuple[str, WSAError, Callable[[Recorder], Any]]] = [
    ("Create", WSAError.WSAEMFILE, lambda sock: Recorder().Create()),
    ("Bind", WSAError.WSAEACCES, lambda sock: Recorder().Create(80)),
    ("Send", WSAError.WSAENOBUFS, lambda sock: sock.Send(b"x")),
    ("Send", WSAError.WSAENETRESET, lambda sock: sock.Send(b"x")),
    ("Receive", RESET, lambda sock: sock.Receive(bytearray(1))),
    ("ShutDown", WSAError.WSAENETDOWN, lambda sock: sock.ShutDown()),
]


@pytest.mark.parametrize(("member", "code", "call"), CALLS, ids=[f"{row[0]}-{row[1].name}" for row in CALLS])
def test_a_call_fails_as_is_said(
    network: MemoryNetwork, pair: Pair, member: str, code: WSAError, call: Callable[[Recorder], Any]
) -> None:
    network.fail(member, code)
    assert failed(code, call(pair[0]))


def test_only_the_calls_that_are_said_fail(network: MemoryNetwork, pair: Pair) -> None:
    client, server = pair
    network.fail("Send", WSAError.WSAENOBUFS, client, times=2)
    assert server.Send(b"x") == 1
    assert [client.Send(b"x") for _ in range(3)] == [-1, -1, 1]
    network.settle()
    assert server.told == told("OnReceive")


@pytest.mark.parametrize("member", ["Listen", "Connect"])
def test_a_listener_and_a_client_can_fail_too(network: MemoryNetwork, member: str) -> None:
    network.fail(member, WSAError.WSAENOBUFS)
    sock = Recorder()
    must(sock.Create(7))
    assert failed(WSAError.WSAENOBUFS, sock.Listen() if member == "Listen" else sock.Connect(*HERE))
    network.settle()
    assert sock.told == []


def test_an_accept_that_fails_leaves_the_connection_waiting(network: MemoryNetwork) -> None:
    listener, child = Recorder(), Recorder()
    assert listener.Create(HERE[1]) and listener.Listen()
    connecting()
    network.settle()
    network.fail("Accept", WSAError.WSAEMFILE)
    assert failed(WSAError.WSAEMFILE, listener.Accept(child))
    network.settle()
    assert listener.told == told("OnAccept")
    # As the class has it, it is told of again after a while.
    network.advance(0.1)
    assert listener.told == told("OnAccept", "OnAccept")
    must(listener.Accept(child))


# -- scripts that can't be meant


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ({"shortSends": 0}, ValueError, "shortSends must be 1 bytes or more, not 0"),
        ({"shortSends": [3, -1]}, ValueError, "shortSends must be 1 bytes or more, not -1"),
        ({"shortSends": "3"}, TypeError, "shortSends must be a number of bytes, not '3'"),
        ({"pieces": 1.5}, TypeError, "pieces must be"),
        ({"pieces": [True]}, TypeError, "pieces must be a number of bytes, not True"),
        ({"blocked": float("inf")}, ValueError, "blocked must be 0 seconds or more, and come to an end"),
        ({"delay": -1}, ValueError, "delay must be 0 seconds or more"),
        ({"delay": "1"}, TypeError, "delay must be a number of seconds"),
        ({"resetAfter": -1}, ValueError, "resetAfter must be 0 bytes or more"),
        ({"copies": -1}, ValueError, "copies must be 0 arrivals or more, not -1"),
        ({"copies": [0.5]}, TypeError, "copies must be a number of arrivals, not 0.5"),
        ({"delays": 1.0}, TypeError, "delays must be a sequence of seconds, not 1.0; of all it is delay"),
        ({"delays": [0.0, -1.0]}, ValueError, "delays must be 0 seconds or more"),
        ({"resetAfter": 3, "endAfter": 5}, ValueError, "ends once: resetAfter and endAfter can't both be"),
    ],
)
def test_faults_that_can_not_be_meant_are_refused(script: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Faults(**script)


def test_a_network_refuses_what_it_can_not_do(network: MemoryNetwork, pair: Pair) -> None:
    client, _ = pair
    with pytest.raises(ValueError, match="member must be one of Create, Bind, .*, not 'GetPeerName'"):
        network.fail("GetPeerName", WSAError.WSAENOTCONN)
    with pytest.raises(ValueError, match="no call of the system fails with WSAHOST_NOT_FOUND"):
        network.fail("Send", WSAError.WSAHOST_NOT_FOUND)
    with pytest.raises(ValueError, match="12345"):
        network.refuse(HERE, 12345)
    with pytest.raises(ValueError, match="times must be 1 calls or more"):
        network.fail("Send", RESET, client, times=0)
    with pytest.raises(TypeError, match="address must be a host in numbers and a port"):
        network.refuse(("127.0.0.1", "7"))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="faults must be Faults"):
        network.outgoing(client).script({"delay": 1})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="faults must be Faults"):
        network.script(HERE, toClient=7)  # type: ignore[arg-type]
    for faults, name in ((Faults(copies=1), "copies"), (Faults(delays=[0.5]), "delays")):
        with pytest.raises(ValueError, match=f"{name} is said of datagrams, and this is a stream"):
            network.outgoing(client).script(faults)
        with pytest.raises(ValueError, match=f"{name} is said of datagrams"):
            network.script(HERE, toListener=faults)
    client.Close()
    with pytest.raises(ValueError, match="is no open socket of <MemoryNetwork"):
        network.outgoing(client)
    alone = Recorder()
    must(alone.Create())
    with pytest.raises(ValueError, match="is not connected"):
        network.incoming(alone)
