"""
What sockets do, written down while they do it: for whoever has to find out why.

    - L{Trace}: writes each call and each notification of each socket to a file, one JSON object a line.  From the
      command line C{twistd casync --trace FILE} does so.
    - C{python -m twisted_casync.trace FILE}: draws such a file as a sequence diagram, or makes a trace for Perfetto of
      it.

What a line says is in C{docs/observing.md}.
"""

from __future__ import annotations

from twisted_casync.trace._trace import Trace

__all__ = ["Trace"]
