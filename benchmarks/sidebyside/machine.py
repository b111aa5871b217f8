"""The machine: its processors, who else uses them, and what the kernel tells of a process."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = [
    "busySeconds",
    "describe",
    "descriptorLimit",
    "pin",
    "privateBytes",
    "processorSeconds",
    "processors",
    "registrations",
    "waitUntilQuiet",
]

TICKS = os.sysconf("SC_CLK_TCK")  # a second, in /proc/stat
LOOK = 0.12  # seconds: shorter than this the ticks say nothing
QUIET = 0.08  # of one processor

PACKAGES = ("Twisted", "uvloop", "trio", "pyasyncore", "PySide6-Essentials")


def processors() -> tuple[int, int] | None:
    """One processor for the servers and one for the load; None where there aren't two."""
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else None


def pin(pid: int, processor: int | None) -> None:
    """Keep a process on one processor."""
    if processor is not None:
        os.sched_setaffinity(pid, {processor})


def descriptorLimit() -> int:
    """Raise the limit of open descriptors as far as it goes, for this process and its children; returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return 1 << 20 if hard == resource.RLIM_INFINITY else hard


def busySeconds() -> float:
    """What all processors together have worked since the start, in seconds."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def waitUntilQuiet(seconds: float) -> float:
    """Wait until nothing else works, at most so many seconds; returns how long that was."""
    begun = time.monotonic()
    while (waited := time.monotonic() - begun) < seconds:
        before, at = busySeconds(), time.monotonic()
        time.sleep(LOOK)
        if (busySeconds() - before) / (time.monotonic() - at) <= QUIET:
            break
    return waited


def tasks(pid: int) -> Iterator[Path]:
    yield from Path(f"/proc/{pid}/task").iterdir()


def processorSeconds(pid: int) -> float:
    """What all threads of a process have used, in seconds; 0 where the kernel doesn't tell."""
    total = 0
    for task in tasks(pid):
        with suppress(FileNotFoundError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def privateBytes(pid: int) -> int:
    """The memory that a process shares with no other, in bytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_"))


def registrations(pid: int) -> int:
    """How many descriptors the epoll sets of a process wait for."""
    count = 0
    for descriptor in Path(f"/proc/{pid}/fdinfo").iterdir():
        with suppress(FileNotFoundError):
            count += sum(line.startswith("tfd:") for line in descriptor.read_text().splitlines())
    return count


def describe() -> dict[str, str]:
    """On what is measured."""
    found = {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": str(os.cpu_count()),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    for name in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
