"""
Two traces of one scenario, compared: what was expected here and what came there.

A trace is brought into phases first: a top-level command, and the notifications delivered in it, by socket,
each with the commands its handler ran. In a phase the order on one socket counts, the order between sockets
does not.

Each difference has an address of its own (L{Difference}), so that a table can name it. For that the two
sequences on a socket are aligned such that as little as possible differs: a notification that is missing is
then one difference, and not a difference in each that comes after it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from twisted_casync.testing._align import ONE_SIDED, Pair, align

__all__ = [
    "MISSING",
    "BrokenTrace",
    "Difference",
    "Notification",
    "Phase",
    "canonical",
    "compare",
    "loadTrace",
    "nearest",
]

MISSING = "(missing)"
"""Stands for a field, a command or a notification that is on the other side only."""

# Two that differ wholly still cost less than one missing and one added.
_MOST_DIFFERENT = 2 * ONE_SIDED - 1

Record = dict[str, Any]
T = TypeVar("T")


class BrokenTrace(ValueError):
    """A file that is no trace."""


@dataclass(frozen=True)
class Difference:
    """
    One answer that is not as expected.

    @ivar scenario: its name.
    @ivar line: of the top-level command in which it shows: the command itself, or the pump.
    @ivar field: for a field of the command its name, such as C{ret}. For a notification C{S.OnReceive}, with
        C{#2} for the second of its kind in that pump; C{S.OnReceive.err} for its error code. For a command of
        its handler C{S.OnReceive.recv.data}, again with C{#2} after a second C{recv}. Counted is on the
        expected side where there is something, else on the other. C{S.order}: the same came to the socket,
        in another order. The name of a whole command, such as C{send}, when a record is on one side only.
    @ivar expected: the value in the expected trace, or L{MISSING}.
    @ivar got: the value in the other.
    """

    scenario: str
    line: int
    field: str
    expected: Any
    got: Any

    @property
    def answer(self) -> tuple[int, str]:
        """
        The answer that it is a part of: the results of one command, or the notifications of one socket in a pump.
        """
        return self.line, self.field.rpartition(".")[0]

    def __str__(self) -> str:
        where = f"{self.scenario}:{self.line} {self.field}"
        return f"{where}: expected {json.dumps(self.expected)}, got {json.dumps(self.got)}"


@dataclass
class Notification:
    """A notification, and the records of the commands that ran in its handler."""

    name: str
    err: Any
    commands: list[Record] = field(default_factory=list)

    def shown(self) -> Any:
        """
        @return: what stands for it where it is on one side only: its error, and all that its handler did.
        """
        if not self.commands:
            return self.err
        return {"err": self.err, "commands": [_shownCommand(record) for record in self.commands]}


@dataclass
class Phase:
    """A top-level record, and what was delivered to each socket before the next one."""

    record: Record
    notifications: dict[str, list[Notification]] = field(default_factory=dict)


def loadTrace(text: str) -> list[Record]:
    """
    @param text: JSON Lines.
    @return: the records.
    @raise BrokenTrace: a line is no JSON object.
    """
    records: list[Record] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                record = json.loads(line)
            except ValueError as error:
                raise BrokenTrace(f"line {number} of the trace: {error}") from error
            if not isinstance(record, dict):
                raise BrokenTrace(f"line {number} of the trace: no JSON object")
            records.append(record)
    return records


def canonical(records: Sequence[Record]) -> list[Phase]:
    """
    @return: the phases of a trace.
    @raise BrokenTrace: a notification before any command, or a handler's command without its notification.
    """
    phases: list[Phase] = []
    for record in records:
        if "raw" in record:
            continue
        if "note" in record:
            if not phases or "sock" not in record:
                raise BrokenTrace(f"a notification out of place: {record}")
            note = Notification(str(record["note"]), record.get("err"))
            if "outside" in record:
                note.name += f" outside a {record['outside']}"
            phases[-1].notifications.setdefault(str(record["sock"]), []).append(note)
        elif "in" in record:
            sock = str(record["in"]).rpartition(".")[0]
            notes = phases[-1].notifications.get(sock) if phases else None
            if not notes:
                raise BrokenTrace(f"a handler's command out of place: {record}")
            notes[-1].commands.append(record)
        else:
            phases.append(Phase(record))
    return phases


def compare(scenario: str, expected: Sequence[Record], got: Sequence[Record]) -> list[Difference]:
    """
    Compare two traces of a scenario.

    @return: every difference, in the order of the expected trace.
    @raise BrokenTrace: one of them is no trace.
    """
    differences: list[Difference] = []
    for before, after in align(canonical(expected), canonical(got), _phaseKey, lambda a, b: 0):
        present = before or after
        assert present is not None
        line = int(present.record.get("line") or 0)
        for name, was, became in _phaseDifferences(before, after):
            differences.append(Difference(scenario, line, name, was, became))
    return differences


def nearest(recordings: Sequence[Sequence[Difference]]) -> list[Difference]:
    """
    @param recordings: the differences of one trace from each of several recordings of its scenario.
    @return: the differences of the answers that differ from every recording.  Each answer is compared with the
        recording that has the fewest differences; of several with the last.
    """
    answers = [_byAnswer(differences) for differences in recordings]
    everywhere = set(answers[0]).intersection(*answers[1:])
    differences: list[Difference] = []
    # In the order of the first recording, as compare() gives them.
    for answer in answers[0]:
        if answer in everywhere:
            least: list[Difference] = min((of[answer] for of in reversed(answers)), key=len)
            differences += least
    return differences


def _byAnswer(differences: Sequence[Difference]) -> dict[tuple[int, str], list[Difference]]:
    answers: dict[tuple[int, str], list[Difference]] = {}
    for difference in differences:
        answers.setdefault(difference.answer, []).append(difference)
    return answers


def _phaseDifferences(expected: Phase | None, got: Phase | None) -> Iterator[tuple[str, Any, Any]]:
    if expected is None or got is None:
        # The record and all that came with it are one answer: the whole phase is not there.
        present = expected or got
        assert present is not None
        whole = _shownCommand(present.record)
        if present.notifications:
            whole["notes"] = {
                sock: [{"note": note.name, "is": note.shown()} for note in notes]
                for sock, notes in present.notifications.items()
            }
        yield (
            _kind(present.record),
            MISSING if expected is None else whole,
            MISSING if got is None else whole,
        )
        return
    yield from _recordDifferences(expected.record, got.record)
    for sock in sorted(expected.notifications.keys() | got.notifications.keys()):
        for name, was, became in _notificationDifferences(
            expected.notifications.get(sock, []), got.notifications.get(sock, [])
        ):
            yield (f"{sock}.{name}" if name else sock, was, became)


def _recordDifferences(expected: Record, got: Record) -> Iterator[tuple[str, Any, Any]]:
    for name in [*expected, *(name for name in got if name not in expected)]:
        was, became = expected.get(name, MISSING), got.get(name, MISSING)
        # Python finds true and 1 equal; in a trace they are a BOOL and a count.
        if json.dumps(was, sort_keys=True) != json.dumps(became, sort_keys=True):
            yield (name, was, became)


def _notificationDifferences(expected: list[Notification], got: list[Notification]) -> Iterator[tuple[str, Any, Any]]:
    pairs = align(expected, got, lambda note: note.name, _notificationCost)
    moved = _moved(pairs)
    if moved:
        here = [b.name for b, a in pairs if b is not None and (a is not None or id(b) in moved)]
        there = [a.name for b, a in pairs if a is not None and (b is not None or id(a) in moved)]
        yield ("order", here, there)
    for name, before, after in _numbered(pairs, lambda note: note.name):
        if before is None or after is None:
            if id(before or after) not in moved:
                was = MISSING if before is None else before.shown()
                yield (name, was, MISSING if after is None else after.shown())
            continue
        if before.err != after.err:
            yield (f"{name}.err", before.err, after.err)
        for inner, was, became in _handlerDifferences(before, after):
            yield (f"{name}.{inner}", was, became)


def _moved(pairs: list[Pair[Notification]]) -> set[int]:
    """
    @return: the C{id}s of the notifications that are alone on both sides only because their order is another.
        Together they are one difference.
    """
    added = [after for before, after in pairs if before is None and after is not None]
    moved: set[int] = set()
    for before, after in pairs:
        if before is None or after is not None:
            continue
        for twin in added:
            if id(twin) not in moved and twin.name == before.name and _notificationCost(before, twin) == 0:
                moved |= {id(before), id(twin)}
                break
    return moved


def _handlerDifferences(expected: Notification, got: Notification) -> Iterator[tuple[str, Any, Any]]:
    aligned = align(expected.commands, got.commands, _commandKey, _commandCost)
    for name, before, after in _numbered(aligned, _kind):
        if before is None or after is None:
            whole = _shownCommand(before or after or {})
            yield (name, MISSING if before is None else whole, MISSING if after is None else whole)
        else:
            yield from ((f"{name}.{inner}", was, became) for inner, was, became in _recordDifferences(before, after))


def _kind(record: Record) -> str:
    return str(record.get("op") or next(iter(record), "nothing"))


def _phaseKey(phase: Phase) -> Hashable:
    return (phase.record.get("line"), _kind(phase.record))


def _commandKey(record: Record) -> Hashable:
    return (record.get("line"), _kind(record), record.get("sock"))


def _shownCommand(record: Record) -> Record:
    return {key: value for key, value in record.items() if key not in ("line", "in")}


def _commandCost(expected: Record, got: Record) -> int:
    return min(_MOST_DIFFERENT, sum(1 for _ in _recordDifferences(expected, got)))


def _notificationCost(expected: Notification, got: Notification) -> int:
    cost = int(expected.err != got.err) + sum(1 for _ in _handlerDifferences(expected, got))
    return min(_MOST_DIFFERENT, cost)


def _numbered(pairs: list[Pair[T]], kind: Callable[[T], str]) -> Iterator[tuple[str, T | None, T | None]]:
    """
    Name each pair by its kind, and by its number among its like on the side that counts (see L{Difference}).
    """
    befores: Counter[str] = Counter()
    afters: Counter[str] = Counter()
    for before, after in pairs:
        if before is not None:
            befores[kind(before)] += 1
        if after is not None:
            afters[kind(after)] += 1
        name, number = "", 0
        if before is not None:
            name, number = kind(before), befores[kind(before)]
        elif after is not None:
            name, number = kind(after), afters[kind(after)]
        yield (name if number == 1 else f"{name}#{number}", before, after)
