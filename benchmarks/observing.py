"""What it costs to look at a running service: twistd casync echo without and with --metrics, --status and --trace.

    python benchmarks/observing.py [--rounds N] [--seconds S] [--connections N] [--size BYTES]

Each way is the same service in a process of its own, on one processor, and the load on the other. One message is on its
way over each connection. In every round each way is measured right after the other; a ratio is between two of the same
round. The table shows the median over the rounds of the messages that were answered in a second, of the processor time
that the service took for one, and of the ratio to the service that nobody looks at. While metrics are served they are
scraped once a second, which is more often than one does.
"""

from __future__ import annotations

import argparse
import os
import pty
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import urllib.request
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sidebyside import machine
from sidebyside.processes import Failed, Programs, load

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 30.0
OFF = "nothing"
WAYS = {
    OFF: [],
    "--metrics": ["--metrics=tcp:0:interface=127.0.0.1"],
    "--status": ["--status"],
    "--trace": ["--trace=trace.jsonl"],
}


class Twistd(AbstractContextManager["Twistd"]):
    """The service, with a terminal as its standard error; stopped at the end."""

    def __init__(self, options: list[str], folder: str, processor: int | None) -> None:
        self._master, terminal = pty.openpty()
        command = [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "--logfile=log"]
        self._log = Path(folder) / "log"
        self._log.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [*command, "casync", *options, "echo", "tcp:0:interface=127.0.0.1"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=terminal,
        )
        os.close(terminal)
        self.pid = self.process.pid
        machine.pin(self.pid, processor)
        self._ended = threading.Event()
        threading.Thread(target=self._look, daemon=True).start()
        self.port = int(self._logged(r"listening on tcp \S+:(\d+)"))
        self.scraped = 0
        if any("metrics" in option for option in options):
            url = f"http://127.0.0.1:{self._logged('MetricsSite starting on ([0-9]+)')}/metrics"
            threading.Thread(target=self._scrape, args=(url,), daemon=True).start()

    def _logged(self, pattern: str) -> str:
        for _ in range(int(PATIENCE * 100)):
            text = self._log.read_text() if self._log.exists() else ""
            if match := re.search(pattern, text):
                return match[1]
            self._ended.wait(0.01)
        raise self.failed("it did not begin to listen")

    def _look(self) -> None:
        try:
            while os.read(self._master, 65536):
                pass
        except OSError:
            # The service, the last to have the terminal, has ended.
            pass

    def _scrape(self, url: str) -> None:
        while not self._ended.wait(1.0):
            urllib.request.urlopen(url, timeout=PATIENCE).read()
            self.scraped += 1

    def failed(self, what: str) -> Failed:
        """What went wrong."""
        return Failed(f"{what}; its log is\n{self._log.read_text() if self._log.exists() else 'empty'}")

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self.process.terminate()
        self.process.wait(PATIENCE)
        os.close(self._master)


def measured(programs: Programs, way: str, options: argparse.Namespace) -> tuple[float, float]:
    """Messages a second, and microseconds of the service's processor time for each."""
    pair = machine.processors() or (None, None)
    with tempfile.TemporaryDirectory() as folder, Twistd(WAYS[way], folder, pair[0]) as server:
        seconds = options.seconds
        while True:
            words = ["-c", options.connections, "-s", options.size, "-w", seconds / 3, "-t", seconds]
            told: dict[str, Any] = load(programs, server, "echo", pair[1], seconds * 2, *words)  # type: ignore[arg-type]  # it has what is asked of a Server
            if told["messages"]:
                return told["messages"] / told["seconds"], 1e6 * told["cpu"] / told["messages"]
            # A busy machine came to none in so short a time.
            seconds *= 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--size", type=int, default=64)
    options = parser.parse_args()
    machine.descriptorLimit()
    found: dict[str, list[tuple[float, float, float]]] = {way: [] for way in WAYS}
    with Programs() as programs:
        for number in range(options.rounds):
            base = 0.0
            for way in WAYS:
                rate, cpu = measured(programs, way, options)
                base = rate if way == OFF else base
                found[way].append((rate, cpu, rate / base))
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    print(f"echo of {options.size} bytes over {options.connections} connections\n")
    print("| looked at with | messages a second | processor time a message, µs | to nothing |")
    print("| --- | ---: | ---: | ---: |")
    for way, values in found.items():
        rate, cpu, ratio = (statistics.median(column) for column in zip(*values, strict=True))
        print(f"| {way} | {rate:,.0f} | {cpu:.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
