"""Echo awaited beside echo by handlers, in one run.

    python benchmarks/awaiting.py [--rounds N] [--seconds S] [--connections N] [--sizes BYTES ...] [--styles NAME ...]

Each style is the same echo server in a process of its own: CAsyncSocket's handlers; CSocket awaited, for bytes and
into a buffer; Twisted's Protocol; asyncio's streams; trio's, where it is installed. One message is on its way over each
connection. In every round each is measured right after the other, in another order each time; a ratio is between two of
the same round. The tables show the median over the rounds of the processor time that the server took for a message and
of the messages it answered in a second, and of the ratio to the handlers. The load is in Python and takes more time
than the servers do: the processor time is what to look at.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import select
import socket
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

HERE = Path(__file__).resolve().parent


# -- the servers: each prints its port, and serves for ever


def handlers() -> None:
    from twisted.internet import reactor

    from twisted_casync import CAsyncSocket

    class Echo(CAsyncSocket):
        buffer = bytearray(65536)
        view = memoryview(buffer)

        def OnReceive(self, nErrorCode: int) -> None:
            count = self.Receive(self.buffer)
            if count > 0:
                # With one message on its way there is always room.
                assert self.Send(self.view[:count]) == count

        def OnClose(self, nErrorCode: int) -> None:
            self.Close()

    class Listener(CAsyncSocket):
        def OnAccept(self, nErrorCode: int) -> None:
            self.Accept(Echo())

    listener = Listener()
    assert listener.Create(0, lpszSocketAddress="127.0.0.1") and listener.Listen(1000)
    print((listener.GetSockName() or ("", 0))[1], flush=True)
    reactor.run()


def _awaited(serve: Callable[[Any], Any]) -> None:
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    from twisted_casync import CSocket

    listener = CSocket()
    assert listener.Create(0, lpszSocketAddress="127.0.0.1") and listener.Listen(1000)
    print((listener.GetSockName() or ("", 0))[1], flush=True)

    async def accept() -> None:
        while True:
            serving = Deferred.fromCoroutine(serve(await listener.Accept()))
            serving.addErrback(lambda failure: failure.trap(ConnectionError))

    # The reactor's end aborts what waits.
    Deferred.fromCoroutine(accept()).addErrback(lambda failure: failure.trap(ConnectionAbortedError))
    reactor.run()


def awaited() -> None:
    async def serve(connection: Any) -> None:
        async with connection:
            while data := await connection.Receive():
                await connection.Send(data)

    _awaited(serve)


def buffered() -> None:
    async def serve(connection: Any) -> None:
        buffer = bytearray(65536)
        view = memoryview(buffer)
        async with connection:
            while count := await connection.Receive(buffer):
                await connection.Send(view[:count])

    _awaited(serve)


def protocol() -> None:
    from twisted.internet import reactor
    from twisted.internet.protocol import Factory, Protocol

    class Echo(Protocol):
        def dataReceived(self, data: bytes) -> None:
            assert self.transport is not None
            self.transport.write(data)

    anyReactor: Any = reactor
    port = anyReactor.listenTCP(0, Factory.forProtocol(Echo), backlog=1000, interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    anyReactor.run()


def streams() -> None:
    import asyncio

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(main())


def trios() -> None:
    import trio

    async def serve(stream: Any) -> None:
        async for data in stream:
            await stream.send_all(data)

    async def main() -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1000)
        print(listeners[0].socket.getsockname()[1], flush=True)
        await trio.serve_listeners(serve, listeners)

    trio.run(main)


STYLES: dict[str, Callable[[], None]] = {
    "CAsyncSocket's handlers": handlers,
    "CSocket awaited": awaited,
    "CSocket into a buffer": buffered,
    "Twisted's Protocol": protocol,
    "asyncio's streams": streams,
    "trio's streams": trios,
}
BASE = "CAsyncSocket's handlers"


# -- the load


def processorTime(pid: int) -> float:
    """What a process used so far, in seconds."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def load(port: int, pid: int, connections: int, size: int, seconds: float) -> tuple[float, float]:
    """
    @return: messages a second, and microseconds of the server's processor time a message.
    """
    message = os.urandom(size)
    poller = select.epoll()
    peers: dict[int, socket.socket] = {}
    received: dict[int, int] = {}
    for _ in range(connections):
        peer = socket.create_connection(("127.0.0.1", port))
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peers[peer.fileno()] = peer
        received[peer.fileno()] = 0
        poller.register(peer, select.EPOLLIN)
    for peer in peers.values():
        peer.sendall(message)
    messages, used, begin, counting = 0, 0.0, monotonic() + seconds / 4, False
    while True:
        now = monotonic()
        if not counting and now >= begin:
            begin, messages, used, counting = now, 0, processorTime(pid), True
        elif counting and now >= begin + seconds:
            break
        for fd, _ in poller.poll(1):
            received[fd] += len(peers[fd].recv(size - received[fd]))
            if received[fd] == size:
                received[fd] = 0
                messages += 1
                peers[fd].sendall(message)
    used = processorTime(pid) - used
    for fd, peer in peers.items():
        # A close with unread data is a reset, which is not what is measured here.
        while received[fd] < size:
            received[fd] += len(peer.recv(size - received[fd]))
        peer.close()
    poller.close()
    return messages / (now - begin), used / messages * 1e6


def main() -> None:
    installed = [name for name in STYLES if not name.startswith("trio") or importlib.util.find_spec("trio")]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 16384])
    parser.add_argument("--styles", nargs="+", default=installed, choices=installed)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return STYLES[options.serve]()
    path = os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    servers = {}
    try:
        for name in dict.fromkeys([BASE, *options.styles]):
            server = subprocess.Popen(
                [sys.executable, __file__, "--serve", name],
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": path},
            )
            assert server.stdout is not None
            servers[name] = (server, int(server.stdout.readline()))
        compare(servers, options)
    finally:
        for server, _ in servers.values():
            server.terminate()
            server.wait()


def compare(servers: dict[str, tuple[subprocess.Popen[bytes], int]], options: argparse.Namespace) -> None:
    """Measure, and print the tables."""
    for size in options.sizes:
        rounds: list[dict[str, tuple[float, float]]] = []
        for _ in range(options.rounds):
            measured = {}
            for name in random.sample(list(servers), len(servers)):
                server, port = servers[name]
                measured[name] = load(port, server.pid, options.connections, size, options.seconds)
            rounds.append(measured)
        print(f"\n{size} bytes over {options.connections} connections, {options.rounds} rounds\n")
        print("| style | processor time a message | beside the handlers | messages a second |")
        print("| --- | --- | --- | --- |")
        for name in servers:
            cost = statistics.median(measured[name][1] for measured in rounds)
            rate = statistics.median(measured[name][0] for measured in rounds)
            ratio = statistics.median(measured[name][1] / measured[BASE][1] for measured in rounds)
            print(f"| {name} | {cost:.1f} µs | {ratio:.2f} | {rate:.0f} |", flush=True)


if __name__ == "__main__":
    main()
