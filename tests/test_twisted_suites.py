"""
Twisted's own tests of reactors, on the casync reactor: without sockets, and with one that is open all the time.

They are those that Twisted runs on each of its reactors: descriptors, time, threads, processes, standard input and
output, TCP, UDP, UNIX sockets, TLS, signals.  What can't pass is in L{LEFT_OUT}, with its reason.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest
from _suites import TCP, suitesOf

REACTORS = ("twisted_casync.reactor.CAsyncReactor", "_busy_reactor.BusyCAsyncReactor")

# They call what Twisted and pyOpenSSL advise against, on purpose.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore:.*does not explicitly provide any OpenSSL connection-creator"
)

MODULES = {
    "test_core": 13,
    "test_fdset": 11,
    "test_newtls": 4,
    "test_process": 38,
    "test_socket": 8,
    "test_stdio": 6,
    "test_tcp": TCP,
    "test_threads": 9,
    "test_time": 2,
    "test_tls": 22,
    "test_udp": 36,
    "test_unix": 35,
}
"""The modules of C{twisted.internet.test}, and how many tests each has for one reactor at the least."""


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    They make files where they are.
    """
    monkeypatch.chdir(tmp_path)


def runnableByAll() -> bool:
    """
    May every user run this Python: what the link to it stands for, and the environment that the link stands in?
    """
    links = Path(sys.executable)
    folders = {*links.parents, *links.resolve().parents}
    return all(each.stat().st_mode & stat.S_IXOTH for each in (links, *folders))


LEFT_OUT = {
    "test_lostFileDescriptor": (
        True,
        "epoll says nothing of a descriptor that was closed: Twisted leaves its epoll reactor out by its name",
    ),
    "test_changeUID": (
        os.getuid() == 0 and not runnableByAll(),
        "it runs this Python as another user, who may not: it fails on every reactor",
    ),
}
"""The tests that are left out, when, and why."""


for _reactor in REACTORS:
    globals().update(suitesOf(MODULES, _reactor, "casync", {test: why for test, (now, why) in LEFT_OUT.items() if now}))
