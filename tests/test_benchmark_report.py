"""
What the benchmark makes of its measurements: ratios, verdicts, tables and a picture; and that its load believes nobody.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import xml.etree.ElementTree
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from _twistd import client
from sidebyside import machine, session
from sidebyside.markdown import markdown
from sidebyside.measures import WAYS, Bench, Values
from sidebyside.plot import svg
from sidebyside.processes import Failed, Programs, Server, load
from sidebyside.record import Measurement, Record, Spread
from sidebyside.scenes import METRICS, SCENES, Scene, matching
from sidebyside.servers import SERVERS
from sidebyside.targets import TARGETS, Target, judge

FAST, SLOW = "window", "twisted"


def record(scene: str = "echo-64-100", metric: str = "rate", **servers: list[float]) -> Record:
    """
    A run with a measurement a second: of each server one in each round.
    """
    made = Record()
    for n, (server, values) in enumerate(servers.items()):
        for number, value in enumerate(values):
            made.add(scene, server, Measurement(number, 100.0 * number + n, {metric: value, "others": 0.0}))
    return made


# -- ratios


def test_a_ratio_is_between_two_measurements_of_one_round() -> None:
    made = record(window=[300.0, 100.0], raw=[100.0, 200.0])
    assert made.ratios("echo-64-100", "window", "raw", "rate", lower=False) == [3.0, 0.5]


def test_a_ratio_of_what_is_to_be_low_is_more_than_1_for_the_lower_one() -> None:
    made = record(metric="cpu", window=[2.0], raw=[8.0])
    assert made.ratios("echo-64-100", "window", "raw", "cpu", lower=True) == [4.0]


def test_of_several_measurements_of_the_base_the_nearest_in_time_counts() -> None:
    made = record(window=[100.0])
    for at, rate in ((-50.0, 1.0), (2.0, 50.0), (80.0, 2.0)):
        made.add("echo-64-100", "raw", Measurement(0, at, {"rate": rate}))
    assert made.ratios("echo-64-100", "window", "raw", "rate", lower=False) == [2.0]


def test_without_the_other_one_there_is_no_ratio() -> None:
    made = record(window=[100.0])
    assert made.ratios("echo-64-100", "window", "raw", "rate", lower=False) == []
    assert Spread.of([]) is None


def test_the_base_is_measured_again_after_every_few_of_the_others() -> None:
    names = list(SERVERS)
    others = [name for name in names if name != session.BASE]
    firsts = set()
    for number in range(len(others)):
        turns = session.order(names, number)
        assert sorted(name for name in turns if name != session.BASE) == sorted(others)
        assert turns[0] == session.BASE
        far = max(len(part.split()) for part in " ".join(turns).split(session.BASE))
        assert far == session.APART
        firsts.add(turns[1])
    assert firsts == set(others)
    assert session.order(["window", "uvloop"], 1) == ["uvloop", "window"]


@pytest.mark.parametrize(("scene", "times"), [("echo-64-100", session.TRIES), ("idle", 1), ("calls", 1)])
def test_what_is_disturbed_is_measured_again_but_not_what_is_counted(
    monkeypatch: pytest.MonkeyPatch, scene: str, times: int
) -> None:
    """A server that had the connections before would serve them from what its heap has free."""
    busy = count(step=1000)
    measured: list[str] = []

    def way(bench: Bench, server: Server, scene: Scene) -> Values:
        measured.append(scene.way)
        return {}

    monkeypatch.setitem(WAYS, SCENES[scene].way, way)
    monkeypatch.setattr(machine, "busySeconds", lambda: next(busy))
    monkeypatch.setattr(machine, "waitUntilQuiet", lambda seconds: 0.0)
    with Programs() as programs:
        one = session.Session(session.Plan([scene], ["window"], 1, 0.1, patience=60), programs)
        one.measured(0, cast(Server, SimpleNamespace(pid=os.getpid(), name="window")), scene)
    assert measured == [SCENES[scene].way] * times
    assert len(one.record.of(scene, "window")) == 1


# -- targets


@pytest.mark.parametrize(("bound", "most", "reached"), [(0.9, False, True), (1.6, False, False), (1.6, True, True)])
def test_the_median_is_what_is_judged(bound: float, most: bool, reached: bool) -> None:
    made = record(window=[9.0, 1.5, 0.1], raw=[1.0, 1.0, 1.0])
    target = Target("", ("echo-64-100",), "window", bound, "raw", most=most)
    (verdict,) = judge(made, [target])
    assert verdict.spread == Spread(1.5, 0.1, 9.0)
    assert verdict.reached is reached


def test_what_was_not_measured_is_not_reached() -> None:
    made = record(raw=[1.0])
    (verdict,) = judge(made, [Target("", ("echo-64-100",), "window", 0.0, "raw")])
    assert verdict.spread is None and not verdict.reached
    assert judge(made, [Target("", ("connect",), "window", 0.0, "raw")]) == []


def test_a_pooled_target_is_judged_by_all_its_scenes_together() -> None:
    made = record("echo-64-1", "cpu", window=[1.0], raw=[1.0])
    made.measured |= record("echo-1k-1", "cpu", window=[1.0], raw=[3.0]).measured
    scenes = ("echo-64-1", "echo-1k-1", "echo-16k-1")
    (verdict,) = judge(made, [Target("", scenes, "window", 1.5, "raw", pooled=True)])
    assert verdict.spread == Spread(2.0, 1.0, 3.0) and verdict.reached


def test_every_target_is_about_servers_that_are_in_its_scenes_and_about_what_is_measured_there() -> None:
    for target in TARGETS:
        for scene in target.scenes:
            assert {target.server, target.against or target.server} <= set(SCENES[scene].servers()), target
            assert target.metricIn(scene) in SCENES[scene].metrics, target
    assert {metric for scene in SCENES.values() for metric in scene.metrics} <= set(METRICS)


def test_scenes_are_found_by_their_names_by_their_groups_and_by_how_their_names_begin() -> None:
    assert matching(["idle"]) == ["idle", "beside"]
    assert matching(["echo-64", "connect"]) == ["echo-64-1", "echo-64-100", "echo-64-5000", "echo-64-500", "connect"]
    with pytest.raises(KeyError, match="nonsense"):
        matching(["echo", "nonsense"])


# -- reports


def test_what_was_written_is_read_again_and_a_later_file_replaces_scenes(tmp_path: Path) -> None:
    first = record(window=[1.0])
    first.measured |= record("connect", window=[2.0]).measured
    second = record(window=[3.0])
    first.conditions = second.conditions = ["pinned"]
    second.failures = ["one"]
    files = [tmp_path / "1.json", tmp_path / "2.json"]
    for each, path in zip((first, second), files, strict=True):
        each.write(path)
    assert Record.read(files[0]) == first
    both = Record.read(*files)
    assert both.measured == {**second.measured, "connect": first.measured["connect"]}
    assert (both.conditions, both.failures) == (["pinned"], ["one"])


def test_the_tables_show_each_target_with_its_spread_also_where_it_is_missed() -> None:
    made = record(raw=[100.0, 100.0], window=[50.0, 70.0], twisted=[10.0, 10.0])
    made.leftOut, made.failures = {"trio": "ModuleNotFoundError: trio"}, ["connect, trio: it has ended"]
    text = markdown(made)
    missed = "| echo: 64 bytes over 100 | at least 0.930 | 0.600 (0.500\u20130.700) | **no** |"
    assert f"| window on the stock epoll reactor {missed}" in text.splitlines()
    assert "| echo: 64 bytes over 100 | at least 2.200 | 6.000 (5.000\u20137.000) | yes |" in text
    assert "| casync reactor | echo: 64 bytes over 100 | at least 0.970 | not measured |" in text
    assert "left out: trio: ModuleNotFoundError: trio" in text
    assert "**failed**: connect, trio: it has ended" in text
    assert "| **CAsyncSocket, window, epoll** | 60 (50\u201370) |" in text


def test_the_picture_has_a_row_for_each_server_and_writes_what_is_far_beyond_the_others() -> None:
    made = record("idle", "bytes", raw=[100.0], window=[600.0], twisted=[1200.0], uvloop=[1500.0], qt=[27000.0])
    root = xml.etree.ElementTree.fromstring(svg(made))
    names = {"s": "http://www.w3.org/2000/svg"}
    rows = [element.text or "" for element in root.iterfind(".//s:title", names)]
    assert [row.partition(":")[2] for row in rows] == [" 100", " 600", " 1,500", " 1,200", " 27,000"]
    written = [element.text for element in root.iterfind(".//s:text", names)]
    assert "27,000 \u2192" in written and "600 \u2192" not in written
    width = float(root.get("width", ""))
    assert all(0 < float(circle.get("cx", "")) < width for circle in root.iterfind(".//s:circle", names))


def test_a_run_without_any_measurement_can_be_reported() -> None:
    assert markdown(Record()).startswith("# Side by side")
    assert xml.etree.ElementTree.fromstring(svg(Record())) is not None


# -- the load, and those that it loads


@pytest.fixture(scope="module")
def programs() -> Iterator[Programs]:
    client("cc")
    with Programs() as built:
        yield built


LOADS = {
    "echo": ["echo -c 20 -s 16384 -d 4", "echo -c 2 -s 1048576", "visit -c 4"],
    "sink": ["upload -c 2 -s 262144"],
    "source": ["download -c 2 -s 262144"],
    "datagrams": ["datagrams -c 4"],
}


@pytest.mark.programs
@pytest.mark.slow
@pytest.mark.parametrize("name", SERVERS)
def test_every_server_serves_what_it_says_and_loses_nothing(programs: Programs, name: str) -> None:
    """The load looks at the bytes; a megabyte is more than a socket takes at a time."""
    for service in sorted(SERVERS[name].services):
        try:
            server = Server(programs, name, service, 1 << 16)
        except Failed as failure:
            assert name in ("uvloop", "window-uvloop", "trio", "asyncore", "qt"), failure
            pytest.skip(str(failure))
        with server:
            for command in LOADS[service]:
                mode, *words = command.split()
                told = load(programs, server, mode, None, 1, *words, "-w", 0.05, "-t", 0.05)
                assert told["bytes"] > 0 and told["cpu"] > 0, command


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """
    A server for one connection.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(ConnectionError):
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def changing(connection: socket.socket) -> None:
    for n in range(50):
        data = bytearray(connection.recv(100))
        data[-1] ^= n == 49
        connection.sendall(data)


def tooMuch(connection: socket.socket) -> None:
    connection.sendall(connection.recv(100) + b"\0")
    connection.recv(100)


def closing(connection: socket.socket) -> None:
    connection.sendall(connection.recv(100))


@pytest.mark.programs
@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (changing, "what came back is not what was sent"),
        (tooMuch, "came back"),
        (closing, "closed a connection|reset by peer|Broken pipe"),
    ],
)
def test_the_load_does_not_count_what_is_wrong(
    programs: Programs, answer: Callable[[socket.socket], None], complaint: str
) -> None:
    with serving(answer) as port:
        command = [programs.load(), "echo", "-p", str(port), "-w", "0", "-t", "5"]
        outcome = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert outcome.returncode == 1 and outcome.stdout == ""
    assert any(word in outcome.stderr for word in complaint.split("|")), outcome.stderr
