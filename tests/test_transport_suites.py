"""
Twisted's own tests of TCP, on every reactor, seen through L{twisted_casync.bridges.overCAsyncSockets}.

They are those of TCP servers, clients, ports, connectors, transports, half close, abort, adopted descriptors and TLS.
What can't pass is in L{LEFT_OUT}, with its reason.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from _suites import suitesOf
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


MODULES = {"test_newtls": 4, "test_socket": 8, "test_tcp": 109, "test_tls": 22}
"""The modules of C{twisted.internet.test}, and how many tests each has for one reactor at the least."""

LEFT_OUT: dict[str, str] = {}
"""The tests that are left out, and why."""

for _reactor in NAMES:
    globals().update(suitesOf(MODULES, _reactor, LEFT_OUT))
