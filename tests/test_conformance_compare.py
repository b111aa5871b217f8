"""
The comparison of traces, and the table of known deviations.
"""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_casync.testing._align import ONE_SIDED, align
from twisted_casync.testing._compare import MISSING, BrokenTrace, Difference, canonical, compare, loadTrace, nearest
from twisted_casync.testing._conformance import Tally
from twisted_casync.testing._deviations import BadTable, Deviations, proposeRows

HERE = Path(__file__).parent / "conformance"
SCENARIOS = sorted((HERE / "scenarios").glob("*.txt"))
TRACES = sorted((HERE / "traces").glob("*.jsonl"))

Record = dict[str, Any]


def trace(path: Path) -> list[Record]:
    return loadTrace(path.read_text("utf-8"))


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_a_trace_equals_itself_and_differs_where_it_was_changed(path: Path) -> None:
    records = trace(path)
    assert compare(path.stem, records, copy.deepcopy(records)) == []
    chance = random.Random(path.stem)
    for _ in range(5):
        changed = copy.deepcopy(records)
        index = chance.choice([i for i, r in enumerate(records) if ("op" in r and set(r) - SHARED) or "note" in r])
        record = changed[index]
        key = "err" if "note" in record else chance.choice(sorted(set(record) - SHARED))
        record[key] = "changed"
        (difference,) = compare(path.stem, records, changed)
        assert (difference.expected, difference.got) == (records[index][key], "changed")
        assert difference.field.split(".")[-1] == key
        assert difference.line == line_of_phase(records, index)


SHARED = {"op", "sock", "line", "in"}


def line_of_phase(records: list[Record], index: int) -> int:
    top = [r for r in records[: index + 1] if "note" not in r and "in" not in r]
    return int(top[-1].get("line", 0))


def with_handlers() -> list[Path]:
    return [path for path in TRACES if any("note" in record for record in trace(path))]


@pytest.mark.parametrize("path", with_handlers(), ids=lambda path: path.stem)
def test_a_notification_that_is_missing_or_added_is_one_difference(path: Path) -> None:
    records = trace(path)
    chance = random.Random(path.stem)
    index = chance.choice([i for i, record in enumerate(records) if "note" in record])
    note = records[index]
    where = f"{note['sock']}.{note['note']}"
    end = index + 1
    while end < len(records) and records[end].get("in") == where:
        end += 1
    without = records[:index] + records[end:]
    (missing,) = compare(path.stem, records, without)
    (added,) = compare(path.stem, without, records)
    for difference in (missing, added):
        assert difference.field.partition("#")[0] == where
        assert difference.line == line_of_phase(records, index)
    assert (missing.got, added.expected) == (MISSING, MISSING)
    assert missing.expected == added.got
    error = missing.expected["err"] if end > index + 1 else missing.expected
    assert error == note["err"]


def pumped(*records: Record) -> list[Record]:
    return [{"scenario": "x"}, {"op": "pump", "line": 9}, *records, {"end": "x"}]


def note(sock: str, name: str, err: Any = 0) -> Record:
    return {"note": name, "sock": sock, "err": err}


def done(sock: str, handler: str, **fields: Any) -> Record:
    return {"op": "recv", "sock": sock, **fields, "in": f"{sock}.{handler}", "line": 3}


def test_the_order_counts_on_a_socket_and_not_between_sockets() -> None:
    a, b, c = note("A", "OnReceive"), note("A", "OnClose"), note("B", "OnSend")
    assert compare("x", pumped(a, b, c), pumped(c, a, b)) == []
    assert compare("x", pumped(a, b), pumped(b, a)) == [
        Difference("x", 9, "A.order", ["OnReceive", "OnClose"], ["OnClose", "OnReceive"]),
    ]
    assert compare("x", pumped(c, a, b), pumped(b, a, note("A", "OnSend"))) == [
        Difference("x", 9, "A.order", ["OnReceive", "OnClose"], ["OnClose", "OnReceive"]),
        Difference("x", 9, "A.OnSend", MISSING, 0),
        Difference("x", 9, "B.OnSend", 0, MISSING),
    ]


def test_a_notification_that_moved_and_changed_is_two_differences() -> None:
    a, b, other = note("A", "OnReceive"), note("A", "OnClose"), note("A", "OnClose", "WSAECONNRESET")
    assert compare("x", pumped(a, b), pumped(other, a)) == [
        Difference("x", 9, "A.OnClose", MISSING, "WSAECONNRESET"),
        Difference("x", 9, "A.OnClose", 0, MISSING),
    ]


def test_a_dropped_notification_does_not_shift_those_after_it() -> None:
    stale = [note("S", "OnReceive"), done("S", "OnReceive", ret=-1, err="WSAEWOULDBLOCK")]
    fresh = [note("S", "OnReceive"), done("S", "OnReceive", ret=3, err=None, data="abc")]
    last = [note("S", "OnReceive"), done("S", "OnReceive", ret=4, err=None, data="abcd")]
    (difference,) = compare("x", pumped(*stale, *fresh, *last), pumped(*fresh, *last))
    command = {"op": "recv", "sock": "S", "ret": -1, "err": "WSAEWOULDBLOCK"}
    assert difference == Difference("x", 9, "S.OnReceive", {"err": 0, "commands": [command]}, MISSING)


def test_addresses_count_notifications_and_commands() -> None:
    first = [note("S", "OnReceive"), done("S", "OnReceive", ret=1), done("S", "OnReceive", ret=2)]
    second = [note("S", "OnReceive"), done("S", "OnReceive", ret=3), done("S", "OnReceive", ret=4)]
    other = copy.deepcopy(second)
    other[2]["ret"] = 5
    (difference,) = compare("x", pumped(*first, *second), pumped(*first, *other))
    assert (difference.field, difference.expected, difference.got) == ("S.OnReceive#2.recv#2.ret", 4, 5)


def test_a_count_is_not_a_bool() -> None:
    before: list[Record] = [{"op": "bind", "sock": "S", "ret": True, "line": 2}]
    after: list[Record] = [{"op": "bind", "sock": "S", "ret": 1, "line": 2}]
    assert [str(d) for d in compare("x", before, after)] == ["x:2 ret: expected true, got 1"]


def test_a_record_on_one_side_only_does_not_shift_those_after_it() -> None:
    limit: Record = {"limit": "pump", "line": 9}
    after: list[Record] = [{"op": "close", "sock": "S", "ret": None, "line": 10}]
    assert compare("x", [*pumped()[:-1], *after], [*pumped()[:-1], limit, *after]) == [
        Difference("x", 9, "limit", MISSING, {"limit": "pump"})
    ]


def test_an_answer_differs_that_is_as_in_no_recording() -> None:
    def difference(line: int, field: str, expected: Any) -> Difference:
        return Difference("x", line, field, expected, "got")

    # A command's fields are one answer, and so is what a socket was told; a handler's command is one of its own.
    first = [
        difference(1, "ret", 1),
        difference(1, "err", 1),
        difference(2, "S.OnReceive#2", 1),
        difference(2, "S.OnReceive.recv.ret", 1),
        difference(2, "C.OnSend", 1),
        difference(3, "value", 1),
    ]
    second = [
        difference(1, "data", 2),
        difference(2, "S.order", 2),
        difference(2, "S.OnReceive.recv#2.ret", 2),
        difference(4, "value", 2),
    ]
    assert nearest([first, second]) == [difference(1, "data", 2), difference(2, "S.order", 2)]
    assert nearest([second, first]) == [difference(1, "data", 2), difference(2, "S.OnReceive#2", 1)]
    assert nearest([first]) == first
    assert nearest([first, second, []]) == []


@pytest.mark.parametrize("text", ["{", "[1]", '{"note":"OnSend"}', '{"op":"recv","in":"S.OnSend","line":1}'])
def test_a_broken_trace_is_said_to_be_one(text: str) -> None:
    with pytest.raises(BrokenTrace):
        canonical(loadTrace(text))


def test_a_runaway_is_compared_in_no_time() -> None:
    many = [note("S", "OnSend", n) for n in range(2000)]
    differences = compare("x", pumped(*many), pumped(*many[1:], note("S", "OnClose")))
    assert differences


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
def test_an_alignment_keeps_both_sequences_and_is_not_dear(one: list[int], other: list[int]) -> None:
    pairs = align(one, other, lambda item: 0, lambda a, b: int(a != b))
    assert [a for a, _ in pairs if a is not None] == one
    assert [b for _, b in pairs if b is not None] == other
    spent = sum(ONE_SIDED if a is None or b is None else int(a != b) for a, b in pairs)
    by_position = sum(a != b for a, b in zip(one, other)) + ONE_SIDED * abs(len(one) - len(other))  # noqa: B905
    assert spent <= by_position


# -- the table


ROW: dict[str, Any] = {
    "scenario": "x",
    "line": 2,
    "field": "ret",
    "expected": True,
    "got": False,
    "reason": "so",
}


def table(*rows: dict[str, Any]) -> str:
    return json.dumps({"deviations": rows})


@pytest.mark.parametrize(
    "change",
    [{"scenario": "y"}, {"line": 3}, {"field": "err"}, {"expected": 1}, {"got": 0}],
    ids=lambda c: str(c),
)
def test_a_row_covers_what_it_says_and_nothing_else(change: dict[str, Any]) -> None:
    deviations = Deviations(table(ROW))
    values = {key: value for key, value in ROW.items() if key != "reason"}
    assert not deviations.covers(Difference(**{**values, **change}))
    assert [str(row) for row in deviations.stale(["x"])] == ["x:2 ret: expected true, got false"]
    assert deviations.stale(["another"]) == []
    assert deviations.covers(Difference(**values))
    assert deviations.stale(["x"]) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        table({"scenario": "x"}),
        table(ROW, {**ROW, "reason": "again"}),
        table({**ROW, "more": 1}),
    ],
)
def test_bad_tables(text: str) -> None:
    with pytest.raises(BadTable):
        Deviations(text)


def test_what_is_proposed_covers_it_all() -> None:
    before, after = (
        trace(HERE / "traces" / "accept-in-handler.jsonl"),
        trace(HERE / "traces" / "read-handler-big.jsonl"),
    )
    differences = compare("x", before, after)
    assert differences
    deviations = Deviations(proposeRows(differences))
    assert all(deviations.covers(difference) for difference in differences)
    assert deviations.stale(["x"]) == []
    assert Deviations(proposeRows([])).stale(["x"]) == []


def test_the_rows_of_the_shipped_table_are_about_shipped_scenarios() -> None:
    rows = json.loads((HERE / "deviations.json").read_text("utf-8"))["deviations"]
    names = {path.stem for path in SCENARIOS}
    assert [row for row in rows if row["scenario"] not in names or not row["reason"]] == []


def test_the_tally() -> None:
    deviations = Deviations(table(ROW))
    tally = Tally(deviations)
    known = Difference("x", 2, "ret", True, False)
    unknown = Difference("z", 1, "ret", True, False)
    assert tally.add("y", []) == []
    assert tally.isGood()
    assert tally.add("x", [known]) == []
    assert tally.isGood()
    assert tally.add("z", [unknown, known]) == [unknown]
    assert not tally.isGood()
    assert tally.summary() == "3 scenarios, 1 match, 1 known deviations, 1 differ"


def test_a_stale_row_is_not_good() -> None:
    tally = Tally(Deviations(table(ROW)))
    tally.add("x", [])
    assert not tally.isGood()
