"""
The datagrams that one socket sends, on their way: each by itself until the clock has it arrive.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from twisted_casync.testing._faults import Faults
from twisted_casync.winsock import SOCK_DGRAM

if TYPE_CHECKING:
    from twisted_casync.testing._mailbox import Mailbox

__all__ = ["MailWay"]


class MailWay:
    """
    What a datagram socket sends, to whomever: nothing keeps one datagram behind another but that it was sent later.

    @ivar source: who sends.
    @ivar flying: how many bytes are on their way.
    @ivar carried: how many bytes were sent.
    """

    def __init__(self, clock: Any, source: Mailbox, delay: float) -> None:
        """
        @param clock: a provider of C{IReactorTime}.
        @param delay: seconds that anything takes.
        """
        self.source = source
        self.flying = self.carried = 0
        self._clock, self._delay = clock, delay
        # Those on their way, by their numbers: when, what arrives, and the call that waits for it.
        self._flight: dict[int, tuple[float, Callable[[], None], Any]] = {}
        self._sent = 0
        self._held = False
        self.script(Faults())

    # -- what a test says

    def script(self, faults: Faults) -> None:
        """
        What is to go wrong from now on.

        @param faults: they replace those before; datagrams are counted from now on.
        @raise ValueError: they are said of streams.
        """
        if not isinstance(faults, Faults):
            raise TypeError(f"faults must be Faults, not {type(faults).__name__}")
        self._delays = chain(faults.saidOf(SOCK_DGRAM).delays, repeat(0.0))
        copies = faults.copies
        self._copies = repeat(copies) if isinstance(copies, int) else chain(copies, repeat(1))
        self._longer = faults.delay
        self._open = self._clock.seconds() + faults.blocked
        if faults.blocked:
            self._clock.callLater(faults.blocked, self.source.changed)

    def hold(self) -> None:
        """
        Nothing arrives until L{release}.
        """
        self._held = True
        for number, (due, arrive, call) in self._flight.items():
            if call is not None:
                call.cancel()
            self._flight[number] = due, arrive, None

    def release(self) -> None:
        """
        What was held arrives, when the network goes on: what was due meanwhile as it was sent.
        """
        self._held = False
        for number, (due, arrive, _) in self._flight.items():
            self._flight[number] = due, arrive, self._calling(number, due)

    # -- what a socket does

    def isOpen(self) -> bool:
        """
        @return: whether a datagram can be sent now.
        """
        return bool(self._clock.seconds() >= self._open)

    def post(self, arrive: Callable[[], None], size: int) -> None:
        """
        Send a datagram along.

        @param arrive: what to call each time that it is there.
        @param size: how many bytes it is.
        """
        self.carried += size
        due = self._clock.seconds() + self._delay + self._longer + next(self._delays)

        def arrived() -> None:
            self.flying -= size
            arrive()

        for _ in range(next(self._copies)):
            self.flying += size
            self._sent += 1
            self._flight[self._sent] = due, arrived, None if self._held else self._calling(self._sent, due)

    def _calling(self, number: int, due: float) -> Any:
        return self._clock.callLater(max(0.0, due - self._clock.seconds()), self._arrive, number)

    def _arrive(self, number: int) -> None:
        _, arrive, _ = self._flight.pop(number)
        arrive()
