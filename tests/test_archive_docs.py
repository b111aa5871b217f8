"""
docs/archive.md: its Python, as it stands, and its commands.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from _examples import run as runProgram
from _reactors import WAYS, must, reactorOf, run
from twisted.internet.defer import Deferred

import twisted_casync.archive
from twisted_casync import CAsyncSocket, CSocket
from twisted_casync.archive import _wire

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "archive.md").read_text()
BLOCKS = re.findall(r"(?:^    .*\n|^\n(?=    ))+", PAGE, re.MULTILINE)
COMMANDS = [block.split() for block in BLOCKS if block.strip().startswith("python ")]
PYTHON = "\n".join(re.sub("^    ", "", block, flags=re.MULTILINE) for block in BLOCKS if "python " not in block)


@pytest.fixture
def program() -> Any:
    """
    What the page's program defines, when it has run.
    """
    names: dict[str, Any] = {"__name__": "docs.archive"}
    exec(compile(PYTHON, "docs/archive.md", "exec"), names)
    yield names
    # CAge is in the registry of all classes now, and the next test runs the page again.
    del names["CAge"]._runtimeClass
    twisted_casync.archive._classes.theClasses._byName.pop("CAge")


def test_the_page_has_a_program_and_it_runs(program: dict[str, Any]) -> None:
    assert len(BLOCKS) >= 5
    assert program["pFirst"].m_years == 10


@pytest.mark.parametrize("way", WAYS)
def test_its_two_ends_talk_to_each_other(program: dict[str, Any], way: str) -> None:
    with reactorOf(way) as reactor:
        answering: list[CAsyncSocket] = []

        class Listener(CAsyncSocket):
            def OnAccept(self, nErrorCode: int) -> None:
                answering.append(program["CAnswering"](reactor))
                must(self.Accept(answering[-1]))

        listener = Listener(reactor)
        must(listener.Create(0, lpszSocketAddress="127.0.0.1"))
        must(listener.Listen())
        asking = CSocket(reactor)
        must(asking.Create())
        answers: list[Any] = []

        async def ask() -> None:
            await asking.Connect("127.0.0.1", must(listener.GetSockName())[1])
            for text in ("hello", "x" * 3000):
                answers.append(await program["ask"](asking, text))

        failed: list[object] = []
        reactor.callWhenRunning(lambda: Deferred.fromCoroutine(ask()).addErrback(failed.append))
        run(reactor, lambda: len(answers) == 2 or bool(failed))
        for sock in (listener, asking, *answering):
            sock.Close()
    assert failed == []
    assert [(msg.m_strText, msg.m_lines) for msg in answers] == [("hello", ["HELLO"]), ("x" * 3000, ["X" * 3000])]


@pytest.mark.programs
def test_its_commands_run() -> None:
    assert COMMANDS == [["python", "benchmarks/archive.py"]]
    result = runProgram(sys.executable, str(ROOT / "benchmarks" / "archive.py"), "--rounds", "1", "--count", "200")
    assert result.returncode == 0, result.stderr
    assert b"load records: CArchive" in result.stdout


def test_its_table_of_limits_is_that_of_the_class() -> None:
    rows = re.findall(r"^\| `(nMax\w+)` \| (\d+) \|", PAGE, re.MULTILINE)
    limits = twisted_casync.archive.ArchiveLimits()
    assert {name: int(number) for name, number in rows} == vars(limits)


def test_every_type_and_cause_is_on_the_page() -> None:
    causes = {cause.name for cause in type(twisted_casync.archive.CArchiveException.none)} - {"none"}
    words = set(re.findall(r"\w+", PAGE))
    assert causes <= words
    types = {name for name in twisted_casync.archive._values.__all__ if name.isupper()} - {"NUMBERS"}
    assert types <= words


def test_each_number_of_the_format_has_a_source_that_the_page_names() -> None:
    text = Path(_wire.__file__).read_text().partition("\n]\n")[2]
    named = set(re.findall(r"^\| \[([^\]]+)\] \|", PAGE, re.MULTILINE))
    used = {source.split(",")[0] for source in re.findall(r"\[([^\]]+)\]", text)}
    assert used and used <= named
