"""The servers and the load as processes."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from . import machine
from .servers import SERVERS

__all__ = ["Failed", "IdleLoad", "Programs", "Server", "load"]

HERE = Path(__file__).resolve().parent
PATIENCE = 30.0  # seconds for a process to start, and for a load to end after its time
SETTLED = 0.0001  # seconds of processor time in SETTLING seconds: nothing is left to be done
SETTLING = 0.02


class Failed(Exception):
    """A server or the load has done something else than it should; the text says what."""


class Programs(AbstractContextManager["Programs"]):
    """The programs in C, compiled when they are needed, in a folder that goes at the end."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sidebyside-")
        self._built: dict[str, Path] = {}

    def __exit__(self, *exc: object) -> None:
        self._folder.cleanup()

    def build(self, name: str, *sources: Path) -> Path:
        """The program that is compiled of some files.

        Raises Failed without a compiler.
        """
        if name not in self._built:
            compiler = shlex.split(os.environ.get("CC", "cc"))
            if shutil.which(compiler[0]) is None:
                raise Failed(f"no C compiler: {compiler[0]} is not installed (CC says which one to take)")
            path = Path(self._folder.name) / name
            command = [*compiler, "-O2", "-o", str(path), *map(str, sources)]
            made = subprocess.run(command, capture_output=True, text=True, check=False)
            if made.returncode:
                raise Failed(f"{shlex.join(command)}: {made.stderr.strip()}")
            self._built[name] = path
        return self._built[name]

    def server(self, source: Path) -> Path:
        """A server in C."""
        return self.build(source.stem, source)

    def load(self) -> str:
        """The load."""
        return str(self.build("load", *sorted((HERE / "load").glob("*.c"))))


class Server(AbstractContextManager["Server"]):
    """A server of the table as a process, which is stopped at the end.

    Raises Failed when it doesn't begin to listen; with what it says itself.
    """

    def __init__(self, programs: Programs, name: str, service: str, buffer: int, processor: int | None = None) -> None:
        self.name = name
        # The package of this checkout is measured, whichever is installed.
        path = os.pathsep.join([str(HERE.parent), str(HERE.parent.parent), os.environ.get("PYTHONPATH", "")])
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed by stop()
        command = SERVERS[name].command(sys.executable, name, programs.server)
        self.process = subprocess.Popen(
            [*command, service, str(buffer)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, "PYTHONPATH": path.rstrip(os.pathsep), "QT_QPA_PLATFORM": "offscreen"},
            text=True,
        )
        self.pid = self.process.pid
        machine.pin(self.pid, processor)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(PATIENCE)
            reason = self.lastWords() or f"it ended with status {self.process.returncode} instead of listening"
            self.stop()
            raise Failed(reason)
        self.port = int(line)

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def lastWords(self) -> str:
        """The last line that it wrote to its standard error."""
        self._said.seek(0)
        lines = self._said.read().strip().splitlines()
        return lines[-1].strip() if lines else ""

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._said.close()

    def settle(self) -> None:
        """Wait until it has dealt with what a load has left behind: some thousand closed connections, say."""
        end = time.monotonic() + PATIENCE
        used = machine.processorSeconds(self.pid)
        while time.monotonic() < end and self.process.poll() is None:
            time.sleep(SETTLING)
            before, used = used, machine.processorSeconds(self.pid)
            if used - before < SETTLED:
                return

    def failed(self, what: str) -> Failed:
        """What went wrong, with what the server itself says of it."""
        words = self.lastWords()
        ended = self.process.poll()
        if ended is not None:
            what += f"; the server has ended with status {ended}"
        return Failed(f"{what}: {words}" if words else what)


def load(
    programs: Programs, server: Server, mode: str, processor: int | None, limit: float, *words: object
) -> dict[str, Any]:
    """What a run of the load has counted; `words` are its options, `limit` the seconds it is made to last.

    Raises Failed when it ended otherwise.
    """
    command = [programs.load(), mode, "-p", server.port, "-P", server.pid, *words]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    machine.pin(process.pid, processor)
    try:
        output, errors = process.communicate(timeout=limit + 4 * PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise server.failed("the load did not end") from None
    if process.returncode:
        raise server.failed(errors.strip() or f"the load ended with status {process.returncode}")
    told: dict[str, Any] = json.loads(output)
    return told


class IdleLoad(AbstractContextManager["IdleLoad"]):
    """Connections to a server that say nothing any more."""

    def __init__(self, programs: Programs, server: Server, processor: int | None) -> None:
        self._server = server
        self._process = subprocess.Popen(
            [programs.load(), "idle", "-p", str(server.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        machine.pin(self._process.pid, processor)

    def __exit__(self, *exc: object) -> None:
        self._process.communicate()
        self._server.settle()

    def open(self, number: int) -> None:
        """Have so many connections in all, each of which was answered once.

        Raises Failed when the server doesn't answer all of them.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(f"{number}\n")
            self._process.stdin.flush()
            told = self._process.stdout.readline()
        except BrokenPipeError:
            told = ""
        if not told:
            assert self._process.stderr is not None
            raise self._server.failed(self._process.stderr.read().strip() or "the idle load has ended")
