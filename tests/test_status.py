"""
The line at the bottom of the terminal: what it says, and that it is in nobody's way.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from _twistd import PATIENCE, environment, script, twistd
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, Logger, capturedLogs, globalLogPublisher
from zope.interface import implementer

from twisted_casync.services._counters import Counters, Counts
from twisted_casync.services._status import StatusLine


class Screen:
    """
    What a terminal shows of what was written to it: lines, where C{ESC [ K} clears from the cursor on.
    """

    def __init__(self, master: int) -> None:
        self.master = master
        self.lines = [""]
        self._at = 0
        self._left = ""

    def see(self) -> bool:
        """
        Read what there is.

        @return: whether more can come.
        """
        try:
            data = os.read(self.master, 65536)
        except OSError:
            # EIO: the last program has gone.
            return False
        text = self._left + data.decode()
        self._left = ""
        while text:
            if text.startswith("\x1b"):
                if len(text) < 3:
                    self._left = text
                    break
                assert text.startswith("\x1b[K"), text
                self.lines[-1] = self.lines[-1][: self._at]
                text = text[3:]
                continue
            if text[0] == "\r":
                self._at = 0
            elif text[0] == "\n":
                self.lines.append("")
                self._at = 0
            else:
                line = self.lines[-1]
                self.lines[-1] = line[: self._at] + text[0] + line[self._at + 1 :]
                self._at += 1
            text = text[1:]
        return bool(data)

    def waitUntil(self, holds: Callable[[list[str]], Any]) -> Any:
        """
        The kernel hands over what was written in its own time.
        """
        deadline = time.monotonic() + PATIENCE
        while not (found := holds(self.lines)):
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.master], [], [], left)[0] and self.see(), self.lines
        return found

    def waitFor(self, pattern: str) -> re.Match[str]:
        match: re.Match[str] = self.waitUntil(
            lambda lines: next(filter(None, (re.search(pattern, line) for line in lines)), None)
        )
        return match

    def mustShow(self, *lines: str) -> None:
        self.waitUntil(lambda shown: shown == list(lines))


@pytest.fixture
def terminal() -> Iterator[tuple[Screen, int]]:
    master, slave = pty.openpty()
    yield Screen(master), slave
    os.close(master)
    os.close(slave)


def setColumns(fd: int, columns: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


class Numbers(Counters):
    """
    Numbers that a test sets.
    """

    def __init__(self) -> None:
        super().__init__("test")
        self.counts = Counts()

    def byClass(self) -> dict[str, Counts]:
        return {"Connection": self.counts, "Listener": Counts()}


def test_what_it_says_and_how_fast(terminal: tuple[Screen, int]) -> None:
    screen, fd = terminal
    setColumns(fd, 200)
    numbers, clock = Numbers(), Clock()
    line = StatusLine(numbers, clock, fd)
    line.start()
    screen.mustShow(
        "test: 0 active | 0 accepted (0/s) | 0.00 MB/s in | 0.00 MB/s out | 0 messages/s",
    )
    numbers.counts = Counts(accepted=1234, active=2, bytesIn=2_500_000, bytesOut=100_000, receives=4321)
    clock.advance(0.5)
    clock.advance(0.5)
    screen.mustShow(
        "test: 2 active | 1,234 accepted (1,234/s) | 2.50 MB/s in | 0.10 MB/s out | 4,321 messages/s",
    )
    clock.advance(2)
    screen.waitFor(r"\(0/s\) \| 0.00 MB/s in \| 0.00 MB/s out \| 0 messages/s$")
    line.stop()
    line.stop()
    screen.mustShow("")
    assert clock.getDelayedCalls() == []
    assert line not in getattr(globalLogPublisher, "_observers")  # noqa: B009  # there is no other way to ask


def test_it_is_never_longer_than_the_terminal_is_wide(terminal: tuple[Screen, int]) -> None:
    screen, fd = terminal
    clock = Clock()
    line = StatusLine(Numbers(), clock, fd)
    for columns, expected in ((20, 19), (0, 79), (40, 39)):
        setColumns(fd, columns)
        line.start() if columns == 20 else clock.advance(1)
        screen.waitFor(rf"^.{{{expected}}}$")
    line.stop()


def test_it_goes_before_anything_is_logged_and_comes_back(terminal: tuple[Screen, int]) -> None:
    screen, fd = terminal
    clock = Clock()
    line = StatusLine(Numbers(), clock, fd)

    @implementer(ILogObserver)
    def toTerminal(event: LogEvent) -> None:
        os.write(fd, f"{event['log_format']}\n".encode())

    globalLogPublisher.addObserver(toTerminal)
    try:
        line.start()
        Logger().info("something has happened")
        Logger().info("and more")
        clock.advance(1)
    finally:
        globalLogPublisher.removeObserver(toTerminal)
        line.stop()
    screen.mustShow("something has happened", "and more", "")


def test_without_a_terminal_one_line_says_so() -> None:
    reading, writing = os.pipe()
    clock = Clock()
    with capturedLogs() as events:
        line = StatusLine(Numbers(), clock, writing)
        line.start()
        clock.advance(3)
        line.stop()
    os.close(writing)
    assert os.read(reading, 100) == b""
    os.close(reading)
    assert [event["log_format"] for event in events] == ["no status line: standard error is no terminal"]


def test_a_terminal_that_goes_away_ends_it_with_one_line(terminal: tuple[Screen, int]) -> None:
    _, fd = terminal
    master, slave = pty.openpty()
    clock = Clock()
    with capturedLogs() as events:
        line = StatusLine(Numbers(), clock, slave)
        line.start()
        os.close(master)
        clock.advance(1)
        clock.advance(1)
        line.stop()
    os.close(slave)
    (event,) = events
    assert "no status line any more" in event["log_format"]


@pytest.mark.programs
def test_twistd_on_a_terminal(terminal: tuple[Screen, int]) -> None:
    screen, fd = terminal
    setColumns(fd, 120)
    command = [script("twistd"), "-n", "--pidfile=", "casync", "--status", "echo", "tcp:0:interface=127.0.0.1"]
    process = subprocess.Popen(command, stdin=fd, stdout=fd, stderr=fd, env=environment())
    try:
        port = int(screen.waitFor(r"listening on tcp 127.0.0.1:(\d+)")[1])
        screen.waitFor(r"^echo: 0 active")
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as one:
            one.sendall(b"hello")
            assert one.recv(5) == b"hello"
            screen.waitFor(r"^echo: 1 active \| 1 accepted")
        screen.waitFor(r"closed: tcp")
        screen.waitFor(r"^echo: 0 active \| 1 accepted")
        process.send_signal(signal.SIGINT)
        screen.waitFor("Server Shut Down")
        process.wait(PATIENCE)
        screen.waitUntil(lambda lines: lines[-1] == "")
    finally:
        process.kill()
        process.wait()
    for line in screen.lines[:-1]:
        assert re.match(r"(\^C)?\d{4}-\d\d-\d\dT\S+ \[", line), screen.lines
    assert not any("active" in line for line in screen.lines)


@pytest.mark.programs
def test_twistd_that_logs_to_a_file_draws_nothing(tmp_path: Path) -> None:
    with twistd("--status", "echo", "tcp:0:interface=127.0.0.1") as server:
        server.waitFor("no status line: standard error is no terminal")
        server.listening("tcp")
        server.process.terminate()
        server.wait()
        assert "\x1b" not in "".join(server.lines)
