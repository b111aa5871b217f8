"""
Twisted's own suites, those that it runs on each of its reactors, for reactors that it does not know.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import skip

import pytest
from twisted.internet.test.reactormixins import ReactorBuilder

import twisted

__all__ = ["TCP", "suitesOf"]

_PATIENCE = 120.0
"""The seconds that one of their tests may take; trial's own limit is 120, and most need a hundredth of a second."""


@contextmanager
def _onlyOn(reactor: str) -> Iterator[None]:
    """
    Have Twisted make its tests for one reactor: the list is private, and has been there since 2008.
    """
    every = ReactorBuilder._reactors
    ReactorBuilder._reactors = [reactor]
    try:
        yield
    finally:
        ReactorBuilder._reactors = every


def _made(name: str, reactor: str) -> dict[str, Any]:
    """
    The tests of one module of Twisted's for one reactor, by their names.
    """
    module = importlib.import_module(f"twisted.internet.test.{name}")
    made = {}
    with _onlyOn(reactor):
        for attribute in list(vars(module)):
            builder, _, of = attribute.rpartition("_")
            if of == "SelectReactorTests":
                # Whatever Twisted runs on the reactor that every platform has.
                made.update(getattr(module, builder).makeTestCaseClasses())
    return made


TCP = 109 if tuple(map(int, twisted.__version__.split(".")[:2])) >= (26, 10) else 87
"""
How many tests C{test_tcp} has for one reactor at the least: Twisted 26.10 added some.
"""

_STARTING_PROGRAMS = ("test_process", "test_stdio")


def suitesOf(modules: Mapping[str, int], reactor: str, way: str, leftOut: Mapping[str, str]) -> dict[str, Any]:
    """
    @param modules: names of modules of C{twisted.internet.test}, and how many tests each has at the least.
    @param reactor: the full name of what makes the reactor.
    @param way: one of L{_reactors.WAYS} or L{_reactors.REACTORS}, by which C{_selection} knows them.
    @param leftOut: the tests to skip, and why.
    @return: the classes of tests, by their names.
    @raise AssertionError: there are fewer.
    """
    found = {}
    for module, least in modules.items():
        made = _made(module, reactor)
        for suite in made.values():
            suite.timeout = _PATIENCE
            suite.way = way
            if module in _STARTING_PROGRAMS:
                suite.pytestmark = [pytest.mark.programs]
        tests = [(suite, test) for suite in made.values() for test in dir(suite) if test.startswith("test_")]
        assert len(tests) >= least, f"{module} has {len(tests)} tests for {reactor}, and had {least}"
        for suite, test in tests:
            if test in leftOut:
                # In place of the method, which the suites of other reactors share and which a mark would mark for all.
                setattr(suite, test, skip(leftOut[test])(getattr(suite, test)))
        found.update(made)
    return found
