"""
Random programs, the same for the same seed: 2 to 6 sockets, what each does when it is told something, and what is done
to them between two pumps.

They are written in the scenario language, with the commands of C{_liveness_actions}.
"""

from __future__ import annotations

from random import Random
from typing import Final

from _liveness_actions import RAISED
from _liveness_forks import FORKS

__all__ = ["program"]

_CASTS: Final = (
    ("L", "A"),
    ("L", "A", "B"),
    ("L", "A", "B", "C"),
    ("L", "M", "A", "B", "C"),
    ("L", "A", "W"),
    ("L", "A", "B", "W", "V"),
    ("L", "A", "U", "V"),
    ("U", "V"),
    ("L", "M", "A", "B", "W", "U"),
    ("WL", "A", "W"),
    ("L", "WL", "A", "B", "V"),
)
"""Listeners are C{L} and C{M}, datagram sockets C{U} and C{V}; C{W}, and the listener C{WL}, are C{CSocket}s."""
_MASKS: Final = (
    *("ALL", "ALL", "ALL", "NONE", "READ", "WRITE", "CLOSE", "READ|CLOSE", "WRITE|CLOSE"),
    *("ALL-READ", "ALL-WRITE", "ALL-CLOSE", "ALL-OOB", "ALL-CONNECT"),
)
_EVENTS: Final = {
    "L": ("OnAccept",),
    "U": ("OnReceive", "OnSend"),
    "A": ("OnConnect", "OnReceive", "OnSend", "OnOutOfBandData", "OnClose"),
}
"""What each kind of socket is told, by the name of the first."""
_STANDING: Final = {
    "OnAccept": ("accept {0}", "accept {0}", "accept {0}", "nop"),
    "OnConnect": ("nop", "send {0} 5"),
    "OnReceive": ("recv {0} 65536", "recv {0} 65536", "recv {0} 1000", "nop"),
    "OnSend": ("nop", "nop", "send {0} 1"),
    "OnOutOfBandData": ("recv {0} 1 OOB", "nop"),
    "OnClose": ("close {0}", "close {0}", "nop", "recv {0} 100", "shutdown {0} sends", "send {0} 3"),
}
"""What a handler does always: nothing that calls for the handler itself without end."""


class _Author:
    """
    Writes one program.
    """

    def __init__(self, lot: Random, forks: bool) -> None:
        self._lot = lot
        self._forks = forks
        self._cast = lot.choice(_CASTS)
        # Extra sockets are those of connections that were accepted.
        self._names = [*self._cast, *(f"X{place}" for place in range(3) if {"L", "WL"} & {*self._cast})]

    def program(self) -> str:
        lines = []
        for name in self._cast:
            lines += self._birth(name)
        for name in self._names:
            for event in _EVENTS[self._kind(name)]:
                lines += self._handlers(name, event)
        for name in self._cast:
            if self._kind(name) == "A":
                lines.append(f"connect {name} {self._listener()}")
        lines.append("pump")
        for _ in range(self._lot.randint(2, 5)):
            for _ in range(self._lot.randint(1, 4)):
                lines += self._action(self._lot.choice(self._names), False).split("; ")
            lines.append("pump")
        return "".join(f"{line}\n" for line in lines)

    @staticmethod
    def _kind(name: str) -> str:
        return {"M": "L", "V": "U", "WL": "L"}.get(name, name if name in _EVENTS else "A")

    def _chance(self, probability: float) -> bool:
        return self._lot.random() < probability

    def _birth(self, name: str) -> list[str]:
        mask = "" if self._chance(0.75) else f" mask={self._lot.choice(_MASKS)}"
        if self._kind(name) == "U":
            return [f"create {name} type=dgram{mask}"]
        return [f"create {name}{mask}", *([f"listen {name}"] if self._kind(name) == "L" else [])]

    def _listener(self) -> str:
        listeners = [name for name in self._cast if self._kind(name) == "L"] or ["dead"]
        where = self._lot.choice([*listeners * 4, "dead"])
        return f"name:{where if where != 'dead' else 'nowhere'}" if self._chance(0.15) else where

    def _handlers(self, name: str, event: str) -> list[str]:
        lines = [f"on {name} {event}: {self._lot.choice(_STANDING[event]).format(name)}"]
        for _ in range(self._lot.choices((0, 1, 2), (6, 3, 1))[0]):
            # What a program does of itself, and something that it rarely does; or nothing of the first.
            commands = [self._lot.choice(_STANDING[event]).format(name)] if self._chance(0.7) else []
            other = name if self._chance(0.5) else self._lot.choice(self._names)
            commands.append(self._action(other, True))
            lines.append(f"once {name} {event}: {'; '.join(commands)}")
        return lines

    def _action(self, name: str, told: bool) -> str:
        """
        @param told: it stands in a handler.
        """
        kind, lot = self._kind(name), self._lot
        choices: list[tuple[int, str]] = [
            (3, f"close {name}"),
            (4, f"select {name} {lot.choice(_MASKS)}"),
            (2, f"move {name} {lot.choice((name, 'Y'))}"),
            (2, f"assign {name} Z"),
            (2, "; ".join(self._birth(name))),
        ]
        if not told:
            choices.append((1, "janitor"))
        else:
            choices += [(8, f"raise {lot.choice(list(RAISED))}"), (4, "iterate")]
        if self._forks:
            choices.append((6, f"fork {lot.choice(list(FORKS))}"))
        if kind == "L":
            choices.append((4, f"accept {name}"))
            if name == "WL":
                choices += [(12, f"wait {name} accept"), (2, f"cancel {name}")]
        elif kind == "U":
            to = lot.choice([*(one for one in self._cast if self._kind(one) == "U"), "dead"])
            choices += [
                (8, f"sendto {name} {to}{' name' if self._chance(0.2) else ''}"),
                (4, f"connect {name} {to}"),
                (3, f"send {name} 4"),
                (6, f"recv {name} 100{' PEEK' if self._chance(0.2) else ''}"),
                (1, f"shutdown {name} {lot.choice(('receives', 'sends', 'both'))}"),
            ]
        else:
            choices += [
                (6, f"send {name} 5"),
                (5, f"send {name} fill"),
                (3, f"send {name} urgent"),
                (5, f"recv {name} {lot.choice((1, 100, 65536))}{lot.choice(('', '', '', ' PEEK', ' OOB'))}"),
                (5, f"shutdown {name} {lot.choice(('receives', 'sends', 'sends', 'both'))}"),
                (5, f"reset {name}"),
                (3, f"connect {name} {self._listener()}"),
            ]
            if name in ("A", "B"):
                choices.append((3, "close A; close B; pair A B"))
            if name == "W":
                choices += [(15, f"wait {name} {lot.choice(('receive', 'send'))}"), (2, f"cancel {name}")]
        return lot.choices([text for _, text in choices], [weight for weight, _ in choices])[0]


def program(seed: int, forks: bool = False) -> str:
    """
    @param forks: whether it may fork.
    @return: the program of a seed.
    """
    return _Author(Random(seed), forks).program()
