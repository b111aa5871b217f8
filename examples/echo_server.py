"""An echo server as an MFC program writes it.

    python examples/echo_server.py [PORT [ADDRESS]]

PORT is 7007 unless given, and 0 lets the system choose; ADDRESS is a dotted number, 127.0.0.1 unless given.
It answers everything that a client sends, also what came before a half close, and stops on Ctrl-C or
SIGTERM.

`OnReceive` and `OnSend` are MFC's own samples, translated line for line, with the C++ beside the lines that
look different. What an echo needs beyond the samples says why it is there.
"""

from __future__ import annotations

import argparse
import sys

from twisted.internet import reactor

from twisted_casync import (
    SOCKET_ERROR,
    WSAEWOULDBLOCK,
    AfxSocketInit,
    AfxSocketTerm,
    CAsyncSocket,
    GetLastError,
    WSAError,
)


def AfxMessageBox(lpszText: str) -> None:
    """Say something went wrong, where MFC would open a message box."""
    print(lpszText, file=sys.stderr, flush=True)


class CEchoSocket(CAsyncSocket):
    """One client."""

    def __init__(self) -> None:
        super().__init__()
        self.m_sendBuffer = b""  # CString m_sendBuffer;    // for async send
        self.m_nBytesSent = 0  # int m_nBytesSent;
        self.m_nBytesBufferSize = 0  # int m_nBytesBufferSize;
        self.m_bReceiveLater = False
        self.m_bPeerClosed = False

    def OnReceive(self, nErrorCode: int) -> None:
        if self.m_nBytesSent < self.m_nBytesBufferSize:
            # The last echo isn't out yet. FD_READ is not posted again before the next Receive, so a client
            # that sends and never reads is held back by TCP instead of filling our memory. OnSend comes
            # back here.
            self.m_bReceiveLater = True
            return

        buff = bytearray(4096)  # TCHAR buff[4096];
        nRead = self.Receive(buff, 4096)  # nRead = Receive(buff, 4096);

        if nRead == 0:  # switch (nRead) { case 0:
            self.Close()
        elif nRead == SOCKET_ERROR:  # case SOCKET_ERROR:
            if GetLastError() != WSAEWOULDBLOCK:
                AfxMessageBox(f"Error occurred: {GetLastError().message}")
                self.Close()
        else:  # default:
            self.m_sendBuffer = bytes(buff[:nRead])
            self.m_nBytesBufferSize = nRead
            self.OnSend(0)
        super().OnReceive(nErrorCode)  # CAsyncSocket::OnReceive(nErrorCode);

    def OnSend(self, nErrorCode: int) -> None:
        while self.m_nBytesSent < self.m_nBytesBufferSize:
            dwBytes = self.Send(
                memoryview(self.m_sendBuffer)[self.m_nBytesSent :],  # (LPCTSTR)m_sendBuffer + m_nBytesSent,
                self.m_nBytesBufferSize - self.m_nBytesSent,  # m_nBytesBufferSize - m_nBytesSent
            )
            if dwBytes == SOCKET_ERROR:
                if GetLastError() == WSAEWOULDBLOCK:
                    break
                AfxMessageBox(f"Server Socket failed to send: {GetLastError().message}")
                self.Close()
                return  # the sample goes round again here, and fails for ever on its closed socket
            self.m_nBytesSent += dwBytes

        if self.m_nBytesSent == self.m_nBytesBufferSize:
            self.m_nBytesSent = self.m_nBytesBufferSize = 0
            self.m_sendBuffer = b""
            if self.m_bPeerClosed:
                self.Close()
            elif self.m_bReceiveLater:
                self.m_bReceiveLater = False
                self.OnReceive(0)
        super().OnSend(nErrorCode)

    def OnClose(self, nErrorCode: int) -> None:
        if nErrorCode == 0 and self.m_nBytesSent < self.m_nBytesBufferSize:
            self.m_bPeerClosed = True  # it closed its half only, and may still wait for the rest of its echo
        else:
            self.Close()
        super().OnClose(nErrorCode)


class CListeningSocket(CAsyncSocket):
    """The socket that clients connect to."""

    def OnAccept(self, nErrorCode: int) -> None:
        pSocket = CEchoSocket()  # CEchoSocket* pSocket = new CEchoSocket;
        if not self.Accept(pSocket) and GetLastError() != WSAEWOULDBLOCK:
            AfxMessageBox(f"Accept failed: {GetLastError().message}")
        # No list of the clients is kept: an open socket is held by what watches it, until Close.
        super().OnAccept(nErrorCode)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nSocketPort", metavar="PORT", type=int, nargs="?", default=7007)
    parser.add_argument("lpszSocketAddress", metavar="ADDRESS", nargs="?", default="127.0.0.1")
    options = parser.parse_args()

    AfxSocketInit()
    listener = CListeningSocket()
    if not listener.Create(options.nSocketPort, lpszSocketAddress=options.lpszSocketAddress) or not listener.Listen():
        error: WSAError = GetLastError()
        sys.exit(f"cannot listen on {options.lpszSocketAddress}:{options.nSocketPort}: {error.message}")
    rSocketAddress, rSocketPort = listener.GetSockName() or ("", 0)
    reactor.callWhenRunning(print, f"listening on {rSocketAddress}:{rSocketPort}", flush=True)
    reactor.run()  # the message loop: CWinApp::Run()
    AfxSocketTerm()


if __name__ == "__main__":
    main()
