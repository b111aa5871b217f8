"""
Sockets over a network in memory: nothing happens before its time, and whole programs run as over TCP.
"""

from __future__ import annotations

from typing import Any

import pytest
from _reactors import Recorder, must
from _streams import fill, told
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorPluggableNameResolver, IReactorTime
from zope.interface.verify import verifyObject

from twisted_casync import (
    AF_INET6,
    AF_UNIX,
    FD_READ,
    SO_LINGER,
    SO_SNDBUF,
    SOCK_STREAM,
    CAsyncSocket,
    CSocket,
    GetLastError,
    WSAError,
)
from twisted_casync._threads import openSockets
from twisted_casync.testing import MemoryNetwork, Recording, RecordingSocket


@pytest.fixture
def network() -> Any:
    with MemoryNetwork().installed() as network:
        yield network
    assert list(openSockets()) == []


class EchoSocket(CAsyncSocket):
    def OnReceive(self, nErrorCode: int) -> None:
        buff = bytearray(4096)
        nRead = self.Receive(buff)
        if nRead > 0:
            self.Send(buff, nRead)

    def OnClose(self, nErrorCode: int) -> None:
        self.Close()


class EchoListener(CAsyncSocket):
    def OnAccept(self, nErrorCode: int) -> None:
        self.Accept(EchoSocket())


def serving(port: int = 7) -> EchoListener:
    listener = EchoListener()
    must(listener.Create(port))
    must(listener.Listen())
    return listener


def asking(port: int = 7, host: str = "127.0.0.1") -> Recorder:
    client = Recorder()
    must(client.Create())
    assert client.Connect(host, port) is False
    assert GetLastError() == WSAError.WSAEWOULDBLOCK
    return client


def paired(network: MemoryNetwork) -> tuple[Recorder, Recorder]:
    client, server = Recorder(), Recorder()
    network.pair(client, server)
    network.settle()
    assert client.told == server.told == told("OnSend")
    for sock in (client, server):
        sock.told.clear()
    return client, server


# -- it is a reactor


def test_it_is_a_clock_and_resolves_names() -> None:
    network = MemoryNetwork()
    verifyObject(IReactorTime, network)
    verifyObject(IReactorPluggableNameResolver, network)


def test_a_program_that_knows_nothing_of_it_runs_over_it(network: MemoryNetwork) -> None:
    serving()
    client = asking()
    network.settle()
    assert client.told == told("OnConnect", "OnSend")
    must(client.Send(b"hello"))
    network.settle()
    assert client.readAll() == -1 and client.received == b"hello"
    assert client.GetPeerName() == ("127.0.0.1", 7)


def test_a_socket_that_was_given_it_needs_no_more() -> None:
    network = MemoryNetwork()
    listener = CSocket(network)
    assert listener.Create(7) and listener.Listen()
    with listener:
        assert listener.m_hSocket > 0x3FFFFFFF, "which is no descriptor"
        assert network.openSockets() == [listener]
    assert network.openSockets() == []
    assert repr(network) == "<MemoryNetwork at 0 s, 0 sockets>"


def test_sockets_that_are_left_open_are_closed_with_it() -> None:
    with MemoryNetwork().installed() as network:
        listener = serving()
        client = asking()
        network.settle()
        assert len(network.openSockets()) == 3
    assert (listener.m_hSocket, client.m_hSocket) == (-1, -1)
    assert client.told == told("OnConnect", "OnSend")
    assert list(openSockets()) == []


def test_the_thread_has_its_reactor_back_afterwards(idle: Any) -> None:
    sock = Recorder()
    with MemoryNetwork().installed():
        must(sock.Create())
        assert sock.m_hSocket > 0x3FFFFFFF
    must(sock.Create())
    assert sock.m_hSocket < 0x3FFFFFFF
    sock.Close()


@pytest.mark.parametrize("host", ["server.example", "localhost"])
def test_names_are_looked_up_in_its_table(host: str) -> None:
    with MemoryNetwork(hosts={"server.example": ["10.0.0.1"]}).installed() as network:
        serving()
        client = asking(host=host)
        network.settle()
        assert client.told == told("OnConnect", "OnSend")
        stranger = asking(host="nobody.example")
        network.settle()
        assert stranger.told == told("OnConnect", code=WSAError.WSAHOST_NOT_FOUND)


def test_every_address_of_a_name_is_tried() -> None:
    with MemoryNetwork(hosts={"twice.example": ["10.0.0.1", "10.0.0.2"]}).installed() as network:
        listener = EchoListener()
        assert listener.Create(7, lpszSocketAddress="10.0.0.2") and listener.Listen()
        client = asking(host="twice.example")
        network.settle()
        assert client.told == told("OnConnect", "OnSend")
        assert client.GetPeerName() == ("10.0.0.2", 7)


def test_IPv6_and_IPv4_are_networks_of_their_own(network: MemoryNetwork) -> None:
    listener = EchoListener()
    assert listener.CreateEx((AF_INET6, SOCK_STREAM, 0, "", ("::", 7))) and listener.Listen()
    client, stranger = Recorder(), asking()
    must(client.Socket(nAddressFormat=AF_INET6))
    client.Connect("::1", 7)
    network.settle()
    assert client.told == told("OnConnect", "OnSend")
    assert client.GetPeerNameEx() == ("::1", 7)
    assert stranger.told == told("OnConnect", code=WSAError.WSAECONNREFUSED)


def test_an_address_of_IPv6_is_one_of_the_socket_module(network: MemoryNetwork) -> None:
    for host, scope in (("::1", 0), ("fe80::1%3", 3)):
        listener, client, child = Recorder(), Recorder(), Recorder()
        for one in (listener, client):
            must(one.Socket(nAddressFormat=AF_INET6))
        must(listener.Bind(0, host) and listener.Listen())
        client.Connect(*must(listener.GetSockNameEx()))
        network.settle()
        source = listener.Accept(child, True)
        assert source == (host.partition("%")[0], must(client.GetSockNameEx())[1], 0, scope)
        assert child.GetPeerNameEx() == client.GetSockNameEx()
        for one in (listener, client, child):
            one.Close()


def test_what_it_has_not_it_refuses(network: MemoryNetwork) -> None:
    sock = Recorder()
    assert sock.Socket(nAddressFormat=AF_UNIX) is False and GetLastError() == WSAError.WSAEAFNOSUPPORT
    assert sock.Attach(0) is False and GetLastError() == WSAError.WSAENOTSOCK


def test_ports_are_taken_and_given_back(network: MemoryNetwork) -> None:
    listener = serving()
    other = Recorder()
    assert other.Create(7) is False and GetLastError() == WSAError.WSAEADDRINUSE
    listener.Close()
    must(other.Create(7))
    free = Recorder()
    must(free.Create())
    assert free.GetSockName() == ("0.0.0.0", 49152)


def test_nobody_listens_any_more_when_the_listener_was_closed(network: MemoryNetwork) -> None:
    serving().Close()
    client = asking()
    network.settle()
    assert client.told == told("OnConnect", code=WSAError.WSAECONNREFUSED)
    # And the same object connects when somebody does.
    serving()
    client.Connect("127.0.0.1", 7)
    network.settle()
    assert client.names() == ["OnConnect", "OnConnect", "OnSend"]


def test_those_that_were_not_accepted_are_reset_with_their_listener(network: MemoryNetwork) -> None:
    listener = Recorder()
    assert listener.Create(7) and listener.Listen()
    client = asking()
    network.settle()
    assert listener.told == told("OnAccept")
    listener.Close()
    network.settle()
    assert client.told == [*told("OnConnect", "OnSend"), ("OnClose", WSAError.WSAECONNRESET)]


def test_whom_a_listener_has_no_room_for_tries_again(network: MemoryNetwork) -> None:
    listener = Recorder()
    assert listener.Create(7) and listener.Listen(1)
    first, second = asking(), asking()
    network.settle()
    assert (first.names(), second.names()) == (["OnConnect", "OnSend"], [])
    must(listener.Accept(Recorder()))
    network.settle()
    assert second.told == []
    network.advance(1)
    assert second.names() == ["OnConnect", "OnSend"]


def test_who_is_never_let_in_gives_up(network: MemoryNetwork) -> None:
    listener = Recorder()
    assert listener.Create(7) and listener.Listen(1)
    asking()
    second = asking()
    network.advance(126.5)
    assert second.told == []
    network.advance(1)
    assert second.told == told("OnConnect", code=WSAError.WSAETIMEDOUT)


@pytest.mark.parametrize("steps", range(5))
def test_who_closes_while_it_connects_leaves_nothing_open(network: MemoryNetwork, steps: int) -> None:
    listener = serving()
    client = asking()
    for _ in range(steps):
        network.step()
    client.Close()
    network.settle()
    assert network.openSockets() == [listener]


# -- steps and time


def test_nothing_happens_until_it_is_let(network: MemoryNetwork) -> None:
    client, server = paired(network)
    must(client.Send(b"x"))
    assert server.IOCtl(0x4004667F) == 0
    assert network.step() is True
    assert server.IOCtl(0x4004667F) == 1 and server.told == []
    assert network.step() is True
    assert server.told == told("OnReceive")
    assert network.settle() >= 0
    assert network.step() is False


def test_one_socket_is_told_in_a_step(network: MemoryNetwork) -> None:
    socks = [sock for _ in range(3) for sock in paired(network)]
    for client in socks[::2]:
        must(client.Send(b"x"))
    counts = []
    while network.step():
        counts.append(sum(len(sock.told) for sock in socks))
    assert counts[-1] == 3
    assert all(later - earlier <= 1 for earlier, later in zip(counts, counts[1:], strict=False))


def test_the_same_program_does_the_same_each_time() -> None:
    def play() -> str:
        recording = Recording()
        with MemoryNetwork(buffer=50).installed() as network:

            class Peer(RecordingSocket):
                def OnReceive(self, nErrorCode: int) -> None:
                    super().OnReceive(nErrorCode)
                    buffer = bytearray(30)
                    count = self.Receive(buffer)
                    self.Send(buffer, count)

            pairs = [(recording.watch(Peer(), f"a{i}"), recording.watch(Peer(), f"b{i}")) for i in range(3)]
            for pair in pairs:
                network.pair(*pair)
                pair[0].Send(bytes(100))
            for _ in range(200):
                network.step()
        return str(recording)

    assert play() == play()
    assert play().count("OnReceive") > 30


def test_time_passes_as_it_would(network: MemoryNetwork) -> None:
    """Each timer sees its own time, not that at which the test wants to arrive."""
    seen: list[float] = []

    def tick() -> None:
        seen.append(network.seconds())
        network.callLater(1, tick)

    network.callLater(1, tick)
    network.advance(3.5)
    assert seen == [1, 2, 3]
    assert network.seconds() == 3.5


def test_a_network_takes_the_time_that_it_is_given() -> None:
    with MemoryNetwork(delay=0.25).installed() as network:
        serving()
        client = asking()
        network.advance(0.25)
        assert client.told == []
        network.advance(0.25)
        assert client.told == told("OnConnect", "OnSend")
        must(client.Send(b"hello"))
        network.advance(0.49)
        assert client.told == told("OnConnect", "OnSend")
        network.advance(0.01)
        assert client.names()[-1] == "OnReceive"


def test_what_never_comes_to_rest_says_so(network: MemoryNetwork) -> None:
    client, server = paired(network)
    # A handler that looks at what it does not take is told of it again, for ever.
    server.handlers["OnReceive"] = lambda sock: sock.Receive(bytearray(1), 1, 2)
    must(client.Send(b"x"))
    with pytest.raises(RuntimeError, match=r"does not come to rest in 500 steps: .*Recorder connected"):
        network.settle(500)


# -- awaiting


def test_a_coroutine_runs_to_its_end_however_long_that_takes(network: MemoryNetwork) -> None:
    async def program() -> bytes:
        door = CSocket()
        must(door.Create(7))
        must(door.Listen())
        near = CSocket()
        must(near.Create())
        connecting = near.Connect("localhost", 7)
        far = await door.Accept()
        await connecting
        network.callLater(60, far.Send, b"late\n")
        line: bytes = await near.receiveUntil(b"\n")
        for sock in (door, near, far):
            sock.Close()
        return line

    assert network.run(program()) == b"late\n"
    assert network.seconds() == 60


def test_a_wait_in_vain_is_an_error_and_no_hang(network: MemoryNetwork) -> None:
    near, far = CSocket(), CSocket()
    network.pair(near, far)
    with pytest.raises(RuntimeError, match="nothing is due"):
        network.run(near.Receive(1))
    with pytest.raises(RuntimeError, match="nothing is due"):
        waiting: Deferred[None] = Deferred()
        network.callLater(61, waiting.callback, None)
        network.run(waiting, seconds=60)


def test_what_a_wait_fails_with_is_raised(network: MemoryNetwork) -> None:
    client = CSocket()
    must(client.Create())
    with pytest.raises(ConnectionRefusedError):
        network.run(client.Connect("127.0.0.1", 9))


# -- streams, beyond the contract


def test_the_buffer_is_as_large_as_it_is_said_to_be() -> None:
    with MemoryNetwork(buffer=10).installed() as network:
        client, server = paired(network)
        assert client.Send(bytes(100)) == 10
        network.settle()
        # What is unread takes room as well as what is on its way.
        assert client.Send(b"x") == -1 and GetLastError() == WSAError.WSAEWOULDBLOCK
        assert server.Receive(bytearray(4)) == 4
        network.settle()
        assert client.told == told("OnSend")
        assert client.Send(bytes(100)) == 4
        must(client.SetSockOpt(SO_SNDBUF, 30))
        assert client.Send(bytes(100)) == 20


def test_closing_with_unread_data_resets_and_closing_without_does_not(network: MemoryNetwork) -> None:
    for unread, code in ((b"", 0), (b"x", WSAError.WSAECONNRESET)):
        client, server = paired(network)
        must(client.Send(b"x" + unread))
        network.settle()
        assert server.Receive(bytearray(1)) == 1
        server.Close()
        network.settle()
        assert client.told == told("OnClose", code=code)


def test_data_that_nobody_will_receive_is_answered_with_a_reset(network: MemoryNetwork) -> None:
    client, server = paired(network)
    server.Close()
    network.settle()
    assert client.told == told("OnClose")
    must(client.Send(b"too late"))
    network.settle()
    assert client.Send(b"x") == -1
    assert GetLastError() == WSAError.WSAECONNRESET


def test_what_was_sent_before_a_close_still_arrives(network: MemoryNetwork) -> None:
    client, server = paired(network)
    sent = fill(client)
    client.Close()
    network.settle()
    assert server.readAll() == 0
    assert len(server.received) == sent
    network.settle()
    assert server.told == told("OnReceive", "OnClose")


def test_an_abort_is_told_behind_what_was_received(network: MemoryNetwork) -> None:
    client, server = paired(network)
    must(client.SetSockOpt(SO_LINGER, (1, 0)))
    client.Close()
    network.settle()
    assert server.told == told("OnClose", code=WSAError.WSAECONNRESET)


def test_a_mask_is_kept_by_the_accepted(network: MemoryNetwork) -> None:
    listener, child = Recorder(), Recorder()
    must(listener.Create(7, SOCK_STREAM, FD_READ))
    must(listener.Listen())
    client = asking()
    network.settle()
    must(listener.Accept(child))
    must(client.Send(b"x"))
    network.settle()
    assert child.told == told("OnReceive")
    assert child.GetPeerName() == client.GetSockName()


def test_pair_says_what_it_can_not_connect(network: MemoryNetwork) -> None:
    client, _ = paired(network)
    with pytest.raises(OSError, match="can't be attached: WSAEINVAL"):
        network.pair(client, Recorder())
    assert client.Send(b"x") == 1


@pytest.mark.parametrize("bad", [{"buffer": 0}, {"delay": -1.0}, {"delay": float("inf")}])
def test_a_network_that_can_not_be_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        MemoryNetwork(**bad)


# -- handlers that fail


def test_what_handlers_raise_is_kept_for_the_test(network: MemoryNetwork) -> None:
    client, server = paired(network)

    def fail(sock: Recorder) -> None:
        raise LookupError("a mistake")

    server.handlers["OnReceive"] = fail
    must(client.Send(b"x"))
    network.settle()
    assert server.m_hSocket == -1
    assert [str(failure.value) for failure in network.flushFailures()] == ["a mistake"]
    assert network.flushFailures() == []
    assert client.told == told("OnClose", code=WSAError.WSAECONNRESET)
