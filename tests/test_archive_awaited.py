"""
Archives over what has to be awaited: a file that gives Deferreds, and what a handler feeds.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from _archives import fed
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from twisted_casync.archive import (
    BYTE,
    DWORD,
    WORD,
    ArchiveIncomplete,
    CArchive,
    CArchiveException,
    CString,
)


def errors(waiting: Deferred[Any], failures: list[BaseException] | None = None) -> list[BaseException]:
    """
    What a Deferred fails with, once it does.
    """
    failures = [] if failures is None else failures

    def failed(failure: Failure) -> None:
        assert failure.value is not None
        failures.append(failure.value)

    waiting.addErrback(failed)
    return failures


class Awaited:
    """
    A file as a C{CSocketFile} is: each call gives a Deferred, which the test fires.
    """

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.reads: list[int] = []
        self.waiting: list[Deferred[Any]] = []

    def Write(self, data: bytes) -> Deferred[int]:
        self.written.append(data)
        return self._wait()

    def Read(self, count: int) -> Deferred[bytes]:
        self.reads.append(count)
        return self._wait()

    def _wait(self) -> Deferred[Any]:
        self.waiting.append(Deferred())
        return self.waiting[-1]


def test_flushes_are_written_one_after_the_other() -> None:
    file = Awaited()
    ar = CArchive(file, CArchive.store, 1)
    done: list[int] = []

    def mark(number: int, _: None) -> None:
        done.append(number)

    for number in range(3):
        ar << BYTE(number)
        assert len(file.written) == min(number, 1), "storing never writes by itself"
        ar.Flush().addCallback(partial(mark, number))
    assert file.written == [b"\0"] and done == []
    for number in range(3):
        file.waiting[number].callback(1)
    assert file.written == [b"\0", b"\1", b"\2"] and done == [0, 1, 2]
    closed = ar.Close()
    assert closed.called and file.written[3:] == []


def test_a_flush_that_fails_fails_all_later_ones() -> None:
    """What it had is lost: what comes behind it would be read as something else."""
    file = Awaited()
    ar = CArchive(file, CArchive.store)
    failures: list[BaseException] = []
    for number in range(3):
        ar << BYTE(number)
        errors(ar.Flush(), failures)
    problem = ConnectionResetError()
    file.waiting[0].errback(problem)
    assert file.written == [b"\0"]
    assert failures == [problem] * 3
    ar.Abort()


def test_what_is_missing_is_read_from_the_file() -> None:
    file = Awaited()
    ar = CArchive(file, CArchive.load, 10)
    got: list[object] = []
    with pytest.raises(ArchiveIncomplete):
        ar >> WORD
    assert file.reads == [], "only whenLoaded waits"
    ar.whenLoaded(CString).addCallback(got.append)
    file.waiting.pop().callback(b"\xff\xff\xff\0\0\2\0")  # 131072 characters
    # More than a buffer, as that much is missing; but no more at once than the next pieces may bring.
    assert file.reads == [10, 65536]
    file.waiting.pop().callback(b"x" * 65536)
    file.waiting.pop().callback(b"x" * 65534)
    assert file.reads == [10, 65536, 65536, 10] and got == []
    file.waiting.pop().callback(b"xx" + b"\5\0")
    assert got == ["x" * 131072] and not ar.IsBufferEmpty()
    assert ar >> WORD == 5 and ar.IsBufferEmpty()


def test_the_end_and_errors_of_the_file_are_told() -> None:
    file = Awaited()
    ar = CArchive(file, CArchive.load)
    failures = errors(ar.whenLoaded(DWORD))
    file.waiting.pop().callback(b"\1\2")
    problem = ConnectionResetError()
    file.waiting.pop().errback(problem)
    assert failures == [problem]
    errors(ar.whenLoaded(DWORD), failures)
    file.waiting.pop().callback(b"")
    assert isinstance(failures[1], CArchiveException) and failures[1].m_cause == CArchiveException.endOfFile
    assert ar >> WORD == 0x0201, "nothing was taken"


def test_one_waits_at_a_time_and_can_be_cancelled() -> None:
    file = Awaited()
    ar = CArchive(file, CArchive.load)
    first = ar.whenLoaded(WORD)
    with pytest.raises(RuntimeError, match="another"):
        ar.whenLoaded(WORD)
    failures = errors(first)
    first.cancel()
    assert [type(failure) for failure in failures] == [CancelledError]
    got: list[object] = []
    ar.whenLoaded(WORD).addCallback(got.append)
    file.waiting[-1].callback(b"\1\0")
    assert got == [1]


def test_who_waits_for_what_is_fed_hears_of_the_end() -> None:
    for end in (CArchive.feedEnd, CArchive.Close, CArchive.Abort):
        ar = fed(b"\1")
        failures = errors(ar.whenLoaded(WORD))
        end(ar)
        (failure,) = failures
        assert isinstance(failure, CArchiveException) and failure.m_cause == CArchiveException.endOfFile
    cancelled = fed(b"\1")
    waiting = cancelled.whenLoaded(WORD)
    errors(waiting)
    waiting.cancel()
    cancelled.feed(b"\0")
    assert cancelled >> WORD == 1


def test_async_with_waits_for_what_was_written() -> None:
    file = Awaited()

    async def program() -> str:
        async with CArchive(file, CArchive.store) as ar:
            ar << WORD(1)
        return "done"

    done: list[str] = []
    Deferred.fromCoroutine(program()).addCallback(done.append)
    assert file.written == [b"\1\0"] and done == []
    file.waiting.pop().callback(2)
    assert done == ["done"]
    with pytest.raises(TypeError, match="async with"), CArchive(file, CArchive.store):
        pass

    async def failing() -> None:
        async with CArchive(file, CArchive.store) as ar:
            ar << WORD(1)
            raise KeyError

    failures = errors(Deferred.fromCoroutine(failing()))
    assert [type(failure) for failure in failures] == [KeyError] and file.written == [b"\1\0"]
