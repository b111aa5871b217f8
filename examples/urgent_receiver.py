"""Takes urgent data beside the normal stream; the other half of urgent_sender.py.

    python examples/urgent_receiver.py [PORT [ADDRESS]]

PORT is 7017 unless given, and 0 lets the system choose; ADDRESS is a dotted number, 127.0.0.1 unless given.
Every piece that arrives is printed as it comes, "normal" or "urgent", and the end of a connection as
"closed".
"""

from __future__ import annotations

import argparse
import sys

from twisted.internet import reactor

from twisted_casync import (
    MSG_OOB,
    SOCKET_ERROR,
    WSAEWOULDBLOCK,
    AfxSocketInit,
    AfxSocketTerm,
    CAsyncSocket,
    GetLastError,
)


class CReceiver(CAsyncSocket):
    """One connection."""

    def OnOutOfBandData(self, nErrorCode: int) -> None:
        # Urgent data is one byte outside the stream: it comes to a door of its own, also past normal data
        # that nobody has read yet, and a Receive without MSG_OOB never shows it (as long as SO_OOBINLINE is
        # off).
        byte = bytearray(1)
        if self.Receive(byte, 1, MSG_OOB) == 1:
            print("urgent", byte.decode(errors="replace"), flush=True)

    def OnReceive(self, nErrorCode: int) -> None:
        buff = bytearray(4096)
        nRead = self.Receive(buff)
        if nRead == SOCKET_ERROR:
            if GetLastError() != WSAEWOULDBLOCK:
                self.OnClose(GetLastError())
        elif nRead:
            print("normal", buff[:nRead].decode(errors="replace"), flush=True)

    def OnClose(self, nErrorCode: int) -> None:
        print("closed", flush=True)
        self.Close()


class CListeningSocket(CAsyncSocket):
    """The socket that senders connect to."""

    def OnAccept(self, nErrorCode: int) -> None:
        if not self.Accept(CReceiver()):
            print(f"cannot accept: {GetLastError().message}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nSocketPort", metavar="PORT", type=int, nargs="?", default=7017)
    parser.add_argument("lpszSocketAddress", metavar="ADDRESS", nargs="?", default="127.0.0.1")
    options = parser.parse_args()

    AfxSocketInit()
    listener = CListeningSocket()
    if not listener.Create(options.nSocketPort, lpszSocketAddress=options.lpszSocketAddress) or not listener.Listen():
        sys.exit(f"cannot listen on {options.lpszSocketAddress}:{options.nSocketPort}: {GetLastError().message}")
    host, port = listener.GetSockName() or ("", 0)
    reactor.callWhenRunning(print, f"listening on {host}:{port}", flush=True)
    reactor.run()
    AfxSocketTerm()


if __name__ == "__main__":
    main()
