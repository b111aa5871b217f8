"""
The commands of C{python -m twisted_casync.testing}.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from twisted_casync.testing import _conformance, _diagrams

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """
    @param arguments: the command line after the program's name; that of the process when left out.
    @return: the exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m twisted_casync.testing", description="Tools for testing sockets.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    conformance = commands.add_parser(
        "conformance",
        help="play recorded scenarios through the class and compare",
        description="Play every scenario through CAsyncSocket and compare with what was recorded.",
    )
    _conformance.addArguments(conformance)
    conformance.set_defaults(run=_conformance.run)
    diagrams = commands.add_parser(
        "diagrams",
        help="draw typical courses of events into a page",
        description="Play typical courses of events through CAsyncSocket, and draw what was recorded into a page.",
    )
    _diagrams.addArguments(diagrams)
    diagrams.set_defaults(run=_diagrams.run)
    options = parser.parse_args(arguments)
    status: int = options.run(options)
    return status


if __name__ == "__main__":
    sys.exit(main())
