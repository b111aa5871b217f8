"""
The conformance command: a folder of scenarios against folders of traces.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from twisted_casync import AfxSocketInit, AfxSocketTerm
from twisted_casync.testing._compare import MISSING, BrokenTrace, Difference, compare, loadTrace, nearest
from twisted_casync.testing._deviations import Deviations, proposeRows
from twisted_casync.testing._runner import (
    DEFAULT_QUIET,
    installReactor,
    playScenario,
    runInReactor,
    socketsOn,
    unawaitedOn,
)
from twisted_casync.testing._session import Fields

__all__ = ["Tally", "addArguments", "differences", "run"]

_HANG = 120.0


def addArguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("scenarios", type=Path, metavar="SCENARIOS", help="folder of NAME.txt")
    parser.add_argument("traces", type=Path, metavar="TRACES", help="folder of NAME.jsonl")
    parser.add_argument(
        "--also",
        type=Path,
        action="append",
        default=[],
        metavar="TRACES",
        help="folder of another recording: an answer that is in any of them does not differ (can be repeated)",
    )
    parser.add_argument("--reactor", metavar="NAME", help="as for twistd, or uvloop (default: the platform's)")
    parser.add_argument("--direct", action="store_true", help="register sockets with the reactor itself")
    parser.add_argument("--csocket", action="store_true", help="play with objects of class CSocket that nobody awaits")
    parser.add_argument("--deviations", type=Path, metavar="FILE", help="table of known deviations")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these scenarios only")
    parser.add_argument("--write", type=Path, metavar="DIR", help="write own traces as DIR/NAME.jsonl")
    parser.add_argument("--propose", action="store_true", help="print rows that would cover the present differences")
    parser.add_argument(
        "--quiet",
        type=float,
        default=DEFAULT_QUIET * 1000,
        metavar="MS",
        help="how long nothing must have come before a pump is over (default: %(default)g)",
    )


class Tally:
    """
    What became of the scenarios so far, and the differences no row of the table covers.
    """

    def __init__(self, deviations: Deviations) -> None:
        self._deviations = deviations
        self._names: list[str] = []
        self._outcomes = {"match": 0, "known": 0, "differ": 0}
        self.open: list[Difference] = []

    def add(self, name: str, differences: Iterable[Difference]) -> list[Difference]:
        """
        Count a scenario.

        @return: those of its differences that are not known.
        """
        everything = list(differences)
        uncovered = [difference for difference in everything if not self._deviations.covers(difference)]
        self._names.append(name)
        self._outcomes["differ" if uncovered else "known" if everything else "match"] += 1
        self.open += uncovered
        return uncovered

    def stale(self) -> list[Difference]:
        """@return: the rows of the table that covered nothing."""
        return self._deviations.stale(set(self._names))

    def summary(self) -> str:
        """@return: the line that ends the report."""
        match, known, differ = self._outcomes.values()
        return f"{len(self._names)} scenarios, {match} match, {known} known deviations, {differ} differ"

    def isGood(self) -> bool:
        """@return: whether nothing is unknown, and no row is stale."""
        return not self._outcomes["differ"] and not self.stale()


def run(options: argparse.Namespace) -> int:
    """
    Run the command.

    @param options: what L{addArguments} declared.
    @return: the exit status: 0 when all is as recorded or known, 1 when not, 2 when it could not be run.
    """
    try:
        deviations = Deviations(options.deviations.read_text("utf-8")) if options.deviations else Deviations()
        paths = _scenarioFiles(options.scenarios, options.only)
        for folder in (options.traces, *options.also):
            if not folder.is_dir():
                raise ValueError(f"no folder {folder}")
        if options.write is not None:
            options.write.mkdir(parents=True, exist_ok=True)
        reactor = installReactor(options.reactor)
    except (OSError, ValueError, ImportError) as error:
        print(error, file=sys.stderr)
        return 2
    except Exception as error:  # a reactor says in its own way that this platform hasn't got it
        print(f"reactor {options.reactor}: {error}", file=sys.stderr)
        return 2
    tally = Tally(deviations)
    # With --propose, standard output is the table and nothing else.
    report = sys.stderr if options.propose else sys.stdout
    runInReactor(reactor, _playAll(reactor, options, paths, tally, report))
    for row in tally.stale():
        print(f"stale row: {row}", file=report)
    if options.propose:
        print(proposeRows(tally.open), end="")
    print(tally.summary(), file=report, flush=True)
    return 0 if tally.isGood() else 1


def _scenarioFiles(folder: Path, only: list[str] | None) -> list[Path]:
    if not folder.is_dir():
        raise ValueError(f"no folder {folder}")
    paths = sorted(folder.glob("*.txt"))
    if only is not None:
        unknown = set(only) - {path.stem for path in paths}
        if unknown:
            raise ValueError(f"no scenario {', '.join(sorted(unknown))} in {folder}")
        paths = [path for path in paths if path.stem in only]
    return paths


async def _playAll(reactor: Any, options: argparse.Namespace, paths: list[Path], tally: Tally, report: TextIO) -> None:
    AfxSocketInit(reactor, direct=options.direct)
    factory = unawaitedOn(reactor) if options.csocket else socketsOn(reactor)
    for path in paths:
        # A member that never returns would hang the whole run without a word.
        faulthandler.dump_traceback_later(_HANG, exit=True)
        got = await playScenario(reactor, path.stem, path.read_text("latin-1"), options.quiet / 1000, factory)
        faulthandler.cancel_dump_traceback_later()
        if options.write is not None:
            lines = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in got)
            (options.write / f"{path.stem}.jsonl").write_text(lines, "ascii")
        found = differences(path.stem, [options.traces, *options.also], got)
        for difference in tally.add(path.stem, found):
            if not options.propose:
                print(difference, file=report, flush=True)
    AfxSocketTerm()


def differences(name: str, folders: Sequence[Path], got: list[Fields]) -> list[Difference]:
    """
    @param name: of a scenario.
    @param folders: of recordings; each can have a C{NAME.jsonl}.
    @param got: the trace to compare.
    @return: the differences of the answers that differ from every recording.
    """
    traces = [trace for folder in folders if (trace := folder / f"{name}.jsonl").exists()]
    if not traces:
        return [Difference(name, 0, "trace", MISSING, f"{len(got)} records")]
    try:
        return nearest([compare(name, loadTrace(trace.read_text("utf-8")), got) for trace in traces])
    except (BrokenTrace, UnicodeDecodeError) as error:
        return [Difference(name, 0, "trace", f"(broken: {error})", f"{len(got)} records")]
