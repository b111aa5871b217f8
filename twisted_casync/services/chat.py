"""chat: the room of MFC's sample CHATTER, for clients that send and read lines, such as nc and telnet."""

from __future__ import annotations

import re
from collections import deque
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from twisted_casync import CAsyncSocket, IAsyncSocketService
from twisted_casync.services._lines import LineConnection, encoded
from twisted_casync.services._stream import StreamConnection, StreamListener
from twisted_casync.services._streamsonly import StreamOptions

__all__ = ["ChatConnection", "ChatListener", "chat"]

_log = Logger()

_NICKNAME = re.compile(r"[\w-]{1,20}")
_NICKNAME_EXPECTED = "* a nickname has 1 to 20 letters, digits, - and _"
_HELP = "* /nick NAME, /who, /quit; anything else is said to everyone"


class ChatListener(StreamListener):
    """Accepts who wants to take part.

    room: those who have a nickname, by its folded form, in the order in which they came.
    """

    def __init__(self, reactor: Any = None) -> None:
        super().__init__(ChatConnection, reactor)
        self.room: dict[str, ChatConnection] = {}

    def say(self, line: str, but: ChatConnection | None = None) -> None:
        """Send a line to everyone but one; who has not read too much of what was said is dropped, and that is said."""
        lines: deque[tuple[str, ChatConnection | None]] = deque([(line, but)])
        while lines:
            line, but = lines.popleft()
            data = encoded(line)
            for key, member in tuple(self.room.items()):
                if member is not but and not member.sendLine(data):
                    # Out of the room first, so that its end is said here: one can follow from another.
                    del self.room[key]
                    lines.append((f"* {member.nickname} has left", None))
                    member.drop()

    def ended(self, connection: StreamConnection, nErrorCode: int) -> None:
        super().ended(connection, nErrorCode)
        if isinstance(connection, ChatConnection) and self.room.get(connection.nickname.casefold()) is connection:
            del self.room[connection.nickname.casefold()]
            self.say(f"* {connection.nickname} has left")

    def drain(self, clock: IReactorTime, grace: float) -> Deferred[None]:
        done = super().drain(clock, grace)
        self.say("* the chat is closing")
        # From now on nobody hears who else leaves.
        self.room.clear()
        for connection in tuple(self.connections):
            connection.leave()  # type: ignore[attr-defined]
        return done


class ChatConnection(LineConnection):
    """One who takes part.

    nickname: empty until it was chosen.
    """

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

    def lineLengthExceeded(self) -> None:
        self._tell(f"* too long: a line has {self.MAX_LENGTH} bytes at the most")

    def drop(self) -> None:
        """End it at once: it doesn't read, and nobody waits for it."""
        _log.warn("dropped: {peer}, who does not read", peer=self.peer)
        self.abort()

    def _tell(self, line: str) -> None:
        if not self.sendLine(line):
            self.drop()

    def _rename(self, nickname: str) -> None:
        room, old = self.listener.room, self.nickname
        if not _NICKNAME.fullmatch(nickname):
            self._tell(_NICKNAME_EXPECTED)
        elif room.get(nickname.casefold(), self) is not self:
            self._tell(f"* {nickname} is here already; what else?")
        else:
            room.pop(old.casefold(), None)
            room[nickname.casefold()] = self
            self.nickname = nickname
            self.listener.say(f"* {old} is now {nickname}" if old else f"* {nickname} has joined", but=self)
            self._tell(f"* you are {nickname}; here: {', '.join(member.nickname for member in room.values())}")


@implementer(IAsyncSocketService)
class _Chat:
    name = "chat"
    description = "A room for clients that send and read lines, as nc and telnet."
    options = StreamOptions
    where = ("tcp:7070",)

    def listener(self, options: Any, kind: str) -> CAsyncSocket:
        if kind != "stream":
            raise ValueError(f"{self.name} serves no {kind}s")
        return ChatListener()


chat = _Chat()
