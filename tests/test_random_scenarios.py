"""
Random scenarios on every reactor, beside a second reading of the rules that predicts their traces.

C{TWISTED_CASYNC_SEEDS} says how many seeds; 200 when it is not set, 2,000 is for the night.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from _generator import Scenario, generate
from _kept import KEPT
from _model import Undetermined, predict
from _random_runs import Run, differing, replay, shrunk, write
from _recorded import RECORDED, RECORDED_TRACES, knownDeviations

from twisted_casync.testing._conformance import differences

SEEDS = int(os.environ.get("TWISTED_CASYNC_SEEDS") or 200)
WAYS = (
    "epoll-window",
    "poll-window",
    "select-window",
    "asyncio-window",
    "uvloop-window",
    "casync-window",
    "epoll-direct",
    "select-direct",
    "uvloop-direct",
)
"""All reactors with the window; without, those that tell of a failure each in another way."""


@pytest.fixture(scope="module")
def scenarios() -> list[Scenario]:
    kept = [Scenario(name, text, predict(text)) for name, text in KEPT.items()]
    return kept + [generate(seed) for seed in range(SEEDS)]


@pytest.fixture(scope="module")
def runs(scenarios: list[Scenario], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    folder = tmp_path_factory.mktemp("random") / "all"
    write(folder, scenarios)
    # Together: each of them mostly waits.
    children = {way: Run(folder, way) for way in WAYS}
    yield children
    for child in children.values():
        child.kill()


@pytest.mark.programs
@pytest.mark.parametrize("way", WAYS)
def test_every_seed_does_what_the_rules_say(
    runs: dict[str, Run], scenarios: list[Scenario], way: str, tmp_path: Path
) -> None:
    report = runs[way].report()
    if runs[way].succeeded():
        assert f"{len(scenarios)} scenarios, {len(scenarios)} match" in report
        return
    failed = [scenario for scenario in scenarios if scenario.name in differing(report)]
    assert failed, report
    write(tmp_path / "failed", failed)
    shortest = shrunk(tmp_path / "shrinking", min((scenario.text for scenario in failed), key=len), way)
    pytest.fail(
        f"{report}\n# the shortest of them, without what the difference does not need:\n{shortest}\n"
        f"To play those that differ again: {' '.join(replay(tmp_path / 'failed', way))}"
    )


def test_a_seed_is_the_same_scenario_always(scenarios: list[Scenario]) -> None:
    assert [generate(seed) for seed in range(5)] == scenarios[len(KEPT) :][:5]


def test_the_seeds_reach_what_there_is_to_reach(scenarios: list[Scenario]) -> None:
    told: Counter[tuple[str, int | str]] = Counter()
    answers: Counter[tuple[str, str | None]] = Counter()
    for scenario in scenarios:
        for record in scenario.trace:
            if "note" in record:
                told[record["note"], record["err"]] += 1
            else:
                answers[record["op"], record.get("err")] += 1
    notifications = {
        ("OnAccept", 0),
        ("OnConnect", 0),
        ("OnConnect", "WSAECONNREFUSED"),
        ("OnReceive", 0),
        ("OnSend", 0),
        ("OnClose", 0),
        ("OnClose", "WSAECONNRESET"),
        ("OnClose", "WSAECONNABORTED"),
    }
    assert notifications <= told.keys()
    results = {
        ("accept", None),
        ("accept", "WSAEWOULDBLOCK"),
        ("connect", None),
        ("connect", "WSAEALREADY"),
        ("connect", "WSAEISCONN"),
        ("recv", None),
        ("recv", "WSAECONNRESET"),
        ("recv", "WSAEMSGSIZE"),
        ("recv", "WSAENOTCONN"),
        ("recv", "WSAESHUTDOWN"),
        ("recv", "WSAEWOULDBLOCK"),
        ("recvfrom", None),
        ("select", None),
        ("send", None),
        ("send", "WSAECONNRESET"),
        ("send", "WSAENOTCONN"),
        ("send", "WSAESHUTDOWN"),
        ("sendto", None),
        ("shutdown", None),
        ("shutdown", "WSAENOTCONN"),
    }
    assert results <= answers.keys()


def test_the_second_reading_agrees_with_the_recorded_traces() -> None:
    """All of them that it models, but for the deviations that are decided."""
    deviations = knownDeviations()
    predicted = 0
    for path in sorted(RECORDED.glob("*.txt")):
        try:
            trace = predict(path.read_text("latin-1"))
        except Undetermined:
            continue
        whole = [{"scenario": path.stem}, *trace, {"end": path.stem}]
        found = differences(path.stem, RECORDED_TRACES, whole)
        assert [str(it) for it in found if not deviations.covers(it)] == []
        predicted += 1
    assert predicted > 100


@pytest.mark.parametrize(
    "text",
    [
        # Which client is accepted first?
        "create L\nlisten L\ncreate C\ncreate D\non C OnConnect: close C; create C; connect C 127.0.0.1 @L\n"
        "on D OnConnect: close D; create D; connect D 127.0.0.1 @L\non L OnAccept: accept L A; close A\n"
        "connect C 127.0.0.1 @L\nconnect D 127.0.0.1 @L\npump\n",
        # Does the datagram come before it is received for, or after?
        "create U type=dgram host=127.0.0.1\ncreate V type=dgram host=127.0.0.1\n"
        "on U OnSend: sendto U 127.0.0.1 @V x\non V OnSend: recv V 10\npump\n",
        # A handler that calls for its own next notification.
        "create U type=dgram\non U OnSend: select U\npump\n",
        # It says nothing of urgent data.
        "create C\nsend C x OOB\n",
    ],
)
def test_what_is_not_determined_is_no_scenario(text: str) -> None:
    with pytest.raises(Undetermined):
        predict(text)
