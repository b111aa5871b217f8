"""The command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .markdown import markdown
from .plot import svg
from .processes import Failed
from .record import Record
from .scenes import GROUPS, SCENES, matching
from .servers import SERVERS
from .session import Plan, run
from .targets import judge

__all__ = ["main"]


def parser(description: str) -> argparse.ArgumentParser:
    names = "; ".join(f"{name} ({kind.title})" for name, kind in SERVERS.items())
    scenes = f"groups: {', '.join(GROUPS)}; scenes: {', '.join(SCENES)}"
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, usage="%(prog)s [options]"
    )
    made.add_argument("--quick", action="store_true", help="some scenes and servers, 3 rounds of 0.2 seconds")
    made.add_argument("--scenes", nargs="+", metavar="NAME", help=scenes)
    made.add_argument("--servers", nargs="+", choices=list(SERVERS), metavar="NAME", help=names)
    made.add_argument("--rounds", type=int, metavar="N", help="default 5")
    made.add_argument(
        "--seconds", type=float, metavar="S", help="of one measurement, after a third of it to warm up; default 0.6"
    )
    made.add_argument(
        "--patience",
        type=float,
        metavar="S",
        help="seconds, in the whole run, to wait for a quiet machine and to repeat what was disturbed; default 120",
    )
    made.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there, and not to the terminal")
    made.add_argument("--json", type=Path, metavar="FILE", help="write every measurement there")
    made.add_argument("--svg", type=Path, metavar="FILE", help="draw the ratios there")
    made.add_argument(
        "--read",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="measure nothing, and report what earlier runs wrote with --json; of each scene the last one",
    )
    return made


def measured(options: argparse.Namespace, made: argparse.ArgumentParser) -> Record:
    """Do what the options say.  Raises Failed where nothing can be measured."""
    quick: bool = options.quick
    try:
        scenes = matching(options.scenes) if options.scenes else [n for n, s in SCENES.items() if s.quick or not quick]
    except KeyError as unknown:
        made.error(f"no scene is called {unknown}: there are {', '.join([*GROUPS, *SCENES])}")
    servers = options.servers or [name for name, kind in SERVERS.items() if kind.main or not quick]
    rounds = (3 if quick else 5) if options.rounds is None else options.rounds
    seconds = (0.2 if quick else 0.6) if options.seconds is None else options.seconds
    patience = (20.0 if quick else 120.0) if options.patience is None else options.patience
    if rounds < 1 or seconds <= 0:
        made.error("nothing can be measured in no time")
    return run(Plan(scenes, servers, rounds, seconds, patience))


def main(description: str, arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns 1 where a measurement failed, or a target that is required was missed.
    """
    made = parser(description)
    options = made.parse_args(arguments)
    try:
        record = Record.read(*options.read) if options.read else measured(options, made)
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    report = markdown(record)
    if options.markdown is None:
        print(report)
    else:
        options.markdown.write_text(report)
    if options.json is not None:
        record.write(options.json)
    if options.svg is not None:
        options.svg.write_text(svg(record))
    verdicts = [verdict for verdict in judge(record) if verdict.target.required and verdict.spread is not None]
    missed = [verdict for verdict in verdicts if not verdict.reached]
    for verdict in missed:
        print(f"missed: {verdict.target.title}, {verdict.where}", file=sys.stderr)
    for what in record.failures:
        print(f"failed: {what}", file=sys.stderr)
    return 1 if missed or record.failures else 0
