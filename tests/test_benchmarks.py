"""
The command that measures everything side by side: that it measures, and reports what it has measured.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import pytest
from _twistd import client

pytestmark = pytest.mark.programs

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"

SCENES = ["echo-64-100", "bulk-in", "bulk-out", "connect", "datagrams", "first"]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / "run.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


@pytest.mark.slow
def test_it_measures_and_reports_in_tables_in_json_and_in_a_picture(tmp_path: Path) -> None:
    client("cc")
    found, tables, picture = (tmp_path / name for name in ("found.json", "tables.md", "picture.svg"))
    brief = ["--rounds", 1, "--seconds", 0.05, "--patience", 0]
    outcome = run("--scenes", *SCENES, "--servers", "raw", "window", "casync", *brief, "--json", found)
    assert outcome.returncode == 0, outcome.stderr
    measured = json.loads(found.read_text())["measured"]
    assert set(measured) == set(SCENES)
    for scene, servers in measured.items():
        assert set(servers) == {"raw", "window", "casync"}, scene
    # What was measured can be reported again.
    outcome = run("--read", found, "--markdown", tables, "--svg", picture)
    assert outcome.returncode == 0, outcome.stderr
    text = tables.read_text()
    assert "| **CAsyncSocket, casync reactor** |" in text and "window on the stock epoll reactor" in text
    assert xml.etree.ElementTree.parse(picture).getroot().tag.endswith("svg")


def test_it_says_which_scenes_there_are_when_it_is_asked_for_another() -> None:
    outcome = run("--scenes", "nonsense")
    assert outcome.returncode == 2
    assert "no scene is called" in outcome.stderr and "echo-64-100" in outcome.stderr


@pytest.mark.slow
def test_a_server_that_can_not_be_had_is_left_out_with_its_reason(tmp_path: Path) -> None:
    client("cc")
    tables = tmp_path / "tables.md"
    nothing = tmp_path / "trio.py"
    nothing.write_text("raise ImportError('there is no trio')")
    command = [sys.executable, str(BENCHMARKS / "run.py"), "--scenes", "echo-64-100", "--servers", "raw", "trio"]
    outcome = subprocess.run(
        [*command, "--rounds", "1", "--seconds", "0.05", "--markdown", str(tables)],
        capture_output=True,
        text=True,
        timeout=600,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path)},
    )
    assert outcome.returncode == 0, outcome.stderr
    assert "there is no trio" in tables.read_text()


def test_the_steps_of_a_message_are_measured() -> None:
    command = [sys.executable, str(BENCHMARKS / "message.py"), "--rounds", "1"]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    rows = [line.split("|")[1:3] for line in outcome.stdout.splitlines()[2:]]
    assert len(rows) == 8
    assert all(int(nanoseconds) > 0 for _, nanoseconds in rows)


def test_forward_and_chat_are_measured_beside_others() -> None:
    client("socat")
    brief = ["--rounds", "1", "--megabytes", "2", "--messages", "200", "--guests", "5", "--lines", "40"]
    command = [sys.executable, str(BENCHMARKS / "services.py"), *brief]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    rows = [line.split("|")[1:3] for line in outcome.stdout.splitlines() if re.match(r"\| [\w']", line)]
    assert [name.strip() for name, _ in rows] == [
        *["forward", "Twisted's portforward", "socat", "socat -b131072"] * 2,
        *["chat", "Twisted's LineReceiver"] * 2,
    ]
    assert all(int(rate.replace(",", "")) > 0 for _, rate in rows)
