"""Sends an urgent byte between two pieces of normal data, to urgent_receiver.py for instance.

    python examples/urgent_sender.py [HOST [PORT [BEFORE [URGENT [AFTER]]]]]

HOST is 127.0.0.1 and PORT 7017 unless given; the texts are "one", "!" and "two". Of the URGENT text only
the last byte is urgent: TCP marks a place in the stream, and what stands before the mark is normal data.
The exit status is 0 when the receiver took everything and closed.
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
    WSAError,
)


class CSender(CAsyncSocket):
    """The connection."""

    def __init__(self, parts: list[tuple[bytes, int]]) -> None:
        super().__init__()
        self.m_parts = parts  # what is still to be sent, with its flags
        self.m_nStatus = 1

    def OnConnect(self, nErrorCode: int) -> None:
        if nErrorCode:
            self.Finish(WSAError(nErrorCode))

    def OnSend(self, nErrorCode: int) -> None:
        while self.m_parts:
            data, flags = self.m_parts[0]
            nSent = self.Send(data, len(data), flags)
            if nSent == SOCKET_ERROR:
                if GetLastError() != WSAEWOULDBLOCK:
                    self.Finish(GetLastError())
                return
            if nSent < len(data):
                self.m_parts[0] = data[nSent:], flags
            else:
                del self.m_parts[0]
        self.ShutDown()

    def OnClose(self, nErrorCode: int) -> None:
        self.Finish(WSAError(nErrorCode) if nErrorCode else None)

    def Finish(self, error: WSAError | None) -> None:
        if error is not None:
            print(error.message, file=sys.stderr)
        elif not self.m_parts:
            self.m_nStatus = 0
        self.Close()
        # Not at once: a reactor that stops, at Ctrl-C, tells OnClose too, and can't be stopped twice.
        reactor.callLater(0, reactor.stop)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lpszHostAddress", metavar="HOST", nargs="?", default="127.0.0.1")
    parser.add_argument("nHostPort", metavar="PORT", type=int, nargs="?", default=7017)
    parser.add_argument("before", metavar="BEFORE", nargs="?", default="one")
    parser.add_argument("urgent", metavar="URGENT", nargs="?", default="!")
    parser.add_argument("after", metavar="AFTER", nargs="?", default="two")
    options = parser.parse_args()

    AfxSocketInit()
    sender = CSender([(options.before.encode(), 0), (options.urgent.encode(), MSG_OOB), (options.after.encode(), 0)])
    if not sender.Create():
        sys.exit(GetLastError().message)
    if not sender.Connect(options.lpszHostAddress, options.nHostPort) and GetLastError() != WSAEWOULDBLOCK:
        sys.exit(GetLastError().message)
    reactor.run()
    AfxSocketTerm()
    return sender.m_nStatus


if __name__ == "__main__":
    sys.exit(main())
