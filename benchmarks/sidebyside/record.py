"""What was measured: every single measurement, and what follows from them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["Measurement", "Record", "Spread"]


@dataclass(frozen=True)
class Measurement:
    """One measurement of one server: what the load and the kernel have counted, by name.

    `at` is when, in seconds since the start of the run. Which values there are depends on the scene; always there is
    "others": how much of one processor was used by what is no part of the measurement.
    """

    round: int
    at: float
    values: dict[str, float]


@dataclass(frozen=True)
class Spread:
    """Some numbers: their median, and the lowest and the highest of them."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, numbers: Iterable[float]) -> Spread | None:
        """None where there are no numbers."""
        found = list(numbers)
        return cls(statistics.median(found), min(found), max(found)) if found else None

    def format(self, write: Callable[[float], str]) -> str:
        """The median, and in brackets the lowest and the highest where they are written differently."""
        middle, low, high = write(self.median), write(self.lowest), write(self.highest)
        return middle if low == middle == high else f"{middle} ({low}\u2013{high})"


@dataclass
class Record:
    """One run.

    `measured` is by scene and server, `conditions` what a reader has to know, `leftOut` which servers and scenes are
    missing and why, `failures` what went wrong in the middle.
    """

    machine: dict[str, str] = field(default_factory=dict)
    conditions: list[str] = field(default_factory=list)
    leftOut: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    measured: dict[str, dict[str, list[Measurement]]] = field(default_factory=dict)

    def add(self, scene: str, server: str, measurement: Measurement) -> None:
        self.measured.setdefault(scene, {}).setdefault(server, []).append(measurement)

    def of(self, scene: str, server: str) -> Sequence[Measurement]:
        """The measurements of a server in a scene."""
        return self.measured.get(scene, {}).get(server, [])

    def values(self, scene: str, server: str, name: str) -> list[float]:
        """All the values of one name."""
        return [m.values[name] for m in self.of(scene, server) if name in m.values]

    def ratios(self, scene: str, server: str, base: str, name: str, lower: bool) -> list[float]:
        """How much better a server was than another, each time against the measurement nearest in time of its round.

        `lower`: of what is measured less is better. More than 1 is better either way.
        """
        found = []
        for mine in self.of(scene, server):
            others = [m for m in self.of(scene, base) if m.round == mine.round and m.values.get(name)]
            if others and mine.values.get(name):
                other = min(others, key=lambda m: abs(m.at - mine.at))
                ratio = mine.values[name] / other.values[name]
                found.append(1 / ratio if lower else ratio)
        return found

    def write(self, path: Path) -> None:
        """All of it, as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, *paths: Path) -> Record:
        """What was written; of several files each scene from the last one that has it."""
        record = cls()
        for path in paths:
            told = json.loads(path.read_text())
            record.machine.update(told["machine"])
            record.leftOut.update(told["leftOut"])
            record.conditions += [line for line in told["conditions"] if line not in record.conditions]
            record.failures += told["failures"]
            for scene, servers in told["measured"].items():
                record.measured[scene] = {
                    server: [Measurement(**one) for one in measurements] for server, measurements in servers.items()
                }
        return record
