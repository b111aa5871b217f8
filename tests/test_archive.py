"""
C{CArchive}: its modes, its files, what waits, and what a program may not do.
"""

from __future__ import annotations

import gc
import io
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from _archives import CAge, CNode, fed, fromMemory, stored

from twisted_casync.archive import (
    BOOL,
    BOOLEAN,
    BYTE,
    CHAR,
    DOUBLE,
    DWORD,
    FLOAT,
    LONG,
    LONGLONG,
    WORD,
    ArchiveIncomplete,
    CArchive,
    CArchiveException,
    CByteArray,
    CMapStringToOb,
    CObject,
    CPoint,
    CString,
    CStringList,
    CTime,
    Serialized,
)


def cause(call: Callable[[], object]) -> str:
    """
    The cause of the CArchiveException that a call raises.
    """
    with pytest.raises(CArchiveException) as caught:
        call()
    return caught.value.m_cause.name


# -- types


def test_a_type_is_a_cast() -> None:
    assert (WORD(70000), BYTE(-1), CHAR(200), LONG(1 << 31), DWORD(-1)) == (4464, 255, -56, -(1 << 31), 0xFFFFFFFF)
    assert (WORD(True), LONG(2.9), BOOLEAN(256), BOOL(256), LONGLONG(1 << 63)) == (1, 2, 1, 256, -(1 << 63))
    assert (FLOAT(0.1), FLOAT(1e300), FLOAT(-1e300)) == (0.10000000149011612, math.inf, -math.inf)


def test_what_was_read_can_be_written_as_it_is() -> None:
    data = stored(BYTE(1), WORD(2), LONG(-3), FLOAT(0.5), DOUBLE(0.25), BOOLEAN(1), CTime(7), CPoint(1, 2))
    types = (BYTE, WORD, LONG, FLOAT, DOUBLE, BOOLEAN, CTime, CPoint)
    values = fed(data) >> types
    assert tuple(type(value) for value in values) == types
    assert stored(*values) == data


@pytest.mark.parametrize("value", [5, 0.5, True, b"abc", bytearray(b"abc"), [1], {}, object(), WORD, CAge, ...])
def test_what_has_no_form_is_not_written(value: Any) -> None:
    ar = CArchive(None, CArchive.store)
    with pytest.raises(TypeError, match="no form in an archive"):
        ar << value
    assert ar.IsBufferEmpty()


@pytest.mark.parametrize(
    "what", [int, float, bool, bytes, list, object, 5, "text", None, WORD(5), CAge(5), CPoint(1, 2)]
)
def test_what_is_no_type_with_a_form_is_not_read(what: Any) -> None:
    ar = fed(b"\1\0\0\0\0\0\0\0")
    with pytest.raises(TypeError):
        ar >> what
    assert ar >> WORD == 1


def test_the_errors_say_what_to_write_instead() -> None:
    ar = CArchive(None, CArchive.store)
    with pytest.raises(TypeError, match="WORD"):
        ar << 5
    with pytest.raises(TypeError, match="BOOLEAN"):
        ar << True
    with pytest.raises(TypeError, match=r"value = ar >> WORD"):
        fed(b"\0\0") >> WORD(5)


def test_a_class_of_the_program_has_the_operators_by_two_methods() -> None:
    class Colour:
        def __init__(self, rgb: int) -> None:
            self.rgb = rgb

        def archiveStore(self, ar: CArchive) -> None:
            ar << BYTE(self.rgb >> 16) << BYTE(self.rgb >> 8) << BYTE(self.rgb)

        @classmethod
        def archiveLoad(cls, ar: CArchive) -> Colour:
            r, g, b = ar >> (BYTE, BYTE, BYTE)
            return cls(r << 16 | g << 8 | b)

    data = stored(Colour(0x123456))
    assert data == b"\x12\x34\x56"
    assert (fed(data) >> Colour).rgb == 0x123456
    with pytest.raises(ArchiveIncomplete):
        fed(data[:2]) >> Colour


def test_a_function_reads_what_it_likes() -> None:
    assert fed(b"\2\0\7\0") >> (lambda ar: [ar >> WORD, ar >> WORD]) == [2, 7]
    assert fed(b"\1a") >> str == "a"


# -- strings


@pytest.mark.parametrize("text", ["", "plain", "é€", "\ud800", "a\udc00\ud800b", "\U0010ffff", "\0\n\r", "x" * 70000])
def test_any_string_comes_back_in_unicode(text: str) -> None:
    assert fed(stored(text)) >> CString == text


@pytest.mark.parametrize("codePage", ["cp1252", "cp932", "utf-8", "latin-1"])
def test_any_byte_of_a_code_page_comes_back(codePage: str) -> None:
    """Also what the page has no character for."""
    for byte in range(256):
        data = bytes([1, byte])
        text = fed(data, codePage=codePage) >> CString
        assert stored(text, bUnicode=False, codePage=codePage) == data


def test_a_string_that_the_code_page_lacks_is_not_half_written() -> None:
    ar = CArchive(None, CArchive.store, bUnicode=False)
    ar << "fine"
    with pytest.raises(UnicodeEncodeError):
        ar << "\u4e2d"
    assert ar.takeStored() == b"\4fine"


# -- a failure takes nothing and leaves nothing


class Half(CObject):
    """
    Something that fails in its middle.
    """

    def Serialize(self, ar: CArchive) -> None:
        if ar.IsStoring():
            ar << WORD(1)
        else:
            ar >> WORD
        raise KeyError("half")

    def archiveStore(self, ar: CArchive) -> None:
        ar << CAge(1) << self.m_inside
        self.Serialize(ar)

    m_inside = CAge(2)


def test_what_fails_while_it_is_written_leaves_nothing_behind() -> None:
    """Not in the map either."""
    ar = CArchive(None, CArchive.store)
    ar << CAge(3)
    before = len(ar.takeStored())
    with pytest.raises(KeyError):
        ar << Half()
    assert ar.IsBufferEmpty()
    ar << Half.m_inside
    assert before > len(ar.takeStored()) == 2 + 4


def test_what_fails_while_it_is_read_takes_nothing() -> None:
    ar = fed(b"\1\0\2\0")
    with pytest.raises(KeyError):
        ar >> Serialized(Half)
    assert ar >> (WORD, WORD) == (1, 2)


# -- modes and life


def test_the_modes_are_mfc_s() -> None:
    assert (CArchive.store, CArchive.load, CArchive.bNoFlushOnDelete, CArchive.bNoByteSwap) == (0, 1, 2, 4)
    loading, storing = fed(), CArchive(None, CArchive.store | CArchive.bNoByteSwap)
    assert (loading.IsLoading(), loading.IsStoring()) == (True, False)
    assert (storing.IsLoading(), storing.IsStoring()) == (False, True)


def test_a_direction_is_one() -> None:
    storing, loading = CArchive(None, CArchive.store), fed(b"\0" * 100)
    for read in (
        lambda: storing >> WORD,
        lambda: storing.Read(1),
        storing.ReadString,
        storing.ReadCount,
        storing.ReadObject,
        storing.ReadClass,
        storing.GetObjectSchema,
        lambda: storing.feed(b""),
    ):
        assert cause(read) == "writeOnly"
    for write in (
        lambda: loading << WORD(1),
        lambda: loading.Write(b""),
        lambda: loading.WriteString(""),
        lambda: loading.WriteCount(1),
        lambda: loading.WriteObject(None),
        lambda: loading.WriteClass(CAge),
        loading.takeStored,
    ):
        assert cause(write) == "readOnly"


def test_a_closed_archive_does_nothing_more() -> None:
    file = io.BytesIO()
    ar = CArchive(file, CArchive.store)
    ar << WORD(1)
    ar.Close()
    ar.Close()
    ar.Abort()
    assert ar.GetFile() is None and not file.closed and file.getvalue() == b"\1\0"
    with pytest.raises(ValueError, match="closed"):
        ar << WORD(2)
    with pytest.raises(ValueError, match="closed"):
        ar.Flush()
    assert repr(ar).startswith("<CArchive closed")


def test_what_makes_no_archive() -> None:
    for mode in (8, -1, 16):
        with pytest.raises(ValueError, match="nMode"):
            CArchive(None, mode)
    with pytest.raises(ValueError, match="nBufSize"):
        CArchive(None, CArchive.load, 0)
    with pytest.raises(LookupError):
        CArchive(None, CArchive.load, codePage="no such page")
    for mode in (CArchive.load, CArchive.store):
        with pytest.raises(TypeError, match="pFile"):
            CArchive(object(), mode)
    with pytest.raises(ValueError, match="reads its file"):
        fromMemory(b"").feed(b"")


def test_an_archive_that_is_thrown_away_with_data_in_it_says_so() -> None:
    ar = CArchive(io.BytesIO(), CArchive.store)
    ar << WORD(1)
    with pytest.warns(ResourceWarning, match="with data in it"):
        del ar
        gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet = CArchive(io.BytesIO(), CArchive.store | CArchive.bNoFlushOnDelete)
        quiet << WORD(1)
        aborted = CArchive(io.BytesIO(), CArchive.store)
        aborted << WORD(1)
        aborted.Abort()
        del quiet, aborted
        gc.collect()


def test_with_closes_and_an_exception_aborts() -> None:
    good, bad = io.BytesIO(), io.BytesIO()
    with CArchive(good, CArchive.store) as ar:
        ar << WORD(1)
    with pytest.raises(KeyError), CArchive(bad, CArchive.store) as ar:
        ar << WORD(1)
        raise KeyError
    assert (good.getvalue(), bad.getvalue()) == (b"\1\0", b"")


# -- Python's files


def test_a_file_is_written_when_a_buffer_is_full() -> None:
    file = io.BytesIO()
    ar = CArchive(file, CArchive.store, 8)
    ar << DWORD(1)
    assert file.getvalue() == b""
    ar << DWORD(2)
    assert len(file.getvalue()) == 8 and ar.IsBufferEmpty()
    ar.Write(bytes(100))
    assert len(file.getvalue()) == 108
    ar << WORD(3)
    ar.Flush()
    assert len(file.getvalue()) == 110
    ar.Close()


def test_a_file_goes_on_where_the_archive_stopped(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\1\0\2\0rest")
    with open(path, "rb") as file:
        for number in (1, 2):
            with CArchive(file, CArchive.load) as ar:
                assert ar >> WORD == number
                assert not ar.IsBufferEmpty()
        assert file.read() == b"rest"


class Raw(io.RawIOBase):
    """
    A file that takes and gives three bytes at a time, or says that it can't now.
    """

    def __init__(self, data: bytes = b"", ready: bool = True) -> None:
        self.data = bytearray(data)
        self.ready = ready

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if not self.ready:
            return None
        count = min(3, len(self.data), len(buffer))
        buffer[:count] = self.data[:count]
        del self.data[:count]
        return count

    def write(self, data: Any) -> int | None:
        if not self.ready:
            return None
        self.data += data[:3]
        return min(3, len(data))


def test_a_raw_file_takes_and_gives_a_little_at_a_time() -> None:
    raw = Raw()
    with CArchive(raw, CArchive.store) as ar:
        ar << "a longer text" << WORD(7)
    with CArchive(Raw(bytes(raw.data)), CArchive.load) as ar:
        assert ar >> (CString, WORD) == ("a longer text", 7)


def test_a_file_that_would_block_can_not_be_waited_for() -> None:
    with pytest.raises(BlockingIOError):
        CArchive(Raw(ready=False), CArchive.load) >> WORD
    ar = CArchive(Raw(ready=False), CArchive.store)
    ar << WORD(1)
    with pytest.raises(BlockingIOError):
        ar.Flush()
    ar.Abort()


# -- bytes, and lines


def test_bytes_are_written_and_read_as_they_are() -> None:
    ar = CArchive(None, CArchive.store)
    ar.Write(b"abcdef")
    ar.Write(bytearray(b"ghi"), 2)
    ar.Write(memoryview(b"jk"))
    data = ar.takeStored()
    assert data == b"abcdefghjk"
    loading = fromMemory(data)
    buffer = bytearray(b"....")
    assert loading.Read(buffer) == 4 and buffer == b"abcd"
    assert loading.Read(buffer, 1) == 1 and buffer == b"ebcd"
    assert loading.Read(2) == b"fg"
    # Fewer at the end, which is no error.
    assert loading.Read(buffer) == 3 and buffer == b"hjkd"
    assert (loading.Read(buffer), loading.Read(1), loading.Read(0)) == (0, b"", b"")
    for wrong in (lambda: ar.Write(b"a", 2), lambda: loading.Read(buffer, 5), lambda: loading.Read(-1)):
        with pytest.raises(ValueError):
            wrong()


def test_bytes_that_have_not_come_are_waited_for() -> None:
    ar = fed(b"ab")
    with pytest.raises(ArchiveIncomplete) as caught:
        ar.Read(5)
    assert caught.value.missing == 3
    ar.feed(b"c")
    ar.feedEnd()
    assert ar.Read(5) == b"abc"


@pytest.mark.parametrize("bUnicode", [False, True])
def test_lines_of_text(bUnicode: bool) -> None:
    ar = CArchive(None, CArchive.store, bUnicode=bUnicode)
    ar.WriteString("first\r\nsecond\n\nno newline \u010a\u0a00" if bUnicode else "first\r\nsecond\n\nno newline ")
    data = ar.takeStored()
    loading = fromMemory(data, bUnicode=bUnicode)
    lines = [loading.ReadString() for _ in range(5)]
    # U+010A and U+0A00 have the bytes of a newline, and are none.
    assert lines == ["first", "second", "", "no newline \u010a\u0a00" if bUnicode else "no newline ", None]
    slow = fed(bUnicode=bUnicode)
    got: list[object] = []
    for byte in data:
        slow.feed(bytes([byte]))
        try:
            got.append(slow.ReadString())
        except ArchiveIncomplete:
            continue
    slow.feedEnd()
    assert [*got, slow.ReadString(), slow.ReadString()] == lines


@pytest.mark.parametrize("bUnicode", [False, True])
def test_a_line_can_be_cut(bUnicode: bool) -> None:
    ar = CArchive(None, CArchive.store, bUnicode=bUnicode)
    ar.WriteString("abcdef\nxyz\n")
    loading = fromMemory(ar.takeStored(), bUnicode=bUnicode)
    assert [loading.ReadString(4), loading.ReadString(4), loading.ReadString(3)] == ["abcd", "ef", "xyz"]
    assert (loading.ReadString(3), loading.ReadString(0)) == (None, "")


def test_an_archive_of_everything_needs_only_a_file_in_memory() -> None:
    file = io.BytesIO()
    with CArchive(file, CArchive.store) as ar:
        CStringList(["a", "b"]).Serialize(ar)
        ar << CByteArray(b"abc") << CMapStringToOb({"Bart": CAge(10), "none": None}) << CNode(CNode())
    file.seek(0)
    with fromMemory(file.getvalue()) as ar:
        assert ar >> Serialized(CStringList) == ["a", "b"]
        assert ar >> CByteArray == b"abc"
        found = ar >> CMapStringToOb
        assert found is not None and found.Lookup("Bart").m_years == 10 and found.Lookup("none") is None
        node = ar >> CNode
        assert node is not None and node.m_pNext is not None and node.m_pNext.m_pNext is None
        assert ar.Read(1) == b""
