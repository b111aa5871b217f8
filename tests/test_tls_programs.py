"""
TLS against programs that we did not write: openssl, curl; and twistd's services over it.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
import subprocess
from typing import Any

import pytest
from _reactors import LIMIT, Recorder, must, reactorOf, run
from _tls import LOCALHOST, addressOf, authority, client, dial, identity, lines, listeningTLS, server
from _twistd import client as program
from _twistd import twistd
from twisted.logger import capturedLogs

from twisted_casync import WSAError
from twisted_casync.bridges import transportOf
from twisted_casync.tls import connectTLS

pytestmark = pytest.mark.programs

SOME = "epoll-window"
WAYS = ["epoll-window", "asyncio-window", "casync-window"]


class Program:
    """
    A program at the other end of two pipes.
    """

    def __init__(self, *command: str) -> None:
        self.process = subprocess.Popen(
            [program(command[0]), *command[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self.process.stdout is not None and self.process.stdin is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        os.set_blocking(self.stdout.fileno(), False)
        self.output = b""

    def type(self, data: bytes) -> None:
        """
        What is written to its standard input.
        """
        self.stdin.write(data)
        self.stdin.flush()

    def says(self, words: bytes) -> bool:
        """
        @return: whether it has written that.
        """
        self.output += self.stdout.read() or b""
        return words in self.output

    def ended(self) -> bool:
        """
        @return: whether it has ended.
        """
        return self.process.poll() is not None

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()
        self.stdin.close()
        self.stdout.close()


def echoing(reactor: Any, options: Any = None) -> tuple[Recorder, list[Recorder]]:
    """
    @return: what listens for TLS, and whom it has accepted; each sends back what comes.
    """
    accepted: list[Recorder] = []

    def answer(sock: Recorder) -> None:
        before = len(sock.received)
        sock.readAll()
        must(sock.Send(sock.received[before:]))

    def accept(sock: Recorder) -> None:
        child = Recorder(reactor, OnReceive=answer)
        must(sock.Accept(child))
        accepted.append(child)

    return listeningTLS(reactor, options, OnAccept=accept), accepted


def steps(*conditions: Any) -> Any:
    """
    @return: a condition that holds when each of these has held, one after the other.
    """
    left = list(conditions)

    def hold() -> bool:
        while left and left[0]():
            left.pop(0)
        return not left

    return hold


def doing(work: Any) -> Any:
    """
    @return: a condition that holds at once, and does something.
    """

    def hold() -> bool:
        work()
        return True

    return hold


# -- openssl


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_s_client_is_echoed_and_leaves_in_good_order(way: str, version: str) -> None:
    with reactorOf(way) as reactor:
        door, accepted = echoing(reactor, server(protocols=(b"echo",)))
        with Program(
            *("openssl", "s_client", "-connect", f"{LOCALHOST}:{addressOf(door)[1]}", "-servername", "localhost"),
            *("-CAfile", str(authority().certificate), "-verify_hostname", "localhost", "-verify_return_error"),
            *("-alpn", "echo", version),
        ) as peer:
            run(
                reactor,
                steps(
                    lambda: peer.says(b"Verify return code: 0 (ok)"),
                    doing(lambda: peer.type(b"good day\n")),
                    lambda: peer.output.endswith(b"good day\n") or peer.says(b"\ngood day\n"),
                    doing(peer.stdin.close),
                    lambda: peer.ended() and accepted[0].names()[-1] == "OnClose",
                ),
            )
        assert b"ALPN protocol: echo" in peer.output
        assert accepted[0].received == b"good day\n"
        assert accepted[0].told[-1] == ("OnClose", 0)
        accepted[0].Close()
        door.Close()


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_s_server_is_verified_and_spoken_to(version: str) -> None:
    own = identity("localhost", "authority.example")
    with reactorOf(SOME) as reactor, socket.socket() as holder:
        holder.bind((LOCALHOST, 0))
        port = holder.getsockname()[1]
        holder.close()
        with Program(
            *("openssl", "s_server", "-accept", f"{LOCALHOST}:{port}", "-naccept", "1", version),
            *("-key", str(own.key), "-cert", str(own.certificate), "-alpn", "talk"),
        ) as peer:
            found: list[Any] = []
            near = Recorder(
                OnConnect=lambda sock: found.append(transportOf(sock).negotiatedProtocol),
                OnReceive=lambda sock: sock.readAll(),
            )
            run(
                reactor,
                steps(
                    lambda: peer.says(b"ACCEPT"),
                    doing(lambda: connectTLS(near, LOCALHOST, port, client(protocols=(b"talk",)))),
                    lambda: "OnConnect" in near.names(),
                    doing(lambda: must(near.Send(b"good day\n"))),
                    lambda: peer.says(b"good day\n"),
                    doing(lambda: peer.type(b"to you too\n")),
                    lambda: near.received == b"to you too\n",
                    # Q closes the TCP connection, and does not say that TLS ends.
                    doing(lambda: peer.type(b"Q\n")),
                    lambda: "OnClose" in near.names(),
                ),
            )
        assert found == [b"talk"]
        assert near.told[0] == ("OnConnect", 0) and near.told[-1] == ("OnClose", WSAError.WSAECONNABORTED)
        near.Close()


@pytest.mark.parametrize(("version", "command"), [("-tls1_2", b"r\n"), ("-tls1_3", b"K\n")])
def test_keys_are_renewed_under_way(version: str, command: bytes) -> None:
    """By a renegotiation that the server asks for (TLS 1.2), and by an update of the keys (TLS 1.3)."""
    own = identity("localhost", "authority.example")
    with reactorOf(SOME) as reactor, socket.socket() as holder:
        holder.bind((LOCALHOST, 0))
        port = holder.getsockname()[1]
        holder.close()
        with Program(
            *("openssl", "s_server", "-accept", f"{LOCALHOST}:{port}", "-naccept", "1", version, "-state"),
            *("-key", str(own.key), "-cert", str(own.certificate)),
        ) as peer:
            near = Recorder(OnReceive=lambda sock: sock.readAll())
            run(
                reactor,
                steps(
                    lambda: peer.says(b"ACCEPT"),
                    doing(lambda: connectTLS(near, LOCALHOST, port, client())),
                    lambda: "OnConnect" in near.names(),
                    doing(lambda: must(near.Send(b"before\n"))),
                    lambda: peer.says(b"before\n"),
                    doing(lambda: peer.type(command)),
                    lambda: peer.says(b"SSL_do_handshake -> 1") if command == b"r\n" else peer.says(b"update"),
                    doing(lambda: peer.type(b"in between\n")),
                    lambda: near.received == b"in between\n",
                    doing(lambda: must(near.Send(b"after\n"))),
                    lambda: peer.says(b"after\n") and "OnClose" not in near.names(),
                ),
            )
        near.Close()


# -- curl


@pytest.mark.parametrize("trusted", [True, False])
def test_curl_speaks_https_to_a_socket(trusted: bool) -> None:
    """As it does by default, it offers protocols by ALPN of which the server knows nothing."""

    def answer(sock: Recorder) -> None:
        sock.readAll()
        if sock.received.endswith(b"\r\n\r\n"):
            must(sock.Send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\ngood day\n"))
            must(sock.ShutDown())

    with capturedLogs() as logged, reactorOf(SOME) as reactor:
        far = Recorder(OnReceive=answer)
        door = listeningTLS(reactor, OnAccept=lambda sock: must(sock.Accept(far)))
        port = addressOf(door)[1]
        trust = ["--cacert", str(authority().certificate)] if trusted else []
        with Program(
            *("curl", "-sS", "--resolve", f"localhost:{port}:{LOCALHOST}", *trust, f"https://localhost:{port}/")
        ) as peer:
            run(reactor, lambda: peer.ended() and (trusted or lines(logged) != []))
            peer.says(b"")
        if trusted:
            assert peer.output == b"good day\n" and peer.process.returncode == 0
        else:
            assert peer.process.returncode == 60 and far.told == []
        far.Close()
        door.Close()
    if not trusted:
        assert lines(logged)[0].endswith(": tlsv1 alert unknown ca")


# -- twistd


def test_twistd_serves_over_tls() -> None:
    own = identity("localhost", "authority.example")
    where = f"ssl:0:privateKey={own.key}:certKey={own.certificate}:interface={LOCALHOST}"
    with twistd("echo", where) as child:
        address = child.listening("ssl")
        with dial(address) as peer:
            peer.sendall(b"good day")
            assert peer.recv(100) == b"good day"
            # It answers the end with its own.
            peer.unwrap().close()
        child.waitFor(r"closed: tcp 127.0.0.1:\d+ \(8 bytes in, 8 out\)")
        with socket.create_connection(address, LIMIT) as plain:
            plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while plain.recv(100):
                pass
        child.waitFor(r"no TLS with 127.0.0.1:\d+: http request")
        child.process.terminate()
        child.wait()
        assert not any("Traceback" in line for line in child.lines)


def test_openssl_s_client_is_served_by_twistd() -> None:
    own = identity("localhost", "authority.example")
    with twistd("echo", f"ssl:0:privateKey={own.both}:interface={LOCALHOST}") as child:
        host, port = child.listening("ssl")
        command = [program("openssl"), "s_client", "-quiet", "-no_ign_eof", "-connect", f"{host}:{port}"]
        with subprocess.Popen(
            [*command, "-CAfile", str(authority().certificate), "-verify_return_error"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as peer:
            assert peer.stdin is not None and peer.stdout is not None
            peer.stdin.write(b"good day\n")
            peer.stdin.flush()
            assert peer.stdout.readline() == b"good day\n"
            peer.stdin.close()
        child.waitFor(r"closed: tcp 127.0.0.1:\d+ \(9 bytes in, 9 out\)$")


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("ssl:8443", "expected ssl:PORT:privateKey=FILE at least"),
        ("ssl:8443:privateKey=/nowhere/key.pem", "No such file or directory: '/nowhere/key.pem'"),
        ("ssl:8443:privateKey=/etc/hostname", "/etc/hostname: expected a certificate in PEM format"),
        ("ssl:8443:privateKey={both}:sslmethod=TLS_9", "sslmethod 'TLS_9': expected one of"),
        ("ssl:8443:privateKey={both}:certKey={other}", "key values mismatch"),
        ("ssl:8443:privateKey={both}:dhParameters={other}", "expected parameters for Diffie-Hellman"),
        ("ssl:8443:privateKey={both}:key=x", "ssl has no 'key'"),
    ],
)
def test_what_is_wrong_with_a_place_is_said_before_it_is_opened(where: str, words: str) -> None:
    own, other = identity("localhost"), identity("other.example")
    with twistd("echo", where.format(both=own.both, other=other.certificate)) as child:
        child.waitFor(words.replace("(", r"\("))
        assert child.wait() != 0
        assert not any("Traceback" in line for line in child.lines)


@pytest.mark.parametrize(
    ("service", "asked", "answer"),
    [
        (["daytime"], b"", rb"\w+ .*\d\d:\d\d:\d\d"),
        (["time"], b"", rb"(?s)....$"),
        (["chargen"], b"", rb" !\"#\$%&'"),
        (["forward", "to"], b"good day", rb"good day"),
    ],
)
def test_other_services_are_as_over_tcp(service: list[str], asked: bytes, answer: bytes) -> None:
    own = identity("localhost", "authority.example")
    where = f"ssl:0:privateKey={own.both}:interface={LOCALHOST}"
    with twistd("echo", f"tcp:0:interface={LOCALHOST}") as behind:
        host, port = behind.listening("tcp")
        extra = ["--to", f"{host}:{port}"] if service[1:] else []
        with twistd(service[0], *extra, where) as child, dial(child.listening("ssl")) as peer:
            peer.sendall(asked)
            got = b""
            while not re.search(answer, got):
                chunk = peer.recv(4096)
                assert chunk, got
                got += chunk


def test_limits_count_what_is_accepted_over_tls() -> None:
    own = identity("localhost", "authority.example")
    where = f"ssl:0:privateKey={own.both}:interface={LOCALHOST}"
    with twistd("echo", "--max-connections=1", where) as child:
        address = child.listening("ssl")
        with dial(address) as first:
            first.sendall(b"x")
            assert first.recv(1) == b"x"
            # Closed, or cut off.
            with dial(address) as second, contextlib.suppress(ssl.SSLError, ConnectionResetError):
                assert second.recv(1) == b""
            first.sendall(b"y")
            assert first.recv(1) == b"y"
