"""The time of day over UDP (RFC 868): a server, and a client that asks one.

    python examples/udp_time.py serve [PORT [ADDRESS]]
    python examples/udp_time.py ask [HOST [PORT]]

The server's PORT is 3737 unless given (the protocol's own, 37, takes privileges), and 0 lets the system
choose; ADDRESS is a dotted number, 127.0.0.1 unless given. It answers every datagram with four bytes: the
seconds since 1900-01-01, modulo 2**32, big endian. The client's HOST is 127.0.0.1 unless given; a name is
looked up. It prints the time, or after 5 seconds without an answer exits with 1.
"""

from __future__ import annotations

import argparse
import sys
from datetime import datetime, timezone
from time import time

from twisted.internet import reactor

from twisted_casync import (
    SOCK_DGRAM,
    SOCKET_ERROR,
    WSAEWOULDBLOCK,
    WSAHOST_NOT_FOUND,
    AfxSocketInit,
    AfxSocketTerm,
    CAsyncSocket,
    GetLastError,
)

PORT = 3737
SINCE_1900 = 2208988800  # seconds from 1900-01-01 to 1970-01-01, as RFC 868 gives them
PATIENCE = 5  # seconds


class CTimeServer(CAsyncSocket):
    """Answers whatever arrives."""

    def OnReceive(self, nErrorCode: int) -> None:
        # One ReceiveFrom a notification: when more datagrams wait, it makes the next notification come.
        # What they hold doesn't matter. An empty one, which is what RFC 868 asks for, gives 0.
        nRead, address = self.ReceiveFrom(bytearray(512))
        if nRead == SOCKET_ERROR:
            return  # longer than any request for the time
        seconds = (int(time()) + SINCE_1900) % 2**32
        # When there's no room to send it in, the answer is dropped, as any datagram may be: the client asks
        # again.
        self.SendTo(seconds.to_bytes(4, "big"), 4, address)


class CTimeClient(CAsyncSocket):
    """Asks once, prints the answer."""

    def __init__(self, lpszHostAddress: str, nHostPort: int) -> None:
        super().__init__()
        self.m_server = lpszHostAddress, nHostPort
        self.m_nStatus = 1

    def OnSend(self, nErrorCode: int) -> None:
        # Comes once when the socket was made, and again only if there was no room to send.
        lpszHostAddress, nHostPort = self.m_server
        # A host name is looked up after this has returned, and the datagram leaves then.
        if self.SendTo(b"", 0, nHostPort, lpszHostAddress) == SOCKET_ERROR and GetLastError() != WSAEWOULDBLOCK:
            self.Finish(f"cannot ask {lpszHostAddress}: {GetLastError().message}")

    def OnReceive(self, nErrorCode: int) -> None:
        reply = bytearray(4)
        nRead, _ = self.ReceiveFrom(reply)
        if nRead == SOCKET_ERROR and GetLastError() == WSAHOST_NOT_FOUND:
            # The name has no address, which the next call says.
            self.Finish(f"cannot ask {self.m_server[0]}: {GetLastError().message}")
        elif nRead == 4:
            # The 32 bits run out in 2036; counted from 1970 modulo 2**32, they do until 2106.
            seconds = (int.from_bytes(reply, "big") - SINCE_1900) % 2**32
            print(datetime.fromtimestamp(seconds, timezone.utc).isoformat(" "))
            self.m_nStatus = 0
            self.Finish()

    def GiveUp(self) -> None:
        """The patience is over."""
        self.Finish(f"no answer within {PATIENCE} seconds")

    def Finish(self, complaint: str | None = None) -> None:
        if complaint is not None:
            print(complaint, file=sys.stderr)
        self.Close()
        reactor.stop()


def serve(nSocketPort: int, lpszSocketAddress: str) -> int:
    AfxSocketInit()
    server = CTimeServer()
    if not server.Create(nSocketPort, SOCK_DGRAM, lpszSocketAddress=lpszSocketAddress):
        sys.exit(f"cannot listen on {lpszSocketAddress}:{nSocketPort}: {GetLastError().message}")
    host, port = server.GetSockName() or ("", 0)
    reactor.callWhenRunning(print, f"listening on {host}:{port}", flush=True)
    reactor.run()
    AfxSocketTerm()
    return 0


def ask(lpszHostAddress: str, nHostPort: int) -> int:
    AfxSocketInit()
    client = CTimeClient(lpszHostAddress, nHostPort)
    if not client.Create(nSocketType=SOCK_DGRAM):
        sys.exit(GetLastError().message)
    reactor.callLater(PATIENCE, client.GiveUp)
    reactor.run()
    AfxSocketTerm()
    return client.m_nStatus


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = parser.add_subparsers(dest="mode", required=True)
    server = modes.add_parser("serve")
    server.add_argument("nSocketPort", metavar="PORT", type=int, nargs="?", default=PORT)
    server.add_argument("lpszSocketAddress", metavar="ADDRESS", nargs="?", default="127.0.0.1")
    client = modes.add_parser("ask")
    client.add_argument("lpszHostAddress", metavar="HOST", nargs="?", default="127.0.0.1")
    client.add_argument("nHostPort", metavar="PORT", type=int, nargs="?", default=PORT)
    options = parser.parse_args()
    if options.mode == "serve":
        return serve(options.nSocketPort, options.lpszSocketAddress)
    return ask(options.lpszHostAddress, options.nHostPort)


if __name__ == "__main__":
    sys.exit(main())
