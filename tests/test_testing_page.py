"""
docs/testing.md as it stands, by pytest and by trial; and what else the fixtures and the mixin do.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from _twistd import terminal

pytestmark = pytest.mark.programs

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parent.parent / "docs" / "testing.md"
BLOCKS = re.findall(r"^```python( trial| conftest)?\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
PROGRAM = "\n".join(code for kind, code in BLOCKS if not kind)
TRIAL = BLOCKS[0][1] + "\n".join(code for kind, code in BLOCKS if kind == " trial")
(CONFTEST,) = (code for kind, code in BLOCKS if kind == " conftest")
COMMANDS = re.findall(r"^    (python -m twisted.*)$|`(python -m twisted.*?)`", PAGE.read_text(), re.MULTILINE)


def ran(pytester: pytest.Pytester, program: str, *options: str) -> pytest.RunResult:
    """
    A pytest of its own runs a file.
    """
    pytester.makepyfile(program)
    return pytester.runpytest_subprocess("-q", *options)


def trial(folder: Path, program: str, command: str = "python -m twisted.trial test_echo") -> str:
    """
    What trial says of a file, and how it ends.
    """
    (folder / "test_echo.py").write_text(program)
    result = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=terminal(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return f"{result.stdout}{result.stderr}\nstatus {result.returncode}"


def test_the_page_is_right(pytester: pytest.Pytester) -> None:
    assert PROGRAM.count("\ndef test_") + PROGRAM.count("\nasync def test_") == 10
    ran(pytester, PROGRAM).assert_outcomes(passed=12)


NAMED = """
from twisted.internet import reactor

def test_which(no_open_sockets):
    assert type(reactor).__name__ == {name!r}
"""


@pytest.mark.parametrize("command", [line or word for line, word in COMMANDS])
def test_the_page_is_right_with_trial_as_it_says(tmp_path: Path, command: str) -> None:
    assert len(COMMANDS) == 3
    said = trial(tmp_path, TRIAL, command)
    assert "PASSED (successes=2)" in said and "status 0" in said


@pytest.mark.parametrize(
    ("options", "name"),
    [([], "CAsyncReactor"), (["--reactor=asyncio"], "AsyncioSelectorReactor")],
    ids=["given", "chosen"],
)
def test_pytest_runs_it_on_another_reactor(pytester: pytest.Pytester, options: list[str], name: str) -> None:
    if not options:
        pytester.makeconftest(CONFTEST)
    ran(pytester, PROGRAM + NAMED.format(name=name), *options).assert_outcomes(passed=13)


# -- what is imported


UNUSED = """
import sys

def test_nothing():
    assert "pytest_twisted_casync" in sys.modules
    assert [name for name in sys.modules if name.partition(".")[0] in ("twisted", "twisted_casync", "zope")] == []
"""

USED = """
import sys

def test_something(memory_network, async_socket_pair, no_open_sockets):
    async_socket_pair[0].Send(b"x")
    memory_network.settle()
    assert async_socket_pair[1].notifications[-1][0] == "OnReceive"
    for sock in async_socket_pair:
        sock.Close()
    assert "twisted.internet.reactor" not in sys.modules
"""


@pytest.mark.parametrize("program", [UNUSED, USED], ids=["unused", "used"])
def test_the_plugin_costs_nothing_and_needs_no_reactor(pytester: pytest.Pytester, program: str) -> None:
    ran(pytester, program, "-p", "no:twisted").assert_outcomes(passed=1)


def test_the_fixtures_are_listed_with_what_they_do(pytester: pytest.Pytester) -> None:
    listed = pytester.runpytest_subprocess("--fixtures", "-p", "no:twisted").stdout.str()
    for name in ("memory_network", "async_socket_pair", "no_open_sockets"):
        assert re.search(rf"^{name}\b.*\n +[AT]", listed, re.MULTILINE), name


# -- what fails


LEAKS = """
import pytest
from twisted_casync import CAsyncSocket

kept = []

class Forgotten(CAsyncSocket):
    pass

@pytest.fixture(scope="module")
def other():
    sock = CAsyncSocket()
    assert sock.Create(0, lpszSocketAddress="127.0.0.1") and sock.Listen()
    yield sock
    sock.Close()

def test_over_tcp(other, no_open_sockets):
    sock = Forgotten()
    kept.append(sock)
    assert sock.Create(0, lpszSocketAddress="127.0.0.1") and sock.Listen()

def test_in_memory(no_open_sockets, memory_network):
    sock = Forgotten()
    kept.append(sock)
    assert sock.Create() and sock.Listen()

def test_afterwards(other, no_open_sockets):
    assert [sock.m_hSocket for sock in kept] == [-1, -1]
    assert other.m_hSocket != -1
"""


def test_sockets_that_are_left_open_are_named_and_closed(pytester: pytest.Pytester) -> None:
    result = ran(pytester, LEAKS)
    result.assert_outcomes(passed=3, errors=2)
    result.stdout.fnmatch_lines(["*1 sockets were left open:", "<Forgotten listening *>"] * 2)


RAISES = """
import pytest
from twisted_casync import CAsyncSocket

class Mistaken(CAsyncSocket):
    def OnReceive(self, nErrorCode):
        raise LookupError("a mistake")

def provoke(network):
    client, server = CAsyncSocket(), Mistaken()
    network.pair(client, server)
    client.Send(b"x")
    network.settle()

def test_unexpected(memory_network):
    provoke(memory_network)

def test_expected(memory_network):
    provoke(memory_network)
    assert [str(failure.value) for failure in memory_network.flushFailures()] == ["a mistake"]
"""


def test_what_a_handler_raises_fails_the_test(pytester: pytest.Pytester) -> None:
    result = ran(pytester, RAISES)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*handlers of sockets have raised:", "*LookupError: a mistake"])


TRIAL_FAILS = """
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.internet.defer import Deferred
from twisted_casync import CAsyncSocket
from twisted_casync.testing import AsyncSocketTestMixin, RecordingSocket

kept = []

class Mistaken(CAsyncSocket):
    def OnReceive(self, nErrorCode):
        raise LookupError("a mistake")

class Tests(AsyncSocketTestMixin, SynchronousTestCase):
    def test_leak(self):
        kept.append(CAsyncSocket())
        assert kept[-1].Create(0, lpszSocketAddress="127.0.0.1")

    def test_leakInMemory(self):
        self.memoryNetwork()
        kept.append(CAsyncSocket())
        assert kept[-1].Create(7)

    def test_raises(self):
        network = self.memoryNetwork()
        client, server = CAsyncSocket(), Mistaken()
        network.pair(client, server)
        client.Send(b"x")
        network.settle()
        client.Close()

    def test_pair(self):
        network = self.memoryNetwork()
        one, other = self.socketPair(network)
        one.Send(b"x")
        network.settle()
        self.assertEqual(other.notifications[-1][0], "OnReceive")

class Waiting(AsyncSocketTestMixin, TestCase):
    async def test_inVain(self):
        await self.whenNotified(RecordingSocket(), "OnReceive", seconds=0.01)
"""


def test_trial_is_told_of_what_went_wrong(tmp_path: Path) -> None:
    said = trial(tmp_path, TRIAL_FAILS)
    # What a clean-up finds is an error to trial, also of a test that it has counted as a success.
    assert "Ran 5 tests" in said and "FAILED (errors=4, " in said and "status 1" in said
    assert said.count("1 sockets were left open: <CAsyncSocket bound ") == 2
    assert "LookupError: a mistake" in said and "TimeoutError" in said
