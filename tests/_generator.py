"""
Random scenarios, the same for the same seed, in the scenario language.

Two to five objects: one or two listeners, one or two clients, those that are accepted, a pair of datagram sockets.
Each has handlers drawn by lot, which receive all, a part or nothing, look without taking, send, select anew, shut
down, close, abort, and come into being again; between two pumps the program does the like.

A seed is drawn from again until a scenario comes out that is determined, as far as C{_model} can tell by playing it
under many lots.  So no scenario depends on the order between sockets.  Neither does one reach what differs between
machines: no buffer is ever full, since how much goes into one is the kernel's business; TCP_NODELAY is on, for a
segment that waits for an acknowledgement comes some time later; a port that was given up is not used any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TypeVar

from _model import Record, Undetermined, predict

__all__ = ["Scenario", "generate"]

_MASKS = ("ALL", "ALL", "ALL", "READ", "WRITE", "CLOSE", "READ|CLOSE", "ALL-READ", "ALL-WRITE", "ALL-CLOSE", "NONE")
_EVENTS = {
    "listener": ("OnAccept",),
    "client": ("OnConnect", "OnReceive", "OnSend", "OnClose"),
    "accepted": ("OnReceive", "OnSend", "OnClose"),
    "datagram": ("OnReceive", "OnSend"),
}
_CASTS = (
    {"L": "listener", "C": "client", "A": "accepted"},
    {"L": "listener", "C": "client", "A": "accepted"},
    {"L": "listener", "C": "client", "D": "client", "A": "accepted", "B": "accepted"},
    {"L": "listener", "M": "listener", "C": "client", "D": "client", "A": "accepted"},
    {"L": "listener", "C": "client", "A": "accepted", "U": "datagram"},
    {"U": "datagram", "V": "datagram"},
    {"C": "client", "U": "datagram", "V": "datagram"},
)

T = TypeVar("T")


class _Author:
    """
    Writes one scenario.
    """

    def __init__(self, lot: Random) -> None:
        self._lot = lot
        self._cast = lot.choice(_CASTS)
        self._listeners = self._of("listener")
        # Of the others nothing but WSAENOTSOCK is to be had.
        self._present = [name for name, part in self._cast.items() if part != "accepted"]
        self._sent = 0

    def scenario(self) -> str:
        lines = ["deadport @dead"]
        for name, part in self._cast.items():
            if part != "accepted":
                lines += self._birth(name)
        for name, part in self._cast.items():
            for event in _EVENTS[part]:
                lines += self._handlers(name, part, event)
        # Most of what can happen needs a connection.
        for name in self._of("client"):
            lines.append(self._connect(name))
        lines += ["pump"] if self._chance(0.8) else []
        for name in self._of("accepted"):
            if self._listeners and self._chance(0.7):
                lines += [self._accept(self._lot.choice(self._listeners), name)]
                lines += ["pump"] if self._chance(0.7) else []
        for _ in range(self._lot.randint(3, 7)):
            for _ in range(self._lot.choice((1, 1, 2, 2, 3, 4))):
                lines += self._command(self._lot.choice(self._present))
            lines.append("pump")
        return "".join(line + "\n" for line in lines)

    def _of(self, part: str) -> list[str]:
        return [name for name, plays in self._cast.items() if plays == part]

    def _chance(self, probability: float) -> bool:
        return self._lot.random() < probability

    def _one(self, *choices: tuple[int, T]) -> T:
        return self._lot.choices([value for _, value in choices], [weight for weight, _ in choices])[0]

    def _accept(self, listener: str, name: str) -> str:
        if name not in self._present:
            self._present.append(name)
        return f"accept {listener} {name}"

    def _connect(self, name: str) -> str:
        to = self._lot.choice(self._listeners) if self._listeners and self._chance(0.9) else "dead"
        return f"connect {name} 127.0.0.1 @{to}"

    def _birth(self, name: str) -> list[str]:
        mask = "" if self._chance(0.7) else f" mask={self._lot.choice(_MASKS)}"
        part = self._cast[name]
        if part == "datagram":
            return [f"create {name} type=dgram host=127.0.0.1{mask}"]
        lines = [f"create {name} host=127.0.0.1{mask}", f"setsockopt {name} TCP_NODELAY 1"]
        if part == "listener":
            lines.append(f"listen {name}")
        elif self._chance(0.1):
            lines.append(f"setsockopt {name} SO_LINGER 1,0")
        return lines

    def _data(self) -> str:
        # Each piece tells its own place in the stream.
        self._sent += 1
        return f"{self._sent:02d}" + "abcdefghijkl"[: self._lot.choice((0, 1, 3, 8, 12))]

    def _handlers(self, name: str, part: str, event: str) -> list[str]:
        lines = []
        for word in ["once"] * self._one((6, 0), (3, 1), (1, 2)) + ["on"] * self._chance(0.75):
            commands = self._reaction(name, part, event)
            if self._chance(0.2):
                other = name if self._chance(0.8) else self._lot.choice(self._present)
                commands += self._command(other, quietly=word == "on")
            lines.append(f"{word} {name} {event}: {'; '.join(commands) or 'nop'}")
        return lines

    def _reaction(self, name: str, part: str, event: str) -> list[str]:
        """
        What a program does in this handler, in most cases.
        """
        if event == "OnAccept":
            accepted = self._lot.choice(self._of("accepted"))
            hello = [f"send {accepted} {self._data()}"] * self._chance(0.2)
            return [self._accept(name, accepted), *hello] if self._chance(0.6) else []
        if event == "OnReceive":
            return [self._receive(name)] * self._one((3, 0), (10, 1), (2, 2))
        if event == "OnConnect":
            again = [self._connect(name)] * self._chance(0.1)
            return again + [f"send {name} {self._data()}"] * self._one((4, 0), (3, 1), (1, 2))
        if event == "OnSend" and part != "datagram":
            return [f"send {name} {self._data()}"] * self._one((4, 0), (1, 1))
        if event == "OnClose":
            return [self._one((4, "nop"), (4, f"close {name}"), (3, self._receive(name)), (1, f"shutdown {name}"))]
        return []

    def _receive(self, name: str) -> str:
        flags = " PEEK" if self._chance(0.1) else ""
        member = "recvfrom" if self._cast[name] == "datagram" and self._chance(0.5) else "recv"
        return f"{member} {name} {self._lot.choice((1, 2, 5, 20, 100))}{flags}"

    def _command(self, name: str, quietly: bool = False) -> list[str]:
        """
        @param quietly: it stands where it may be done again and again.
        """
        part = self._cast[name]
        if part == "datagram":
            return self._datagramCommand(name)
        choices = [
            (1 if part == "listener" else 10, f"send {name} {self._data()}"),
            (1 if part == "listener" else 8, self._receive(name)),
            (0 if quietly else 5, f"select {name} {self._lot.choice(_MASKS)}"),
            (0 if part == "listener" else 3, f"shutdown {name} {self._one((4, 'send'), (2, 'recv'), (2, 'both'))}"),
            (4, f"close {name}"),
            (1, f"ioctl {name} FIONREAD"),
            (1 if part == "listener" else 2, f"setsockopt {name} SO_LINGER 1,0; close {name}"),
        ]
        if part == "listener":
            choices.append((6, self._accept(name, self._lot.choice(self._of("accepted")))))
        elif part == "client":
            choices.append((4, self._connect(name)))
            choices.append((3, "; ".join([f"close {name}", *self._birth(name), self._connect(name)])))
        return self._one(*choices).split("; ")

    def _datagramCommand(self, name: str) -> list[str]:
        to = self._lot.choice([*self._of("datagram"), "dead"])
        data = '""' if self._chance(0.1) else self._data()
        choices = [
            (8, f"sendto {name} 127.0.0.1 @{to} {data}"),
            (4, f"send {name} {data}"),
            (3, f"connect {name} 127.0.0.1 @{to}"),
            (8, self._receive(name)),
            (4, f"select {name} {self._lot.choice(_MASKS)}"),
            (1, f"shutdown {name} {self._one((4, 'send'), (2, 'recv'), (2, 'both'))}"),
            (1, f"ioctl {name} FIONREAD"),
            (1, f"close {name}"),
            (1, f"close {name}; " + "; ".join(self._birth(name))),
        ]
        return self._one(*choices).split("; ")


@dataclass(frozen=True)
class Scenario:
    """
    @ivar trace: what the model predicts.
    """

    name: str
    text: str
    trace: list[Record]


def generate(seed: int) -> Scenario:
    """
    @return: the scenario of a seed.
    """
    lot = Random(seed)
    while True:
        text = _Author(lot).scenario()
        try:
            return Scenario(f"seed-{seed:05d}", text, predict(text))
        except Undetermined:
            # The lot goes on: the next one is another.
            continue
