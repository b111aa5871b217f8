"""
pytest fixtures for programs that are built on C{CAsyncSocket}: a network in memory, a pair of sockets, and whether all
were closed.

pytest imports this wherever the package is installed.  So it stands beside the package, and imports that, and Twisted,
only for a test that wants a fixture; a reactor it never imports.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from twisted_casync.testing import MemoryNetwork, RecordingSocket

__all__ = ["async_socket_pair", "memory_network", "no_open_sockets"]


@pytest.fixture
def memory_network() -> Iterator[MemoryNetwork]:
    """
    A C{MemoryNetwork}, which is the reactor of the sockets that the test makes without naming one.

    A test that passes fails all the same when a handler has raised, unless it has called C{flushFailures}.
    """
    from twisted_casync.testing import MemoryNetwork

    network = MemoryNetwork()
    with network.installed():
        yield network
    failures = network.flushFailures()
    if failures:
        tracebacks = "\n".join(failure.getTraceback() for failure in failures)
        pytest.fail(f"handlers of sockets have raised:\n{tracebacks}", pytrace=False)


@pytest.fixture
def async_socket_pair(memory_network: MemoryNetwork) -> tuple[RecordingSocket, RecordingSocket]:
    """
    Two C{RecordingSocket}s that are connected to each other over the C{memory_network}, and have been told C{OnSend}.
    """
    from twisted_casync.testing import RecordingSocket

    pair = RecordingSocket(), RecordingSocket()
    memory_network.pair(*pair)
    memory_network.settle()
    return pair


@pytest.fixture
def no_open_sockets(request: pytest.FixtureRequest) -> Iterator[None]:
    """
    The test fails when it leaves a socket open that it has opened, and is told which; they are closed.
    """
    from twisted_casync.testing import SocketCheck

    # Those of a memory network are looked at before it closes them.
    if "memory_network" in request.fixturenames:
        request.getfixturevalue("memory_network")
    check = SocketCheck()
    yield
    left = check.closeRest()
    if left:
        pytest.fail(f"{len(left)} sockets were left open:\n" + "\n".join(left), pytrace=False)
