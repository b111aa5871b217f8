"""A run: rounds of scenes, and in each scene one server right after the other."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from . import machine
from .measures import WAYS, Bench
from .processes import Failed, Programs, Server
from .record import Measurement, Record
from .scenes import SCENES, Scene
from .servers import SERVERS

__all__ = ["BASE", "Plan", "Session", "run"]

BASE = "raw"
"""What the others are compared to; so it is measured again after every few of them."""

APART = 4
NOISE = 0.10  # of one processor: a measurement beside which others used more is repeated
TRIES = 3
LONGEST = 5.0  # seconds to wait for a quiet machine before one measurement


@dataclass(frozen=True)
class Plan:
    """What is to be measured: scenes and servers by name; `patience` is in seconds, for the whole run."""

    scenes: Sequence[str]
    servers: Sequence[str]
    rounds: int
    seconds: float
    patience: float


def spent() -> float:
    """The processor time of this process and of the children that have ended, in seconds."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def order(servers: Sequence[str], first: int) -> list[str]:
    """The servers, beginning with another one each time, and the base in between."""
    others = [name for name in servers if name != BASE]
    if len(others) == len(servers):
        return [*others[first % len(others) :], *others[: first % len(others)]]
    if not others:
        return [BASE]
    first %= len(others)
    turned = others[first:] + others[:first]
    found = []
    for n, name in enumerate(turned):
        if n % APART == 0:
            found.append(BASE)
        found.append(name)
    return found


class Session:
    """The state of a run."""

    def __init__(self, plan: Plan, programs: Programs) -> None:
        self.plan = plan
        self.record = Record(machine=machine.describe())
        pair = machine.processors()
        self.processor: int | None = None
        loadProcessor: int | None = None
        if pair is not None:
            self.processor, loadProcessor = pair
        self.bench = Bench(programs, loadProcessor, plan.seconds / 3, plan.seconds, machine.descriptorLimit())
        self.patience = plan.patience
        self.begun = time.monotonic()
        self.servers: list[str] = []
        conditions = [f"{plan.rounds} {'round' if plan.rounds == 1 else 'rounds'} of {plan.seconds:g} s a measurement"]
        if pair is None:
            conditions.append("only one processor: the servers and the load share it, which makes all ratios smaller")
        else:
            conditions.append(f"the server on processor {pair[0]}, the load on processor {pair[1]}")
        self.record.conditions = conditions

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.begun:6.0f} s  {text}", file=sys.stderr, flush=True)

    def start(self, name: str, scene: Scene) -> Server:
        return Server(self.bench.programs, name, scene.service, scene.buffer, self.processor)

    def available(self) -> list[str]:
        """The servers that can serve here; of the others the record says why not."""
        found = []
        for name in self.plan.servers:
            service = "echo" if "echo" in SERVERS[name].services else "datagrams"
            try:
                Server(self.bench.programs, name, service, 1 << 16, self.processor).stop()
            except Failed as failure:
                self.record.leftOut[name] = str(failure)
                self.say(f"left out: {SERVERS[name].title} ({failure})")
            else:
                found.append(name)
        return found

    def measured(self, number: int, server: Server, name: str) -> None:
        """One measurement, repeated while others make noise and there is patience."""
        scene = SCENES[name]
        best: Measurement | None = None
        # What is counted, noise does not change; and a heap that was grown once takes no second measurement.
        counted = scene.way in ("idle", "calls")
        for _ in range(1 if counted else TRIES):
            if not counted:
                self.patience -= machine.waitUntilQuiet(min(LONGEST, self.patience))
            at = time.monotonic()
            busy = machine.busySeconds() - machine.processorSeconds(server.pid) - spent()
            values = WAYS[scene.way](self.bench, server, scene)
            busy = machine.busySeconds() - machine.processorSeconds(server.pid) - spent() - busy
            elapsed = time.monotonic() - at
            values["others"] = max(0.0, busy / elapsed)
            if best is None or values["others"] < best.values["others"]:
                best = Measurement(number, at - self.begun, values)
            if values["others"] <= NOISE or self.patience < elapsed:
                break
            self.patience -= elapsed
        assert best is not None
        self.record.add(name, server.name, best)

    def play(self, number: int) -> None:
        """One round. The scenes with the same service and buffers share the servers."""
        running: dict[tuple[str, str, int], Server] = {}
        try:
            for name in self.plan.scenes:
                scene = SCENES[name]
                if number >= scene.rounds or name in self.record.leftOut:
                    continue
                self.say(f"round {number + 1} of {self.plan.rounds}: {name}")
                turns = order([server for server in scene.servers() if server in self.servers], number)
                # What is nearly the same each time needs no second look at the base.
                for server in turns if scene.rounds > self.plan.rounds else dict.fromkeys(turns):
                    self.take(number, name, server, running)
        finally:
            for each in running.values():
                each.stop()

    def take(self, number: int, name: str, server: str, running: dict[tuple[str, str, int], Server]) -> None:
        """One measurement, by a server that runs already or is started for it."""
        scene = SCENES[name]
        # What a server keeps of many connections would serve for the next ones.
        fresh = scene.way == "idle"
        key = (server, scene.service, scene.buffer)
        try:
            if fresh:
                with self.start(server, scene) as alone:
                    self.measured(number, alone, name)
                return
            if key not in running:
                running[key] = self.start(server, scene)
            self.measured(number, running[key], name)
        except Failed as failure:
            self.failed(name, server, failure)
            if key in running:
                running.pop(key).stop()

    def failed(self, name: str, server: str, failure: Failed) -> None:
        text = f"{name}, {SERVERS[server].title}: {failure}"
        if SCENES[name].way == "calls" and "strace" in str(failure):
            self.record.leftOut[name] = str(failure)
        elif text not in self.record.failures:
            self.record.failures.append(text)
        self.say(text)

    def run(self) -> Record:
        self.servers = self.available()
        for name in self.plan.scenes:
            wanted = SCENES[name].connections if SCENES[name].way != "beside" else 10_000
            if self.bench.most(wanted) < wanted:
                self.record.conditions.append(
                    f"{name}: {self.bench.most(wanted):,} connections in place of {wanted:,}, because a process may "
                    f"have {self.bench.descriptors:,} descriptors"
                )
        for number in range(self.plan.rounds):
            self.play(number)
        return self.record


def run(plan: Plan) -> Record:
    """Measure all of it.

    Raises Failed where there is no compiler for the load: without it nothing can be measured.
    """
    with Programs() as programs:
        programs.load()
        return Session(plan, programs).run()
