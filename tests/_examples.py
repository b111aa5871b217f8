"""The programs in examples/ as child processes, for their tests."""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import twisted_casync

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
LIMIT = 120.0  # seconds; nothing here takes more than a second or two on an idle machine

# The children import the package that these tests import, installed or not.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(twisted_casync.__file__).resolve().parent.parent)}


def tool(name: str) -> str:
    """The path of a client program; where CI lacks one, that is a failure, elsewhere a skip."""
    path = shutil.which(name)
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return path


def run(*command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a client to its end."""
    return subprocess.run(command, input=stdin, capture_output=True, env=ENVIRONMENT, timeout=LIMIT, check=False)


def example(name: str, *arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run an example that ends by itself to its end."""
    return run(sys.executable, str(EXAMPLES / name), *map(str, arguments), stdin=stdin)


class Server(AbstractContextManager["Server"]):
    """An example that serves: started on a port of the system's choice, stopped by SIGTERM."""

    def __init__(self, name: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(EXAMPLES / name), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            text=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._readOutput, daemon=True),
            threading.Thread(target=self._readErrors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _readOutput(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _readErrors(self) -> None:
        assert self.process.stderr is not None
        self._errors.extend(self.process.stderr)

    def line(self) -> str:
        """The next line of output, waited for."""
        line = self._lines.get(timeout=LIMIT)
        assert line is not None, f"ended with status {self.process.wait(LIMIT)}: {''.join(self._errors)}"
        return line

    def __enter__(self) -> Server:
        try:
            match = re.fullmatch(r"listening on ([\d.]+):(\d+)", self.line())
            assert match is not None
        except BaseException:
            self.process.kill()
            self.process.wait(LIMIT)
            raise
        self.address = match[1], int(match[2])
        self.port = match[2]
        self.url = f"http://{match[1]}:{match[2]}/"
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop(signal.SIGTERM)

    def stop(self, number: int) -> tuple[int, str]:
        """Send a signal, wait for the end; the exit status and what was written to standard error."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(LIMIT)
            raise
        for reader in self._readers:
            reader.join(LIMIT)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return status, "".join(self._errors)

    def stopWell(self) -> None:
        """Stop it as a service manager would, and see that nothing went wrong inside."""
        status, errors = self.stop(signal.SIGTERM)
        assert status == 0
        assert "Traceback" not in errors

    def connect(self) -> socket.socket:
        """A client of Python's own."""
        return socket.create_connection(self.address, timeout=LIMIT)


def toEnd(client: socket.socket) -> bytes:
    """Everything that comes until the server closes its half."""
    return b"".join(iter(lambda: client.recv(65536), b""))
