"""
What an object of a scenario is at a moment: which events hold, and which of them would be news.
"""

from __future__ import annotations

from _loopback import End, Listener, Mailbox

from twisted_casync.testing._scenario import HandlerRule

__all__ = ["ORDER", "Socket"]

ORDER = ("OnConnect", "OnAccept", "OnReceive", "OnSend", "OnClose")
"""The order in which events that hold at the same moment are told."""
POSSIBLE = {
    "closed": set[str](),
    "bound": set[str](),
    "listening": {"OnAccept"},
    "connecting": set[str](),
    "connected": {"OnReceive", "OnSend", "OnClose"},
    "datagram": {"OnReceive", "OnSend"},
}


class Socket:
    """
    An object of the scenario.

    @ivar heard: the events that were told, and whose re-enabling function was not called since.
    @ivar outcome: how an attempt to connect ended, as long as that is to be told: 0 or an error.
    @ivar attempt: the connection that is being made; C{None} is a refusal that nobody knows yet.
    @ivar found: what held when it was looked at, if that was before it is told.
    @ivar now: what was found, and is told in its present turn.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.standing: dict[str, HandlerRule] = {}
        self.once: dict[str, list[HandlerRule]] = {}
        self.blank()

    def blank(self) -> None:
        self.state = "closed"
        self.port = 0
        self.selected: set[str] = set()
        self.heard: set[str] = set()
        self.outcome: int | str | None = None
        self.attempt: End | None = None
        self.found: set[str] | None = None
        self.now: set[str] = set()
        self.shutIn = self.shutOut = self.abortive = False
        # What there is of these depends on the state.
        self.end: End
        self.listener: Listener
        self.mailbox: Mailbox

    def enter(self, state: str) -> None:
        self.state = state
        self.heard = set()

    def isNews(self, event: str) -> bool:
        if event == "OnConnect":
            return self.outcome is not None
        if (event == "OnReceive" and self.shutIn) or (event == "OnSend" and self.shutOut):
            return False
        return event in (self.selected & POSSIBLE[self.state]) - self.heard

    def holds(self, event: str) -> bool:
        if event == "OnConnect":
            return self.outcome is not None
        if self.state == "listening":
            return event == "OnAccept" and bool(self.listener.waiting)
        if self.state == "datagram":
            readable = bool(self.mailbox.queue) or self.mailbox.refused
            return readable if event == "OnReceive" else event == "OnSend"
        if self.state != "connected":
            return False
        end = self.end
        if event == "OnReceive":
            return bool(end.queue)
        if event == "OnSend":
            # A loss of which OnClose is not to tell.
            return end.reset is None or "OnClose" not in self.selected
        drained = not end.queue or self.shutIn or "OnReceive" not in self.selected
        return event == "OnClose" and (end.reset is not None or (end.finished and drained))

    def error(self, event: str) -> int | str:
        if event == "OnConnect":
            return self.outcome or 0
        return self.end.reset or 0 if event == "OnClose" else 0

    def news(self) -> set[str]:
        return {event for event in ORDER if self.holds(event) and self.isNews(event)}

    def isDue(self) -> bool:
        if self.state == "connecting":
            return True
        return any(self.isNews(event) and (self.holds(event) or self.wasFound(event)) for event in ORDER)

    def wasFound(self, event: str) -> bool:
        """
        Was it found that the socket can send?  That may be told though the connection was reset since: the
        program has to cope with a reset right after OnSend as well.
        """
        return event == "OnSend" and self.state == "connected" and event in (self.found or self.now)

    def conclude(self) -> None:
        """
        The attempt to connect is found to have ended.
        """
        self.outcome = None
        if self.attempt is None:
            self.enter("bound")
            code: int | str = "WSAECONNREFUSED"
        else:
            self.end = self.attempt
            self.enter("connected")
            code = 0
        if "OnConnect" in self.selected:
            self.outcome = code
