"""
The conformance runner: the command as a whole.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from twisted_casync import CSocket
from twisted_casync.testing import _conformance
from twisted_casync.testing.__main__ import main
from twisted_casync.testing._compare import loadTrace

HERE = Path(__file__).parent / "conformance"
ROOT = HERE.parents[1]

Record = dict[str, Any]


def trace(path: Path) -> list[Record]:
    return loadTrace(path.read_text("utf-8"))


ECHO = """\
create L port=@p host=127.0.0.1
listen L
on L OnAccept: accept L S
on S OnReceive: recv S 100; send S pong
create C host=127.0.0.1
connect C 127.0.0.1 @p
pump
send C ping
pump
recv C 100 # \xe9
"""
ECHO_TRACE: list[Record] = [
    {"scenario": "echo"},
    {"op": "create", "sock": "L", "ret": True, "err": None, "line": 1},
    {"op": "listen", "sock": "L", "ret": True, "err": None, "line": 2},
    {"op": "create", "sock": "C", "ret": True, "err": None, "line": 5},
    {"op": "connect", "sock": "C", "ret": False, "err": "WSAEWOULDBLOCK", "line": 6},
    {"op": "pump", "line": 7},
    {"note": "OnConnect", "sock": "C", "err": 0},
    {"note": "OnSend", "sock": "C", "err": 0},
    {"note": "OnAccept", "sock": "L", "err": 0},
    {
        "op": "accept",
        "sock": "L",
        "new": "S",
        "ret": True,
        "err": None,
        "addr": ["127.0.0.1", "@C"],
        "in": "L.OnAccept",
        "line": 3,
    },
    {"note": "OnSend", "sock": "S", "err": 0},
    {"op": "send", "sock": "C", "ret": 4, "err": None, "line": 8},
    {"op": "pump", "line": 9},
    {"note": "OnReceive", "sock": "S", "err": 0},
    {"op": "recv", "sock": "S", "ret": 4, "err": None, "data": "ping", "in": "S.OnReceive", "line": 4},
    {"op": "send", "sock": "S", "ret": 4, "err": None, "in": "S.OnReceive", "line": 4},
    {"note": "OnReceive", "sock": "C", "err": 0},
    {"op": "recv", "sock": "C", "ret": 4, "err": None, "data": "pong", "line": 10},
    {"end": "echo"},
]


PEEKED = """\
create A type=dgram host=127.0.0.1
create B type=dgram host=127.0.0.1
sendto A 127.0.0.1 @B abc
sleep 0
recv B 3 PEEK
recvfrom B 10
balance A B
balance A A
"""
PEEKED_TRACE: list[Record] = [
    {"scenario": "peeked"},
    {"op": "create", "sock": "A", "ret": True, "err": None, "line": 1},
    {"op": "create", "sock": "B", "ret": True, "err": None, "line": 2},
    {"op": "sendto", "sock": "A", "ret": 3, "err": None, "line": 3},
    {"op": "sleep", "line": 4},
    {"op": "recv", "sock": "B", "ret": 3, "err": None, "data": "abc", "line": 5},
    {"op": "recvfrom", "sock": "B", "ret": 3, "err": None, "data": "abc", "from": ["127.0.0.1", "@A"], "line": 6},
    {"op": "balance", "sock": "A", "with": "B", "value": True, "line": 7},
    {"op": "balance", "sock": "A", "with": "A", "value": False, "line": 8},
    {"end": "peeked"},
]


class Suite:
    """A folder of scenarios and one of traces, and the command over them in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("scenarios", "traces"):
            (folder / name).mkdir()

    def add(self, name: str, scenario: str, records: list[Record] | None) -> None:
        (self.folder / "scenarios" / f"{name}.txt").write_text(scenario, "latin-1")
        if records is not None:
            lines = "".join(json.dumps(record) + "\n" for record in records)
            (self.folder / "traces" / f"{name}.jsonl").write_text(lines, "ascii")

    def deviations(self, text: str) -> str:
        path = self.folder / "deviations.json"
        path.write_text(text, "utf-8")
        return str(path)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "twisted_casync.testing",
            "conformance",
            "scenarios",
            "traces",
            *arguments,
        ]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    made = Suite(tmp_path)
    made.add("echo", ECHO, ECHO_TRACE)
    return made


@pytest.mark.programs
@pytest.mark.parametrize("reactor", ["epoll", "poll", "select", "asyncio", "uvloop", "casync"])
@pytest.mark.parametrize("direct", [False, True], ids=["window", "direct"])
def test_what_is_as_recorded_matches(suite: Suite, reactor: str, direct: bool) -> None:
    if reactor == "uvloop":
        pytest.importorskip("uvloop")
    result = suite.run("--reactor", reactor, *(["--direct"] if direct else []))
    assert (result.stdout, result.returncode) == (
        "1 scenarios, 1 match, 0 known deviations, 0 differ\n",
        0,
    ), result


@pytest.mark.programs
def test_every_command_does_what_was_recorded(suite: Suite) -> None:
    # Together these use every command, on both families and both types, and nothing in them is known to deviate.
    names = [
        "accept-inherits-mask-none",
        "accept-inherits-options",
        "connect-refused-select-again",
        "detach-closed",
        "detach-drops",
        "dgram-autobind",
        "err-bind-addrlen",
        "err-closed-all",
        "opt-linger-optlen",
        "read-handler-big",
        "read-peek-in-handler",
        "v6-accept-in-handler",
        "write-fill-close",
    ]
    for name in names:
        scenario = (HERE / "scenarios" / f"{name}.txt").read_text("latin-1")
        lines = (HERE / "traces" / f"{name}.jsonl").read_text("utf-8")
        suite.add(name, scenario, loadTrace(lines))
    # Bytes that were only looked at are not part of the balance.
    suite.add("peeked", PEEKED, PEEKED_TRACE)
    result = suite.run()
    assert (result.stdout, result.returncode) == ("15 scenarios, 15 match, 0 known deviations, 0 differ\n", 0)


def test_direct_sockets_are_asked_for(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(_conformance, "installReactor", lambda name: f"reactor {name}")
    monkeypatch.setattr(_conformance, "AfxSocketInit", lambda *args, **kw: asked.append((args, kw)))
    monkeypatch.setattr(_conformance, "AfxSocketTerm", lambda: None)
    monkeypatch.setattr(_conformance, "runInReactor", lambda reactor, work: next(work.__await__(), None))
    for path in (suite.folder / "scenarios").iterdir():
        path.unlink()
    folders = [str(suite.folder / "scenarios"), str(suite.folder / "traces")]
    assert main(["conformance", *folders, "--reactor", "poll", "--direct"]) == 0
    assert main(["conformance", *folders]) == 0
    assert asked == [(("reactor poll",), {"direct": True}), (("reactor None",), {"direct": False})]


def test_csockets_are_asked_for(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[type] = []

    async def play(reactor: Any, name: str, text: str, quiet: float, factory: Any) -> list[Record]:
        played.append(type(factory(print)))
        return ECHO_TRACE

    monkeypatch.setattr(_conformance, "playScenario", play)
    monkeypatch.setattr(_conformance, "installReactor", lambda name: None)
    monkeypatch.setattr(_conformance, "AfxSocketInit", lambda *args, **kw: None)
    monkeypatch.setattr(_conformance, "AfxSocketTerm", lambda: None)
    monkeypatch.setattr(_conformance, "runInReactor", lambda reactor, work: next(work.__await__(), None))
    folders = [str(suite.folder / "scenarios"), str(suite.folder / "traces")]
    assert main(["conformance", *folders, "--csocket"]) == 0
    assert main(["conformance", *folders]) == 0
    assert [issubclass(kind, CSocket) for kind in played] == [True, False]


@pytest.mark.programs
def test_a_difference_is_said_and_counts(suite: Suite) -> None:
    wrong = copy.deepcopy(ECHO_TRACE)
    wrong[14]["data"] = "pang"
    suite.add("wrong", ECHO, [{"scenario": "wrong"}, *wrong[1:-1], {"end": "wrong"}])
    suite.add("unrecorded", ECHO, None)
    result = suite.run()
    assert result.returncode == 1
    assert result.stdout.splitlines() == [
        'unrecorded:0 trace: expected "(missing)", got "19 records"',
        'wrong:9 S.OnReceive.recv.data: expected "pang", got "ping"',
        "3 scenarios, 1 match, 0 known deviations, 2 differ",
    ]


@pytest.mark.programs
def test_what_is_as_in_another_recording_does_not_differ(suite: Suite) -> None:
    def recorded(folder: str, name: str, **changes: Any) -> None:
        trace = [{"scenario": name}, *copy.deepcopy(ECHO_TRACE[1:-1]), {"end": name}]
        trace[14].update(changes)
        (suite.folder / folder / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in trace))

    (suite.folder / "later").mkdir()
    for name in ("one", "both", "only-later"):
        suite.add(name, ECHO, None)
    recorded("traces", "one", data="pang")
    recorded("later", "one")
    recorded("traces", "both", data="pang")
    recorded("later", "both", data="pong", ret=9)
    recorded("later", "only-later")
    alone = suite.run()
    assert (alone.returncode, alone.stdout.splitlines()[-1]) == (
        1,
        "4 scenarios, 1 match, 0 known deviations, 3 differ",
    )
    result = suite.run("--also", "later")
    # "echo" is in the first recording only; "both" is nearer to that one.
    assert (result.returncode, result.stdout.splitlines()) == (
        1,
        [
            'both:9 S.OnReceive.recv.data: expected "pang", got "ping"',
            "4 scenarios, 3 match, 0 known deviations, 1 differ",
        ],
    )


@pytest.mark.programs
def test_known_deviations(suite: Suite) -> None:
    wrong = copy.deepcopy(ECHO_TRACE)
    wrong[17]["ret"] = 5
    suite.add("echo", ECHO, wrong)
    proposed = suite.run("--propose")
    assert proposed.returncode == 1
    path = suite.deviations(proposed.stdout)
    known = suite.run("--deviations", path)
    assert (known.stdout, known.returncode) == ("1 scenarios, 0 match, 1 known deviations, 0 differ\n", 0)
    suite.add("echo", ECHO, ECHO_TRACE)
    stale = suite.run("--deviations", path)
    assert stale.returncode == 1
    assert stale.stdout.splitlines() == [
        "stale row: echo:10 ret: expected 5, got 4",
        "1 scenarios, 1 match, 0 known deviations, 0 differ",
    ]


@pytest.mark.programs
def test_own_traces_are_written_and_match(suite: Suite) -> None:
    suite.add("broken", "recv S\nfly\non S: x\n" + ECHO, None)
    suite.run("--write", "mine")
    result = suite.run("--only", "echo", "broken")
    assert result.stdout.endswith("2 scenarios, 1 match, 0 known deviations, 1 differ\n")
    written = suite.folder / "mine" / "broken.jsonl"
    assert [record.get("line") for record in trace(written) if "script_error" in record] == [1, 2, 3]
    for path in (suite.folder / "mine").iterdir():
        path.rename(suite.folder / "traces" / path.name)
    assert suite.run().stdout == "2 scenarios, 2 match, 0 known deviations, 0 differ\n"


@pytest.mark.programs
@pytest.mark.parametrize(
    "arguments",
    [
        ["--reactor", "perpetual"],
        ["--only", "nothing"],
        ["--deviations", "nowhere.json"],
        ["--also", "nowhere"],
        ["--deviations", "scenarios"],
    ],
)
def test_what_cannot_be_run_is_status_2(suite: Suite, arguments: list[str]) -> None:
    result = suite.run(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr and "Traceback" not in result.stderr
