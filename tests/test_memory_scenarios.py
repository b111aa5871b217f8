"""
The recorded scenarios, and the project's own, over a network in memory.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from _recorded import OWN, OWN_TRACES, RECORDED, RECORDED_TRACES, knownDeviations

from twisted_casync.testing import MemoryNetwork
from twisted_casync.testing._conformance import Tally, differences
from twisted_casync.testing._deviations import Deviations
from twisted_casync.testing._runner import playScenario, socketsOn, unawaitedOn

_TURN = "what was sent arrives in a step of the network, not inside the member that sends it"
_BUFFERS = "the buffers have another size, and are one for both ends"
_EVERYWHERE = "the network is one machine that has every address"

LEFT_OUT = {
    "accept-stale-notification": _TURN,
    "close-data-handler-loop": _TURN,
    "close-recv-before-onclose": _TURN,
    "connect-broadcast": _EVERYWHERE,
    "connect-close-at-once": _TURN,
    "detach-in-onaccept": _TURN,
    "dgram-stale": _TURN,
    "each-other-with-data-due": _TURN,
    "err-bind-foreign-address": _EVERYWHERE,
    "mix-greedy-handler": _TURN,
    "oob-handler-two": _TURN,
    "opt-error-after-refused": _TURN,
    "race-abort-data-at-once": _TURN,
    "race-accept-at-once": _TURN,
    "race-close-at-once": _TURN,
    "race-close-data-at-once": _TURN,
    "race-fill-drain-small": _BUFFERS,
    "race-fill-two-rounds-handlers": _BUFFERS,
    "race-many-sends-small-recvs": _TURN,
    "race-send-recv-send": _TURN,
    "race-three-clients-at-once": _TURN,
    "read-recv-in-onsend": _TURN,
    "read-stale-new-data": _TURN,
    "recreate-in-onclose-reset": _TURN,
    "reuse-while-connect-due": _TURN,
    "reuse-while-data-due": _TURN,
    "reuse-while-urgent-due": _TURN,
    "v6-accept-in-handler": _TURN,
    "v6-dual-stack": "IPv6 sockets take IPv6 connections only",
    "v6-foreign-address": _EVERYWHERE,
    "write-big": _BUFFERS,
}
"""The scenarios that go otherwise in memory, and why."""


def scenarios() -> list[Path]:
    """
    @return: all.
    """
    paths = [*RECORDED.glob("*.txt"), *OWN.glob("*.txt")]
    return sorted(paths)


@pytest.mark.parametrize("sockets", [socketsOn, unawaitedOn], ids=["CAsyncSocket", "CSocket"])
def test_they_go_in_memory_as_recorded(sockets: object) -> None:
    traces = {RECORDED: RECORDED_TRACES, OWN: OWN_TRACES}
    tally = {RECORDED: Tally(knownDeviations()), OWN: Tally(Deviations())}
    for path in scenarios():
        with MemoryNetwork().installed() as network:
            factory = sockets(network)  # type: ignore[operator]  # one of two functions
            work = playScenario(network, path.stem, path.read_text("latin-1"), factory=factory)
            got = network.run(work)
        tally[path.parent].add(path.stem, differences(path.stem, traces[path.parent], got))
    otherwise = {difference.scenario for each in tally.values() for difference in each.open}
    assert otherwise == set(LEFT_OUT)
    assert len(scenarios()) > 300
