"""
Fixtures of more than one test file.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from _reactors import reactorOf
from _selection import addOptions, chosen, filesOf, startsPrograms

pytest_addoption = addOptions

# The same examples in each run, however long the machine takes over one.
hypothesis.settings.register_profile("same", deadline=None, derandomize=True)
if not os.environ.get("TWISTED_CASYNC_LONG"):
    hypothesis.settings.load_profile("same")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that knows no jobs has those in its background ignore it, and all that they start (POSIX, "Asynchronous
    # Lists"); servers here are to be stopped by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def idle() -> Iterator[Any]:
    """
    A reactor that does not run, for what members answer by themselves; its sockets are closed after the test.
    """
    with reactorOf("epoll-window") as reactor:
        yield reactor


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    keep = chosen(config, items)
    leave = [item for item in items if item not in keep]
    if leave:
        config.hook.pytest_deselected(items=leave)
        items[:] = [item for item in items if item in keep]


def pytest_collection_finish(session: pytest.Session) -> None:
    # What was collected stays: no test that collects garbage needs to look through it.
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    """
    A test that isn't marked C{programs} may not start one.
    """
    global _mayStartPrograms
    _mayStartPrograms = startsPrograms(item)
    try:
        return (yield)
    finally:
        _mayStartPrograms = True


_mayStartPrograms = True


def _onlyMarked(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _STARTING and not _mayStartPrograms:
        pytest.fail(f"starts a program ({event}), and is not marked `programs`")


_STARTING = {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen"}

sys.addaudithook(_onlyMarked)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """
    A file that is named runs in this process: it is the quicker, and a debugger can be used.
    """
    return 0 if filesOf(config) else None
