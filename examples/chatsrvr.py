"""The server of a chat, after MFC's sample CHATSRVR.

    python examples/chatsrvr.py [PORT [ADDRESS]]

PORT is 7007 unless given, and 0 lets the system choose; ADDRESS is a dotted number, 127.0.0.1 unless given. Each
client, such as examples/chatter.py, sends its lines as messages, and gets everyone's. Ctrl-C or SIGTERM stops the
server, which says so to its clients.

Messages go through two `CArchive`s over a `CSocketFile` over each `CSocket`. The classes and members are the sample's,
and so are the bytes: a CHATTER that was built in C++ can take part. Where MFC blocks and pumps messages, this awaits.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress

from twisted.internet import defer, reactor
from twisted.internet.defer import Deferred, gatherResults

from twisted_casync import (
    WORD,
    AfxSocketInit,
    AfxSocketTerm,
    ArchiveLimits,
    CArchive,
    CArchiveException,
    CObject,
    CSocket,
    CSocketFile,
    CString,
    CStringList,
    GetLastError,
    Serialized,
)

LIMITS = ArchiveLimits(nMaxString=4096, nMaxCount=1000, nMaxItem=65536)  # a client can't make us buffer more
HISTORY = 1000  # messages that are kept for those who come later; the sample keeps all
MESSAGE = 60000  # bytes of one message: who has missed much is told in several
PATIENCE = 2.0  # seconds that clients have at the end to take what is on its way to them


def units(text: str) -> int:
    """How long a text is in a CString: in WCHARs."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


class CMsg(CObject):
    """What goes to and fro: a client fills m_strText or m_bClose, the server m_msgList."""

    def __init__(self) -> None:
        self.m_strText = ""
        self.m_bClose = False
        self.m_msgList = CStringList()

    def Serialize(self, ar: CArchive) -> None:
        if ar.IsStoring():
            ar << WORD(self.m_bClose) << self.m_strText  # ar << (WORD)m_bClose << m_strText;
        else:
            self.m_bClose = bool(ar >> WORD)  # WORD wd; ar >> wd; m_bClose = (BOOL)wd;
            self.m_strText = ar >> CString  # ar >> m_strText;
        self.m_msgList.Serialize(ar)


class CListeningSocket(CSocket):
    """The socket that clients connect to."""

    def __init__(self, pDoc: CServerDoc) -> None:
        super().__init__()
        self.m_pDoc = pDoc

    async def OnAccept(self, nErrorCode: int) -> None:  # type: ignore[override]  # a CSocket's handlers can wait
        await self.m_pDoc.ProcessPendingAccept()


class CClientSocket(CSocket):
    """One client."""

    def __init__(self, pDoc: CServerDoc) -> None:
        super().__init__()
        self.m_pDoc = pDoc
        self.m_nMsgCount = 0  # of all messages, so many were sent to it
        self.m_bSending = False
        self.m_bLeaving = False

    def Init(self) -> None:
        self.m_pFile = CSocketFile(self)
        self.m_pArchiveIn = CArchive(self.m_pFile, CArchive.load, limits=LIMITS)
        self.m_pArchiveOut = CArchive(self.m_pFile, CArchive.store)

    async def OnReceive(self, nErrorCode: int) -> None:  # type: ignore[override]  # a CSocket's handlers can wait
        await self.m_pDoc.ProcessPendingRead(self)

    def OnClose(self, nErrorCode: int) -> None:
        self.m_pDoc.CloseSocket(self)

    async def SendMsg(self, pMsg: CMsg) -> None:
        pMsg.Serialize(self.m_pArchiveOut)
        await self.m_pArchiveOut.Flush()

    async def ReceiveMsg(self) -> CMsg:
        # CMsg msg; msg.Serialize(*m_pArchiveIn);
        msg: CMsg = await self.m_pArchiveIn.whenLoaded(Serialized(CMsg))
        return msg


class CServerDoc:
    """The chat: who takes part, and what was said."""

    def __init__(self) -> None:
        self.m_pSocket = CListeningSocket(self)
        self.m_connectionList: list[CClientSocket] = []
        self.m_msgList = CStringList()
        self.m_nForgotten = 0

    async def ProcessPendingAccept(self) -> None:
        pSocket = CClientSocket(self)
        try:
            await self.m_pSocket.Accept(pSocket)
        except OSError as problem:
            print(f"accept failed: {problem}", file=sys.stderr, flush=True)
            return
        pSocket.Init()
        self.m_connectionList.append(pSocket)

    async def ProcessPendingRead(self, pSocket: CClientSocket) -> None:
        try:
            while True:  # do
                await self.ReadMsg(pSocket)
                if pSocket.m_bLeaving or pSocket.m_pArchiveIn.IsBufferEmpty():
                    break  # while (!pSocket->m_pArchiveIn->IsBufferEmpty());
        except (CArchiveException, OSError):
            # It is gone, or talks of something else: nothing of the other clients depends on it.
            self.CloseSocket(pSocket)
        self.UpdateClients()

    async def ReadMsg(self, pSocket: CClientSocket) -> None:
        msg = await pSocket.ReceiveMsg()
        pSocket.m_bLeaving = msg.m_bClose
        if msg.m_strText:
            self.m_msgList.AddTail(msg.m_strText)
            if len(self.m_msgList) > HISTORY:
                self.m_msgList.RemoveHead()
                self.m_nForgotten += 1

    def UpdateClients(self) -> None:
        for pSocket in self.m_connectionList:
            if not pSocket.m_bSending:
                # Not awaited: a client that does not read delays itself alone, and is sent later what it has missed.
                Deferred.fromCoroutine(self.UpdateClient(pSocket))

    async def UpdateClient(self, pSocket: CClientSocket) -> None:
        pSocket.m_bSending = True
        try:
            while (pMsg := self.AssembleMsg(pSocket)) is not None:
                await pSocket.SendMsg(pMsg)
        except (OSError, ValueError):  # ValueError: it was closed meanwhile
            self.CloseSocket(pSocket)
        pSocket.m_bSending = False
        if pSocket.m_bLeaving:
            self.CloseSocket(pSocket)

    def AssembleMsg(self, pSocket: CClientSocket) -> CMsg | None:
        pSocket.m_nMsgCount = max(pSocket.m_nMsgCount, self.m_nForgotten)
        pMsg = CMsg()
        nSize = 0
        for strText in self.m_msgList[pSocket.m_nMsgCount - self.m_nForgotten :]:
            nSize += 2 * units(strText) + 8  # its mark and its length
            if nSize > MESSAGE:
                break
            pMsg.m_msgList.AddTail(strText)
        pSocket.m_nMsgCount += len(pMsg.m_msgList)
        return None if pMsg.m_msgList.IsEmpty() else pMsg

    def CloseSocket(self, pSocket: CClientSocket) -> None:
        if pSocket in self.m_connectionList:
            self.m_connectionList.remove(pSocket)
            pSocket.m_pArchiveIn.Abort()
            pSocket.m_pArchiveOut.Abort()
            pSocket.Close()

    def OnCloseDocument(self) -> Deferred[list[None]]:
        self.m_pSocket.Close()
        pMsg = CMsg()
        pMsg.m_bClose = True
        pMsg.m_msgList.AddTail("Server has shut down")
        return gatherResults([Deferred.fromCoroutine(self.Dismiss(pSocket, pMsg)) for pSocket in self.m_connectionList])

    async def Dismiss(self, pSocket: CClientSocket, pMsg: CMsg) -> None:
        with suppress(OSError, ValueError, defer.TimeoutError):  # it is gone, or does not listen
            await Deferred.fromCoroutine(pSocket.SendMsg(pMsg)).addTimeout(PATIENCE, reactor)
        pSocket.Close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nSocketPort", metavar="PORT", type=int, nargs="?", default=7007)
    parser.add_argument("lpszSocketAddress", metavar="ADDRESS", nargs="?", default="127.0.0.1")
    options = parser.parse_args()

    AfxSocketInit()
    doc = CServerDoc()
    listener = doc.m_pSocket
    if not listener.Create(options.nSocketPort, lpszSocketAddress=options.lpszSocketAddress) or not listener.Listen():
        sys.exit(f"cannot listen on {options.lpszSocketAddress}:{options.nSocketPort}: {GetLastError().message}")
    rSocketAddress, rSocketPort = listener.GetSockName() or ("", 0)
    reactor.callWhenRunning(print, f"listening on {rSocketAddress}:{rSocketPort}", flush=True)
    reactor.addSystemEventTrigger("before", "shutdown", doc.OnCloseDocument)
    reactor.run()  # the message loop: CWinApp::Run()
    AfxSocketTerm()


if __name__ == "__main__":
    main()
