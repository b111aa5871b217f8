"""
Fixtures of more than one test file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from _reactors import reactorOf


@pytest.fixture
def idle() -> Iterator[Any]:
    """
    A reactor that does not run, for what members answer by themselves; its sockets are closed after the test.
    """
    with reactorOf("epoll-window") as reactor:
        yield reactor
