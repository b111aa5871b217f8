"""
The program of docs/porting.md, its Python as it stands there, and what the page says of members and traps.
"""

from __future__ import annotations

import re
import socket
import struct
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _clients import connect, pattern, read, readAll
from _ports import portOfItsOwn
from _twistd import CHECKOUT, PATIENCE, Child, client, environment, terminal

import twisted_casync
from twisted_casync import (
    INVALID_SOCKET,
    IPPROTO_TCP,
    MSG_OOB,
    SO_DEBUG,
    SOCKET_ERROR,
    TCP_NODELAY,
    WSAEWOULDBLOCK,
    CAsyncSocket,
    CSocket,
    GetLastError,
)
from twisted_casync.testing import Faults, MemoryNetwork

PAGE = (CHECKOUT / "docs" / "porting.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
SERVER, CLIENT = "\n\n".join(BLOCKS[:-1]), BLOCKS[-1]
CPP = "\n".join(re.findall(r"^```cpp\n(.*?)^```", PAGE, re.M | re.S))
MEMBERS = re.search(r"^## The members\n(.*?)^## ", PAGE, re.M | re.S)

GREETING = b"220 ready\r\n"
HEADER = struct.Struct("<LL")
MAGIC = int.from_bytes(b"FILE", "little")
FILE = pattern(0, 3_000_000)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """
    The page's server, in a folder with two files.
    """
    (tmp_path / "large").write_bytes(FILE)
    (tmp_path / "small").write_bytes(b"hello, world")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "fileserver.py").write_text(SERVER)
    with Child([sys.executable, "fileserver.py", "0"], cwd=tmp_path) as child:
        yield "127.0.0.1", int(child.waitFor(r"^listening on 127\.0\.0\.1:(\d+)$")[1])
        assert child.process.poll() is None
        assert not any("Traceback" in line for line in child.lines)


def retrieved(connection: socket.socket) -> bytes:
    """
    A file, behind its header.
    """
    magic, size = HEADER.unpack(read(connection, HEADER.size))
    assert magic == MAGIC
    return read(connection, size)


def test_every_part_of_the_program_stands_beside_its_port() -> None:
    languages = re.findall(r"^```(cpp|python)$", PAGE, re.M)
    assert languages == ["cpp", "python"] * (len(languages) // 2)
    classes = re.findall(r"^class (\w+)", CPP, re.M)
    assert set(classes) == set(re.findall(r"^class (\w+)", SERVER, re.M)) >= {"CListenSocket", "CTransferSocket"}
    methods = set(re.findall(r"^\w+ (\w+::\w+)\(", CPP, re.M)) - {"CServerApp::InitInstance"}
    ported = {
        f"{name}::{method}"
        for name, body in re.findall(r"^class (\w+).*?:\n(.*?)(?=^\S|\Z)", SERVER, re.M | re.S)
        for method in re.findall(r"^    def ([A-Z]\w+)\(", body, re.M)
    }
    assert methods == ported


def test_what_the_table_calls_exists() -> None:
    assert MEMBERS is not None
    members = set(re.findall(r"\bself\.([A-Z]\w+)\(", PAGE))
    ours = set(re.findall(r"^    def (\w+)\(", SERVER, re.M))
    assert members > {"Create", "Accept", "Send", "SetSockOpt"}
    assert [name for name in members - ours - {"OnTimer"} if not hasattr(CAsyncSocket, name)] == []
    constants = set(re.findall(r"\b(?:WSAE|SO_|FD_|SOCK_|IPPROTO_|TCP_)\w+\b", PAGE))
    assert [name for name in constants if not hasattr(twisted_casync, name)] == []


@pytest.mark.programs
def test_commands_are_answered_line_by_line(server: tuple[str, int]) -> None:
    with connect(server) as peer:
        assert read(peer, len(GREETING)) == GREETING
        for piece in (b"HE", b"LO\r", b"\nRETR nobody\r\nRETR ../small\r\n"):
            peer.sendall(piece)
        answers = b"500 what?\r\n" + b"550 no such file\r\n" * 2
        assert read(peer, len(answers)) == answers
        peer.sendall(b"QUIT\r\n")
        assert readAll(peer) == b"221 goodbye\r\n"


@pytest.mark.programs
def test_files_are_sent_one_after_the_other(server: tuple[str, int]) -> None:
    with connect(server) as peer:
        assert read(peer, len(GREETING)) == GREETING
        # Three commands at once: those behind a file wait until it has gone.
        peer.sendall(b"RETR large\r\nRETR empty\r\nHELO\r\nRETR small\r\n")
        assert retrieved(peer) == FILE
        assert retrieved(peer) == b""
        assert read(peer, len(b"500 what?\r\n")) == b"500 what?\r\n"
        assert retrieved(peer) == b"hello, world"
        # And one when nothing is being sent any more.
        peer.sendall(b"QUIT\r\n")
        assert readAll(peer) == b"221 goodbye\r\n"


def test_what_a_send_leaves_goes_later(
    memory_network: MemoryNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "long").write_bytes(FILE[:200_000])
    program: dict[str, Any] = {}
    exec(compile(SERVER.partition("AfxSocketInit()")[0], "fileserver.py", "exec"), program)
    doc, peer = program["CServerDoc"](), CAsyncSocket()
    sock = program["CTransferSocket"](doc)
    memory_network.pair(peer, sock)
    doc.OnConnected(sock)
    memory_network.settle()
    memory_network.outgoing(sock).script(Faults(shortSends=[3, 1, 9]))
    peer.Send(b"RETR long\r\n")
    # More than there is room for, and nobody reads.
    memory_network.settle()
    assert doc.m_sockets == [sock] and GetLastError() == WSAEWOULDBLOCK
    received, buff = b"", bytearray(50_000)
    while (count := peer.Receive(buff)) != SOCKET_ERROR:
        received += buff[:count]
        memory_network.settle()
    assert received == HEADER.pack(MAGIC, 200_000) + FILE[:200_000]
    peer.Close()
    memory_network.settle()
    assert doc.m_sockets == []


@pytest.mark.programs
def test_a_client_that_goes_in_the_middle_disturbs_nobody(server: tuple[str, int]) -> None:
    with connect(server) as going:
        read(going, len(GREETING))
        going.sendall(b"RETR large\r\n")
        assert read(going, 1)
    with connect(server) as staying:
        assert read(staying, len(GREETING)) == GREETING
        staying.sendall(b"RETR small\r\n")
        assert retrieved(staying) == b"hello, world"


@pytest.mark.programs
def test_a_port_that_is_taken_is_said_to_be(server: tuple[str, int], tmp_path: Path) -> None:
    with Child([sys.executable, "fileserver.py", str(server[1])], cwd=tmp_path) as second:
        assert second.wait() == 1
        assert second.lines == ["Address already in use."]


@pytest.mark.programs
def test_the_commands_of_the_page_show_what_it_shows(tmp_path: Path) -> None:
    client("nc")
    client("socat")
    shown = re.findall(r"^    \$ (.*)\n((?:    (?!\$ ).*\n)*)", PAGE, re.M)
    assert len(shown) == 2
    port = str(portOfItsOwn())
    (tmp_path / "fileserver.py").write_text(SERVER)
    (serve,) = re.findall(r"`(python fileserver\.py 9021)`", PAGE)
    with Child(["bash", "-c", "exec " + serve.replace("9021", port)], terminal(), tmp_path) as child:
        child.waitFor("listening on")
        for command, output in shown:
            result = subprocess.run(
                ["bash", "-c", command.replace("9021", port)],
                env=terminal(),
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=True,
            )
            expected = textwrap.dedent(output).replace("9021", port).splitlines()
            assert result.stdout.splitlines() == expected


@pytest.mark.programs
@pytest.mark.parametrize("name", ["large", "small", "empty"])
def test_the_waiting_client_fetches_a_file(server: tuple[str, int], tmp_path: Path, name: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", CLIENT, str(server[1]), name],
        env=environment(),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout == (tmp_path / name).read_bytes()


@pytest.mark.programs
def test_the_waiting_client_says_that_it_was_refused() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        result = subprocess.run(
            [sys.executable, "-c", CLIENT, str(holder.getsockname()[1]), "small"],
            env=environment(),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
    assert result.returncode == 1
    assert result.stderr.decode().strip() == "[WSAECONNREFUSED 10061] Connection refused."


def test_the_trap_of_tcp_nodelay_is_one() -> None:
    with CAsyncSocket() as one:
        assert one.Create() and one.SetSockOpt(TCP_NODELAY, True)
        assert one.GetSockOpt(SO_DEBUG) is False
        assert one.GetSockOpt(TCP_NODELAY, None, None, IPPROTO_TCP) is True
        with pytest.raises(TypeError, match="SO_RCVBUF"):
            one.SetSockOpt(socket.SO_RCVBUF, 20000)
        with pytest.raises(TypeError, match="nFlags=MSG_OOB"):
            one.Send(b"data", MSG_OOB)


def test_there_is_nothing_that_pumps_messages() -> None:
    assert not hasattr(CSocket, "OnMessagePending")
    assert INVALID_SOCKET == -1 and bool(CAsyncSocket().m_hSocket)
