"""An echo server and client whose calls are awaited: `CSocket`, with `async` and `await`.

    python examples/awaited_echo.py serve [PORT [ADDRESS]]
    python examples/awaited_echo.py ask ADDRESS PORT LINE...

PORT is 7007 unless given, and 0 lets the system choose; ADDRESS is a dotted number, 127.0.0.1 unless given.
The server answers everything that a client sends, and ends a connection on which nothing happens for a
minute. The client sends each LINE, waits for its echo, and prints it. Compare `echo_server.py`, which does the
same with handlers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Coroutine
from typing import Any

from twisted.internet import defer, reactor
from twisted.internet.defer import Deferred

from twisted_casync import SOMAXCONN, CSocket, GetLastError, IncompleteRead

IDLE = 60  # seconds
ANSWER = 30  # seconds

anyReactor: Any = reactor


def start(work: Coroutine[Any, Any, None]) -> None:
    """Go on without waiting for it; what ends a connection is no mistake of this program."""
    # Two of them: Winsock's is the builtin one, and that of addTimeout is Twisted's.
    ends = ConnectionError, TimeoutError, defer.TimeoutError
    Deferred.fromCoroutine(work).addErrback(lambda failure: failure.trap(*ends))


async def echo(client: CSocket) -> None:
    """One client."""
    async with client:
        while data := await client.Receive().addTimeout(IDLE, anyReactor):
            await client.Send(data).addTimeout(IDLE, anyReactor)


async def accept(listener: CSocket) -> None:
    """All of them; the end of the reactor ends it."""
    while True:
        start(echo(await listener.Accept()))


def serve(port: int, address: str) -> int:
    """Listen, and serve until a signal comes."""
    listener = CSocket()
    if not (listener.Create(port, lpszSocketAddress=address) and listener.Listen(SOMAXCONN)):
        print(f"cannot listen on {address}:{port}: {GetLastError().message}", file=sys.stderr)
        return 1
    name = listener.GetSockName()
    assert name is not None
    start(accept(listener))
    anyReactor.callWhenRunning(print, "listening on {}:{}".format(*name), flush=True)
    anyReactor.run()
    return 0


async def ask(address: str, port: int, lines: list[str]) -> None:
    """Send each line, and print its echo."""
    async with CSocket() as server:
        if not server.Create():
            raise OSError(GetLastError().message)
        await server.Connect(address, port).addTimeout(ANSWER, anyReactor)
        for line in lines:
            await server.Send(f"{line}\n".encode())
            echoed = await server.receiveUntil(b"\n").addTimeout(ANSWER, anyReactor)
            print(echoed.decode(), end="", flush=True)


def client(address: str, port: int, lines: list[str]) -> int:
    """Run L{ask} to its end, and say how it went."""
    failed = []

    async def run() -> None:
        try:
            await ask(address, port, lines)
        except (OSError, IncompleteRead, defer.TimeoutError) as error:
            failed.append(error)
        # Not at once: a reactor that stops, at Ctrl-C, ends what is awaited, and can't be stopped twice.
        anyReactor.callLater(0, anyReactor.stop)

    anyReactor.callWhenRunning(lambda: Deferred.fromCoroutine(run()))
    anyReactor.run()
    for error in failed:
        print(f"{address}:{port}: {error}", file=sys.stderr)
    return 1 if failed else 0


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve")
    serving.add_argument("port", nargs="?", type=int, default=7007, metavar="PORT")
    serving.add_argument("address", nargs="?", default="127.0.0.1", metavar="ADDRESS")
    asking = commands.add_parser("ask")
    asking.add_argument("address", metavar="ADDRESS")
    asking.add_argument("port", type=int, metavar="PORT")
    asking.add_argument("lines", nargs="+", metavar="LINE")
    options = parser.parse_args()
    if options.command == "serve":
        return serve(options.port, options.address)
    return client(options.address, options.port, options.lines)


if __name__ == "__main__":
    sys.exit(main())
