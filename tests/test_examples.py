"""The programs in examples/, each run as a child process and spoken to by real clients."""

from __future__ import annotations

import importlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from _examples import ENVIRONMENT, EXAMPLES, LIMIT, Server, example, run, toEnd, tool

import twisted_casync

SERVERS: list[tuple[str, ...]] = [
    ("echo_server.py", "0"),
    ("awaited_echo.py", "serve", "0"),
    ("http_responder.py", "0"),
    ("udp_time.py", "serve", "0"),
    ("urgent_receiver.py", "0"),
    ("chatsrvr.py", "0"),
]


def test_every_example_is_run_here() -> None:
    others = {"echo_client.py", "urgent_sender.py", "chatter.py"}
    examples = {path.name: path.read_text() for path in EXAMPLES.glob("*.py")}
    assert set(examples) == {server[0] for server in SERVERS} | others
    for name, text in examples.items():
        assert f"\n    python examples/{name} " in text.split('"""')[1], "its docstring gives the command"


@pytest.mark.programs
@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_example_explains_itself(name: str) -> None:
    result = example(name, "--help")
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"python examples/%s " % name.encode() in result.stdout


@pytest.mark.programs
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", SERVERS, ids=lambda command: command[0])
def test_server_stops_on_a_signal(command: tuple[str, ...], number: int) -> None:
    with Server(*command) as server:
        assert server.address[0] == "127.0.0.1"
        assert server.stop(number) == (0, "")


CLIENTS = [("echo_client.py",), ("awaited_echo.py", "ask"), ("urgent_sender.py",), ("chatter.py",)]


@pytest.mark.programs
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", CLIENTS, ids=lambda command: command[0])
def test_client_stops_on_a_signal(command: tuple[str, ...], number: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(LIMIT)
        arguments = [*command[1:], "127.0.0.1", str(listener.getsockname()[1]), "hi"]
        client = subprocess.Popen(
            [sys.executable, str(EXAMPLES / command[0]), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        with client:
            assert client.stdin is not None
            if command[0] == "chatter.py":
                client.stdin.write(b"hello\n")
                client.stdin.flush()
            peer = listener.accept()[0]
            with peer:
                # It speaks in its reactor, which has taken the signals over by then.
                assert peer.recv(1)
                client.send_signal(number)
                _, errors = client.communicate(timeout=LIMIT)
    assert b"Traceback" not in errors


@pytest.mark.programs
@pytest.mark.parametrize("command", SERVERS, ids=lambda command: command[0])
def test_server_says_why_it_cannot_listen(command: tuple[str, ...]) -> None:
    with Server(*command) as server:
        second = example(*(server.port if word == "0" else word for word in command))
        assert second.returncode == 1
        assert second.stdout == b""
        assert b"cannot listen on 127.0.0.1:%s: " % server.port.encode() in second.stderr
        assert b"Traceback" not in second.stderr


@pytest.mark.programs
@pytest.mark.parametrize("name", ["echo_client.py", "urgent_sender.py", "chatter.py"])
def test_client_says_that_it_was_refused(name: str) -> None:
    with socket.socket() as unlistened:
        unlistened.bind(("127.0.0.1", 0))
        refused = example(name, "127.0.0.1", unlistened.getsockname()[1], "text")
    assert refused.returncode == 1
    assert refused.stdout == b""
    assert twisted_casync.WSAECONNREFUSED.message.encode() in refused.stderr
    assert b"Traceback" not in refused.stderr


# Echo


@pytest.fixture(params=[("echo_server.py", "0"), ("awaited_echo.py", "serve", "0")], ids=["handlers", "awaited"])
def echoServer(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(*request.param) as server:
        yield server
        server.stopWell()


@pytest.mark.programs
def test_echo_between_the_two_examples(echoServer: Server) -> None:
    result = example("echo_client.py", *echoServer.address, "good morning")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"good morning", b"")


@pytest.mark.programs
def test_echo_is_asked_for_with_await(echoServer: Server) -> None:
    result = example("awaited_echo.py", "ask", *echoServer.address, "good", "morning")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"good\nmorning\n", b"")


@pytest.mark.programs
def test_who_awaits_an_echo_hears_that_there_is_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=lambda: listener.accept()[0].close())
        thread.start()
        result = example("awaited_echo.py", "ask", "127.0.0.1", port, "four")
        thread.join(LIMIT)
    assert (result.returncode, result.stdout) == (1, b"")
    assert b"127.0.0.1" in result.stderr and b"Traceback" not in result.stderr
    refused = example("awaited_echo.py", "ask", "127.0.0.1", port, "four")
    assert refused.returncode == 1
    assert refused.stderr == b"127.0.0.1:%d: [WSAECONNREFUSED 10061] %s\n" % (
        port,
        twisted_casync.WSAECONNREFUSED.message.encode(),
    )


@pytest.mark.programs
def test_echo_client_sends_its_standard_input_to_a_name(echoServer: Server) -> None:
    data = os.urandom(3_000_000)
    result = example("echo_client.py", "localhost", echoServer.port, stdin=data)
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout == data


@pytest.mark.programs
def test_echo_client_reports_a_short_echo() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def answerHalf() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(toEnd(peer)[:2])

        thread = threading.Thread(target=answerHalf)
        thread.start()
        result = example("echo_client.py", "127.0.0.1", port, "four")
        thread.join(LIMIT)
    assert (result.returncode, result.stdout) == (1, b"fo")


@pytest.mark.programs
@pytest.mark.parametrize("name", ["nc", "socat"])
def test_echo_to_a_real_client_that_half_closes(echoServer: Server, name: str) -> None:
    options = {
        "nc": ["-N", "127.0.0.1", echoServer.port],
        "socat": ["-t30", "-", f"TCP4:127.0.0.1:{echoServer.port}"],
    }
    data = b"".join(b"line %d\n" % n for n in range(20_000))
    result = run(tool(name), *options[name], stdin=data)
    assert (result.returncode, result.stdout) == (0, data)


@pytest.mark.programs
def test_echo_keeps_clients_apart(echoServer: Server) -> None:
    clients = [echoServer.connect() for _ in range(5)]  # as many as may wait to be accepted
    for n, client in enumerate(clients):
        client.sendall(b"%d" % n)
    for n, client in reversed(list(enumerate(clients))):
        client.shutdown(socket.SHUT_WR)
        assert toEnd(client) == b"%d" % n
        client.close()


@pytest.mark.programs
def test_echo_holds_back_a_client_that_does_not_read(echoServer: Server) -> None:
    with echoServer.connect() as client:
        client.settimeout(1.0)
        sent = 0
        # What the two kernels buffer goes in, some megabytes, and then nothing more: the server stopped to
        # receive.
        with pytest.raises(TimeoutError):
            while sent < 256_000_000:
                sent += client.send(bytes(65536))
        client.settimeout(LIMIT)
        client.shutdown(socket.SHUT_WR)
        assert len(toEnd(client)) == sent


def test_echo_to_a_client_that_closed_its_half_before_it_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """OnClose comes while the end of the echo waits for room: it is sent before the socket closes."""
    monkeypatch.syspath_prepend(EXAMPLES)
    module = importlib.import_module("echo_server")
    events: list[object] = []
    room = 0

    class Socket(module.CEchoSocket):  # type: ignore[misc,name-defined]  # known by its path only
        def Receive(self, lpBuf: bytearray, nBufLen: int) -> int:
            lpBuf[:4] = b"four"
            return 4

        def Send(self, lpBuf: memoryview, nBufLen: int) -> int:
            if not room:
                twisted_casync.SetLastError(twisted_casync.WSAEWOULDBLOCK)
                return twisted_casync.SOCKET_ERROR
            events.append(bytes(lpBuf[:room]))
            return room

        def Close(self) -> None:
            events.append("closed")

    socket_ = Socket()
    socket_.OnReceive(0)
    socket_.OnClose(0)
    assert events == []
    room = 2
    socket_.OnSend(0)
    assert events == [b"fo", b"ur", "closed"]


@pytest.mark.programs
def test_echo_survives_a_client_that_resets(echoServer: Server) -> None:
    client = echoServer.connect()
    client.sendall(bytes(100_000))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    assert example("echo_client.py", *echoServer.address, "still there").stdout == b"still there"


# Time


@pytest.fixture
def timeServer() -> Iterator[Server]:
    with Server("udp_time.py", "serve", "0") as server:
        yield server
        server.stopWell()


@pytest.mark.programs
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_time_between_the_two_modes(timeServer: Server, host: str) -> None:
    before = int(time.time())
    result = example("udp_time.py", "ask", host, timeServer.port)
    assert (result.returncode, result.stderr) == (0, b"")
    told = datetime.fromisoformat(result.stdout.decode().strip())
    assert told.utcoffset() == timedelta(0)
    assert before <= told.timestamp() <= time.time()


@pytest.mark.programs
def test_time_of_nobody() -> None:
    result = example("udp_time.py", "ask", "no-such-host.invalid", "7")
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr == b"cannot ask no-such-host.invalid: Host not found.\n"


@pytest.mark.programs
@pytest.mark.parametrize("request_", [b"", b"what time is it?"], ids=["empty", "text"])
def test_time_for_any_datagram(timeServer: Server, request_: bytes) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(LIMIT)
        before = int(time.time())
        for _ in range(3):
            client.sendto(request_, timeServer.address)
            reply, address = client.recvfrom(100)
            assert address == timeServer.address
            assert len(reply) == 4
            assert before <= int.from_bytes(reply, "big") - 2208988800 <= time.time()


@pytest.mark.programs
def test_time_for_many_at_once(timeServer: Server) -> None:
    clients = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(40)]
    for client in clients:
        client.settimeout(LIMIT)
        client.sendto(b"", timeServer.address)
    for client in clients:
        assert len(client.recv(100)) == 4
        client.close()


# Urgent data


@pytest.fixture
def receiver() -> Iterator[Server]:
    with Server("urgent_receiver.py", "0") as server:
        yield server
        server.stopWell()


def toClosed(server: Server) -> tuple[str, str]:
    """What a receiver said until a connection's end: all of the normal data, all of the urgent data."""
    told = {"normal": "", "urgent": ""}
    while (line := server.line()) != "closed":
        kind, _, text = line.partition(" ")
        told[kind] += text
    return told["normal"], told["urgent"]


@pytest.mark.programs
def test_urgent_between_the_two_examples(receiver: Server) -> None:
    for _ in range(3):
        result = example("urgent_sender.py", *receiver.address)
        assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
        assert toClosed(receiver) == ("onetwo", "!")


@pytest.mark.programs
def test_urgent_sender_with_texts(receiver: Server) -> None:
    assert example("urgent_sender.py", *receiver.address, "before ", "last!", "behind").returncode == 0
    assert toClosed(receiver) == ("before lastbehind", "!")


@pytest.mark.programs
def test_urgent_byte_alone_reaches_the_receiver(receiver: Server) -> None:
    """Each urgent byte is told when it comes, with no normal data behind it to wake the receiver."""
    with receiver.connect() as client:
        for byte in "abc":
            client.send(byte.encode(), socket.MSG_OOB)
            assert receiver.line() == f"urgent {byte}"
            client.sendall(b"between")
            assert receiver.line() == "normal between"
    assert receiver.line() == "closed"


@pytest.mark.programs
def test_urgent_byte_that_came_before_the_connection_was_accepted(receiver: Server) -> None:
    """The receiver finds everything at once: the byte in the middle of the stream, and the stream's end."""
    receiver.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, receiver.process.pid, os.WSTOPPED | os.WNOWAIT)
    with receiver.connect() as client:
        client.sendall(b"one")
        client.send(b"!", socket.MSG_OOB)
        client.sendall(b"two")
        client.shutdown(socket.SHUT_WR)
        receiver.process.send_signal(signal.SIGCONT)
        assert toClosed(receiver) == ("onetwo", "!")


@pytest.mark.programs
def test_urgent_sender_to_a_plain_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = subprocess.Popen(
            [sys.executable, str(EXAMPLES / "urgent_sender.py"), *map(str, listener.getsockname())],
            env=ENVIRONMENT,
        )
        listener.settimeout(LIMIT)
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(LIMIT)
            # Only now may the stream be read: reading past the mark would throw an urgent byte away that
            # nobody took.
            assert select.select([], [], [peer], LIMIT) == ([], [], [peer])
            assert peer.recv(1, socket.MSG_OOB) == b"!"
            assert toEnd(peer) == b"onetwo"
        assert process.wait(LIMIT) == 0
