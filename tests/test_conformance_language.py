"""
The scenario language: what a text means.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from twisted_casync.testing._commands import COMMANDS
from twisted_casync.testing._scenario import (
    Command,
    HandlerRule,
    Mistake,
    ScenarioError,
    parseData,
    parseFlags,
    parseMask,
    parseNumber,
    parseScenario,
)

HERE = Path(__file__).parent / "conformance"
SCENARIOS = sorted((HERE / "scenarios").glob("*.txt"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("17", 17),
        ("-5", -5),
        ("+5", 5),
        ("0x1F", 31),
        ("017", 15),
        ("9x", None),
        ("0x8004667E", 0x7FFFFFFF),
        ("-9999999999", -0x80000000),
        ("08", None),
        ("", None),
    ],
)
def test_numbers_are_read_as_c_reads_them(text: str, value: int | None) -> None:
    assert parseNumber(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (None, 63),
        ("ALL", 63),
        ("NONE", 0),
        ("READ|CLOSE", 33),
        ("ALL-READ", 62),
        ("ALL-READ-WRITE|READ", 61),
        ("5", 5),
        ("-1", -1),
    ],
)
def test_masks(text: str | None, value: int) -> None:
    assert parseMask(text) == value


@pytest.mark.parametrize("text", ["READS", "", "READ|", "-READ"])
def test_bad_masks(text: str) -> None:
    with pytest.raises(ScenarioError):
        parseMask(text)


def test_flags() -> None:
    assert [parseFlags(text) for text in (None, "OOB", "PEEK|OOB", "DONTROUTE", "0x40")] == [0, 1, 3, 4, 0x40]
    with pytest.raises(ScenarioError):
        parseFlags("URGENT")


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("hello", b"hello"),
        ("a*3", b"aaa"),
        ("a*b", b"a*b"),
        ("a*2*2", b"a*2a*2"),
        ("hex:610062*2", b"a\0ba\0b"),
        ('""', b""),
        ('""*9', b""),
        ("\xe9", b"\xe9"),
        ("x*0", b""),
    ],
)
def test_data(text: str, data: bytes) -> None:
    assert parseData(text) == data


@pytest.mark.parametrize("text", ["hex:6", "hex:zz", "x*-1", "x*99999999"])
def test_bad_data(text: str) -> None:
    with pytest.raises(ScenarioError):
        parseData(text)


def test_options_may_stand_anywhere_and_comments_end_a_line() -> None:
    text = "# only a comment\n\n  create  mask=READ A type=dgram B=1 # port=3\r\nnop\n"
    assert parseScenario(text) == [
        Command("create", ("A", "B=1"), {"mask": "READ", "type": "dgram"}, 3),
        Command("nop", (), {}, 4),
    ]


def test_handlers() -> None:
    text = "on S OnReceive: recv S 10; ; send S ::1 # note\nonce L Accept:\n"
    receive = (Command("recv", ("S", "10"), {}, 1), Command("send", ("S", "::1"), {}, 1))
    assert parseScenario(text) == [
        HandlerRule("S", "OnReceive", False, receive, 1),
        HandlerRule("L", "OnAccept", True, (), 2),
    ]


@pytest.mark.parametrize("line", ["on S OnReceive recv S 1", "on S OnRead: nop", "on S: nop", "once : nop"])
def test_a_line_that_is_wrong_is_a_step(line: str) -> None:
    first, mistake, last = parseScenario(f"nop\n{line}\nnop")
    assert isinstance(mistake, Mistake) and mistake.line == 2
    assert isinstance(first, Command) and isinstance(last, Command)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_recorded_scenario_can_be_read(path: Path) -> None:
    steps = parseScenario(path.read_text("latin-1"))
    for step in steps:
        assert not isinstance(step, Mistake)
        for command in step.commands if isinstance(step, HandlerRule) else [step]:
            assert command.op in COMMANDS
    # The trace was made by another reader of the language: it met the same commands at the same lines.
    commands = [(s.line, s.op) for s in steps if isinstance(s, Command) and s.op != "nop"]
    lines = (HERE / "traces" / f"{path.stem}.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert [(r["line"], r["op"]) for r in records if "op" in r and "in" not in r] == commands
