"""
C{python -m twisted_casync.trace}: draws a trace, or makes a trace for Perfetto of it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from twisted_casync.trace._perfetto import perfetto
from twisted_casync.trace._picture import COLUMNS, picture
from twisted_casync.trace._reading import TraceError, TraceFile
from twisted_casync.trace._svg import drawn

__all__ = ["main"]

_FIRST = 200


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """
    @param arguments: the command line after the program's name; that of the process when left out.
    @return: the exit status: 0, or 2 when a file can't be read or written, or is no trace.
    """
    parser = argparse.ArgumentParser(
        prog="python -m twisted_casync.trace",
        description="Draw what sockets did, as twistd casync --trace FILE wrote it down, as a sequence diagram (SVG).",
    )
    parser.add_argument("trace", type=Path, metavar="FILE", help="a trace")
    parser.add_argument("--svg", type=Path, metavar="OUT", help="where to draw (default: FILE.svg)")
    parser.add_argument(
        "--perfetto",
        type=Path,
        metavar="OUT",
        help="write all of it for https://ui.perfetto.dev or chrome://tracing instead of drawing",
    )
    parser.add_argument(
        "--first",
        type=_count,
        default=_FIRST,
        metavar="N",
        help=f"draw the first N calls and notifications (default: {_FIRST})",
    )
    parser.add_argument(
        "--socket",
        type=_count,
        action="append",
        default=[],
        metavar="ID",
        help=f"draw only this socket and the other end of its connection; may be given several times "
        f"(default: all for which there is room in {COLUMNS} columns)",
    )
    options = parser.parse_args(arguments)
    trace = TraceFile(options.trace)
    try:
        if options.perfetto is not None:
            perfetto(trace, options.perfetto)
        out = options.svg or (None if options.perfetto else options.trace.with_name(options.trace.name + ".svg"))
        if out is not None:
            trace = TraceFile(options.trace)
            out.write_text(drawn(picture(trace, options.first, options.socket)), "utf-8")
    except (OSError, TraceError) as error:
        print(error, file=sys.stderr)
        return 2
    if trace.cut is not None:
        print(f"{options.trace}:{trace.cut}: the last line is cut off; it is left out", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
