"""docs/services.md: its commands, run as they are written, show what it says that they show."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from _namespaces import networkOfItsOwn
from _twistd import PATIENCE, Child, client, environment

from twisted_casync.services import SHIPPED

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "services.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
COMMANDS = [name for name, text in SECTIONS.items() if "```console" in text]

# What stays until it is stopped; the rest of its block is what it logs.
STAYS = ("twistd ", "python3 -m http.server ")

# What is different each time.
CHANGING = (
    (re.compile(r"\w+day, \w+ \d\d, \d{4} \d\d:\d\d:\d\d-\S+"), "DAYTIME"),
    (re.compile(r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d UTC \d{4}"), "DATE"),
    (re.compile(r"127\.0\.0\.1:\d{5}\b"), "127.0.0.1:PORT"),
    # As long as the names of the day and the month, or of the programs and their versions.
    (re.compile(r"\(0 bytes in, \d\d out\)|\(\d\d bytes in, \d{3} out\)"), "(SOME bytes)"),
)


def unchanging(text: str) -> str:
    for pattern, name in CHANGING:
        text = pattern.sub(name, text)
    return text.rstrip()


class Terminals:
    """What runs while a section is read.

    shell: the words before a command of the page that have it run as it is written.
    """

    def __init__(self, stack: contextlib.ExitStack, directory: Path) -> None:
        # The services' own ports are free in it.
        self.shell = [*stack.enter_context(networkOfItsOwn()), "bash", "-c"]
        self.stack = stack
        self.directory = directory
        self.environment = environment()
        self.environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"])
        self.logs: list[tuple[Child, list[str]]] = []
        self.typed: list[subprocess.Popen[str]] = []

    def show(self, block: str) -> None:
        """Do what a block says, and see that it shows what the block shows."""
        lines = block.splitlines()
        if not lines[0].startswith("$ "):
            self.converse(self.typed[0], lines)
        elif lines[0].startswith(tuple(f"$ {command}" for command in STAYS)):
            self.serve(lines[0][2:], lines[1:])
        elif any(line.startswith("> ") for line in lines):
            process = self.begin(lines[0][2:])
            self.converse(process, lines[1:])
        else:
            for command, shown in re.findall(r"^\$ (.+)\n((?:[^$].*\n)*)", block, re.M):
                assert unchanging(self.run(command)) == unchanging(shown), command

    def serve(self, command: str, log: list[str]) -> None:
        directory = self.directory / str(len(self.logs))
        directory.mkdir()
        server = Child(
            [*self.shell, f"exec {command}"], env={**self.environment, "PYTHONUNBUFFERED": "1"}, cwd=directory
        )
        self.stack.enter_context(server)
        server.waitFor("Serving HTTP on" if "http.server" in command else "listening on")
        self.logs.append((server, log))

    def begin(self, command: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*self.shell, f"exec {command}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self.environment,
        )
        self.stack.enter_context(process)
        self.stack.callback(process.kill)
        self.typed.append(process)
        return process

    def converse(self, process: subprocess.Popen[str], lines: list[str]) -> None:
        assert process.stdin is not None and process.stdout is not None
        for line in lines:
            if line.startswith("> "):
                process.stdin.write(f"{line[2:]}\n")
                process.stdin.flush()
            else:
                assert process.stdout.readline().rstrip() == line

    def run(self, command: str) -> str:
        return subprocess.run(
            [*self.shell, command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            env=self.environment,
        ).stdout

    def end(self) -> None:
        """See that the servers have logged what is shown."""
        for server, log in self.logs:
            for line in log:
                expected = unchanging(line.removeprefix("... "))
                server.waitFor(logged(expected))
            assert not [line for line in server.lines if "Traceback" in line]


def logged(expected: str) -> str:
    """A pattern for the end of a line that is as expected, but for what is different each time."""
    pattern = re.escape(expected)
    return pattern.replace("PORT", r"\d+").replace(re.escape("(SOME bytes)"), r"\(\d+ bytes in, \d+ out\)") + "$"


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Terminals]:
    with contextlib.ExitStack() as stack:
        yield Terminals(stack, tmp_path)


@pytest.mark.programs
@pytest.mark.slow
@pytest.mark.parametrize("section", COMMANDS)
def test_the_commands_show_what_is_shown(terminals: Terminals, section: str) -> None:
    blocks = re.findall(r"```console\n(.*?)```", SECTIONS[section], re.S)
    for program in ("nc", "curl", "rdate"):
        if any(re.search(rf"\b{program} ", block) for block in blocks):
            client(program)
    for block in blocks:
        terminals.show(block)
    terminals.end()


def test_every_service_has_its_section_and_its_row() -> None:
    for service in SHIPPED:
        if not service.where:
            continue  # it needs to be told what it serves, and is no server by itself
        assert service.name in COMMANDS
        assert re.search(rf"^\| `{service.name}` \| .+ \| {' '.join(service.where)} \|$", PAGE, re.M)
