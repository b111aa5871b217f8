"""
Fixtures of more than one test file.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from _reactors import reactorOf

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
