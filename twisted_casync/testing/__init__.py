"""
Tools for testing what is built on C{CAsyncSocket}, and the class itself.

    - L{RecordingSocket}: a socket that remembers its notifications and lets a test wait for one.
    - C{python -m twisted_casync.testing conformance SCENARIOS TRACES}: plays recorded scenarios through the
      class and compares what it does with what a Winsock did.

Importing this installs no reactor.
"""

from __future__ import annotations

from twisted_casync.testing._recorder import RecordingSocket

__all__ = ["RecordingSocket"]
