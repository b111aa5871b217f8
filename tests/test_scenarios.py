"""
Whole courses of events, in the scenario language: those of this project on every reactor, and the recorded ones.

`tests/scenarios` has what the recorded scenarios leave out: C{AsyncSelect}, C{Close} and a new socket of the same
object inside each handler, sockets that close each other, numbers that are used again while a notification is due,
handles that are attached in every phase.  Their traces were written from docs/decisions.md, not recorded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from _reactors import LIMIT, WAYS, reactorOf, run
from _recorded import OWN, OWN_TRACES, RECORDED, RECORDED_TRACES, knownDeviations
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twisted_casync.testing._compare import Difference
from twisted_casync.testing._conformance import Tally, differences
from twisted_casync.testing._deviations import Deviations
from twisted_casync.testing._runner import playScenario, socketsOn, unawaitedOn
from twisted_casync.testing._session import SocketFactory

README = Path(__file__).parent.parent / "README.md"
Sockets = Callable[[Any], SocketFactory]
QUIET = 0.003  # seconds; each pump also waits for the reactor to have turned


async def _playEach(reactor: Any, scenarios: Path, traces: Sequence[Path], tally: Tally, sockets: Sockets) -> None:
    for path in sorted(scenarios.glob("*.txt")):
        got = await playScenario(reactor, path.stem, path.read_text("latin-1"), QUIET, sockets(reactor))
        tally.add(path.stem, differences(path.stem, traces, got))


def played(
    way: str,
    scenarios: Path,
    traces: Sequence[Path],
    deviations: Deviations,
    limit: float = LIMIT,
    sockets: Sockets = socketsOn,
) -> Tally:
    """
    Play a folder of scenarios on one reactor.
    """
    tally = Tally(deviations)
    outcome: list[Failure | None] = []
    with reactorOf(way) as reactor:
        playing = Deferred.fromCoroutine(_playEach(reactor, scenarios, traces, tally, sockets))
        playing.addBoth(outcome.append)
        run(reactor, lambda: bool(outcome), limit)
    if outcome[0] is not None:
        outcome[0].raiseException()
    return tally


# .ci/run plays them through the window of every reactor.
@pytest.mark.parametrize("sockets", [socketsOn, unawaitedOn], ids=["CAsyncSocket", "CSocket"])
@pytest.mark.parametrize("way", ["epoll-window", *(way for way in WAYS if way.endswith("direct"))])
def test_the_scenarios_of_this_project_go_as_decided(way: str, sockets: Sockets) -> None:
    tally = played(way, OWN, OWN_TRACES, Deviations(), sockets=sockets)
    assert tally.open == []
    assert tally.summary().startswith(f"{len(list(OWN.glob('*.txt')))} scenarios, ")


def test_each_trace_belongs_to_a_scenario() -> None:
    for scenarios, recordings in ((OWN, OWN_TRACES), (RECORDED, RECORDED_TRACES)):
        names = {path.stem for path in scenarios.glob("*.txt")}
        assert [{path.stem for path in traces.iterdir()} for traces in recordings] == [names] * len(recordings)


@pytest.mark.parametrize("sockets", [socketsOn, unawaitedOn], ids=["CAsyncSocket", "CSocket"])
def test_the_recorded_scenarios_go_as_recorded_but_for_the_known_deviations(sockets: Sockets) -> None:
    tally = played("epoll-window", RECORDED, RECORDED_TRACES, knownDeviations(), limit=60, sockets=sockets)
    assert tally.open == []
    assert tally.stale() == []
    match, known = re.findall(r"(\d+) (?:match|known)", tally.summary())
    assert f" {match} match one of the recordings in every answer, {known} differ from both" in README.read_text()


def test_a_scenario_that_goes_otherwise_is_found(tmp_path: Path) -> None:
    name = "close-in-onconnect"
    (tmp_path / f"{name}.txt").write_text((OWN / f"{name}.txt").read_text().replace(": close C", ": nop"))
    tally = played("epoll-window", tmp_path, OWN_TRACES, Deviations())
    assert Difference(name, 7, "C.OnSend", "(missing)", 0) in tally.open
