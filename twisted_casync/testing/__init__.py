"""
Tools for testing what is built on C{CAsyncSocket}, and the class itself.

    - L{MemoryNetwork}: sockets without descriptors, whose notifications come when the test says so; L{Faults}: what is
      to go wrong there.
    - L{RecordingSocket}: a socket that remembers its notifications and lets a test wait for one.
    - L{Recording}: what happened to some of them, calls and notifications, as a list of L{Event}s.
    - L{SocketCheck}: which sockets were left open.  L{AsyncSocketTestMixin}: for trial.
    - C{python -m twisted_casync.testing conformance SCENARIOS TRACES}: plays recorded scenarios through the
      class and compares what it does with what a Winsock did.
    - C{python -m twisted_casync.testing diagrams PAGE}: draws typical courses, from runs of them, into a page.

Importing this installs no reactor.
"""

from __future__ import annotations

from twisted_casync.testing._faults import Faults
from twisted_casync.testing._network import MemoryNetwork
from twisted_casync.testing._opensockets import SocketCheck
from twisted_casync.testing._recorder import RecordingSocket
from twisted_casync.testing._recording import Event, Recording
from twisted_casync.testing._trial import AsyncSocketTestMixin

__all__ = [
    "AsyncSocketTestMixin",
    "Event",
    "Faults",
    "MemoryNetwork",
    "Recording",
    "RecordingSocket",
    "SocketCheck",
]
