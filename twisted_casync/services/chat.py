"""chat: the room of MFC's sample CHATTER, for clients that send and read lines, such as nc and telnet."""

from __future__ import annotations

import re
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from twisted_casync.services._lines import LineConnection, encoded
from twisted_casync.services._stream import StreamConnection, StreamListener

__all__ = ["ChatConnection", "ChatListener"]

_NICKNAME = re.compile(r"[\w-]{1,20}")
_HELP = "* /nick NAME, /who, /quit; anything else is said to everyone"


class ChatListener(StreamListener):
    """Accepts who wants to take part; `room` has those with a nickname, by its folded form, in the order of coming."""

    def __init__(self, reactor: Any = None) -> None:
        super().__init__(ChatConnection, reactor)
        self.room: dict[str, ChatConnection] = {}
        # Who was told something that is not sent yet; in the order in which that was.
        self._told: dict[ChatConnection, None] = {}
        self._flushing = False

    def say(self, line: str, but: ChatConnection | None = None) -> None:
        """Tell everyone but one."""
        self.tell(line, *(member for member in self.room.values() if member is not but))

    def tell(self, line: str, *connections: ChatConnection) -> None:
        """Have a line sent by `flush`."""
        data = encoded(line)
        for connection in connections:
            connection.sendLine(data)
            self._told[connection] = None

    def flush(self) -> None:
        """Send what was told, at the end of what told it; drop those who leave too much of it unread."""
        if self._flushing:
            return  # what an end within it tells is sent by the loop below, however many ends follow from one
        self._flushing = True
        try:
            while self._told:
                connection = next(iter(self._told))
                del self._told[connection]
                if not connection.flush():
                    self.warn("dropped: {peer}, who does not read", peer=connection.peer)
                    connection.abort()
        finally:
            self._flushing = False

    def ended(self, connection: StreamConnection, nErrorCode: int) -> None:
        super().ended(connection, nErrorCode)
        if isinstance(connection, ChatConnection):
            self._told.pop(connection, None)
            if self.room.get(connection.nickname.casefold()) is connection:
                del self.room[connection.nickname.casefold()]
                self.say(f"* {connection.nickname} has left")
                self.flush()

    def drain(self, clock: IReactorTime, grace: float) -> Deferred[None]:
        done = super().drain(clock, grace)
        self.say("* the chat is closing")
        # From now on nobody hears who else leaves.
        self.room.clear()
        for connection in tuple(self.connections):
            connection.leave()  # type: ignore[attr-defined]
        return done


class ChatConnection(LineConnection):
    """One who takes part; `nickname` is empty until it was chosen."""

    __slots__ = ("nickname",)

    listener: ChatListener

    def __init__(self, listener: ChatListener) -> None:
        super().__init__(listener, "* welcome; what is your nickname?")
        self.nickname = ""

    def lineReceived(self, line: str) -> None:
        command, _, rest = line.partition(" ")
        if command == "/nick":
            self._rename(rest.strip())
        elif command == "/quit":
            self.leave()
        elif command == "/who":
            self._tell(f"* here: {', '.join(member.nickname for member in self.listener.room.values()) or 'nobody'}")
        elif command.startswith("/"):
            self._tell(_HELP)
        elif not self.nickname:
            self._rename(line)
        elif line:
            self.listener.say(f"{self.nickname}: {line}", but=self)

    def OnReceive(self, nErrorCode: int) -> None:
        super().OnReceive(nErrorCode)
        self.listener.flush()

    def OnClose(self, nErrorCode: int) -> None:
        super().OnClose(nErrorCode)
        self.listener.flush()

    def lineLengthExceeded(self) -> None:
        self._tell(f"* too long: a line has {self.MAX_LENGTH} bytes at the most")

    def _tell(self, line: str) -> None:
        self.listener.tell(line, self)

    def _rename(self, nickname: str) -> None:
        room, old = self.listener.room, self.nickname
        if not _NICKNAME.fullmatch(nickname):
            self._tell("* a nickname has 1 to 20 letters, digits, - and _")
        elif room.get(nickname.casefold(), self) is not self:
            self._tell(f"* {nickname} is here already; what else?")
        else:
            room.pop(old.casefold(), None)
            room[nickname.casefold()] = self
            self.nickname = nickname
            self.listener.say(f"* {old} is now {nickname}" if old else f"* {nickname} has joined", but=self)
            self._tell(f"* you are {nickname}; here: {', '.join(member.nickname for member in room.values())}")
