"""A twistd that serves in a child process, for the tests that talk to it from outside."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import pytest

import twisted

CHECKOUT = Path(__file__).resolve().parent.parent

# Seconds that anything which should happen soon may take on a loaded machine.
PATIENCE = 120.0

# The status with which twistd ends after a bad command line: before Twisted 26.10 it was that of success.
BAD_USAGE = int(tuple(map(int, twisted.__version__.split(".")[:2])) >= (26, 10))


def environment() -> dict[str, str]:
    """This process's environment, with the checkout's package and drop-in to be found."""
    paths = [str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def terminal() -> dict[str, str]:
    """The environment of a terminal in which the tests' virtual environment is activated.

    A page's command is found there as it is written, and imports what is installed, and what else it says itself.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), "/usr/sbin"])
    return {**{name: value for name, value in os.environ.items() if name != "PYTHONPATH"}, "PATH": path}


def script(name: str) -> str:
    """A console script of the environment that runs the tests."""
    return str(Path(sys.executable).with_name(name))


def client(name: str) -> str:
    """A program that a test needs. Without it the test is skipped; where CI is set it fails."""
    path = shutil.which(name)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return path


class Child:
    """A running program whose output is read line by line; leaving the context kills it.

    passing: descriptors that it inherits.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        passing: Sequence[int] = (),
    ) -> None:
        self.process = subprocess.Popen(
            arguments,
            env=environment() if env is None else env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=passing,
        )
        self.lines: list[str] = []
        self._more = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._more:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()

    def waitFor(self, pattern: str, times: int = 1) -> re.Match[str]:
        """The first match, or the one of that number, among the lines printed so far and from now on."""
        seen = 0
        deadline = time.monotonic() + PATIENCE
        with self._more:
            while True:
                for line in self.lines[seen:]:
                    if match := re.search(pattern, line):
                        times -= 1
                        if not times:
                            return match
                seen = len(self.lines)
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    raise AssertionError("\n".join([f"no line matches {pattern!r} in:", *self.lines]))
                self._more.wait(left)

    def listening(self, scheme: str) -> tuple[str, int]:
        """Where it says to listen: a host and port."""
        match = self.waitFor(rf"listening on {scheme} \[?([^\]\s]+?)\]?:(\d+)$")
        return match[1], int(match[2])

    def wait(self) -> int:
        """The exit status, once it has ended and its output is read."""
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()


def twistd(*arguments: str) -> Child:
    """`twistd -n casync ARGUMENTS`, logging to its standard output, without a pid file."""
    return Child([script("twistd"), "-n", "--pidfile=", "casync", *arguments])
