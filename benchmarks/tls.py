"""Echo over TLS, side by side with Twisted's own, and what an idle connection over TLS keeps.

    python benchmarks/tls.py [SECONDS]

Each server runs in a process of its own, and is asked in turn, three times each; the best is printed. The client is
one process with Python's own TLS: 16 connections, each of which has one message under way. What a server uses is its
own processor time for a message.
"""

from __future__ import annotations

import os
import selectors
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CONNECTIONS = 16
IDLE = 500
SIZES = (64, 16384)


# -- the servers


def _twisted(reactor: Any, options: Any) -> int:
    from twisted.internet.protocol import Protocol, ServerFactory

    class Echo(Protocol):
        def dataReceived(self, data: bytes) -> None:
            assert self.transport is not None
            self.transport.write(data)

    port: int = reactor.listenSSL(0, ServerFactory.forProtocol(Echo), options, 500, "127.0.0.1").getHost().port
    return port


def _bridged(reactor: Any, options: Any) -> int:
    from twisted_casync.bridges import overCAsyncSockets

    return _twisted(overCAsyncSockets(reactor), options)


def _casync(reactor: Any, options: Any) -> int:
    from twisted_casync import CAsyncSocket
    from twisted_casync.tls import listenTLS

    buffer = bytearray(65536)
    view = memoryview(buffer)

    class Echo(CAsyncSocket):
        def OnReceive(self, nErrorCode: int) -> None:
            nRead = self.Receive(buffer)
            if nRead > 0:
                self.Send(view[:nRead])

        def OnClose(self, nErrorCode: int) -> None:
            self.Close()

    class Door(CAsyncSocket):
        def OnAccept(self, nErrorCode: int) -> None:
            self.Accept(Echo())

    door = Door()
    listenTLS(door, 0, options, interface="127.0.0.1", backlog=500)
    name = door.GetSockName()
    assert name is not None
    kept.append(door)
    port: int = name[1]
    return port


kept: list[object] = []

SERVERS: dict[str, tuple[str, Callable[[Any, Any], int]]] = {
    "twisted": ("Twisted, its own TLS", _twisted),
    "bridged": ("Twisted, its TLS over CAsyncSockets", _bridged),
    "casync": ("CAsyncSocket over TLS", _casync),
}


def serve(name: str, pem: str) -> None:
    from twisted.internet import reactor

    from twisted_casync.tls import serverOptions

    print(SERVERS[name][1](reactor, serverOptions(pem)), flush=True)
    reactor.run()


# -- the client


def connect(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", port))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain)


def ask(port: int, context: ssl.SSLContext, size: int, seconds: float) -> int:
    """How many messages come back in that time."""
    message = bytes(size)
    selector = selectors.DefaultSelector()
    left = {}
    for _ in range(CONNECTIONS):
        fresh = connect(port, context)
        fresh.settimeout(0)
        selector.register(fresh, selectors.EVENT_READ)
        fresh.send(message)
        left[fresh] = size
    answers, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for key, _ in selector.select(1):
            peer: Any = key.fileobj
            try:
                while True:
                    left[peer] -= len(peer.recv(65536))
                    if not left[peer]:
                        answers += 1
                        left[peer] = size
                        peer.send(message)
            except ssl.SSLWantReadError:
                pass
    for each in left:
        each.close()
    return answers


def certificate() -> bytes:
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


class Server:
    """One in a process of its own."""

    def __init__(self, name: str, pem: str) -> None:
        self.process = subprocess.Popen([sys.executable, __file__, "--serve", name, pem], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def processor(self) -> float:
        """The seconds that it has computed."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self) -> int:
        """Its memory, in bytes."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()


def main(seconds: float) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with tempfile.NamedTemporaryFile() as pem:
        pem.write(certificate())
        pem.flush()
        servers = {name: Server(name, pem.name) for name in SERVERS}
        try:
            print(f"{'':36}{'message':>10}{'messages/s':>12}{'µs each':>9}")
            for size in SIZES:
                best: dict[str, tuple[float, float]] = {}
                for _ in range(3):
                    for name, server in servers.items():
                        before = server.processor()
                        count = ask(server.port, context, size, seconds)
                        used = (server.processor() - before) / count * 1e6
                        best[name] = max(best.get(name, (0.0, 0.0)), (count / seconds, used))
                for name, (rate, used) in best.items():
                    print(f"{SERVERS[name][0]:36}{size:>8} B{rate:>12.0f}{used:>9.1f}")
            print(f"\n{'':36}{'bytes for each of':>18} {IDLE} idle connections")
            for name, server in servers.items():
                before = server.resident()
                peers = [connect(server.port, context) for _ in range(IDLE)]
                for peer in peers:
                    peer.sendall(b"x")
                    peer.recv(1)
                print(f"{SERVERS[name][0]:36}{(server.resident() - before) / IDLE:>18.0f}")
                for peer in peers:
                    peer.close()
        finally:
            for server in servers.values():
                server.__exit__()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], sys.argv[3])
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 2.0)
