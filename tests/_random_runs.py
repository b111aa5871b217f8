"""
Random scenarios in folders, and child processes that play them, each on a reactor of its own.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from _generator import Scenario
from _model import Undetermined, predict
from _twistd import environment

__all__ = ["Run", "differing", "replay", "shrunk", "write"]

_QUIET = "5"
"""Milliseconds.  Over the loopback device everything has arrived; a pump waits for the reactor's turns only."""
_LONGEST = 900.0


def write(folder: Path, scenarios: Iterable[Scenario]) -> None:
    """
    Write scenarios as C{FOLDER/scenarios/NAME.txt}, and their predicted traces as C{FOLDER/traces/NAME.jsonl}.
    """
    (folder / "scenarios").mkdir(parents=True)
    (folder / "traces").mkdir()
    for scenario in scenarios:
        whole = [{"scenario": scenario.name}, *scenario.trace, {"end": scenario.name}]
        lines = "".join(json.dumps(record) + "\n" for record in whole)
        (folder / "scenarios" / f"{scenario.name}.txt").write_text(scenario.text, "latin-1")
        (folder / "traces" / f"{scenario.name}.jsonl").write_text(lines, "ascii")


def replay(folder: Path, way: str) -> list[str]:
    """
    @param way: C{REACTOR-window} or C{REACTOR-direct}.
    @return: the command that plays the scenarios of a folder.
    """
    reactor, registration = way.split("-")
    options = ["--reactor", reactor, "--quiet", _QUIET] + ["--direct"] * (registration == "direct")
    folders = [str(folder / "scenarios"), str(folder / "traces")]
    return [sys.executable, "-m", "twisted_casync.testing", "conformance", *folders, *options]


class Run:
    """
    A child process that plays the scenarios of a folder.
    """

    def __init__(self, folder: Path, way: str) -> None:
        self._child = subprocess.Popen(
            replay(folder, way), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def report(self) -> str:
        """
        @return: all that it said; it has ended then.
        """
        output, _ = self._child.communicate(timeout=_LONGEST)
        return output

    def succeeded(self) -> bool:
        return self._child.returncode == 0

    def kill(self) -> None:
        if self._child.poll() is None:
            self._child.kill()
            self._child.communicate()
        elif self._child.stdout is not None:
            # It ended before anybody has asked what it said.
            self._child.stdout.close()


def differing(report: str) -> list[str]:
    """
    @return: the names of the scenarios that a report says to differ, each once.
    """
    return list(dict.fromkeys(re.findall(r"^([\w-]+):\d+ ", report, re.MULTILINE)))


def shrunk(folder: Path, text: str, way: str) -> str:
    """
    @param folder: where to write what is tried.
    @return: the scenario without the lines that the difference does not need.
    """
    lines = text.splitlines()
    for attempt in range(len(lines)):
        shorter = []
        for left_out in range(len(lines)):
            candidate = "".join(line + "\n" for place, line in enumerate(lines) if place != left_out)
            try:
                shorter.append(Scenario(f"without-{left_out:03d}", candidate, predict(candidate)))
            except Undetermined:
                # Without this line it says nothing.
                continue
        write(folder / f"attempt-{attempt:03d}", shorter)
        run = Run(folder / f"attempt-{attempt:03d}", way)
        still = differing(run.report())
        if not still:
            break
        lines = next(scenario.text for scenario in shorter if scenario.name == still[0]).splitlines()
    return "".join(line + "\n" for line in lines)
