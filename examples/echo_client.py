"""A client for an echo server, as an MFC program writes it.

    python examples/echo_client.py [HOST [PORT [TEXT]]]

Connects to HOST (127.0.0.1 unless given; a name is looked up) at PORT (7007), sends TEXT, or standard input
where no TEXT is given, closes its sending half, and writes what comes back to standard output. The exit
status is 0 when as much came back as was sent.

`OnConnect`, `OnReceive` and `OnSend` are MFC's own samples, translated line for line, with the C++ beside
the lines that look different.
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


class CMyAsyncSocket(CAsyncSocket):
    """The connection: sends one text, takes its echo."""

    def __init__(self, sendBuffer: bytes) -> None:
        super().__init__()
        self.m_sendBuffer = sendBuffer  # CString m_sendBuffer;    // for async send
        self.m_nBytesSent = 0  # int m_nBytesSent;
        self.m_nBytesBufferSize = len(sendBuffer)  # int m_nBytesBufferSize;
        self.m_nBytesReceived = 0
        self.m_bFailed = False

    def OnConnect(self, nErrorCode: int) -> None:
        if nErrorCode != 0:  # if (0 != nErrorCode)
            # switch (nErrorCode) { case WSAEADDRINUSE: AfxMessageBox(_T("The specified address is already
            # in use.\n")); and so on: the texts of the sample's cases are those of WSAError.
            AfxMessageBox(WSAError(nErrorCode).message)
            self.Finish(failed=True)
        super().OnConnect(nErrorCode)  # CAsyncSocket::OnConnect(nErrorCode);

    def OnSend(self, nErrorCode: int) -> None:
        while self.m_nBytesSent < self.m_nBytesBufferSize:
            dwBytes = self.Send(
                memoryview(self.m_sendBuffer)[self.m_nBytesSent :],  # (LPCTSTR)m_sendBuffer + m_nBytesSent,
                self.m_nBytesBufferSize - self.m_nBytesSent,  # m_nBytesBufferSize - m_nBytesSent
            )
            if dwBytes == SOCKET_ERROR:
                if GetLastError() == WSAEWOULDBLOCK:
                    break
                AfxMessageBox(f"Client Socket failed to send: {GetLastError().message}")
                self.Finish(failed=True)
                return  # the sample goes round again here, and fails for ever on its closed socket
            self.m_nBytesSent += dwBytes

        if self.m_nBytesSent == self.m_nBytesBufferSize:
            self.ShutDown()  # nothing more to send; the echo still comes
        super().OnSend(nErrorCode)

    def OnReceive(self, nErrorCode: int) -> None:
        buff = bytearray(4096)  # TCHAR buff[4096];
        nRead = self.Receive(buff, 4096)  # nRead = Receive(buff, 4096);

        if nRead == 0:  # switch (nRead) { case 0:
            self.Finish()
        elif nRead == SOCKET_ERROR:  # case SOCKET_ERROR:
            if GetLastError() != WSAEWOULDBLOCK:
                AfxMessageBox(f"Error occurred: {GetLastError().message}")
                self.Finish(failed=True)
        else:  # default:
            self.m_nBytesReceived += nRead
            sys.stdout.buffer.write(buff[:nRead])
        super().OnReceive(nErrorCode)

    def OnClose(self, nErrorCode: int) -> None:
        if nErrorCode != 0:
            AfxMessageBox(WSAError(nErrorCode).message)
        self.Finish(failed=nErrorCode != 0)
        super().OnClose(nErrorCode)

    def Finish(self, failed: bool = False) -> None:
        self.m_bFailed = failed
        self.Close()
        # PostQuitMessage(0): as that, it may be asked for by what is told while the loop ends, at Ctrl-C.
        reactor.callLater(0, reactor.stop)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lpszHostAddress", metavar="HOST", nargs="?", default="127.0.0.1")
    parser.add_argument("nHostPort", metavar="PORT", type=int, nargs="?", default=7007)
    parser.add_argument("text", metavar="TEXT", nargs="?")
    options = parser.parse_args()

    AfxSocketInit()
    sock = CMyAsyncSocket(sys.stdin.buffer.read() if options.text is None else options.text.encode())
    if not sock.Create():
        sys.exit(GetLastError().message)
    if not sock.Connect(options.lpszHostAddress, options.nHostPort) and GetLastError() != WSAEWOULDBLOCK:
        sys.exit(GetLastError().message)
    reactor.run()  # the message loop: CWinApp::Run()
    AfxSocketTerm()
    sys.stdout.buffer.flush()
    return int(sock.m_bFailed or sock.m_nBytesReceived != sock.m_nBytesBufferSize)


if __name__ == "__main__":
    sys.exit(main())
