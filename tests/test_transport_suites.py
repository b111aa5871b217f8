"""
Twisted's own tests of TCP and UDP, on every reactor, seen through L{twisted_casync.bridges.overCAsyncSockets}.

They are those of TCP servers, clients, ports, connectors, transports, half close, abort, adopted descriptors and TLS,
those of UDP ports, and those of the descriptors that a reactor watches, for which a view has methods of its own.  What
can't pass is in L{LEFT_OUT}, with its reason.  Those of UNIX sockets are not here: these are the reactor's own through
a view too.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from _suites import TCP, suitesOf
from _view_reactors import NAMES

# They call what Twisted and pyOpenSSL advise against, on purpose.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore:.*does not explicitly provide any OpenSSL connection-creator"
)


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    They make files where they are.
    """
    monkeypatch.chdir(tmp_path)


MODULES = {"test_fdset": 11, "test_newtls": 4, "test_socket": 8, "test_tcp": TCP, "test_tls": 22, "test_udp": 36}
"""The modules of C{twisted.internet.test}, and how many tests each has for one reactor at the least."""

LEFT_OUT = {
    "test_lostFileDescriptor": (
        ("Epoll", "Asyncio", "Casync"),
        "epoll says nothing of a descriptor that was closed: Twisted leaves these reactors out by their names",
    ),
}
"""The tests that are left out, on which reactors, and why."""

for _reactor, _way in NAMES.items():
    _leftOut = {test: why for test, (reactors, why) in LEFT_OUT.items() if any(name in _reactor for name in reactors)}
    globals().update(suitesOf(MODULES, _reactor, _way, _leftOut))
