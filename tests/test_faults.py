"""
Faults under the gate, in any mixture: a transfer both ways loses nothing to those that are not fatal.

The look at a stream that has ended, by which data is told from its end, is left alone: no fault of these kinds can
happen to it, for one of the two is there, and nothing is moved.
"""

from __future__ import annotations

import functools
import itertools
import os
import random
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from _faults import Fault, Script, ScriptedSocket, early, interrupted, inTurn, noBuffers, script, short
from _reactors import WAYS, Recorder, must, reactorOf, run
from _streams import beginConnect, listening, portOf

from twisted_casync import CAsyncSocket, GetLastError, WSAError

MEGABYTE = 1_000_000
LARGE = 50 * MEGABYTE
SMALL = MEGABYTE // 4

# How many mixtures of a large transfer each way is given; the first seeds are others on each of them.
SEEDS = 20 if os.environ.get("TWISTED_CASYNC_LONG") else 1

NOT_FATAL: dict[str, dict[str, Fault]] = {
    "short receives": {"recv_into": short(1)},
    "short sends": {"send": short(1)},
    "receives that were announced too early": {"recv_into": early},
    "sends that were announced too early": {"send": early},
    "interrupted calls": {"recv_into": interrupted, "send": interrupted},
    "no buffers": {"recv_into": noBuffers, "send": noBuffers},
}


@functools.cache
def text(seed: int, length: int) -> bytes:
    """
    @return: what one end sends: no part of it is like another.
    """
    return random.Random(seed).randbytes(length)


class End(CAsyncSocket):
    """
    One end of a transfer both ways.  After a short send it waits for OnSend, as a program may.

    @ivar closed: the codes of OnClose.
    """

    def __init__(self, reactor: Any, sends: bytes, expects: bytes) -> None:
        super().__init__(reactor)
        self.clock = reactor
        self.rest = memoryview(sends)
        self.expects = memoryview(expects)
        self.came = 0
        self.closed: list[int] = []
        self.buffer = bytearray(16384)

    def OnSend(self, nErrorCode: int) -> None:
        while self.rest:
            piece = self.rest[: len(self.buffer)]
            # A Send that has only its buffer takes another way through the gate; both are to be gone.
            count = self.Send(piece) if self.came % 2 else self.Send(piece, len(piece))
            if count == -1:
                if GetLastError() == WSAError.WSAENOBUFS:
                    # Nothing announces that there are buffers again: a program has to try.
                    self.clock.callLater(0, self.OnSend, 0)
                else:
                    assert GetLastError() == WSAError.WSAEWOULDBLOCK
                return
            self.rest = self.rest[count:]
            if count < len(piece):
                return
            if not self.rest:
                must(self.ShutDown())

    def OnReceive(self, nErrorCode: int) -> None:
        # So does the second Receive in one notification.
        for _ in range(2):
            count = self.Receive(self.buffer)
            if count == -1:
                assert GetLastError() in (WSAError.WSAEWOULDBLOCK, WSAError.WSAENOBUFS)
                return
            assert self.buffer[:count] == self.expects[self.came : self.came + count], f"wrong from {self.came} on"
            self.came += count

    def OnClose(self, nErrorCode: int) -> None:
        self.closed.append(nErrorCode)


def transfer(reactor: Any, length: int, scripts: Sequence[Script], limit: float) -> list[ScriptedSocket]:
    """
    Send C{length} bytes each way between two ends that go by scripts.

    @param scripts: one for each end.
    @return: the sockets of both ends.
    """
    texts = text(0, length), text(1, length)
    ends = [End(reactor, texts[number], texts[1 - number]) for number in range(2)]
    scripted: list[ScriptedSocket] = []

    def accept(listener: Recorder) -> None:
        must(listener.Accept(ends[1]))
        scripted.append(script(ends[1], scripts[1]))

    listener = listening(reactor, OnAccept=accept)
    must(ends[0].Create())
    scripted.append(script(ends[0], scripts[0]))
    beginConnect(ends[0], portOf(listener))
    run(reactor, lambda: all(end.closed for end in ends), limit)
    assert [end.came for end in ends] == [length, length]
    # And it is told once.
    assert [end.closed for end in ends] == [[0], [0]]
    return scripted


def faultsOf(kinds: Iterable[str]) -> dict[str, list[Fault]]:
    """
    @return: what can happen to each call.
    """
    faults: dict[str, list[Fault]] = {}
    for kind in kinds:
        for name, fault in NOT_FATAL[kind].items():
            faults.setdefault(name, []).append(fault)
    return faults


def mixture(seed: int, kinds: Iterable[str]) -> Script:
    """
    A script in which stretches of calls that meet a fault take turns with stretches that meet none.
    """

    def stretches(dice: random.Random, faults: list[Fault]) -> Iterator[Fault | None]:
        while True:
            yield from itertools.repeat(dice.choice(faults), dice.randrange(1, 40))
            yield from itertools.repeat(None, dice.randrange(1, 40))

    return inTurn(
        {name: stretches(random.Random(f"{seed} {name}"), faults) for name, faults in faultsOf(kinds).items()}
    )


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_fifty_megabytes_both_ways_survive_a_mixture_of_all_faults(way: str) -> None:
    for number in range(SEEDS):
        seed = SEEDS * WAYS.index(way) + number
        with reactorOf(way) as reactor:
            scripted = transfer(reactor, LARGE, [mixture(2 * seed + end, NOT_FATAL) for end in range(2)], limit=60)
        for one in scripted:
            assert min(one.faults["recv_into"], one.faults["send"]) > 1000, f"seed {seed} has few faults"


@pytest.mark.parametrize("way", ["epoll-window", "epoll-direct", "select-direct", "asyncio-direct"])
def test_a_transfer_survives_every_set_of_faults(way: str) -> None:
    sets = [list(kinds) for size in range(1, len(NOT_FATAL) + 1) for kinds in itertools.combinations(NOT_FATAL, size)]
    for seed, kinds in enumerate(sets):
        with reactorOf(way) as reactor:
            scripted = transfer(reactor, SMALL, [mixture(seed, kinds), mixture(seed, kinds)], limit=30)
        for one in scripted:
            assert one.faults.keys() == faultsOf(kinds).keys(), f"a fault of {kinds} was left out"


@contextmanager
def signals(each: float) -> Iterator[list[int]]:
    """
    Interrupt this process every C{each} seconds.

    @return: the signals that were handled.
    """
    came: list[int] = []
    former = signal.signal(signal.SIGALRM, lambda number, frame: came.append(number))
    signal.setitimer(signal.ITIMER_REAL, each, each)
    try:
        yield came
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


@pytest.mark.parametrize("way", WAYS)
def test_a_transfer_survives_a_hail_of_signals(way: str) -> None:
    with reactorOf(way) as reactor, signals(each=0.0002) as came:
        transfer(reactor, 10 * MEGABYTE, [inTurn({}), inTurn({})], limit=30)
    assert len(came) > 20
