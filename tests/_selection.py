"""
Which of the collected tests run.

By default those that a change is tried with all day: each on the L{USUAL} ways and on one more, which its name decides,
so that a run meets all twelve; and those that start programs are left out, except those of a file that is named.
C{--ways} and C{--programs} ask for more, C{--rest} for all that the default leaves out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from _reactors import REACTORS, WAYS

__all__ = ["addOptions", "chosen", "filesOf", "startsPrograms"]

USUAL = ("epoll-window", "select-direct", "casync-window")
"""The ways that every test runs on by default, where it is for several."""


def addOptions(parser: pytest.Parser) -> None:
    group = parser.getgroup("twisted_casync", "which tests run")
    group.addoption(
        "--ways",
        metavar="NAME[,NAME]",
        type=_waysFrom,
        help="the ways or reactors that tests run on: " + ", ".join([*WAYS, *REACTORS]) + "; or all",
    )
    group.addoption("--programs", action="store_true", help="also the tests that start programs")
    group.addoption("--rest", action="store_true", help="only the tests that are left out without any option")


def _waysFrom(option: str) -> list[str]:
    names = option.split(",")
    for name in names:
        if name not in (*WAYS, *REACTORS, "all"):
            raise ValueError(name)
    return names


def filesOf(config: pytest.Config) -> dict[Path, set[str]]:
    """
    @return: the files that the command line names, each with the tests of it that it names.
    """
    files: dict[Path, set[str]] = {}
    for argument in config.args:
        path, _, test = argument.partition("::")
        file = (config.invocation_params.dir / path).resolve()
        if file.is_file():
            files.setdefault(file, set()).add(test.rpartition("::")[2])
    return files


def chosen(config: pytest.Config, items: Iterable[pytest.Item]) -> set[pytest.Item]:
    """
    @param items: all tests that were collected.
    @return: those to run.
    """
    tests = list(items)
    if config.option.rest:
        return set(tests) - {item for item in _onUsual(tests) if not _leftOut(item)}
    ways, files = config.option.ways, filesOf(config)
    kept = set(tests) if ways and "all" in ways else _onSome(tests, ways) if ways else _onUsual(tests)
    if not config.option.programs and "programs" not in config.option.markexpr:
        kept = {item for item in kept if item.path in files or not _leftOut(item)}
    # Of a test that is named with its parameters these are meant.
    return kept | {item for item in tests if item.name.endswith("]") and item.name in files.get(item.path, ())}


def startsPrograms(item: pytest.Item) -> bool:
    """
    @return: may the test start a program?
    """
    return item.get_closest_marker("programs") is not None


def _leftOut(item: pytest.Item) -> bool:
    mark = item.get_closest_marker("programs")
    return mark is not None and not mark.kwargs.get("always")


def _of(item: pytest.Item) -> Iterator[str]:
    """
    The ways, or the reactors, that a test is for: those among its parameters, or what its class says.
    """
    parameters: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    yield from (value for value in parameters.values() if isinstance(value, str) and value in (*WAYS, *REACTORS))
    yield from filter(None, [getattr(getattr(item, "cls", None), "way", None)])


def _onSome(items: list[pytest.Item], names: list[str]) -> set[pytest.Item]:
    """
    The tests on the named ways or reactors, and those that are for none.
    """

    def asked(way: str) -> bool:
        return any(way == name or way.split("-")[0] == name or name.split("-")[0] == way for name in names)

    found = {item: list(_of(item)) for item in items}
    return {item for item, ways in found.items() if not ways or any(map(asked, ways))}


def _onUsual(items: list[pytest.Item]) -> set[pytest.Item]:
    """
    The tests on the usual ways and on one more of each test's, and those that are for none.
    """
    kept = set()
    groups: dict[str, list[tuple[str, pytest.Item]]] = {}
    for item in items:
        ways = list(_of(item))
        if not ways:
            kept.add(item)
        else:
            # Of a pair the first decides.
            groups.setdefault(_apartFrom(ways, item), []).append((ways[0], item))
    for name, offered in groups.items():
        others = [item for way, item in offered if not any(usual in (way, f"{way}-window") for usual in USUAL)]
        kept.update({item for _, item in offered} - set(others))
        if others:
            kept.add(others[crc32(name.encode()) % len(others)])
    return kept


def _apartFrom(ways: list[str], item: pytest.Item) -> str:
    """
    What a test is called on any way.
    """
    function, _, parameters = item.nodeid.partition("[")
    for way in ways:
        parameters = parameters.replace(way, "")
    # Twisted's suites have the reactor's name at the end of the class's.
    return f"{re.sub('_[A-Za-z]+Tests::', '::', function)}[{parameters}"
