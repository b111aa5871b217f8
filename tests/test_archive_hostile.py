"""
What comes from a network is hostile: every length has a bound, and nothing is taken on its word.
"""

from __future__ import annotations

import struct
import tracemalloc
from typing import Any

import pytest
from _archives import OURS, CAge, CNode, fed, fromMemory, stored
from test_archive import cause

from twisted_casync.archive import (
    BYTE,
    DWORD,
    IMPLEMENT_SERIAL,
    WORD,
    ArchiveIncomplete,
    ArchiveLimits,
    CArchive,
    CArchiveException,
    CArray,
    CByteArray,
    CDWordArray,
    ClassRegistry,
    CMapWordToOb,
    CObArray,
    CObject,
    CString,
    CStringArray,
    CStringList,
    Serialized,
)


def limited(data: bytes, **limits: int) -> CArchive:
    return fed(data, limits=ArchiveLimits(**limits))


# -- limits: what is just allowed, and one more


LIMITS: dict[str, tuple[dict[str, int], bytes, bytes, Any]] = {
    "a string": ({"nMaxString": 5}, b"\5abcde", b"\6abcdef", CString),
    "a string in Unicode": ({"nMaxString": 2}, stored("ab"), stored("abc"), CString),
    "a count": ({"nMaxCount": 2}, b"\2\0ab", b"\3\0abc", Serialized(CByteArray)),
    "a large count": ({}, b"\xff\xff\0\0\x08\0", b"\xff\xff\1\0\x10\0", CArchive.ReadCount),
    "a count of 64 bits": ({"nMaxCount": 1 << 62}, b"\xff" * 6 + b"\0" * 7 + b"\x40", b"\xff" * 14, CArchive.ReadCount),
    "an item": ({"nMaxItem": 6}, b"\5abcde", b"\6abcdef", CString),
    "several values": ({"nMaxItem": 6}, b"\4abcd\1", b"\5abcde\1", (CString, BYTE)),
    "a line": ({"nMaxString": 3}, b"abc\n", b"abcd\n", CArchive.ReadString),
}


@pytest.mark.parametrize("case", LIMITS.values(), ids=LIMITS)
def test_a_limit_is_the_last_that_is_allowed(case: tuple[dict[str, int], bytes, bytes, Any]) -> None:
    limits, most, more, what = case
    narrow = {"bUnicode": False, "limits": ArchiveLimits(**limits)}
    fed(most, **narrow) >> what
    assert cause(lambda: fed(more, **narrow) >> what) == "genericException"


def test_a_limit_holds_however_it_comes() -> None:
    """Before what is too much is asked for."""
    for size in (1, 3, 100):
        ar = limited(b"", nMaxItem=6)
        data = b"\xff\xff\0" + b"x" * 255
        with pytest.raises(CArchiveException) as caught:
            for index in range(0, len(data), size):
                ar.feed(data[index : index + size])
                try:
                    ar >> CString
                except ArchiveIncomplete as incomplete:
                    assert incomplete.missing <= 6
        assert caught.value.m_cause == CArchiveException.genericException


def nested(depth: int) -> bytes:
    """
    So many nodes, each in the one before.
    """
    head = b"\xff\xff\0\0\5\0CNode"
    return head + b"\1\x80" * (depth - 1) + b"\0\0"


def test_objects_inside_each_other() -> None:
    assert isinstance(limited(nested(5), nMaxDepth=5) >> CNode, CNode)
    assert cause(lambda: limited(nested(6), nMaxDepth=5) >> CNode) == "genericException"
    assert isinstance(fed(nested(64)) >> CNode, CNode)
    assert cause(lambda: fed(nested(65)) >> CNode) == "genericException"
    assert cause(lambda: fromMemory(nested(65)) >> CNode) == "genericException"


def test_neither_is_more_written() -> None:
    def chain(depth: int) -> CNode:
        node = CNode()
        for _ in range(depth - 1):
            node = CNode(node)
        return node

    assert stored(chain(64)) == nested(64)
    ar = CArchive(None, CArchive.store)
    assert cause(lambda: ar << chain(65)) == "genericException"
    assert ar.IsBufferEmpty()
    ar << chain(64)
    assert ar.takeStored() == nested(64)


def test_depth_that_no_limit_counts_ends_before_python_does() -> None:
    deep = ArchiveLimits(nMaxDepth=10**6)
    for ar in (fed(nested(10000), limits=deep), fromMemory(nested(10000), limits=deep)):
        assert cause(lambda ar=ar: ar >> CNode) == "genericException"  # type: ignore[misc]

    def recurse(ar: CArchive) -> Any:
        return ar >> recurse if ar >> BYTE else None

    assert cause(lambda: fed(b"\1" * 10000) >> recurse) == "genericException"


def test_objects_and_classes_are_counted() -> None:
    three = stored(CNode(), CNode())
    assert limited(three, nMaxObjects=3) >> (CNode, CNode)
    assert cause(lambda: limited(three, nMaxObjects=2) >> (CNode, CNode)) == "genericException"
    ar = limited(b"", nMaxObjects=1)
    ar.MapObject(CNode())
    assert cause(lambda: ar.MapObject(CNode())) == "genericException"


# -- nothing is taken on its word


ANNOUNCED: dict[str, tuple[bytes, Any]] = {
    "a string": (b"\xff\xff\xff\xff\xff\x0f\0", CString),
    "a string in Unicode": (b"\xff\xfe\xff\xff\xff\xff\xff\xff\x07\0", CString),
    "bytes": (b"\xff\xff\xff\xff\x0f\0", Serialized(CByteArray)),
    "numbers": (b"\xff\xff\xff\xff\x0f\0", Serialized(CDWordArray)),
    "strings": (b"\xff\xff\xff\xff\x0f\0", Serialized(CStringList)),
    "objects": (b"\xff\xff\xff\xff\x0f\0", Serialized(CObArray)),
    "pairs": (b"\xff\xff\xff\xff\x0f\0", Serialized(CMapWordToOb)),
}


@pytest.mark.parametrize("case", ANNOUNCED.values(), ids=ANNOUNCED)
def test_what_is_announced_takes_no_memory_before_it_comes(case: tuple[bytes, Any]) -> None:
    data, what = case
    roomy = ArchiveLimits(nMaxItem=1 << 30)
    loading = fed(data, limits=roomy)
    ended = fromMemory(data, limits=roomy)
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveIncomplete) as caught:
            loading >> what
        assert cause(lambda: ended >> what) == "endOfFile"
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()
    assert caught.value.missing >= 0xFFFFE


def test_a_count_is_held_against_what_the_elements_need_at_least() -> None:
    """So that the loop is not even begun."""
    with pytest.raises(ArchiveIncomplete) as caught:
        fed(b"\xe8\3") >> Serialized(CObArray)
    assert caught.value.missing == 2000


BAD: dict[str, tuple[bytes, Any, str]] = {
    "two marks of Unicode": (b"\xff\xfe\xff\xff\xfe\xff\1a", CString, "badIndex"),
    "a class name that is too long": (b"\xff\xff\1\0\x40\0" + b"C" * 64, CObject, "badClass"),
    "a class name without end": (b"\xff\xff\1\0\xff\xff" + b"C" * 64, CObject, "badClass"),
    "an empty class name": (b"\xff\xff\1\0\0\0", CObject, "badClass"),
    "a class name that is no ASCII": (b"\xff\xff\1\0\4\0CAg\xe5", CObject, "badClass"),
    "a class name with a NUL": (b"\xff\xff\1\0\5\0CAge\0", CObject, "badClass"),
    "an element of another class": (
        b"\1\0" + stored(CNode()),
        Serialized(lambda: CObArray(TYPE=CAge)),
        "badClass",
    ),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_what_is_no_archive_is_refused(case: tuple[bytes, Any, str]) -> None:
    data, what, expected = case
    ar = fed(data)
    assert cause(lambda: ar >> what) == expected
    # And again: nothing was taken.
    assert cause(lambda: ar >> what) == expected
    assert cause(lambda: fromMemory(data) >> what) == expected


def test_a_code_page_that_can_not_be_read_is_a_bad_file() -> None:
    assert cause(lambda: fed(b"\1a", codePage="utf-32") >> CString) == "badIndex"


# -- pieces


def test_who_swallows_that_bytes_are_missing_gets_them_all_the_same() -> None:
    class CCareless(CObject):
        def Serialize(self, ar: CArchive) -> None:
            self.first = ar >> WORD
            try:
                self.second = ar >> CString
            except Exception:
                self.second = "nothing"
            try:
                self.third = ar >> BYTE
            except Exception:
                self.third = BYTE(0)

    ar = fed()
    for byte in b"\1\0\3abc":
        with pytest.raises(ArchiveIncomplete):
            ar >> Serialized(CCareless)
        ar.feed(bytes([byte]))
    ar.feed(b"\7")
    found = ar >> Serialized(CCareless)
    assert (found.first, found.second, found.third) == (1, "abc", 7)


class Counting(CObject):
    """
    Counts how often it is read.
    """

    times = 0

    def Serialize(self, ar: CArchive) -> None:
        type(self).times += 1
        self.name = ar >> CString
        self.numbers = CDWordArray()
        self.numbers.Serialize(ar)


def test_an_item_is_not_tried_again_before_what_was_missing_is_there() -> None:
    ar = CArchive(None, CArchive.store)
    ar << "x" * 1000
    CDWordArray(range(1000)).Serialize(ar)
    data = ar.takeStored()
    Counting.times = 0
    loading = fed()
    what = Serialized(Counting)
    for byte in data:
        with pytest.raises(ArchiveIncomplete):
            loading >> what
        loading.feed(bytes([byte]))
    assert (loading >> what).numbers[-1] == 999
    # 6006 bytes in 6006 pieces: the mark, the length, the characters, the count, the array, each in its parts.
    assert Counting.times <= 8


def test_another_question_is_tried_at_once() -> None:
    ar = fed(b"\5ab")
    with pytest.raises(ArchiveIncomplete):
        ar >> CString
    assert ar >> (BYTE, BYTE) == (5, ord("a"))


def test_what_comes_in_too_many_pieces_is_refused() -> None:
    """It would be read again for each."""
    ar = limited(b"", nMaxReread=1000)
    many = CStringArray([""] * 200)

    def piecewise(ar: CArchive) -> list[Any]:
        return [ar >> DWORD for _ in range(200)]

    with pytest.raises(CArchiveException, match="pieces") as caught:
        for _ in range(len(many) * 4):
            try:
                ar >> piecewise
            except ArchiveIncomplete:
                ar.feed(b"\0")
    assert caught.value.m_cause == CArchiveException.genericException
    # Part by part it is no trouble.
    parts = limited(b"", nMaxReread=1000)
    for _ in range(200):
        for _ in range(4):
            with pytest.raises(ArchiveIncomplete):
                parts >> DWORD
            parts.feed(b"\0")
        assert parts >> DWORD == 0


def test_a_slow_line_is_not_searched_for_ever() -> None:
    ar = limited(b"", nMaxReread=100)
    with pytest.raises(CArchiveException, match="pieces"):
        for _ in range(10000):
            try:
                ar.ReadString()
            except ArchiveIncomplete:
                ar.feed(b"x")


def test_what_is_rolled_back_is_not_in_the_map() -> None:
    """Also when an object of the item was whole already."""
    data = stored(CAge(1), CAge(2), CAge(1))
    ar = fed()
    three = (CAge, CAge, CAge)
    for byte in data:
        with pytest.raises(ArchiveIncomplete):
            ar >> three
        ar.feed(bytes([byte]))
    ages = ar >> three
    assert [age.m_years for age in ages] == [1, 2, 1]
    ar.feed(b"\2\0\3\0\4\0")
    assert ar >> three == ages
    ar.feed(b"\5\0")
    assert cause(lambda: ar >> CAge) == "badIndex"


def test_what_was_read_is_not_kept() -> None:
    ar = fed()
    tracemalloc.start()
    try:
        for _ in range(2000):
            ar.feed(b"\xff\xe8\3" + b"x" * 1000 + b"\5ab")
            ar >> CString
            try:
                ar >> CString
            except ArchiveIncomplete:
                ar.feed(b"cde")
            ar >> CString
        assert tracemalloc.get_traced_memory()[0] < 50_000
    finally:
        tracemalloc.stop()


def test_a_class_that_can_not_be_made_without_arguments_is_the_program_s_mistake() -> None:
    registry = ClassRegistry()

    @IMPLEMENT_SERIAL("CDemanding", CObject, 0, classes=registry)
    class CDemanding(CObject):
        def __init__(self, needed: int) -> None:
            pass

    ar = CArchive(None, CArchive.load, classes=registry)
    ar.feed(stored(CDemanding(1)))
    with pytest.raises(TypeError, match="needed"):
        ar >> CDemanding


def test_the_length_of_64_bits_is_understood_and_refused() -> None:
    for head in (b"", b"\xff\xfe\xff"):
        assert cause(lambda head=head: fed(head + b"\xff" * 7 + struct.pack("<Q", 1 << 33)) >> CString) == (  # type: ignore[misc]
            "genericException"
        )
    # In that form any length is one.
    assert fed(b"\xff" * 7 + struct.pack("<Q", 2) + b"ab") >> CString == "ab"
    assert fed(b"\xff" * 6 + struct.pack("<Q", 2)).ReadCount() == 2
    for write, data in (
        (1 << 32, struct.pack("<HIQ", 0xFFFF, 0xFFFFFFFF, 1 << 32)),
        (0xFFFFFFFE, b"\xff\xff\xfe\xff\xff\xff"),
    ):
        ar = CArchive(None, CArchive.store)
        ar.WriteCount(write)
        assert ar.takeStored() == data
    for wrong in (-1, 1 << 64):
        with pytest.raises(ValueError, match="count"):
            CArchive(None, CArchive.store).WriteCount(wrong)


def test_elements_without_a_least_size_are_bounded_by_their_count() -> None:
    class CNothing:
        @classmethod
        def archiveLoad(cls, ar: CArchive) -> None:
            return None

    def load(data: bytes) -> Any:
        return fed(data, limits=ArchiveLimits(nMaxCount=1000)) >> Serialized(lambda: CArray(TYPE=CNothing))

    assert len(load(b"\xe8\3")) == 1000
    assert cause(lambda: load(b"\xe9\3")) == "genericException"


def test_the_registry_of_these_tests_is_not_the_global_one() -> None:
    ar = CArchive(None, CArchive.load)
    ar.feed(stored(CAge(1)))
    assert cause(lambda: ar >> CAge) == "badClass" and OURS.classNamed("CAge") is not None
