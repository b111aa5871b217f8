"""The services forward and chat beside others that do the same, in one run.

    python benchmarks/services.py [--rounds N] [--megabytes N] [--messages N] [--guests N] [--lines N] [--only NAME ...]

forward: so many megabytes through one connection, and so many messages of 64 bytes to and fro, one at a time over each
of 50 connections; beside Twisted's protocols.portforward, and socat where it is installed, with its usual buffer of
8 KiB and with one of 128 KiB as forward has. chat: lines said by one to so many guests, one at a time and 20 at a time;
beside a chat of Twisted's LineReceivers, which queues without a limit for who doesn't read.

Each server is a process of its own. In every round each is measured right after the other, in another order each time;
the tables show the medians. Processor time is the server's. Memory is the most that it has had, less what it had before
the first round.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import select
import shutil
import socket
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

HERE = Path(__file__).resolve().parent
LOCALHOST = "127.0.0.1"
TICKS = os.sysconf("SC_CLK_TCK")


# -- the servers: each prints its port, and serves for ever


def _run(listener: Any) -> None:
    from twisted.internet import reactor

    assert listener.Create(0, lpszSocketAddress=LOCALHOST) and listener.Listen(1000)
    print(listener.GetSockName()[1], flush=True)
    reactor.run()


def _listen(factory: Any) -> None:
    from twisted.internet import reactor

    anyReactor: Any = reactor
    port = anyReactor.listenTCP(0, factory, backlog=1000, interface=LOCALHOST)
    print(port.getHost().port, flush=True)
    anyReactor.run()


def forward(target: int) -> None:
    from twisted_casync.services._target import Target
    from twisted_casync.services.forward import ForwardListener

    _run(ForwardListener(Target.parse(f"{LOCALHOST}:{target}"), 10.0))


def portforward(target: int) -> None:
    from twisted.protocols.portforward import ProxyFactory

    _listen(ProxyFactory(LOCALHOST, target))


def chat(_: int) -> None:
    from twisted_casync.services.chat import ChatListener

    _run(ChatListener())


def receivers(_: int) -> None:
    from twisted.internet.protocol import Factory
    from twisted.protocols.basic import LineReceiver

    room: list[LineReceiver] = []

    class Guest(LineReceiver):
        nickname = b""
        delimiter = b"\n"

        def connectionMade(self) -> None:
            self.sendLine(b"* welcome; what is your nickname?")  # type: ignore[no-untyped-call]

        def lineReceived(self, line: bytes) -> None:
            if self.nickname:
                for guest in room:
                    if guest is not self:
                        guest.sendLine(self.nickname + b": " + line)
                return
            self.nickname = line
            room.append(self)
            for guest in room:
                guest.sendLine(b"* " + line + b" has joined")

        def connectionLost(self, reason: Any = None) -> None:
            if self in room:
                room.remove(self)

    _listen(Factory.forProtocol(Guest))


FORWARDS: dict[str, Callable[[int], None] | list[str]] = {
    "forward": forward,
    "Twisted's portforward": portforward,
    "socat": ["-b8192"],
    "socat -b131072": ["-b131072"],
}
CHATS: dict[str, Callable[[int], None] | list[str]] = {"chat": chat, "Twisted's LineReceiver": receivers}


class Server:
    """A server that runs, and what it uses."""

    def __init__(self, name: str, kind: Callable[[int], None] | list[str], target: int) -> None:
        if isinstance(kind, list):
            listen, connect = f"TCP4-LISTEN:0,bind={LOCALHOST},fork,backlog=100", f"TCP4:{LOCALHOST}:{target}"
            command = ["socat", "-d", "-d", *kind, listen, connect]
        else:
            command = [sys.executable, __file__, "--serve", name, "--target", str(target)]
        path = os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONPATH": path}
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        self.port = int(re.findall(r"\d+", line)[-1])
        # socat goes on to talk.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.before = self.memory()

    def used(self) -> float:
        """Seconds of processor time so far, with that of the children that have ended."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS

    def memory(self) -> int:
        """The most bytes it has had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) * 1024

    def connect(self) -> socket.socket:
        connection = socket.create_connection((LOCALHOST, self.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


# -- the loads


def bulk(server: Server, listener: socket.socket, megabytes: int) -> tuple[float, float]:
    """Returns megabytes a second, and seconds of the server's processor time a gigabyte."""
    block, total = os.urandom(1 << 20), megabytes << 20
    used, begin = server.used(), monotonic()
    with server.connect() as near:
        far, _ = listener.accept()

        def send() -> None:
            for _ in range(megabytes):
                near.sendall(block)
            near.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        room, count = bytearray(1 << 20), 0
        while nRead := far.recv_into(room):
            count += nRead
        sender.join()
        taken = monotonic() - begin
        far.close()
        assert count == total
        assert near.recv(1) == b""
    settle(server)
    return total / taken / 1e6, (server.used() - used) / (total / 1e9)


def settle(server: Server) -> None:
    """Wait until a child, if the server has one for each connection, has ended and is counted."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    while children.read_text().strip():
        threading.Event().wait(0.01)


def pingPong(server: Server, listener: socket.socket, messages: int) -> tuple[float, float]:
    """Returns messages a second, there and back, and microseconds of the server's processor time for one."""
    message, count = os.urandom(64), 50
    nears = [server.connect() for _ in range(count)]
    fars = [listener.accept()[0] for _ in range(count)]
    poller = select.epoll()
    peers = {one.fileno(): one for one in (*nears, *fars)}
    mine = {one.fileno() for one in nears}
    for fd in peers:
        poller.register(fd, select.EPOLLIN)
    used, begin, done = server.used(), monotonic(), 0
    for one in nears:
        one.sendall(message)
    while done < messages:
        for fd, _ in poller.poll():
            done += fd in mine
            peers[fd].sendall(peers[fd].recv(64))
    taken = monotonic() - begin
    for one in (*nears, *fars):
        one.close()
    settle(server)
    return done / taken, (server.used() - used) / done * 1e6


def hear(peer: socket.socket, *words: bytes) -> None:
    """Read until one of these was said."""
    text = b""
    while not any(word in text for word in words):
        text = text[-100:] + peer.recv(65536)


class Guests:
    """One who speaks, and many who hear it."""

    def __init__(self, server: Server, count: int) -> None:
        self.poller = select.epoll()
        self.peers: dict[int, socket.socket] = {}
        for number in range(count + 1):
            peer = server.connect()
            peer.sendall(f"guest{number}\n".encode())
            self.peers[peer.fileno()] = peer
            hear(peer, b"* you are", b"has joined")
        self.speaker = peer
        del self.peers[peer.fileno()]
        for fd, peer in self.peers.items():
            hear(peer, f"guest{count} has joined".encode())
            self.poller.register(fd, select.EPOLLIN)

    def say(self, lines: int) -> None:
        """Say some lines at once, and wait until everyone has heard them."""
        self.speaker.sendall((b"x" * 50 + b"\n") * lines)
        left = len(self.peers) * lines
        while left:
            for fd, _ in self.poller.poll():
                left -= self.peers[fd].recv(65536).count(b"\n")

    def close(self) -> None:
        for peer in (self.speaker, *self.peers.values()):
            peer.close()


def fanOut(server: Server, guests: int, lines: int, atOnce: int) -> tuple[float, float]:
    """Returns lines heard a second, by all guests together, and microseconds of processor time for one."""
    room = Guests(server, guests)
    used, begin = server.used(), monotonic()
    for _ in range(lines // atOnce):
        room.say(atOnce)
    heard = lines // atOnce * atOnce * guests
    taken, used = monotonic() - begin, server.used() - used
    room.close()
    return heard / taken, used / heard * 1e6


# -- the comparison


def compare(title: str, unit: str, servers: dict[str, Server], measure: Callable[[Server], Any], rounds: int) -> None:
    """Measure, and print a table."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in servers}
    for _ in range(rounds):
        for name in random.sample(list(servers), len(servers)):
            found[name].append(measure(servers[name]))
    base = next(iter(servers))
    print(f"\n{title}, {rounds} rounds\n")
    print(f"| | {unit} | processor time | beside {base}'s rate | memory, KiB |\n| --- | ---: | ---: | ---: | ---: |")
    for name, server in servers.items():
        rate, cost = (statistics.median(one[which] for one in found[name]) for which in (0, 1))
        ratio = statistics.median(one[0] / other[0] for one, other in zip(found[name], found[base], strict=True))
        forks = server.process.args[0] == "socat"  # type: ignore[index]
        memory = "a process each" if forks else f"{(server.memory() - server.before) // 1024:,}"
        print(f"| {name} | {rate:,.0f} | {cost:.2f} | {ratio:.2f} | {memory} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--guests", type=int, default=100)
    parser.add_argument("--lines", type=int, default=2000)
    parser.add_argument("--only", nargs="+", choices=["forward", "chat"], default=["forward", "chat"])
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--target", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        kind = {**FORWARDS, **CHATS}[options.serve]
        assert callable(kind)
        return kind(options.target)
    kinds = {name: kind for name, kind in FORWARDS.items() if callable(kind) or shutil.which("socat")}
    started: list[Server] = []

    def start(names: dict[str, Any], target: int) -> dict[str, Server]:
        servers = {name: Server(name, kind, target) for name, kind in names.items()}
        started.extend(servers.values())
        return servers

    try:
        with socket.create_server((LOCALHOST, 0), backlog=1000) as listener:
            if "forward" in options.only:
                servers = start(kinds, listener.getsockname()[1])
                title = f"forward: {options.megabytes} MiB over one connection, processor time in seconds a GB"
                compare(title, "MB/s", servers, lambda one: bulk(one, listener, options.megabytes), options.rounds)
                title = "forward: 64 bytes to and fro over 50 connections, processor time in µs"
                compare(
                    title, "messages/s", servers, lambda one: pingPong(one, listener, options.messages), options.rounds
                )
            if "chat" in options.only:
                servers = start(CHATS, 0)
                for atOnce in (1, 20):
                    title = f"chat: {atOnce} at once to {options.guests} guests, processor time in µs a line heard"

                    def measure(one: Server, atOnce: int = atOnce) -> tuple[float, float]:
                        return fanOut(one, options.guests, options.lines, atOnce)

                    compare(title, "lines heard/s", servers, measure, options.rounds)
    finally:
        for server in started:
            server.process.terminate()
            server.process.wait()


if __name__ == "__main__":
    main()
