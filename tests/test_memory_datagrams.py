"""
Datagrams over a network in memory: who gets which, when, and what goes wrong with them.  That its sockets do what those
with descriptors do, C{test_datagram} and C{test_memory_scenarios} hold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from _reactors import Recorder, must
from _streams import told

from twisted_casync import (
    AF_INET,
    AF_INET6,
    FIONREAD,
    SO_BROADCAST,
    SO_RCVBUF,
    SO_REUSEADDR,
    SOCK_DGRAM,
    CAsyncSocket,
    CSocket,
    GetLastError,
    WSAError,
)
from twisted_casync._threads import openSockets
from twisted_casync.testing import Faults, MemoryNetwork, Recording, RecordingSocket

HERE = "127.0.0.1"


@pytest.fixture
def network() -> Any:
    with MemoryNetwork().installed() as network:
        yield network
    assert list(openSockets()) == []
    assert repr(network).endswith(" 0 sockets>")


def mailbox(port: int = 0, host: str | None = HERE, **handlers: Any) -> Recorder:
    sock = Recorder(**handlers)
    must(sock.Create(port, SOCK_DGRAM, lpszSocketAddress=host))
    return sock


def send(sender: CAsyncSocket, receiver: CAsyncSocket, *datagrams: bytes) -> None:
    host, port = must(receiver.GetSockNameEx())
    for data in datagrams:
        assert sender.SendTo(data, None, port, host) == len(data)


def mail(sock: CAsyncSocket) -> list[bytes]:
    """
    All that waits to be received.
    """
    got: list[bytes] = []
    buffer = bytearray(65536)
    while (count := sock.ReceiveFrom(buffer)[0]) >= 0:
        got.append(bytes(buffer[:count]))
    assert GetLastError() == WSAError.WSAEWOULDBLOCK
    return got


def failed(code: WSAError, result: Any) -> bool:
    return result in (-1, False, (-1, None)) and GetLastError() == code


# -- whole programs


class EchoSocket(CAsyncSocket):
    def OnReceive(self, nErrorCode: int) -> None:
        buff = bytearray(4096)
        nRead, source = self.ReceiveFrom(buff)
        if nRead >= 0:
            self.SendTo(buff, nRead, source)


def test_a_program_that_knows_nothing_of_it_runs_over_it() -> None:
    with MemoryNetwork(delay=0.25, hosts={"server.example": ["10.0.0.7"]}).installed() as network:
        server, client = EchoSocket(), Recorder()
        must(server.Create(7, SOCK_DGRAM))
        must(client.Create(0, SOCK_DGRAM))
        # It leaves when the name was looked up.
        assert client.SendTo(b"hello", None, 7, "server.example") == 5
        network.advance(0.5)
        assert network.seconds() == 0.5
        assert client.told[-1] == ("OnReceive", 0)
        buffer = bytearray(9)
        assert client.ReceiveFrom(buffer) == (5, ("10.0.0.7", 7)) and buffer[:5] == b"hello"


def test_nothing_arrives_until_it_is_let_and_then_one_thing_at_a_time(network: MemoryNetwork) -> None:
    client, server = mailbox(), mailbox()
    network.settle()
    server.told.clear()
    send(client, server, b"1")
    assert server.IOCtl(FIONREAD) == 0
    network.step()
    assert server.IOCtl(FIONREAD) == 1 and server.told == []
    network.step()
    assert server.told == told("OnReceive")
    network.settle()
    assert server.told == told("OnReceive")


def test_what_was_sent_before_a_close_still_arrives(network: MemoryNetwork) -> None:
    client, server = mailbox(), mailbox()
    send(client, server, b"last words")
    client.Close()
    network.settle()
    assert mail(server) == [b"last words"]


def test_awaited_calls_receive_datagrams(network: MemoryNetwork) -> None:
    near, far = CSocket(), CSocket()
    for sock in (near, far):
        must(sock.Create(0, SOCK_DGRAM, lpszSocketAddress=HERE))
    buffer = bytearray(9)
    network.callLater(60, lambda: far.SendTo(b"late", None, near.GetSockName()))
    assert network.run(near.ReceiveFrom(buffer)) == (4, far.GetSockName())
    assert network.seconds() == 60


def test_the_same_program_does_the_same_each_time() -> None:
    def course() -> str:
        with MemoryNetwork(delay=0.1).installed() as network:
            recording = Recording()
            sockets = [recording.watch(RecordingSocket(), name) for name in ("a", "b")]
            for sock in sockets:
                must(sock.Create(0, SOCK_DGRAM, lpszSocketAddress=HERE))
            network.outgoing(sockets[0]).script(Faults(copies=[1, 2], delays=[0.5]))
            send(sockets[0], sockets[1], b"1", b"2")
            network.advance(1)
            assert mail(sockets[1]) == [b"2", b"2", b"1"]
            return str(recording)

    assert course() == course()


def test_a_socket_is_handed_on_with_what_it_has_received(network: MemoryNetwork) -> None:
    client, server, heir = mailbox(), mailbox(), Recorder()
    send(client, server, b"x")
    network.settle()
    must(heir.Attach(server.Detach()))
    network.settle()
    assert ("OnReceive", 0) in heir.told and mail(heir) == [b"x"]


# -- who gets it


def test_a_port_is_taken_for_datagrams_and_not_for_streams(network: MemoryNetwork) -> None:
    mailbox(7)
    assert failed(WSAError.WSAEADDRINUSE, Recorder().Create(7, SOCK_DGRAM, lpszSocketAddress=HERE))
    must(Recorder().Create(7, lpszSocketAddress=HERE))
    # Another address has another port of that number, and the wildcard shares it.
    mailbox(7, "127.0.0.2")
    mailbox(7, None)
    # Who asks for none gets one that is free.
    _, port = must(mailbox().GetSockName())
    mailbox(port + 1)
    mailbox()


def test_who_shares_a_port_gets_what_comes_by_the_best_name(network: MemoryNetwork) -> None:
    sockets = {name: Recorder() for name in ("connected", "first", "last", "wildcard")}
    for name, sock in sockets.items():
        must(sock.Socket(SOCK_DGRAM))
        must(sock.SetSockOpt(SO_REUSEADDR, True))
        must(sock.Bind(7, None if name == "wildcard" else HERE))
    friend, stranger = mailbox(), mailbox()
    must(sockets["connected"].Connect(*must(friend.GetSockName())))
    for sender, data in ((friend, b"friend's"), (stranger, b"stranger's")):
        assert sender.SendTo(data, None, 7, HERE) == len(data)
        assert sender.SendTo(data, None, 7, "127.0.0.2") == len(data)
    network.settle()
    got = {name: mail(sock) for name, sock in sockets.items()}
    assert got == {
        "wildcard": [b"friend's", b"stranger's"],
        "first": [],
        "last": [b"stranger's"],
        "connected": [b"friend's"],
    }


def test_a_broadcast_comes_to_all_who_have_no_address_of_their_own(network: MemoryNetwork) -> None:
    sender, alone = mailbox(), mailbox(7, "127.0.0.2")
    must(sender.SetSockOpt(SO_BROADCAST, True))
    sockets = []
    for _ in range(2):
        sockets.append(Recorder())
        must(sockets[-1].Socket(SOCK_DGRAM))
        must(sockets[-1].SetSockOpt(SO_REUSEADDR, True))
        must(sockets[-1].Bind(8))
    assert sender.SendTo(b"all", None, 8) == 3
    assert sender.SendTo(b"all", None, 7) == 3
    network.settle()
    assert [mail(sock) for sock in (*sockets, alone)] == [[b"all"], [b"all"], []]


def test_who_broadcasts_without_an_address_is_this_machine(network: MemoryNetwork) -> None:
    sender, receiver = Recorder(), mailbox(7, None)
    must(sender.Socket(SOCK_DGRAM))
    must(sender.SetSockOpt(SO_BROADCAST, True))
    assert sender.SendTo(b"", None, 7) == 0
    network.settle()
    assert receiver.ReceiveFrom(bytearray(1)) == (0, (HERE, must(sender.GetSockName())[1]))


def test_a_peer_that_is_everybody_takes_permission(network: MemoryNetwork) -> None:
    sock = mailbox()
    assert failed(WSAError.WSAEACCES, sock.Connect("255.255.255.255", 7))
    must(sock.SetSockOpt(SO_BROADCAST, True))
    must(sock.Connect("255.255.255.255", 7))
    assert sock.Send(b"nobody is there") == 15
    network.settle()
    assert failed(WSAError.WSAEWOULDBLOCK, sock.Receive(bytearray(1)))


def test_a_name_goes_with_the_peer_that_it_came_with(network: MemoryNetwork) -> None:
    sock, asked = Recorder(), mailbox(9)
    must(sock.Socket(SOCK_DGRAM))
    for one in (sock, asked):
        must(one.Connect("127.0.0.5", 7))
    _, given = must(sock.GetSockName())
    assert given != 0
    for one in (sock, asked):
        must(one.Connect("0.0.0.0", 0))
    mailbox(given, "127.0.0.5").Close()
    assert (sock.GetSockName(), asked.GetSockName()) == (("0.0.0.0", 0), (HERE, 9))
    # It has another one when it sends.
    send(sock, asked, b"x")
    assert must(sock.GetSockName())[1] != 0


# -- what is lost


def test_a_peer_can_be_named(network: MemoryNetwork) -> None:
    sock, other = mailbox(), mailbox(7)
    for address in (("localhost", 7), (("localhost", 7),)):
        sock.told.clear()
        assert failed(WSAError.WSAEWOULDBLOCK, sock.Connect(*address))
        network.settle()
        assert ("OnConnect", 0) in sock.told
        assert sock.GetPeerName() == (HERE, 7)
        assert sock.Send(b"hello") == 5
        network.settle()
        assert mail(other) == [b"hello"]
    network.fail("Connect", WSAError.WSAENETUNREACH)
    sock.Connect("localhost", 7)
    network.settle()
    assert ("OnConnect", WSAError.WSAENETUNREACH) in sock.told
    for one in (sock, other):
        one.Close()


def test_the_source_of_a_datagram_has_the_scope_that_it_came_by(network: MemoryNetwork) -> None:
    sock, other = Recorder(), Recorder()
    for one in (sock, other):
        must(one.Socket(SOCK_DGRAM, nAddressFormat=AF_INET6))
    must(other.Bind(7, "fe80::1%3"))
    assert sock.SendTo(b"hello", None, 7, "fe80::1%3") == 5
    network.settle()
    count, source = other.ReceiveFrom(bytearray(5))
    assert (count, source) == (5, ("fe80::1", must(sock.GetSockNameEx())[1], 0, 3))
    assert other.SendTo(b"answer", None, source) == 6
    network.settle()
    assert mail(sock) == [b"answer"]
    for one in (sock, other):
        one.Close()


@pytest.mark.parametrize("to", ["239.1.2.3", HERE])
def test_that_nobody_is_there_is_heard_by_who_has_a_peer_after_both_ways(to: str) -> None:
    with MemoryNetwork(delay=1.0).installed() as network:
        sock, other = mailbox(), mailbox()
        must(sock.Connect(to, 7))
        network.settle()
        sock.told.clear()
        assert sock.Send(b"anybody?") == 8
        assert other.SendTo(b"anybody?", None, 7, to) == 8
        network.advance(1.9)
        assert sock.told == []
        network.advance(0.1)
        # Of what many may get nobody says that nobody does.
        heard = to == HERE
        assert sock.told == (told("OnReceive") if heard else [])
        code = WSAError.WSAECONNRESET if heard else WSAError.WSAEWOULDBLOCK
        assert failed(code, sock.Receive(bytearray(1)))
        assert failed(WSAError.WSAEWOULDBLOCK, sock.Receive(bytearray(1)))
        assert failed(WSAError.WSAEWOULDBLOCK, other.Receive(bytearray(1)))


@pytest.mark.parametrize("call", [lambda sock: sock.Send(b"2"), lambda sock: sock.Receive(bytearray(1))])
def test_a_refusal_that_a_call_meets_is_a_reset_too(network: MemoryNetwork, call: Callable[[Recorder], Any]) -> None:
    sock = mailbox()
    must(sock.Connect(HERE, 7))
    network.settle()
    assert sock.Send(b"1") == 1
    # It arrives, and the answer does; of that nobody was told yet.
    assert network.step() and network.step()
    assert failed(WSAError.WSAECONNRESET, call(sock))
    assert sock.Send(b"3") == 1


def test_a_full_buffer_loses_what_comes_until_there_is_room(network: MemoryNetwork) -> None:
    client, server = mailbox(), mailbox()
    must(server.SetSockOpt(SO_RCVBUF, 10))
    send(client, server, bytes(20), b"lost")
    network.settle()
    assert mail(server) == [bytes(20)], "the first one has room"
    send(client, server, *[b"abcd"] * 3, b"ab", b"c")
    network.settle()
    assert mail(server) == [b"abcd", b"abcd", b"ab"]
    send(client, server, *[b""] * 11)
    network.settle()
    assert mail(server) == [b""] * 10


@pytest.mark.parametrize(("family", "host", "most"), [(AF_INET, HERE, 65507), (AF_INET6, "::1", 65527)])
def test_a_datagram_is_as_long_as_a_packet_has_room_for(
    network: MemoryNetwork, family: int, host: str, most: int
) -> None:
    client, server = Recorder(), Recorder()
    for sock in (client, server):
        must(sock.CreateEx((family, SOCK_DGRAM, 0, "", (host, 0))))
    assert failed(WSAError.WSAEMSGSIZE, client.SendTo(bytes(most + 1), None, must(server.GetSockNameEx())[1], host))
    send(client, server, bytes(most))
    network.settle()
    assert [len(data) for data in mail(server)] == [most]


def test_datagrams_are_lost_and_doubled_as_is_said(network: MemoryNetwork) -> None:
    client, server = mailbox(), mailbox()
    network.outgoing(client).script(Faults(copies=[1, 0, 2]))
    send(client, server, *(b"%d" % number for number in range(5)))
    network.settle()
    assert mail(server) == [b"0", b"2", b"2", b"3", b"4"]
    network.outgoing(client).script(Faults(copies=0))
    send(client, server, b"5", b"6")
    network.settle()
    assert mail(server) == []
    send(server, client, b"the way back is another")
    network.settle()
    assert mail(client) == [b"the way back is another"]


def test_a_datagram_that_is_late_comes_behind_the_others(network: MemoryNetwork) -> None:
    client, server = mailbox(), mailbox()
    network.outgoing(client).script(Faults(delays=[0.5, 0.25], delay=1.0))
    send(client, server, b"0", b"1", b"2", b"3")
    network.advance(0.9)
    assert mail(server) == []
    network.advance(0.1)
    assert mail(server) == [b"2", b"3"]
    network.advance(0.25)
    assert mail(server) == [b"1"]
    network.advance(0.25)
    assert mail(server) == [b"0"]


def test_a_blocked_way_takes_nothing_until_its_time_is_over(network: MemoryNetwork) -> None:
    client, server = mailbox(), mailbox()
    network.settle()
    client.told.clear()
    network.outgoing(client).script(Faults(blocked=2.0))
    assert failed(WSAError.WSAEWOULDBLOCK, client.SendTo(b"x", None, must(server.GetSockName())))
    network.advance(1.9)
    assert client.told == []
    network.advance(0.1)
    assert client.told == told("OnSend")
    send(client, server, b"x")


def test_what_is_held_arrives_when_it_is_released(network: MemoryNetwork) -> None:
    client, server = mailbox(), mailbox()
    way = network.outgoing(client)
    way.script(Faults(delay=1.0, delays=[9.0]))
    send(client, server, b"late")
    way.hold()
    send(client, server, b"held")
    network.advance(5.0)
    assert mail(server) == [] and (way.flying, way.carried) == (8, 8)
    way.release()
    network.settle()
    # The other one still takes its time.
    assert mail(server) == [b"held"] and way.flying == 4
    network.advance(5.0)
    assert mail(server) == [b"late"] and way.flying == 0


@pytest.mark.parametrize("member", ["Create", "Bind", "Connect", "Send", "Receive"])
def test_a_call_fails_as_is_said(network: MemoryNetwork, member: str) -> None:
    sock = mailbox()
    must(sock.Connect(*must(sock.GetSockName())))
    assert sock.Send(b"x") == 1
    network.settle()
    calls: dict[str, Callable[[], Any]] = {
        "Create": lambda: Recorder().Create(0, SOCK_DGRAM),
        "Bind": lambda: Recorder().Create(0, SOCK_DGRAM),
        "Connect": lambda: sock.Connect(HERE, 7),
        "Send": lambda: sock.Send(b"y"),
        "Receive": lambda: sock.Receive(bytearray(1)),
    }
    network.fail(member, WSAError.WSAENOBUFS)
    assert failed(WSAError.WSAENOBUFS, calls[member]())
    if member not in ("Create", "Bind"):
        network.fail(member, WSAError.WSAENOBUFS, sock)
        assert failed(WSAError.WSAENOBUFS, calls[member]())
        assert calls[member]()
    # Nothing was received by a call that failed.
    assert sock.IOCtl(FIONREAD) == (0 if member == "Receive" else 1)


def test_what_is_said_of_streams_is_not_said_of_datagrams(network: MemoryNetwork) -> None:
    sock = mailbox()
    for name in ("shortSends", "pieces", "resetAfter", "abortAfter", "endAfter"):
        with pytest.raises(ValueError, match=f"{name} is said of a stream, and this is datagrams"):
            network.outgoing(sock).script(Faults(**{name: 1}))  # type: ignore[arg-type]  # each of them takes an int
    with pytest.raises(TypeError, match="faults must be Faults"):
        network.outgoing(sock).script(1)  # type: ignore[arg-type]
    for call in (network.incoming, network.reset):
        with pytest.raises(ValueError, match="has no connection; what goes wrong with datagrams is said of who sends"):
            call(sock)


def test_there_is_nothing_to_duplicate(network: MemoryNetwork) -> None:
    sock = mailbox()
    assert failed(WSAError.WSAEOPNOTSUPP, Recorder().Assign(sock))
