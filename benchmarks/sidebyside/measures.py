"""How a server is measured: one function a way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from . import machine
from .processes import IdleLoad, Programs, Server, load
from .scenes import Scene
from .tracing import traced

__all__ = ["WAYS", "Bench", "Values"]

Values = dict[str, float]

IDLE = 10_000  # connections
FIRST = 5  # one in so many of them is opened before the memory is looked at
FEW, MANY = 20, 120  # messages over each connection, to find out what one more costs
SPARE = 100  # descriptors that a process needs besides


@dataclass(frozen=True)
class Bench:
    """What all measurements share. `warmup` and `seconds` are those of one, `descriptors` what a process may have."""

    programs: Programs
    processor: int | None  # the load's
    warmup: float
    seconds: float
    descriptors: int

    def most(self, connections: int) -> int:
        """So many connections, or as many as the limit of descriptors allows."""
        return min(connections, self.descriptors - SPARE)

    def words(self, scene: Scene) -> list[object]:
        """The scene, as options of the load."""
        words: list[object] = ["-c", self.most(scene.connections), "-s", scene.size, "-d", scene.depth]
        return [*words, *(["-r", scene.pace] if scene.pace else [])]


def loaded(bench: Bench, server: Server, scene: Scene) -> Values:
    """Under load for a time: what went through, and which processor time that took."""
    limit = bench.warmup + bench.seconds
    words = [*bench.words(scene), "-w", bench.warmup, "-t", bench.seconds]
    told = load(bench.programs, server, scene.mode, bench.processor, limit, *words)
    messages, megabytes, seconds = told["messages"], told["bytes"] / 1e6, told["seconds"]
    values = {"load": told["load"] / seconds}
    if not messages or not megabytes:
        raise server.failed("nothing went through")
    if scene.size * scene.depth > 1 << 16:
        values |= {"megabytes": megabytes / seconds, "cpuMegabyte": 1e6 * told["cpu"] / megabytes}
    else:
        values |= {"rate": messages / seconds, "cpu": 1e6 * told["cpu"] / messages, "lost": told["lost"]}
    values["busy"] = told["cpu"] / seconds
    if "p50" in told:
        values |= {"p50": told["p50"], "p99": told["p99"]}
    server.settle()
    return values


def idle(bench: Bench, server: Server, scene: Scene) -> Values:
    """What one more idle connection takes of memory and of the epoll sets.

    The slope between a fifth of the connections and all of them: what a server takes once, and what its heap had free,
    is no part of it.
    """
    most = bench.most(scene.connections)
    first = most // FIRST
    with IdleLoad(bench.programs, server, bench.processor) as connections:
        found = []
        for number in (first, most):
            connections.open(number)
            found.append((machine.privateBytes(server.pid), machine.registrations(server.pid)))
    (memory, registered), (memoryThen, registeredThen) = found
    return {
        "connections": most,
        "bytes": (memoryThen - memory) / (most - first),
        "registrations": (registeredThen - registered) / (most - first),
    }


def beside(bench: Bench, server: Server, scene: Scene) -> Values:
    """The load without idle connections, and with them: what is kept of the rate."""
    without = loaded(bench, server, scene)
    with IdleLoad(bench.programs, server, bench.processor) as connections:
        connections.open(bench.most(IDLE) - scene.connections)
        values = loaded(bench, server, scene)
    return {**values, "without": without["rate"], "kept": values["rate"] / without["rate"]}


def calls(bench: Bench, server: Server, scene: Scene) -> Values:
    """The system calls that one more message takes, by what few and many of them take."""
    counts: list[tuple[Counter[str], int]] = []
    for messages in (FEW, MANY):
        with traced(server.pid) as made:
            words = [*bench.words(scene), "-n", messages]
            told = load(bench.programs, server, scene.mode, bench.processor, 60, *words)
            server.settle()
        counts.append((made, told["messages"]))
    (few, fewer), (many, more) = counts
    each = {name: (many[name] - few[name]) / (more - fewer) for name in many}
    return {
        "calls": sum(each.values()),
        "registering": each.get("epoll_ctl", 0.0),
        # Less than one in a hundred messages is chance.
        **{f"call {name}": count for name, count in each.items() if count >= 0.01},
    }


WAYS: dict[str, Callable[[Bench, Server, Scene], Values]] = {
    "load": loaded,
    "idle": idle,
    "beside": beside,
    "calls": calls,
}
