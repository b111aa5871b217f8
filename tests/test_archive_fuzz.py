"""
Archives of anything, in any pieces; and bytes that nobody has written as an archive.

Whatever comes, a program gets values of the types that it asked for, or one of the two documented exceptions; it never
takes more memory than its limits say, and it always ends.
"""

from __future__ import annotations

import struct
import tracemalloc
from typing import Any

from _archive_vectors import VECTORS
from _archives import CAge, CNode, COldAge, fed, fromMemory, serialized, state, stored
from hypothesis import given, settings
from hypothesis import strategies as st

from twisted_casync.archive import (
    BOOL,
    BOOLEAN,
    BYTE,
    CHAR,
    DOUBLE,
    DWORD,
    FLOAT,
    INT,
    LONG,
    LONGLONG,
    SHORT,
    UINT,
    ULONGLONG,
    WCHAR,
    WORD,
    ArchiveIncomplete,
    ArchiveLimits,
    CArchive,
    CArchiveException,
    CArray,
    CByteArray,
    CDWordArray,
    CMapStringToOb,
    CMapStringToString,
    CMapWordToOb,
    CObArray,
    CObject,
    CObList,
    COleCurrency,
    COleDateTime,
    CPoint,
    CRect,
    CString,
    CStringA,
    CStringArray,
    CStringList,
    CTime,
    CWordArray,
    Serialized,
)

INTEGERS = [BYTE, CHAR, BOOLEAN, WORD, SHORT, WCHAR, DWORD, UINT, LONG, INT, BOOL, ULONGLONG, LONGLONG]
LIMITS = ArchiveLimits(nMaxString=2000, nMaxCount=500, nMaxObjects=300, nMaxDepth=20, nMaxItem=8000)

texts = st.text(st.characters(exclude_categories=()), max_size=300)
narrow = st.binary(max_size=300).map(lambda data: data.decode("cp1252", "surrogateescape"))
integers = st.sampled_from(INTEGERS).flatmap(
    lambda TYPE: st.integers(-(1 << 64), 1 << 64).map(lambda number: (TYPE(number), TYPE))
)
reals = st.sampled_from([FLOAT, DOUBLE]).flatmap(
    lambda TYPE: st.floats(allow_nan=False).map(lambda number: (TYPE(number), TYPE))
)
words = st.lists(st.integers(0, 0xFFFF), max_size=50)


@st.composite
def graphs(draw: st.DrawFn) -> Any:
    """
    Objects that refer to each other, with shared ones and rings.
    """
    made: list[Any] = []
    for kind in draw(st.lists(st.sampled_from("anolmws"), min_size=1, max_size=8)):
        others = st.sampled_from([None, *made])
        some = st.lists(others, max_size=4)
        number = draw(st.integers(0, 1000))
        make: Any = {
            "a": lambda number=number: CAge(number),
            "n": lambda others=others: CNode(draw(others.filter(lambda ob: ob is None or isinstance(ob, CNode)))),
            "o": lambda number=number: COldAge(number, draw(texts)),
            "l": lambda some=some: CObList(draw(some)),
            "m": lambda others=others: CMapStringToOb(draw(st.dictionaries(narrow, others, max_size=3))),
            "w": lambda others=others: CMapWordToOb(draw(st.dictionaries(st.integers(0, 0xFFFF), others, max_size=3))),
            "s": lambda: CStringArray(draw(st.lists(texts, max_size=3))),
        }[kind]
        new = make()
        made.append(new)
    nodes = [ob for ob in made if isinstance(ob, CNode)]
    if len(nodes) > 1:
        nodes[0].m_pNext = nodes[-1]
    return CObArray(made)


values = st.one_of(
    integers,
    reals,
    texts.map(lambda text: (text, CString)),
    narrow.map(lambda text: (CStringA(text), CString)),
    st.integers(-(1 << 63), (1 << 63) - 1).map(lambda number: (CTime(number), CTime)),
    st.floats(allow_nan=False).map(lambda days: (COleDateTime(days), COleDateTime)),
    st.integers(-(1 << 63), (1 << 63) - 1).map(lambda cur: (COleCurrency(cur), COleCurrency)),
    st.tuples(*[st.integers(-(1 << 31), (1 << 31) - 1)] * 2).map(lambda pair: (CPoint(*pair), CPoint)),
    st.binary(max_size=100).map(lambda data: (CByteArray(data), CByteArray)),
    words.map(lambda numbers: (CWordArray(numbers), CWordArray)),
    st.dictionaries(texts, texts, max_size=3).map(lambda pairs: (CMapStringToString(pairs), CMapStringToString)),
    graphs().map(lambda graph: (graph, CObject)),
)


@st.composite
def pieces(draw: st.DrawFn, data: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@given(st.lists(values, max_size=5), st.data())
def test_what_was_written_comes_back_in_any_pieces(items: list[tuple[Any, Any]], data: st.DataObject) -> None:
    written = stored(*(value for value, _ in items))
    expected = state(tuple(value for value, _ in items))
    whole = tuple(what for _, what in items)
    assert state(fromMemory(written) >> whole) == expected
    at_once, one_by_one = fed(), fed()
    got: list[Any] = []
    waiting: list[Any] = []
    at_once.whenLoaded(whole).addCallback(waiting.append)
    for piece in data.draw(pieces(written)):
        at_once.feed(piece)
        one_by_one.feed(piece)
        try:
            while len(got) < len(whole):
                got.append(one_by_one >> whole[len(got)])
        except ArchiveIncomplete:
            continue
    assert [state(value) for value in waiting] == [expected]
    assert state(tuple(got)) == expected
    assert one_by_one.IsBufferEmpty() and at_once.IsBufferEmpty()


@given(graphs())
def test_what_was_read_is_written_as_it_was(graph: Any) -> None:
    written = stored(graph)
    assert stored(fed(written) >> CObject) == written
    plain = serialized(graph)
    assert serialized(fed(plain) >> Serialized(CObArray)) == plain


WHATS: list[Any] = [
    *INTEGERS,
    FLOAT,
    DOUBLE,
    CString,
    CTime,
    COleDateTime,
    COleCurrency,
    CPoint,
    CRect,
    CObject,
    CAge,
    CNode,
    COldAge,
    CObArray,
    (WORD, CString),
    Serialized(CByteArray),
    Serialized(CWordArray),
    Serialized(CDWordArray),
    Serialized(CStringArray),
    Serialized(CStringList),
    Serialized(CObArray),
    Serialized(CObList),
    Serialized(CMapStringToString),
    Serialized(CMapStringToOb),
    Serialized(CMapWordToOb),
    Serialized(lambda: CArray(TYPE=CRect)),
    CArchive.ReadCount,
    CArchive.ReadString,
    CArchive.ReadObject,
    CArchive.ReadClass,
    lambda ar: ar.Read(10),
    lambda ar: ar.ReadString(5),
]
VALID = [vector.data for vector in VECTORS.values() if len(vector.data) < 300]

hostile = st.one_of(
    st.binary(max_size=200),
    # Bytes that mean something more often than others do.
    st.lists(
        st.sampled_from(
            [
                *[b"\0\0", b"\1\0", b"\2\0", b"\3\0", b"\xff\xff", b"\1\x80", b"\3\x80", b"\xff\x7f", b"\0\0\0\x80"],
                *[b"\xff\xfe\xff", b"\xff", b"\xff\xff\xff", b"\5\0CNode", b"\0\0\5\0CNode", b"\4\0CAge", b"\2ab"],
                *[b"\0\0\x08\0CObArray", b"\0\0\7\0CObList", b"\0\0\x0e\0CMapStringToOb", b"\0\0\x0c\0CStringArray"],
            ]
        ),
        max_size=60,
    ).map(b"".join),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.one_of(st.sampled_from(VALID), graphs().map(stored))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        change = draw(st.sampled_from(["flip", "cut", "insert", "number", "repeat"]))
        if change == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif change == "cut":
            del data[at : at + draw(st.integers(1, 8))]
        elif change == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=8))
        elif change == "number":
            data[at : at + 2] = struct.pack(
                "<H", draw(st.sampled_from([0, 1, 2, 3, 0x7FFF, 0x8000, 0x8001, 0xFFFE, 0xFFFF]))
            )
        else:
            data[at:at] = data[at : at + 40]
    return bytes(data)


def survive(data: list[bytes], asked: list[Any], ar: CArchive) -> None:
    """
    Ask for what is to come until it can't be, and find only what is documented.
    """
    questions = iter(asked)
    what = next(questions, None)
    for piece in data:
        if ar.GetFile() is None:
            ar.feed(piece)
        while what is not None:
            try:
                ar >> what
            except ArchiveIncomplete as incomplete:
                assert incomplete.missing > 0 and ar.GetFile() is None
                break
            except CArchiveException as problem:
                assert problem.m_cause > CArchiveException.none
                return
            what = next(questions, None)


def peak(data: list[bytes], asked: list[Any], ar: CArchive) -> int:
    tracemalloc.start()
    try:
        survive(data, asked, ar)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@settings(max_examples=400)
@given(st.one_of(hostile, mutated()), st.lists(st.sampled_from(WHATS), min_size=1, max_size=6), st.data())
def test_whatever_comes_is_a_value_or_one_of_two_exceptions(data: bytes, asked: list[Any], more: st.DataObject) -> None:
    """And takes no more memory than a small multiple of what came, and of the limits."""
    bound = 200_000 + 400 * len(data)
    assert peak([data], asked, fromMemory(data, limits=LIMITS)) < bound
    assert peak([data], asked, fed(limits=LIMITS)) < bound
    survive(more.draw(pieces(data)), asked, fed(limits=LIMITS))


@settings(max_examples=200)
@given(st.one_of(hostile, mutated()), st.sampled_from(WHATS), st.data())
def test_the_pieces_make_no_difference(data: bytes, what: Any, more: st.DataObject) -> None:
    """The same value, or the same cause, or not yet whole."""

    def outcome(parts: list[bytes]) -> Any:
        ar = fed(limits=LIMITS)
        result: Any = "incomplete"
        for part in [b"", *parts]:
            ar.feed(part)
            if result != "incomplete":
                continue
            try:
                value = ar >> what
            except ArchiveIncomplete:
                continue
            except CArchiveException as problem:
                result = problem.m_cause
            else:
                result = (repr(state(value)), len(data))
        return result, ar.IsBufferEmpty()

    assert outcome([data]) == outcome(more.draw(pieces(data)))
