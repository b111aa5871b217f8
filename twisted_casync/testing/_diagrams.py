"""
The diagrams command: typical courses are played, recorded, and drawn into the places that a page has for them.

A place is what stands between two comments of the page::

    <!-- diagram: reset -->
    <!-- end of diagram -->
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from twisted_casync import AfxSocketInit, AfxSocketTerm
from twisted_casync.testing._courses import COURSES, Stage
from twisted_casync.testing._drawing import draw
from twisted_casync.testing._runner import installReactor, runInReactor

__all__ = ["addArguments", "filled", "places", "run"]

_PLACE = re.compile(r"(<!-- diagram: (\S+) -->\n)(.*?)(<!-- end of diagram -->)", re.DOTALL)
_PEERS = {"client": "server", "server": "client"}


def addArguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("page", type=Path, metavar="PAGE", help="a Markdown file with places for diagrams")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the page is not up to date")
    parser.add_argument("--reactor", metavar="NAME", help="as for twistd, or uvloop (default: the platform's)")


def places(page: str) -> list[str]:
    """
    @param page: a text.
    @return: the names of the diagrams that it has places for, in order.
    """
    return [match[2] for match in _PLACE.finditer(page)]


def filled(page: str, diagrams: dict[str, str]) -> str:
    """
    @param page: a text.
    @param diagrams: what is to stand in its places.
    @return: the text with the diagrams.
    """
    return _PLACE.sub(lambda match: f"{match[1]}```text\n{diagrams[match[2]]}\n```\n{match[4]}", page)


def run(options: argparse.Namespace) -> int:
    """
    Run the command.

    @param options: what L{addArguments} declared.
    @return: the exit status: 0 when the page is, or was made, up to date, 1 when it is not, 2 when that can't be told.
    """
    try:
        page = options.page.read_text("utf-8")
        names = places(page)
        if page.count("<!-- diagram:") != len(names):
            raise ValueError(f"{options.page}: a place for a diagram has no end, or no name")
        _known(names, COURSES)
        reactor = installReactor(options.reactor)
    except (OSError, ValueError, ImportError) as error:
        print(error, file=sys.stderr)
        return 2
    diagrams: dict[str, str] = {}
    runInReactor(reactor, _playAll(reactor, dict.fromkeys(names), diagrams))
    new = filled(page, diagrams)
    if options.check:
        lines = difflib.unified_diff(page.splitlines(), new.splitlines(), "as it is", "as it runs", lineterm="")
        for line in lines:
            print(line)
        return int(new != page)
    if new != page:
        options.page.write_text(new, "utf-8")
    return 0


def _known(names: Iterable[str], known: Iterable[str]) -> None:
    unknown = set(names) - set(known)
    if unknown:
        raise ValueError(f"no course {', '.join(sorted(unknown))}; there are {', '.join(known)}")


async def _playAll(reactor: Any, names: Iterable[str], diagrams: dict[str, str]) -> None:
    AfxSocketInit(reactor)
    for name in names:
        course = COURSES[name]
        stage = Stage(reactor)
        try:
            await course.play(stage)
            diagrams[name] = draw(stage.phases, course.columns, _PEERS, stage.ports)
        finally:
            stage.leave()
    AfxSocketTerm()
