"""
docs/observing.md: its commands as they stand, but for the ports, and what it says of their output.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from configparser import ConfigParser
from dataclasses import fields, replace
from pathlib import Path
from urllib.request import urlopen

import pytest
from _twistd import CHECKOUT, PATIENCE, Child, environment, terminal
from prometheus_client.parser import text_string_to_metric_families

from twisted_casync.services import Counts
from twisted_casync.services._status import _text
from twisted_casync.trace._reading import _TYPES

PAGE = (CHECKOUT / "docs" / "observing.md").read_text()
COMMANDS = re.findall(r"^    ((?:PYTHONPATH=|twistd|python|pip) ?.*)$", PAGE, re.M)
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.S)


def command(pattern: str, *more: str) -> list[str]:
    """
    The one command of the page that a pattern is found in, as a terminal runs it, with any free port instead of one
    that may be taken.

    @param more: further words.
    """
    (found,) = [one for one in COMMANDS if re.search(pattern, one)]
    words, settings = re.sub(r"tcp:\d+", "tcp:0", found).split(" "), []
    while "=" in words[0]:
        settings.append(words.pop(0))
    return ["bash", "-c", " ".join([*settings, "exec", *words, *more])]


def served(word: str, folder: Path) -> Child:
    return Child(command(word), env=terminal(), cwd=folder)


def talk(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as one:
        one.sendall(b"hello")
        assert one.recv(5) == b"hello"


def test_every_command_is_run_here() -> None:
    words = [
        "--metrics",
        "-ny",
        "--status",
        "--logger",
        "--trace",
        "trace.jsonl$",
        "--perfetto",
        "benchmarks",
        "pip install",
    ]
    for one in COMMANDS:
        assert any(re.search(word, one) for word in words), one
    assert len(COMMANDS) == len(words) and len(BLOCKS) == 3


@pytest.mark.programs
def test_the_metrics_are_those_of_the_table(tmp_path: Path) -> None:
    with served("--metrics", tmp_path) as server:
        port = int(server.waitFor(r"MetricsSite starting on (\d+)")[1])
        talk(server.listening("tcp")[1])
        text = urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE).read().decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    shown = {
        name + "_total" * (family.type == "counter") for name, family in families.items() if name.startswith("casync")
    }
    table = PAGE.partition("| metric |")[2].partition("\n\n")[0]
    assert shown == set(re.findall(r"`(casync_\w+)`", table))
    assert set(re.findall(r"`(process_\w+)`", PAGE)) <= families.keys()
    assert families["casync_notifications"].samples[0].labels.keys() == {"service", "socket", "handler"}
    setup = ConfigParser()
    setup.read(CHECKOUT / "setup.cfg")
    assert "prometheus_client" in setup["options.extras_require"]["metrics"]


@pytest.mark.programs
def test_the_status_line_is_as_shown(tmp_path: Path) -> None:
    now, before = Counts(120, 3, 1_200_000, 1_200_000, 12345), Counts(108, 3)
    shown = _text("echo", now, before, 1.0)
    assert f"    {shown}\n" in PAGE
    (limited,) = re.findall(r"`(\d.* limited\))`", PAGE)
    assert limited in _text("echo", replace(now, limited={"max-connections": 4, "idle-timeout": 3}), before, 1.0)
    with served("--status", tmp_path) as server:
        server.waitFor("no status line: standard error is no terminal")


@pytest.mark.programs
def test_the_log_has_the_fields(tmp_path: Path) -> None:
    (tmp_path / "jsonlog.py").write_text(BLOCKS[0])
    with served("--logger", tmp_path) as server:
        talk(int(server.waitFor(r'"tcp 127.0.0.1:(\d+)"')[1]))
        server.waitFor('"closed"')
        server.process.terminate()
        server.wait()
    (closed,) = [one for one in map(json.loads, server.lines) if one.get("event") == "closed"]
    for name in ("event", "service", "peer", "bytesIn", "bytesOut", "seconds", "why"):
        assert name in closed and f"`{name}`" in PAGE


@pytest.mark.programs
def test_a_trace_is_written_drawn_and_has_the_fields_of_the_table(tmp_path: Path) -> None:
    with served("--trace", tmp_path) as server:
        talk(server.listening("tcp")[1])
        server.waitFor("closed: ")
        server.process.terminate()
        server.wait()
    fields = {name for line in (tmp_path / "trace.jsonl").read_text().splitlines() for name in json.loads(line)}
    assert {name for name in fields | set(_TYPES) if f"`{name}`" not in PAGE} == set()
    for pattern, out in (("trace.jsonl$", "trace.jsonl.svg"), ("--perfetto", "trace.json")):
        subprocess.run(command(pattern), cwd=tmp_path, env=terminal(), check=True, timeout=PATIENCE)
        assert (tmp_path / out).stat().st_size > 1000


@pytest.mark.programs
def test_a_program_traces_itself(tmp_path: Path) -> None:
    program = BLOCKS[1] + "\nfrom twisted_casync import CAsyncSocket\nCAsyncSocket().Listen()\ntrace.stop()\n"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment(), check=True, timeout=PATIENCE)
    assert '"call":"Listen"' in (tmp_path / "trace.jsonl").read_text()


@pytest.mark.programs
def test_an_application_says_what_the_command_line_says(tmp_path: Path) -> None:
    (tmp_path / "echo.tac").write_text(
        re.sub(r"tcp:\d+", "tcp:0", BLOCKS[2]).replace("TimerService(60", "TimerService(0.05")
    )
    with served("-ny", tmp_path) as server:
        metrics = int(server.waitFor(r"MetricsSite starting on (\d+)")[1])
        talk(server.listening("tcp")[1])
        server.waitFor(r"0 active, 5 bytes in, limited: {'max-connections': 0, .*}, errors: {}")
        text = urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=PATIENCE).read().decode()
        assert 'casync_accepted_total{service="echo",socket="EchoConnection"} 1.0' in text
        server.waitFor("no status line: standard error is no terminal")
        server.process.terminate()
        server.wait()
        assert not any("Traceback" in line for line in server.lines)
    assert '"call":"Receive"' in (tmp_path / "trace.jsonl").read_text()


def test_the_counts_are_those_of_the_table() -> None:
    table = PAGE.partition("| attribute |")[2].partition("\n\n")[0]
    names = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(names) == sorted(one.name for one in fields(Counts))


@pytest.mark.programs
@pytest.mark.slow
def test_the_benchmark_runs() -> None:
    words = command("benchmarks", "--rounds", "1", "--seconds", "0.3", "--connections", "5")
    result = subprocess.run(words, cwd=CHECKOUT, env=terminal(), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert len(re.findall(r"^\| (?:nothing|--\w+) \| [\d,]+ \| [\d.]+ \| [\d.]+ \|$", result.stdout, re.M)) == 4
