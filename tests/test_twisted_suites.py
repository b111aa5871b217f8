"""
Twisted's own tests of reactors, on the casync reactor: without sockets, and with one that is open all the time.

They are those that Twisted runs on each of its reactors: descriptors, time, threads, processes, standard input and
output, TCP, UDP, UNIX sockets, TLS, signals.  What can't pass is in L{LEFT_OUT}, with its reason.
"""

from __future__ import annotations

import importlib
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.test.reactormixins import ReactorBuilder

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
    "test_tcp": 109,
    "test_threads": 9,
    "test_time": 2,
    "test_tls": 22,
    "test_udp": 36,
    "test_unix": 35,
}
"""The modules of C{twisted.internet.test}, and how many tests each has for one reactor at the least."""


def readableByAll(path: str) -> bool:
    """
    May every user run this program?
    """
    here = Path(path).resolve()
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in (here, *here.parents))


LEFT_OUT = {
    "test_lostFileDescriptor": (
        True,
        "epoll says nothing of a descriptor that was closed: Twisted leaves its epoll reactor out by its name",
    ),
    "test_changeUID": (
        os.getuid() == 0 and not readableByAll(sys.executable),
        "it runs this Python as another user, who may not: it fails on every reactor",
    ),
}
"""The tests that are left out, when, and why."""


@contextmanager
def onlyOn(reactor: str) -> Iterator[None]:
    """
    Have Twisted make its tests for one reactor: the list is private, and has been there since 2008.
    """
    every = ReactorBuilder._reactors
    ReactorBuilder._reactors = [reactor]
    try:
        yield
    finally:
        ReactorBuilder._reactors = every


def suites(name: str, reactor: str) -> dict[str, Any]:
    """
    The tests of one module of Twisted's for one reactor, by their names.
    """
    module = importlib.import_module(f"twisted.internet.test.{name}")
    made = {}
    with onlyOn(reactor):
        for attribute in list(vars(module)):
            builder, _, of = attribute.rpartition("_")
            if of == "SelectReactorTests":
                # Whatever Twisted runs on the reactor that every platform has.
                made.update(getattr(module, builder).makeTestCaseClasses())
    return made


for _name, _least in MODULES.items():
    for _reactor in REACTORS:
        _suites = suites(_name, _reactor)
        _tests = [(suite, test) for suite in _suites.values() for test in dir(suite) if test.startswith("test_")]
        assert len(_tests) >= _least, f"{_name} has {len(_tests)} tests for {_reactor}, and had {_least}"
        for _suite, _test in _tests:
            _is, _why = LEFT_OUT.get(_test, (False, ""))
            if _is:
                setattr(_suite, _test, pytest.mark.skip(_why)(getattr(_suite, _test)))
        globals().update(_suites)
