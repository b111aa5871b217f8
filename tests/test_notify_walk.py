"""
The rules of C{WSAAsyncSelect} beside a second reading of the same page: one as bit masks that change, the other as a
history that is read.  Whatever happens to a socket, both say the same.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from twisted_casync import FD_ACCEPT, FD_CLOSE, FD_CONNECT, FD_OOB, FD_READ, FD_WRITE
from twisted_casync._notify import REENABLED_BY, Notifications, Phase

NAMES = {event.name or "": int(event) for event in (FD_CONNECT, FD_ACCEPT, FD_READ, FD_OOB, FD_WRITE, FD_CLOSE)}
"""In the order in which they are told when they hold at the same moment."""

CAN_HAPPEN = {
    "FD_CONNECT": {Phase.CONNECTING},
    "FD_ACCEPT": {Phase.LISTENING},
    "FD_READ": {Phase.CONNECTED, Phase.UNNAMED, Phase.DATAGRAM},
    "FD_OOB": {Phase.CONNECTED},
    "FD_WRITE": {Phase.CONNECTED, Phase.UNNAMED, Phase.DATAGRAM},
    "FD_CLOSE": {Phase.CONNECTED},
}
CALLS = {
    "Receive": {"FD_READ", "FD_OOB"},
    "Receive of urgent data": {"FD_OOB"},
    "Accept": {"FD_ACCEPT"},
    "Send that would have blocked": {"FD_WRITE"},
}

events = st.frozensets(st.sampled_from(list(NAMES)))
# Most happens in this one, and the other phases are ways to it.
phases = st.sampled_from([*Phase, *[Phase.CONNECTED] * len(Phase)])


def bits(names: frozenset[str]) -> int:
    return sum(NAMES[name] for name in names)


class History:
    """
    What happened to a socket, as a list of entries: what it was, which events it concerns, and whatever else it says.
    Whether an event is news is read from the list.
    """

    def __init__(self) -> None:
        self.entries: list[tuple[str, frozenset[str], Phase | None]] = []

    def add(self, what: str, concerned: frozenset[str], phase: Phase | None = None) -> None:
        self.entries.append((what, concerned, phase))

    def phase(self) -> Phase:
        """
        Where the socket is in its life.
        """
        return next(phase for _, _, phase in reversed(self.entries) if phase is not None)

    def news(self) -> frozenset[str]:
        """
        The events that would be told now if they held.
        """
        told = {event for event in NAMES if event != "FD_CONNECT" and self._isNews(event)}
        return frozenset(told | {"FD_CONNECT"} if self._connectIsNews() else told)

    def waits(self) -> bool:
        """
        Somebody waits for FD_WRITE who was told FD_CLOSE.
        """
        selected = next(concerned for what, concerned, _ in reversed(self.entries) if what == "selected")
        told = "FD_CLOSE" in selected and self.canHappen("FD_CLOSE") and "FD_CLOSE" not in self.news()
        return told and "FD_WRITE" in self.news()

    def _isNews(self, event: str) -> bool:
        """
        It is selected, it can happen, and being told is not the last that happened to it.
        """
        selected = next(concerned for what, concerned, _ in reversed(self.entries) if what == "selected")
        happened = [
            what for what, concerned, _ in self.entries if event in concerned or what in ("entered", "selected")
        ]
        return event in selected and self.canHappen(event) and happened[-1] != "told"

    def canHappen(self, event: str) -> bool:
        """
        The phase knows it, unless it was forbidden since that was entered, and not allowed again.
        """
        changes = [
            (what, phase)
            for what, concerned, phase in self.entries
            if what == "entered" or (what in ("forbidden", "allowed") and event in concerned)
        ]
        what, phase = changes[-1]
        return phase in CAN_HAPPEN[event] if what == "entered" else what == "allowed"

    def _connectIsNews(self) -> bool:
        """
        An attempt was begun, was not told of, and FD_CONNECT has been selected ever since it ended.
        """
        phases = [index for index, (what, _, _) in enumerate(self.entries) if what == "entered"]
        begun = [index for index in phases if self.entries[index][2] is Phase.CONNECTING]
        if not begun:
            return False
        ended = [index for index in phases if index > begun[-1]]
        if any(self.entries[index][2] is Phase.CLOSED for index in ended):
            return False
        masks = [(index, mask) for index, (what, mask, _) in enumerate(self.entries) if what == "selected"]
        atItsEnd = [mask for index, mask in masks if not ended or index < ended[0]][-1]
        later = [mask for index, mask in masks if ended and index > ended[0]]
        told = any(what == "told" and "FD_CONNECT" in names for what, names, _ in self.entries[begun[-1] :])
        return not told and all("FD_CONNECT" in mask for mask in [atItsEnd, *later])


class AnyOrder(RuleBasedStateMachine):
    """
    The rules and the history of the same socket always agree on what is news.
    """

    def __init__(self) -> None:
        super().__init__()
        self.notifications = Notifications()
        self.history = History()
        self.history.add("entered", frozenset(), Phase.CLOSED)
        self.history.add("selected", frozenset())

    @initialize(names=events, phase=phases)
    def open(self, names: frozenset[str], phase: Phase) -> None:
        self.select(names)
        self.enter(phase)

    @rule(names=events)
    def select(self, names: frozenset[str]) -> None:
        # What is no event of Winsock's is not selected.
        self.notifications.select(bits(names) | 1 << 6)
        self.history.add("selected", names)

    @rule(phase=phases)
    def enter(self, phase: Phase) -> None:
        self.notifications.enter(phase)
        self.history.add("entered", frozenset(), phase)

    @rule(ended=st.sampled_from([Phase.CLOSED, Phase.BOUND, Phase.CONNECTED]), names=events)
    def connect(self, ended: Phase, names: frozenset[str]) -> None:
        """
        An attempt from its beginning to its end, during which something else is selected.
        """
        self.enter(Phase.CONNECTING)
        self.select(names)
        self.enter(ended)

    @rule(names=events)
    def switch(self, names: frozenset[str]) -> None:
        """
        There and back, as SO_OOBINLINE is switched.
        """
        self.forbid(names)
        self.allow(names)

    @rule(names=events)
    def forbid(self, names: frozenset[str]) -> None:
        # The result of an attempt is told whatever was shut down.
        names -= {"FD_CONNECT"}
        self.notifications.forbid(bits(names))
        self.history.add("forbidden", names)

    @rule(names=events)
    def allow(self, names: frozenset[str]) -> None:
        names = frozenset(name for name in names if self.history.phase() in CAN_HAPPEN[name]) - {"FD_CONNECT"}
        self.notifications.allow(bits(names))
        # Of what was not forbidden this says nothing.
        names = frozenset(name for name in names if not self.history.canHappen(name))
        self.history.add("allowed", names)

    @rule(function=st.sampled_from(list(CALLS)))
    def call(self, function: str) -> None:
        self.notifications.reenable(REENABLED_BY[function])
        self.history.add("called", frozenset(CALLS[function]))

    @rule(holding=events, function=st.sampled_from(list(CALLS)))
    def turn(self, holding: frozenset[str], function: str) -> None:
        """
        Tell all that holds and is news, then call a function of which some of that may be news again.
        """
        if self.history.phase() is Phase.CONNECTING:
            # The attempt has no result before it has ended.
            holding -= {"FD_CONNECT"}
        for due in [event for event in NAMES if event in holding & self.history.news()]:
            assert self.notifications.news(bits(holding)) == NAMES[due]
            self.notifications.tell(NAMES[due])
            self.history.add("told", frozenset({due}))
        assert self.notifications.news(bits(holding)) == 0
        self.call(function)

    @invariant()
    def agree(self) -> None:
        assert self.notifications.enabled == bits(self.history.news())

    @invariant()
    def waiting(self) -> None:
        """
        The end was told, and FD_WRITE is still to come: what is left to be told is the loss of the connection.
        """
        assert self.notifications.waits() == self.history.waits()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=120, stateful_step_count=25, deadline=None, derandomize=True)
