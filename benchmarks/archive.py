"""How fast archives are, beside what else Python has.

    python benchmarks/archive.py [--rounds N] [--count N]

Writes and reads the same records with `CArchive`, with `struct` by hand, which is the least that such bytes can cost
in Python, and with `pickle`, which is C, and must not be used on what comes from a network. Each figure is the best of
N rounds (5). Then the memory that a loaded record takes beside the same object made by hand, and what an item costs
that comes in pieces.
"""

from __future__ import annotations

import argparse
import io
import pickle
import struct
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from twisted_casync import (
    DOUBLE,
    DWORD,
    IMPLEMENT_SERIAL,
    WORD,
    ArchiveIncomplete,
    ArchiveLimits,
    CArchive,
    CDWordArray,
    CObArray,
    CObject,
    CString,
    Serialized,
)

LIMITS = ArchiveLimits(nMaxItem=1 << 30, nMaxReread=1 << 40, nMaxObjects=1 << 20)


@IMPLEMENT_SERIAL("CRecord", CObject, 1)
class CRecord(CObject):
    """Four numbers and a string: 42 bytes."""

    def __init__(self) -> None:
        self.m_wKind = WORD(7)
        self.m_dwId = DWORD(123456)
        self.m_x = DOUBLE(0.5)
        self.m_y = DOUBLE(0.25)
        self.m_strName = "a short text"

    def Serialize(self, ar: CArchive) -> None:
        if ar.IsStoring():
            ar << self.m_wKind << self.m_dwId << self.m_x << self.m_y << self.m_strName
        else:
            self.m_wKind = ar >> WORD
            self.m_dwId = ar >> DWORD
            self.m_x = ar >> DOUBLE
            self.m_y = ar >> DOUBLE
            self.m_strName = ar >> CString


RECORD = CRecord()
HEAD = struct.Struct("<HIddBHB")


def storeByHand(count: int) -> bytes:
    data = bytearray()
    for _ in range(count):
        name = RECORD.m_strName.encode("utf-16-le")
        r = RECORD
        data += HEAD.pack(r.m_wKind, r.m_dwId, r.m_x, r.m_y, 0xFF, 0xFFFE, len(name) // 2) + name
    return bytes(data)


def loadByHand(data: bytes) -> list[Any]:
    at, found = 0, []
    while at < len(data):
        new = CRecord.__new__(CRecord)
        new.m_wKind, new.m_dwId, new.m_x, new.m_y, _, _, length = HEAD.unpack_from(data, at)
        at += HEAD.size
        new.m_strName = data[at : at + length * 2].decode("utf-16-le")
        at += length * 2
        found.append(new)
    return found


def storeArchive(count: int) -> bytes:
    file = io.BytesIO()
    with CArchive(file, CArchive.store, 65536) as ar:
        for _ in range(count):
            RECORD.Serialize(ar)
    return file.getvalue()


def loadArchive(data: bytes, count: int) -> list[Any]:
    ar, what = CArchive(io.BytesIO(data), CArchive.load, 65536, limits=LIMITS), Serialized(CRecord)
    return [ar >> what for _ in range(count)]


def loadFed(data: bytes) -> list[Any]:
    ar, what, found = CArchive(None, CArchive.load, limits=LIMITS), Serialized(CRecord), []
    for begin in range(0, len(data), 1460):
        ar.feed(data[begin : begin + 1460])
        try:
            while True:
                found.append(ar >> what)
        except ArchiveIncomplete:
            continue
    return found


def storeObjects(count: int) -> bytes:
    ar = CArchive(None, CArchive.store)
    ar << CObArray(CRecord() for _ in range(count))
    return ar.takeStored()


def loadObjects(data: bytes) -> Any:
    ar = CArchive(io.BytesIO(data), CArchive.load, 65536, limits=LIMITS)
    return ar >> CObArray


def loadInPieces(data: bytes, size: int) -> None:
    ar = CArchive(None, CArchive.load, limits=LIMITS)
    for begin in range(0, len(data), size):
        ar.feed(data[begin : begin + size])
        try:
            ar >> CObArray
        except ArchiveIncomplete:
            continue


def best(rounds: int, call: Callable[[], object]) -> float:
    """Seconds of the fastest round."""
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return min(times)


def memory(make: Callable[[], object]) -> int:
    tracemalloc.start()
    kept = make()
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=20_000, help="records")
    options = parser.parse_args()
    rounds, count = options.rounds, options.count

    data, objects = storeByHand(count), storeObjects(count)
    assert storeArchive(count) == data
    pickled = pickle.dumps([vars(CRecord()) for _ in range(count)])
    records = [vars(CRecord()) for _ in range(count)]
    numbers = CDWordArray(range(1_000_000))
    ar = CArchive(None, CArchive.store)
    numbers.Serialize(ar)
    array = ar.takeStored()

    def storeNumbers() -> None:
        numbers.Serialize(CArchive(None, CArchive.store))

    def loadNumbers() -> None:
        CArchive(io.BytesIO(array), CArchive.load, limits=LIMITS) >> Serialized(CDWordArray)

    rows: list[tuple[str, Callable[[], object], int]] = [
        ("store records: struct by hand", lambda: storeByHand(count), count),
        ("store records: CArchive", lambda: storeArchive(count), count),
        ("store records: CArchive, as objects", lambda: storeObjects(count), count),
        ("store records: pickle", lambda: pickle.dumps(records), count),
        ("load records: struct by hand", lambda: loadByHand(data), count),
        ("load records: CArchive", lambda: loadArchive(data, count), count),
        ("load records: CArchive, fed 1460 bytes at a time", lambda: loadFed(data), count),
        ("load records: CArchive, as objects", lambda: loadObjects(objects), count),
        ("load records: pickle", lambda: pickle.loads(pickled), count),
        ("store a million DWORDs", storeNumbers, 1_000_000),
        ("load a million DWORDs", loadNumbers, 1_000_000),
    ]
    for name, call, times in rows:
        print(f"{name:50} {best(rounds, call) / times * 1e6:8.3f} us each")

    byHand, loaded = memory(lambda: [CRecord() for _ in range(count)]), memory(lambda: loadArchive(data, count))
    print(f"{'memory of a record made / loaded':50} {byHand / count:8.0f} / {loaded / count:.0f} bytes")

    whole = storeObjects(count // 10)
    once = best(rounds, lambda: loadInPieces(whole, len(whole)))
    for size in (65536, 16384, 4096, 1460):
        ratio = best(rounds, lambda size=size: loadInPieces(whole, size)) / once  # type: ignore[misc]
        print(f"one item of {len(whole)} bytes in pieces of {size:<18} {ratio:8.1f} times as long as whole")


if __name__ == "__main__":
    main()
