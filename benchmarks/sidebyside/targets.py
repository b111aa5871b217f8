"""What this project wants to reach, one row each, and whether it did.

Each is about the median of one run; never is one a reason for a change to be refused. What is refused is counted
(tests/test_cost.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .record import Record, Spread
from .scenes import METRICS, SCENES

__all__ = ["TARGETS", "Target", "Verdict", "judge"]


@dataclass(frozen=True)
class Target:
    """A bound for a server in some scenes: of the ratio to another server, or, without one, of the value itself.

    A ratio is more than 1 where the server is better, whatever is measured.
    """

    title: str
    scenes: tuple[str, ...]
    server: str
    bound: float
    against: str = ""
    metric: str = ""  # none: what the scene's servers are compared by
    most: bool = False  # the bound is the most that it may be
    pooled: bool = False  # all the scenes together
    required: bool = False  # the command fails where it is not reached

    def metricIn(self, scene: str) -> str:
        return self.metric or SCENES[scene].metrics[0]

    def found(self, record: Record, scene: str) -> list[float]:
        """What was measured; nothing, if it wasn't."""
        name = self.metricIn(scene)
        if self.against:
            return record.ratios(scene, self.server, self.against, name, METRICS[name].lower)
        return record.values(scene, self.server, name)


ECHO = ("echo-64-100", "echo-1k-100", "echo-16k-100")
SINGLE = ("echo-64-1", "echo-1k-1", "echo-16k-1")
BULK = ("bulk-in", "bulk-out", "bulk-both")
UP_TO_500 = ("echo-64-100", "echo-64-500")
WAITS = 0.1  # of a system call: the waiting that a message shares with others

TARGETS: tuple[Target, ...] = (
    Target("window on the stock epoll reactor", ECHO, "window", 0.93, "raw"),
    Target("casync reactor", ECHO, "casync", 0.97, "raw"),
    Target("casync reactor against uvloop's Protocol", ECHO, "casync", 1.0, "uvloop"),
    Target("window against Twisted's Protocol", ECHO, "window", 2.2, "twisted"),
    Target("window beats Twisted's Protocol", ECHO, "window", 1.0, "twisted", required=True),
    # With one connection the size makes no difference, and all of them together tell it better.
    Target("window beats Twisted's Protocol", SINGLE, "window", 1.0, "twisted", "cpu", pooled=True, required=True),
    Target("window on the poll reactor against that on epoll", UP_TO_500, "window-poll", 0.95, "window"),
    Target("window on the select reactor against that on epoll", UP_TO_500, "window-select", 0.95, "window"),
    Target("window on the asyncio reactor against that on epoll", UP_TO_500, "window-asyncio", 0.95, "window"),
    Target("Twisted's Protocol on the casync reactor against that on epoll", ECHO, "twisted-casync", 0.98, "twisted"),
    Target("window", BULK, "window", 0.95, "raw"),
    Target("casync reactor", BULK, "casync", 0.95, "raw"),
    Target("window, until it would block", ("datagrams",), "window", 0.9, "raw"),
    Target("casync reactor, until it would block", ("datagrams",), "casync", 0.9, "raw"),
    Target("window, one Receive a notification", ("datagrams",), "window-one", 0.7, "raw"),
    Target("casync reactor, one Receive a notification", ("datagrams",), "casync-one", 0.7, "raw"),
    Target("window", ("connect",), "window", 0.88, "raw"),
    Target("casync reactor", ("connect",), "casync", 0.95, "raw"),
    Target("window: system calls a message", ("calls",), "window", 2 + WAITS, most=True),
    Target("casync reactor: system calls a message", ("calls",), "casync", 2 + WAITS, most=True),
    Target("window: epoll_ctl a message", ("calls",), "window", 0.0, metric="registering", most=True),
    Target("casync reactor: epoll_ctl a message", ("calls",), "casync", 0.0, metric="registering", most=True),
    Target("window: bytes of memory", ("idle",), "window", 700, most=True),
    Target("casync reactor: bytes of memory", ("idle",), "casync", 700, most=True),
    Target("window: registrations", ("idle",), "window", 1, metric="registrations", most=True),
    Target("casync reactor: registrations", ("idle",), "casync", 1, metric="registrations", most=True),
    Target("window: kept beside idle connections", ("beside",), "window", 0.95),
    Target("casync reactor: kept beside idle connections", ("beside",), "casync", 0.95),
)


@dataclass(frozen=True)
class Verdict:
    """A target in a scene, or in several together; without a spread it was not measured."""

    target: Target
    scenes: tuple[str, ...]
    spread: Spread | None

    @property
    def reached(self) -> bool:
        """Whether the median is within the bound."""
        if self.spread is None:
            return False
        if self.target.most:
            return self.spread.median <= self.target.bound
        return self.spread.median >= self.target.bound

    def write(self, value: float) -> str:
        """A value of the target, as the scene writes it; a ratio with a digit more, to tell what was just missed."""
        if self.target.against:
            return f"{value:.3f}"
        return METRICS[self.target.metricIn(self.scenes[0])].write(value)

    @property
    def where(self) -> str:
        """The scenes, in words."""
        return f"{SCENES[self.scenes[0]].group}: {', '.join(SCENES[scene].title for scene in self.scenes)}"


def judge(record: Record, targets: Sequence[Target] = TARGETS) -> list[Verdict]:
    """Each target in each scene that was measured at all; a pooled one in all of those together."""
    verdicts = []
    for target in targets:
        scenes = tuple(scene for scene in target.scenes if scene in record.measured)
        for some in [scenes] if target.pooled and scenes else [(scene,) for scene in scenes]:
            numbers = [number for scene in some for number in target.found(record, scene)]
            verdicts.append(Verdict(target, some, Spread.of(numbers)))
    return verdicts
