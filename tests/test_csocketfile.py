"""
CSocketFile: a stream as MFC's file, and as a binary file whose reads are awaited.
"""

from __future__ import annotations

import io
import socket
from typing import Any

import pytest
from _awaited import caught, connected, played, turned
from _reactors import WAYS, must
from twisted.internet.defer import CancelledError, Deferred

from twisted_casync import (
    SOCK_DGRAM,
    CAsyncSocket,
    CNotSupportedException,
    CSocket,
    CSocketFile,
    LimitExceeded,
    WinsockConnectionReset,
)

everyWay = pytest.mark.parametrize("way", WAYS)


@everyWay
def test_an_archive_reads_what_there_is(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        file = CSocketFile(near)
        assert file.m_pSocket is near
        peer.sendall(b"hello")
        assert await file.Read(100) == b"hello"
        buffer = bytearray(100)
        reading = file.Read(buffer, 3)
        peer.sendall(b"world")
        assert (await reading, bytes(buffer[:3])) == (3, b"wor")
        assert await file.Read(buffer) == 2
        peer.close()
        assert [await file.Read(10), await file.Read(buffer)] == [b"", 0]

    played(way, program)


@everyWay
def test_a_file_reads_all_that_was_asked_for(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        file = CSocketFile(near, False)
        buffer = bytearray(8)
        for read in (lambda: file.Read(5), lambda: file.Read(buffer, 5), lambda: file.readinto(memoryview(buffer)[:5])):
            reading: Deferred[Any] = read()
            peer.sendall(b"hel")
            await turned(reactor)
            assert not reading.called
            peer.sendall(b"lo")
            assert await reading in (b"hello", 5)
        assert bytes(buffer) == b"hello\0\0\0"
        peer.sendall(b"last")
        peer.close()
        assert [await file.Read(5), await file.Read(5)] == [b"last", b""]
        assert isinstance(await caught(file.Read(buffer, 9)), ValueError)

    played(way, program)


@everyWay
def test_a_read_that_is_cancelled_loses_nothing(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        file = CSocketFile(near, False)
        reading = file.Read(5)
        peer.sendall(b"hel")
        await turned(reactor)
        reading.cancel()
        assert isinstance(await caught(reading), CancelledError)
        peer.sendall(b"lo")
        assert await file.Read(5) == b"hello"

    played(way, program)


@everyWay
def test_writing_is_all_of_it(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        file = CSocketFile(near)
        assert [await file.Write(b"hello", 4), await file.write(bytearray(b"o "))] == [4, 2]
        assert await file.writelines([b"wor", b"ld"]) == 5
        file.Flush()
        await file.flush()
        assert peer.recv(100) == b"hello world"

    played(way, program)


@everyWay
def test_python_s_names(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        async with CSocketFile(near, False) as file:
            peer.sendall(b"one\ntwo\nthree\nfour\nfive")
            peer.close()
            assert await file.readline() == b"one\n"
            assert [await file.readline(2), await file.readline(10)] == [b"tw", b"o\n"]
            assert await file.read(3) == b"thr"
            assert await file.read1(2) == b"ee"
            assert [line async for line in file] == [b"\n", b"four\n", b"five"]
            assert [await file.read(), await file.read(None), await file.read(4), await file.readline()] == [b""] * 4
            assert await file.read(0) == b""
            assert (file.readable(), file.writable(), file.seekable(), file.isatty()) == (True, True, False, False)
            assert file.fileno() == near.fileno()
            assert not file.closed
        assert file.closed

    played(way, program)


@everyWay
def test_reading_all_is_to_the_end_of_the_stream(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        reading = CSocketFile(near).read()
        peer.sendall(b"hello ")
        await turned(reactor)
        peer.sendall(b"world")
        await turned(reactor)
        assert not reading.called
        peer.close()
        assert await reading == b"hello world"

    played(way, program)


@everyWay
def test_a_line_has_the_socket_s_limit(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        peer.sendall(b"x" * 65536)
        assert isinstance(await caught(CSocketFile(near).readline()), LimitExceeded)
        assert await CSocketFile(near, False).Read(65536) == b"x" * 65536

    played(way, program)


@everyWay
def test_closing_the_file_leaves_the_socket_open(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        file = CSocketFile(near)
        file.Close()
        await file.close()
        assert file.m_pSocket is None and near.fileno() >= 0
        for call in (lambda: file.Read(1), lambda: file.Write(b"x"), lambda: file.read(), lambda: file.readline()):
            with pytest.raises(ValueError, match="closed file"):
                call()
        peer.sendall(b"hello")
        assert await near.Receive() == b"hello"

    played(way, program)


@everyWay
def test_a_file_fails_as_its_socket(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        reading = CSocketFile(near).Read(5)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
        assert isinstance(await caught(reading), WinsockConnectionReset)

    played(way, program)


def test_what_mfc_does_not_support(idle: Any) -> None:
    file = CSocketFile(CSocket())
    calls = {
        "Abort": (),
        "Duplicate": (),
        "GetLength": (),
        "GetPosition": (),
        "LockRange": (0, 1),
        "Open": ("name", 0),
        "SetLength": (0,),
        "UnlockRange": (0, 1),
        "seek": (0,),
        "tell": (),
        "truncate": (),
    }
    for name, arguments in calls.items():
        with pytest.raises(CNotSupportedException, match=name) as raised:
            getattr(file, name)(*arguments)
        assert isinstance(raised.value, io.UnsupportedOperation)
    assert file.Seek(10, 1) == 0


def test_only_a_stream_is_a_file(idle: Any) -> None:
    box = CSocket()
    must(box.Create(0, SOCK_DGRAM))
    with pytest.raises(CNotSupportedException, match="datagram"):
        CSocketFile(box)
    other: Any = CAsyncSocket()
    with pytest.raises(TypeError, match="pSocket must be a CSocket, not CAsyncSocket"):
        CSocketFile(other)
