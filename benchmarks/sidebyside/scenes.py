"""What the servers are asked to do, one row each, and what counts there."""

from __future__ import annotations

from dataclasses import dataclass

from .servers import SERVERS

__all__ = ["GROUPS", "METRICS", "SCENES", "Metric", "Scene", "matching"]


@dataclass(frozen=True)
class Metric:
    """A value that is measured: how it is called, and how it is written."""

    title: str
    unit: str
    digits: int = 0
    lower: bool = False  # less is better

    def write(self, value: float) -> str:
        return f"{value:,.{self.digits}f}"


METRICS = {
    "rate": Metric("messages", "a second"),
    "megabytes": Metric("megabytes", "a second"),
    "cpu": Metric("processor time", "\u00b5s a message", 2, lower=True),
    "cpuMegabyte": Metric("processor time", "\u00b5s a megabyte", 1, lower=True),
    "p50": Metric("median", "\u00b5s", lower=True),
    "p99": Metric("99th percentile", "\u00b5s", lower=True),
    "bytes": Metric("memory", "bytes a connection", lower=True),
    "registrations": Metric("registrations", "a connection", 2, lower=True),
    "calls": Metric("system calls", "a message", 2, lower=True),
    "registering": Metric("epoll_ctl", "a message", 2, lower=True),
    "kept": Metric("of the rate without them", "", 2),
}


@dataclass(frozen=True)
class Scene:
    """A row: what is asked of a service, and by which load.

    `way` says how it is measured (measures.py), `metrics` what is shown: the first is what the servers are compared
    by. `rounds` bounds the rounds where a measurement is nearly the same each time.
    """

    title: str
    group: str
    service: str
    way: str
    mode: str
    metrics: tuple[str, ...]
    connections: int
    size: int = 64  # bytes of a message
    depth: int = 1  # messages on their way over one connection
    buffer: int = 1 << 16  # bytes that a server receives at a time
    pace: int = 0  # new connections a second
    rounds: int = 1000
    quick: bool = False
    only: frozenset[str] = frozenset()  # the servers; none: all that know the service

    def servers(self) -> list[str]:
        """Those that it is for."""
        return [
            name for name, kind in SERVERS.items() if self.service in kind.services and name in (self.only or SERVERS)
        ]


GROUPS = {
    "echo": "Echo: a message on its way over each connection",
    "bulk": "Bulk: 4 connections, as much as goes through",
    "connect": "Connect, echo, close: 16 connections at a time",
    "datagrams": "UDP echo: 16 sockets, a message on its way from each",
    "first": "Time to the first byte of a new connection, while 100 others echo",
    "idle": "Idle connections",
    "calls": "System calls",
}

SIZES = {"64": 64, "1k": 1024, "16k": 16384}
REACTORS = frozenset({"raw", "window", "window-poll", "window-select", "window-asyncio", "window-uvloop"})
RATE, SINGLE, BULK = ("rate", "cpu"), ("cpu", "rate"), ("megabytes", "cpuMegabyte")


def echoes(connections: int) -> dict[str, Scene]:
    """With one connection everybody waits to be woken most of the time: there the processor time counts."""
    return {
        f"echo-{name}-{connections}": Scene(
            f"{size:,} bytes over {connections:,}",
            "echo",
            "echo",
            "load",
            "echo",
            RATE if connections > 1 else SINGLE,
            connections,
            size,
            quick=connections == 100 or (connections, size) == (1, 64),
        )
        for name, size in SIZES.items()
    }


SCENES: dict[str, Scene] = {
    **echoes(1),
    **echoes(100),
    **echoes(5000),
    "echo-64-500": Scene("64 bytes over 500, each reactor", "echo", "echo", "load", "echo", RATE, 500, only=REACTORS),
    "bulk-in": Scene("to the server", "bulk", "sink", "load", "upload", BULK, 4, 1 << 18, buffer=1 << 18, quick=True),
    "bulk-out": Scene("from the server", "bulk", "source", "load", "download", BULK, 4, 1 << 18, buffer=1 << 18),
    "bulk-both": Scene("both ways, echoed", "bulk", "echo", "load", "echo", BULK, 4, 1 << 18, depth=4, buffer=1 << 18),
    "connect": Scene("64 bytes", "connect", "echo", "load", "visit", ("rate", "cpu", "p50", "p99"), 16, quick=True),
    "datagrams": Scene("64 bytes", "datagrams", "datagrams", "load", "datagrams", RATE, 16, quick=True),
    "first": Scene(
        "64 bytes, 500 new connections a second",
        "first",
        "echo",
        "load",
        "first",
        ("p50", "p99", "rate"),
        100,
        pace=500,
    ),
    "idle": Scene("10,000 connections", "idle", "echo", "idle", "idle", ("bytes", "registrations"), 10000, rounds=3),
    "beside": Scene(
        "64 bytes over 100, beside 10,000 idle ones", "idle", "echo", "beside", "echo", ("kept", "rate"), 100
    ),
    "calls": Scene(
        "echo of 64 bytes over 100",
        "calls",
        "echo",
        "calls",
        "echo",
        ("calls", "registering"),
        100,
        rounds=1,
        quick=True,
    ),
    "calls-connect": Scene(
        "connect, echo, close", "calls", "echo", "calls", "visit", ("calls", "registering"), 16, rounds=1
    ),
    "calls-datagrams": Scene(
        "UDP echo", "calls", "datagrams", "calls", "datagrams", ("calls", "registering"), 16, rounds=1
    ),
}


def matching(names: list[str]) -> list[str]:
    """The scenes with these names, or in these groups, or whose names begin so.

    Raises KeyError for a name that none has.
    """
    found = set()
    for name in names:
        some = {key for key, scene in SCENES.items() if name in (key, scene.group) or key.startswith(f"{name}-")}
        if not some:
            raise KeyError(name)
        found |= some
    return [name for name in SCENES if name in found]
