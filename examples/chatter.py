"""A client of a chat, after MFC's sample CHATTER.

    python examples/chatter.py [HOST [PORT [HANDLE]]]

Connects to the server at HOST (127.0.0.1 unless given; a name is looked up) and PORT (7007), such as
examples/chatsrvr.py. Each line of standard input is said under the name HANDLE (the user's), and what anybody says is
printed. The end of the input leaves the chat; the exit status is then 0.

The classes and members are the sample's. Where MFC blocks and pumps messages, this awaits; where it has a window with
an edit control, this has standard input, which Twisted reads without blocking.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import sys
from typing import Any

from chatsrvr import LIMITS, CMsg, units
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_casync import (
    AfxSocketInit,
    AfxSocketTerm,
    CArchive,
    CArchiveException,
    CSocket,
    CSocketFile,
    GetLastError,
    Serialized,
)


def PostQuitMessage() -> None:
    """End the message loop; as in Windows no harm is done where it ends already, by Ctrl-C say."""
    with contextlib.suppress(ReactorNotRunning):
        reactor.stop()


class CChatSocket(CSocket):
    """The connection."""

    def __init__(self, pDoc: CChatDoc) -> None:
        super().__init__()
        self.m_pDoc = pDoc

    async def OnReceive(self, nErrorCode: int) -> None:  # type: ignore[override]  # a CSocket's handlers can wait
        await self.m_pDoc.ProcessPendingRead()

    def OnClose(self, nErrorCode: int) -> None:
        self.m_pDoc.Disconnected()


class CChatDoc:
    """This side of the chat."""

    def __init__(self, strHandle: str) -> None:
        self.m_strHandle = strHandle
        self.m_pSocket = CChatSocket(self)
        self.m_bLeaving = False
        self.m_strProblem = ""
        self.m_terminal: Any = None

    async def ConnectSocket(self, lpszAddress: str, nPort: int) -> None:
        if not self.m_pSocket.Create():
            sys.exit(GetLastError().message)
        await self.m_pSocket.Connect(lpszAddress, nPort)
        self.m_pFile = CSocketFile(self.m_pSocket)
        self.m_pArchiveIn = CArchive(self.m_pFile, CArchive.load, limits=LIMITS)
        self.m_pArchiveOut = CArchive(self.m_pFile, CArchive.store)

    async def ProcessPendingRead(self) -> None:
        try:
            while True:  # do
                await self.ReceiveMsg()
                if self.m_pArchiveIn.IsBufferEmpty():
                    break  # while (!m_pArchiveIn->IsBufferEmpty());
        except (CArchiveException, OSError) as problem:
            self.Disconnected(str(problem))

    async def ReceiveMsg(self) -> None:
        # CMsg msg; msg.Serialize(*m_pArchiveIn);
        msg: CMsg = await self.m_pArchiveIn.whenLoaded(Serialized(CMsg))
        while not msg.m_msgList.IsEmpty():
            self.DisplayMsg(msg.m_msgList.RemoveHead())
        if msg.m_bClose:
            self.Disconnected()

    def Signed(self, strText: str) -> str:
        return f"{self.m_strHandle}: {strText}" if strText else ""

    async def SendMsg(self, strText: str, bClose: bool = False) -> None:
        msg = CMsg()
        msg.m_strText = self.Signed(strText)
        msg.m_bClose = bClose
        msg.Serialize(self.m_pArchiveOut)
        await self.m_pArchiveOut.Flush()

    def DisplayMsg(self, lpszText: str) -> None:
        # Not by print: Twisted does not block on standard output either, and keeps what it can't take yet.
        self.m_terminal.write(f"{lpszText}\n".encode(errors="replace"))

    def Disconnected(self, strProblem: str = "") -> None:
        if self.m_pSocket.fileno() < 0:
            return
        self.m_pSocket.Close()
        if not self.m_bLeaving:
            self.m_strProblem = strProblem or "the server has closed the connection"
        self.m_terminal.loseConnection()


@implementer(IHalfCloseableProtocol)
class Lines(LineOnlyReceiver):
    """Standard input, one line at a time, the next when the last is on its way; and standard output."""

    delimiter = b"\n"
    MAX_LENGTH = 1 << 30  # lineReceived has its own

    def __init__(self, pDoc: CChatDoc) -> None:
        self.m_pDoc = pDoc

    def connectionMade(self) -> None:
        self.m_pDoc.m_terminal = self.transport

    def lineReceived(self, line: bytes) -> None:
        strText = line.decode(errors="replace").strip()
        if units(self.m_pDoc.Signed(strText)) > LIMITS.nMaxString:
            print("that line is too long, and was not said", file=sys.stderr, flush=True)
        elif strText:
            stdin: Any = self.transport
            stdin.pauseProducing()
            sent = Deferred.fromCoroutine(self.m_pDoc.SendMsg(strText))
            sent.addCallbacks(lambda _: stdin.resumeProducing(), self.failed)

    def readConnectionLost(self) -> None:
        self.m_pDoc.m_bLeaving = True
        # The server closes the connection when it has sent what we have missed.
        Deferred.fromCoroutine(self.m_pDoc.SendMsg("", bClose=True)).addErrback(self.failed)

    def writeConnectionLost(self) -> None:
        # Nobody reads what is said.
        self.m_pDoc.m_bLeaving = True
        self.m_pDoc.Disconnected()
        PostQuitMessage()

    def connectionLost(self, reason: object = None) -> None:
        # All was written.
        PostQuitMessage()

    def failed(self, failure: Failure) -> None:
        self.m_pDoc.Disconnected(failure.getErrorMessage())


async def chat(doc: CChatDoc, options: argparse.Namespace) -> None:
    try:
        await doc.ConnectSocket(options.lpszHostAddress, options.nHostPort)
    except OSError as problem:
        doc.m_strProblem = str(problem)
        PostQuitMessage()
    else:
        StandardIO(Lines(doc))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lpszHostAddress", metavar="HOST", nargs="?", default="127.0.0.1")
    parser.add_argument("nHostPort", metavar="PORT", type=int, nargs="?", default=7007)
    parser.add_argument("strHandle", metavar="HANDLE", nargs="?")
    options = parser.parse_args()

    AfxSocketInit()
    doc = CChatDoc(options.strHandle or getpass.getuser())
    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(chat(doc, options)))
    reactor.run()  # the message loop: CWinApp::Run()
    AfxSocketTerm()
    if doc.m_strProblem:
        print(doc.m_strProblem, file=sys.stderr)
    return int(bool(doc.m_strProblem))


if __name__ == "__main__":
    sys.exit(main())
