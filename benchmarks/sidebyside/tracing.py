"""The system calls of a process, counted by strace."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .processes import Failed

__all__ = ["traced"]

ROW = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$")
"""A row of what `strace -c` prints: % time, seconds, usecs/call, calls, errors if any, syscall."""


@contextmanager
def traced(pid: int) -> Iterator[Counter[str]]:
    """Counts the system calls of all threads of a process; they are known when it is left.

    Raises Failed where there is no strace, or where it may not trace.
    """
    if shutil.which("strace") is None:
        raise Failed("strace is not installed")
    calls: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "calls"
        tracer = subprocess.Popen(
            ["strace", "-f", "-c", "-o", str(path), "-p", str(pid)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert tracer.stderr is not None
        # It says that it is attached, and to each thread; or why it isn't.
        line = tracer.stderr.readline().strip()
        if "attached" not in line:
            tracer.kill()
            tracer.communicate()
            raise Failed(line or "strace has said nothing")
        try:
            yield calls
        finally:
            # Detaches it from the process, which goes on.
            tracer.send_signal(signal.SIGINT)
            tracer.communicate()
            for row in path.read_text().splitlines():
                found = ROW.match(row)
                if found is not None and found[2] != "total":
                    calls[found[2]] += int(found[1])
