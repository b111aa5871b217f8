"""
Archives byte by byte: what is written, and what is read, whole, from a file, and however it is cut into pieces.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from _archive_vectors import VECTORS, Vector
from _archives import OURS, fed, fromMemory, state
from twisted.internet.defer import Deferred

from twisted_casync.archive import ArchiveIncomplete, CArchive, CArchiveException

each = pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
short = pytest.mark.parametrize(
    "vector",
    [v for v in VECTORS.values() if len(v.data) < 1000],
    ids=[k for k, v in VECTORS.items() if len(v.data) < 1000],
)


@each
def test_it_is_written(vector: Vector) -> None:
    ar = CArchive(None, CArchive.store, **vector.options)
    vector.store(ar)
    assert ar.takeStored().hex(" ") == vector.data.hex(" ")


@each
def test_it_is_written_to_a_file(vector: Vector) -> None:
    file = io.BytesIO()
    with CArchive(file, CArchive.store, **vector.options) as ar:
        vector.store(ar)
    assert file.getvalue() == vector.data


@each
def test_it_is_read(vector: Vector) -> None:
    ar = fed(vector.data, **vector.options)
    assert state(ar >> vector.load) == state(vector.value)
    assert ar.IsBufferEmpty()


@each
def test_it_is_read_from_a_file(vector: Vector) -> None:
    ar = fromMemory(vector.data + b"more", **vector.options)
    assert state(ar >> vector.load) == state(vector.value)
    assert ar.Read(100) == b"more"


@short
def test_it_is_read_a_byte_at_a_time(vector: Vector) -> None:
    """And nothing is taken before it is whole."""
    ar = fed(**vector.options)
    for index in range(len(vector.data)):
        with pytest.raises(ArchiveIncomplete):
            ar >> vector.load
        assert ar.IsBufferEmpty() is (index == 0)
        ar.feed(vector.data[index : index + 1])
    assert state(ar >> vector.load) == state(vector.value)
    assert ar.IsBufferEmpty()


@short
def test_it_is_awaited_a_byte_at_a_time(vector: Vector) -> None:
    ar = fed(**vector.options)
    got: list[object] = []
    ar.whenLoaded(vector.load).addCallback(got.append)
    for index in range(len(vector.data)):
        assert got == []
        ar.feed(vector.data[index : index + 1])
    assert [state(value) for value in got] == [state(vector.value)]


@each
def test_it_is_awaited_from_a_file_that_gives_two_pieces(vector: Vector) -> None:
    cut = len(vector.data) // 2 or 1
    file = Pieces([vector.data[:cut], vector.data[cut:]])
    ar = CArchive(file, CArchive.load, classes=OURS, **vector.options)
    got: list[object] = []
    ar.whenLoaded(vector.load).addCallback(got.append)
    while file.give():
        pass
    assert [state(value) for value in got] == [state(vector.value)]


@short
def test_it_must_not_end_before_it_is_whole(vector: Vector) -> None:
    for cut in range(len(vector.data)):
        for ar in (fromMemory(vector.data[:cut], **vector.options), fed(vector.data[:cut], **vector.options)):
            if ar.GetFile() is None:
                ar.feedEnd()
            with pytest.raises(CArchiveException) as caught:
                ar >> vector.load
            assert caught.value.m_cause == CArchiveException.endOfFile


class Pieces:
    """
    A file with MFC's Read that gives pieces when it is told to.
    """

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = [piece for piece in pieces if piece]
        self.waiting: Deferred[bytes] | None = None

    def Read(self, count: int) -> Deferred[bytes]:
        assert self.waiting is None
        self.waiting = Deferred()
        return self.waiting

    def give(self) -> bool:
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            waiting.callback(self.pieces.pop(0) if self.pieces else b"")
        return waiting is not None


def test_each_part_has_a_source_that_the_page_names() -> None:
    page = (Path(__file__).resolve().parent.parent / "docs" / "archive.md").read_text()
    named = set(re.findall(r"^\| (\[[^\]]+\]) \|", page, re.MULTILINE))
    used = {
        name
        for vector in VECTORS.values()
        for _, _, source in vector.parts
        for name in re.findall(r"\[[^\]]+\]", source)
    }
    assert used and used <= named
