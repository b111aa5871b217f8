"""Echo over CAsyncSocket beside its peers, in one run.

    python benchmarks/echo.py [--quick] [--json FILE] [--rounds N] [--seconds S] [--servers NAME ...]

Starts the echo servers of servers.py and loads one after the other, with messages of 64 bytes, 1 KiB and 16
KiB over 1 and 100 connections, one message on its way over each. The load is load.c, compiled on the spot,
or load.py where there is no compiler. Where the machine has two processors for it, all servers are on one
of them (those that are not loaded sleep) and the load is on the other.

In every round each measurement is taken of one server right after the other, in another order each time, so
that what else the machine does hits all of them alike; a ratio is always between two of the same round. The
tables show the median over the rounds and, in brackets, the lowest and the highest. With one connection all
servers wait for wake-ups most of the time, and their messages a second are close together: compare the
processor time there.

--quick takes half a minute: fewer servers, short measurements. Always, the exit status is 1 unless CAsyncSocket
beats Twisted's own Protocol: in messages a second over 100 connections at each size, and in processor time a
message over one. FILE gets every single measurement and the ratios.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from servers import SERVERS

HERE = Path(__file__).resolve().parent
OURS, DIRECT, TWISTED, RAW = "CAsyncSocket", "CAsyncSocket direct", "Twisted Protocol", "raw epoll loop"
QUICK = [OURS, DIRECT, TWISTED, RAW]
SIZES = [64, 1024, 16384]  # bytes
CONNECTIONS = [1, 100]


@dataclass(frozen=True)
class Measurement:
    rate: float  # messages a second
    cpu: float  # the server's processor time a message, in microseconds; 0 where the kernel doesn't tell


@dataclass
class Cell:
    """One size over one number of connections: for each server its measurements, one a round."""

    size: int
    connections: int
    servers: dict[str, list[Measurement]] = field(default_factory=dict)

    def rateRatios(self, server: str, base: str) -> list[float]:
        """How many messages the server echoed for one of the base's, round by round."""
        pairs = zip(self.servers[server], self.servers[base], strict=True)
        return [mine.rate / other.rate for mine, other in pairs]

    def costRatios(self, server: str, base: str) -> list[float]:
        """How much processor time the base took for one second of the server's, a message, round by round."""
        pairs = zip(self.servers[server], self.servers[base], strict=True)
        return [other.cpu / mine.cpu for mine, other in pairs if mine.cpu and other.cpu]


class Server:
    """A server of servers.py as a process."""

    def __init__(self, name: str, processor: int | None) -> None:
        # The package of this checkout is measured, whichever is installed.
        path = os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "servers.py"), name],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        pin(self.process.pid, processor)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{name} ended with status {self.process.wait()} instead of listening")
        self.port = int(line)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def pin(pid: int, processor: int | None) -> None:
    """Keep a process on one processor."""
    if processor is not None:
        os.sched_setaffinity(pid, {processor})


def processors() -> tuple[int, int] | tuple[None, None]:
    """One processor for the servers and one for the load, or none where there aren't two."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return (allowed[0], allowed[1]) if len(allowed) > 1 else (None, None)


def loadCommand(folder: Path) -> list[str]:
    """The command that loads a server: load.c compiled into the folder, or load.py."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is not None:
        program = folder / "load"
        subprocess.run([compiler, "-O2", "-o", str(program), str(HERE / "load.c")], check=True)
        return [str(program)]
    print("No C compiler: the load is in Python and limits the fast servers, so that its ratios are too small.")
    return [sys.executable, str(HERE / "load.py")]


def measure(
    load: list[str], processor: int | None, server: Server, cell: Cell, warmup: float, seconds: float
) -> Measurement:
    """Load one server once."""
    words = [server.port, cell.connections, cell.size, warmup, seconds, server.process.pid]
    process = subprocess.Popen([*load, *map(str, words)], stdout=subprocess.PIPE)
    pin(process.pid, processor)
    output, _ = process.communicate(timeout=warmup + seconds + 30)
    if process.returncode:
        sys.exit(f"the load ended with status {process.returncode}")
    told = json.loads(output)
    return Measurement(told["messages"] / told["seconds"], 1e6 * told["cpu"] / told["messages"])


def run(names: list[str], rounds: int, seconds: float) -> tuple[list[Cell], bool, bool]:
    """All rounds; the cells, whether the processes were pinned, and whether the load was the C one."""
    cells = [Cell(size, count, {name: [] for name in names}) for count in CONNECTIONS for size in SIZES]
    serverProcessor, loadProcessor = processors()
    with tempfile.TemporaryDirectory() as folder:
        load = loadCommand(Path(folder))
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            with ExitStack() as stack:
                servers = {}
                for name in names:
                    servers[name] = Server(name, serverProcessor)
                    stack.callback(servers[name].stop)
                for n, cell in enumerate(cells):
                    first = (number + n) % len(names)
                    for name in names[first:] + names[:first]:
                        measurement = measure(load, loadProcessor, servers[name], cell, seconds / 3, seconds)
                        cell.servers[name].append(measurement)
        return cells, serverProcessor is not None, len(load) == 1


def spread(values: list[float]) -> str:
    """The median, and the lowest and the highest in brackets."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})" if values else "-"


def table(cell: Cell) -> str:
    """What was measured in one cell, a line a server."""
    title = f"{cell.size} bytes over {cell.connections}"
    heads = f"{'messages/s':>11}{'to raw loop':>20}{'to Twisted':>20}{'CPU us':>8}{'CPU to Twisted':>20}"
    lines = [f"{title:<26}{heads}"]
    for name, measurements in cell.servers.items():
        rate = statistics.median(m.rate for m in measurements)
        cpu = statistics.median(m.cpu for m in measurements)
        columns = [cell.rateRatios(name, RAW), cell.rateRatios(name, TWISTED), cell.costRatios(name, TWISTED)]
        toRaw, toTwisted, cost = map(spread, columns)
        lines.append(f"  {name:<24}{rate:>11,.0f}{toRaw:>20}{toTwisted:>20}{cpu:>8.2f}{cost:>20}")
    return "\n".join(lines) + "\n"


def verdict(cells: list[Cell], compiled: bool) -> bool:
    """Say whether CAsyncSocket beats Twisted's Protocol: more than 1 is a win."""
    contests = {}
    for cell in cells:
        if cell.connections > 1:
            # A load in Python is the slower half: the messages a second are its own, the processor time is not.
            costs = [] if compiled else cell.costRatios(OURS, TWISTED)
            what = "processor time a message" if costs else "messages a second"
            contests[f"{cell.size} bytes over {cell.connections}, {what}"] = costs or cell.rateRatios(OURS, TWISTED)
    # One connection leaves both waiting for wake-ups, and the size makes no difference: it is the processor time that
    # tells, and all sizes together tell it better.
    single = [ratio for cell in cells if cell.connections == 1 for ratio in cell.costRatios(OURS, TWISTED)]
    if single:
        contests["all sizes over 1, processor time a message"] = single
    for what, ratios in contests.items():
        print(f"{OURS} to {TWISTED}, {what}: {spread(ratios)}")
    won = all(statistics.median(ratios) > 1 for ratios in contests.values())
    print(f"{OURS} beats {TWISTED}." if won else f"{OURS} does NOT beat {TWISTED} everywhere.")
    return won


def record(cells: list[Cell], pinned: bool, compiled: bool) -> dict[str, object]:
    """Everything that was measured, and on what, as JSON has it."""
    return {
        "python": platform.python_version(),
        "twisted": importlib.metadata.version("Twisted"),
        "machine": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": os.cpu_count(),
        "pinned": pinned,
        "load": "load.c" if compiled else "load.py",
        "cells": [
            {
                "size": cell.size,
                "connections": cell.connections,
                "servers": {
                    name: {
                        "rates": [round(m.rate, 1) for m in measurements],
                        "cpu_us": [round(m.cpu, 3) for m in measurements],
                        "ratio_to_raw": round(statistics.median(cell.rateRatios(name, RAW)), 4),
                        "ratio_to_twisted": round(statistics.median(cell.rateRatios(name, TWISTED)), 4),
                    }
                    for name, measurements in cell.servers.items()
                },
            }
            for cell in cells
        ],
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage="%(prog)s [options]"
    )
    parser.add_argument("--quick", action="store_true", help="few servers, 3 rounds of 0.2 seconds a measurement")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all measurements there")
    parser.add_argument("--rounds", type=int, help="default 5")
    parser.add_argument("--seconds", type=float, help="of one measurement, after a third of it to warm up; default 0.6")
    parser.add_argument("--servers", nargs="+", choices=list(SERVERS), metavar="NAME", help="of: " + "; ".join(SERVERS))
    options = parser.parse_args()
    names: list[str] = options.servers or (QUICK if options.quick else list(SERVERS))
    names = [name for name in SERVERS if name in {*names, OURS, TWISTED, RAW}]  # those three are compared to
    if importlib.util.find_spec("uvloop") is None:
        print("uvloop is not installed: left out.")
        names = [name for name in names if "uvloop" not in name]
    rounds = options.rounds or (3 if options.quick else 5)
    seconds = options.seconds or (0.2 if options.quick else 0.6)

    cells, pinned, compiled = run(names, rounds, seconds)
    if not pinned:
        print("Only one processor: servers and load share it.")
    for cell in cells:
        print(table(cell))
    if options.json is not None:
        options.json.write_text(json.dumps(record(cells, pinned, compiled), indent=1) + "\n")
    return 0 if verdict(cells, compiled) else 1


if __name__ == "__main__":
    sys.exit(main())
