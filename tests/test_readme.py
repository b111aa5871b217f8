"""
The commands of README.md as they are written, in a network where all ports are free.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from _namespaces import networkOfItsOwn
from _twistd import CHECKOUT, PATIENCE, Child, client, terminal

pytestmark = pytest.mark.programs

PAGE = (CHECKOUT / "README.md").read_text()
INLINE = [" ".join(found.split()) for found in re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", PAGE)]
EXAMPLES = [one for one in INLINE if one.startswith("python examples/")]
HELP = [one for one in INLINE if one.startswith("twistd ") and one.endswith("--help")]

CLIENTS = {
    "python examples/awaited_echo.py ask 127.0.0.1 7007 hello": ("python examples/awaited_echo.py serve", "hello\n"),
    "python examples/chatter.py": ("python examples/chatsrvr.py", ""),
}
"""Each with its server, and with what it prints when its input is empty."""


@pytest.fixture(scope="module")
def shell() -> Iterator[list[str]]:
    with networkOfItsOwn() as entering:
        yield [*entering, "bash", "-c"]


def shown(shell: list[str], command: str, folder: Path) -> str:
    """
    What a command prints that ends by itself; it must succeed.
    """
    result = subprocess.run(
        [*shell, command],
        cwd=folder,
        env=terminal(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    return result.stdout


def serving(shell: list[str], command: str, folder: Path) -> Child:
    return Child([*shell, f"exec {command}"], {**terminal(), "PYTHONUNBUFFERED": "1"}, folder)


def the(pattern: str) -> str:
    (found,) = {one for one in INLINE if re.fullmatch(pattern, one)}
    return found


def test_the_service_it_begins_with_answers_as_it_says(shell: list[str], tmp_path: Path) -> None:
    client("nc")
    (first,) = re.findall(r"^    python3 -m venv .*/(twistd .*)$", PAGE, re.MULTILINE)
    with serving(shell, first, tmp_path) as server:
        for kind in ("tcp", "udp"):
            server.waitFor(rf"listening on {kind} .*:7007$")
        assert shown(shell, the(r"printf hello \| nc .*"), tmp_path) == "hello"
        server.process.terminate()
        server.wait()
        assert not any("Traceback" in line for line in server.lines)


def test_what_it_asks_for_help_answers(shell: list[str], tmp_path: Path) -> None:
    assert len(HELP) == 2
    for command in HELP:
        assert shown(shell, command, tmp_path).startswith("Usage: ")


def test_a_trace_is_written_and_drawn(shell: list[str], tmp_path: Path) -> None:
    client("nc")
    with serving(shell, the(r"twistd -n casync --trace .*"), tmp_path) as server:
        server.waitFor(r"listening on udp .*:7007$")
        shown(shell, the(r"printf hello \| nc .*"), tmp_path)
        server.process.terminate()
        server.wait()
    shown(shell, the(r"python -m twisted_casync\.trace .*"), tmp_path)
    assert list(tmp_path.glob("*.svg"))


@pytest.mark.parametrize("command", [one for one in EXAMPLES if not one.endswith("--help")])
def test_the_examples_run_as_it_says(shell: list[str], command: str) -> None:
    server, expected = CLIENTS.get(command, (command, ""))
    assert server in EXAMPLES
    with serving(shell, server, CHECKOUT) as child:
        child.waitFor("listening on 127.0.0.1:")
        if command in CLIENTS:
            assert shown(shell, command, CHECKOUT) == expected


@pytest.mark.parametrize("command", [one for one in EXAMPLES if one.endswith("--help")])
def test_the_examples_explain_themselves(shell: list[str], command: str) -> None:
    assert shown(shell, command, CHECKOUT).startswith("usage: ")
