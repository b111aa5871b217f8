"""
What an import brings: a program does not wait for what it does not use, and finds all names all the same.
"""

from __future__ import annotations

import inspect
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import twisted_casync
from twisted_casync import services

pytestmark = pytest.mark.programs

ROOT = Path(__file__).resolve().parent.parent

OTHERS = ("_csocket", "_csocketfile", "_stream", "archive", "bridges", "endpoints", "errors", "testing", "tls", "trace")
"""What a server of its own sockets needs nothing of."""

COMMANDS = {
    "echo": ["tcp:0"],
    "discard": ["tcp:0"],
    "daytime": ["tcp:0"],
    "time": ["udp:0"],
    "forward": ["--to=127.0.0.1:7", "tcp:0"],
    "chat": ["tcp:0"],
}

PARTS = {"daytime": "discard", "time": "discard"}
"""The services that have parts of another."""


def imported(program: str) -> set[str]:
    """
    @return: the modules of this package that a Python of its own has after a program, without the package's name.
    """
    result = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys; print(*sys.modules)"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    package = "twisted_casync."
    return {name.removeprefix(package) for name in result.stdout.split() if name.startswith(package)}


def test_the_package_brings_its_sockets_and_nothing_else() -> None:
    found = imported("import twisted_casync")
    assert "_casyncsocket" in found
    assert found & {*OTHERS, "services", "tap", "reactor"} == set()


@pytest.mark.parametrize(
    ("name", "module"), [("CSocket", "_csocket"), ("WinsockTimedOut", "errors"), ("CArchive", "archive")]
)
def test_a_name_brings_what_it_stands_for(name: str, module: str) -> None:
    found = imported(f"from twisted_casync import {name}")
    assert module in found
    assert name == "CArchive" or "archive" not in found


@pytest.mark.parametrize("name", COMMANDS)
def test_a_service_brings_what_it_is_made_of(name: str) -> None:
    found = imported(
        "from twisted_casync.tap import Options, makeService\n"
        f"options = Options(); options.parseOptions({[name, *COMMANDS[name]]}); makeService(options)"
    )
    assert f"services.{name}" in found
    others = {f"services.{one.name}" for one in services.SHIPPED if one.name not in (name, PARTS.get(name))}
    unused = {*OTHERS, "services._counters", "services._observed", "services._metrics", "services._usage"}
    assert found & (unused | others) == set()


def test_every_name_is_there_however_it_is_asked_for() -> None:
    everything: dict[str, object] = {}
    exec("from twisted_casync import *", everything)
    assert set(twisted_casync.__all__) <= everything.keys()
    assert set(twisted_casync.__all__) <= set(dir(twisted_casync))
    for name in twisted_casync.__all__:
        assert everything[name] is getattr(twisted_casync, name)


def test_a_name_that_is_none_is_told_as_of_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'twisted_casync' has no attribute 'CArchives'"):
        getattr(twisted_casync, "CArchives")  # noqa: B009  # a type checker finds it
    with pytest.raises(ImportError, match="cannot import name 'Count' from 'twisted_casync.services'"):
        exec("from twisted_casync.services import Count")


def test_classes_that_come_later_can_be_pickled() -> None:
    kinds = [kind for name in twisted_casync.__all__ if inspect.isclass(kind := getattr(twisted_casync, name))]
    assert twisted_casync.CArchive in kinds
    for kind in kinds:
        assert pickle.loads(pickle.dumps(kind)) is kind
