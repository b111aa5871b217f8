"""An HTTP/1.1 responder: answers every request with one line of text.

    python examples/http_responder.py [PORT [ADDRESS]]

PORT is 8080 unless given, and 0 lets the system choose; ADDRESS is a dotted number, 127.0.0.1 unless given.
Then `curl http://127.0.0.1:8080/` shows the line, and `wrk -c 100 -d 5 http://127.0.0.1:8080/` how often it
can be had.

Connections stay open between requests, requests may be pipelined and may have a body of a stated length.
What isn't HTTP/1.x gets a 400, a head of more than 8 KiB a 431, a chunked body a 501, and the connection
ends; so does one on which nothing happens for a minute.
"""

from __future__ import annotations

import argparse
import re
import sys
from email.utils import formatdate
from functools import lru_cache
from time import time

from twisted.internet import reactor
from twisted.protocols.policies import TimeoutMixin

from twisted_casync import (
    SOCKET_ERROR,
    SOMAXCONN,
    TCP_NODELAY,
    WSAEWOULDBLOCK,
    AfxSocketInit,
    AfxSocketTerm,
    CAsyncSocket,
    GetLastError,
)

BODY = b"Hello from CAsyncSocket.\n"
MAX_HEAD = 8192  # bytes of request line and headers
IDLE = 60  # seconds

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") [!-~]+ HTTP/1\.([01])")
HEADER = re.compile(rb"(" + TOKEN + rb"):[ \t]*([^\x00\r\n]*?)[ \t]*")
LENGTH = re.compile(rb"[0-9]{1,18}")

# One buffer for all: what Receive put there is copied out before the handler returns.
buffer = bytearray(65536)
received = memoryview(buffer)


class BadRequest(Exception):
    """The request can't be answered; the argument is the status line's code and reason."""


@lru_cache(maxsize=1)
def dateLine(second: int) -> bytes:
    """The Date header of this second, made once for all its responses."""
    return b"Date: " + formatdate(second, usegmt=True).encode() + b"\r\n"


def response(status: bytes, body: bytes, extra: bytes = b"", head: bool = False) -> bytes:
    """A whole response; for a HEAD request without its body."""
    return b"HTTP/1.1 %b\r\n%bContent-Type: text/plain\r\nContent-Length: %d\r\n%b\r\n%b" % (
        status,
        dateLine(int(time())),
        len(body),
        extra,
        b"" if head else body,
    )


def answer(head: bytes) -> tuple[bytes, bytes, bool, int]:
    """The answer to one request.

    @param head: the request line and the headers, without the empty line that ends them.
    @return: what to send at once, what to send when the body was read, whether the connection ends then,
        and the body's length in bytes.
    @raise BadRequest: when this is no request, or not one that this server can find the end of.
    """
    first, *lines = head.split(b"\r\n")
    request = REQUEST_LINE.fullmatch(first)
    headers: dict[bytes, bytes] = {}
    for line in lines:
        header = HEADER.fullmatch(line)
        if header is None:
            raise BadRequest(b"400 Bad Request")
        name, value = header[1].lower(), header[2]
        if name == b"content-length" and headers.get(name, value) != value:
            # Two lengths are how one request is smuggled inside another.
            raise BadRequest(b"400 Bad Request")
        headers[name] = value
    length = headers.get(b"content-length", b"0")
    if request is None or (request[2] == b"1" and b"host" not in headers) or not LENGTH.fullmatch(length):
        raise BadRequest(b"400 Bad Request")
    if b"transfer-encoding" in headers:
        raise BadRequest(b"501 Not Implemented")

    connection = headers.get(b"connection", b"").lower()
    last = b"close" in connection or (request[2] == b"0" and b"keep-alive" not in connection)
    extra = b"Connection: close\r\n" if last else b"Connection: keep-alive\r\n" if request[2] == b"0" else b""
    expected = headers.get(b"expect", b"").lower() == b"100-continue"
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" if expected else b""
    return interim, response(b"200 OK", BODY, extra, head=request[1] == b"HEAD"), last, int(length)


class CHttpSocket(CAsyncSocket, TimeoutMixin):
    """One client."""

    def __init__(self) -> None:
        super().__init__()
        self.m_unparsed = b""
        self.m_unsent = b""
        self.m_nBodyLeft = 0  # bytes of the present request's body that are still to come
        self.m_reply: tuple[bytes, bool] | None = None  # the response that waits for them; is it the last?
        self.m_bLast = False  # the last response was made
        self.m_bReceiveLater = False
        self.m_bPeerClosed = False
        self.setTimeout(IDLE)  # type: ignore[no-untyped-call]

    def OnReceive(self, nErrorCode: int) -> None:
        if self.m_unsent:
            # A client that pipelines and never reads is held back: no Receive, no further FD_READ.
            self.m_bReceiveLater = True
            return
        nRead = self.Receive(buffer)
        if nRead == 0 or (nRead == SOCKET_ERROR and GetLastError() != WSAEWOULDBLOCK):
            self.Close()
        elif nRead > 0 and not self.m_bLast:
            self.m_unsent = self.Respond(self.m_unparsed + received[:nRead])
            self.OnSend(0)

    def Respond(self, data: bytes) -> bytes:
        """The responses to all requests in this data; what is no whole request yet is kept."""
        responses = []
        start = 0
        while not self.m_bLast:
            skipped = min(self.m_nBodyLeft, len(data) - start)
            self.m_nBodyLeft -= skipped
            start += skipped
            if self.m_nBodyLeft:
                break
            if self.m_reply is not None:
                reply, self.m_bLast = self.m_reply
                responses.append(reply)
                self.m_reply = None
                continue
            while data.startswith((b"\r", b"\n"), start):
                start += 1  # empty lines before a request are to be ignored (RFC 9112, section 2.2)
            end = data.find(b"\r\n\r\n", start)
            try:
                if (end if end >= 0 else len(data)) - start > MAX_HEAD:
                    raise BadRequest(b"431 Request Header Fields Too Large")
                if end < 0:
                    first, newline, _ = data[start:].partition(b"\n")
                    if newline and not REQUEST_LINE.fullmatch(first.removesuffix(b"\r")):
                        raise BadRequest(b"400 Bad Request")
                    break
                interim, reply, last, self.m_nBodyLeft = answer(data[start:end])
                responses.append(interim)
                self.m_reply = reply, last
                start = end + 4
            except BadRequest as error:
                status: bytes = error.args[0]
                self.m_reply = response(status, status + b"\n", b"Connection: close\r\n"), True
        self.m_unparsed = data[start:]
        return b"".join(responses)

    def OnSend(self, nErrorCode: int) -> None:
        self.resetTimeout()  # type: ignore[no-untyped-call]
        while self.m_unsent:
            nSent = self.Send(self.m_unsent)
            if nSent == SOCKET_ERROR:
                if GetLastError() != WSAEWOULDBLOCK:
                    self.Close()
                return
            self.m_unsent = self.m_unsent[nSent:]
        if self.m_bPeerClosed:
            self.Close()
        elif self.m_bLast:
            # Closing with bytes unread would reset the connection under the response. So only our half ends;
            # what still comes is thrown away until the client closes, or the time is up.
            self.ShutDown()
        if self.m_bReceiveLater and not self.m_bPeerClosed:
            self.m_bReceiveLater = False
            self.OnReceive(0)

    def OnClose(self, nErrorCode: int) -> None:
        if nErrorCode or not self.m_unsent:
            self.Close()
        else:
            self.m_bPeerClosed = True  # it closed its half only, and still waits for the responses

    def Close(self) -> None:
        self.setTimeout(None)  # type: ignore[no-untyped-call]
        super().Close()

    def timeoutConnection(self) -> None:
        self.Close()


class CListeningSocket(CAsyncSocket):
    """The socket that clients connect to."""

    def OnAccept(self, nErrorCode: int) -> None:
        client = CHttpSocket()
        if not self.Accept(client):
            client.Close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nSocketPort", metavar="PORT", type=int, nargs="?", default=8080)
    parser.add_argument("lpszSocketAddress", metavar="ADDRESS", nargs="?", default="127.0.0.1")
    options = parser.parse_args()

    AfxSocketInit()
    listener = CListeningSocket()
    created = listener.Create(options.nSocketPort, lpszSocketAddress=options.lpszSocketAddress)
    if not created or not listener.Listen(SOMAXCONN):
        sys.exit(f"cannot listen on {options.lpszSocketAddress}:{options.nSocketPort}: {GetLastError().message}")
    # Accepted sockets have their listener's options.
    listener.SetSockOpt(TCP_NODELAY, True)
    host, port = listener.GetSockName() or ("", 0)
    reactor.callWhenRunning(print, f"listening on {host}:{port}", flush=True)
    reactor.run()
    AfxSocketTerm()


if __name__ == "__main__":
    main()
