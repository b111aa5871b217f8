"""
The code of docs/awaiting.md, run as the one program that it is.
"""

from __future__ import annotations

import ast
import builtins
import re
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from _awaited import connected, listener, pair, played, until
from _reactors import WAYS, must
from _streams import LOCALHOST, peerOf, portOf
from twisted.internet.defer import Deferred

from twisted_casync import CSocket, errors, interfaces
from twisted_casync._awaiting import Awaiting

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = (DOCS / "awaiting.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.S)

everyWay = pytest.mark.parametrize("way", WAYS)
IN_LOOP = [way for way in WAYS if way.startswith(("asyncio", "uvloop"))]
STYLES = [(way, style) for style in ("askInline", "askCalledBack") for way in WAYS]
STYLES += [(way, "askInTask") for way in IN_LOOP]


@pytest.fixture(scope="module")
def page() -> SimpleNamespace:
    names: dict[str, Any] = {}
    for block in BLOCKS:
        exec(compile(block, "docs/awaiting.md", "exec"), names)
    return SimpleNamespace(**names)


def test_every_definition_of_the_page_is_run_here() -> None:
    defined = re.findall(r"^(?:async def|def|class) (\w+)", "".join(BLOCKS), re.M)
    tests = Path(__file__).read_text()
    assert len(defined) >= 10
    used = re.findall(r"\w+", "".join(BLOCKS))
    assert [name for name in defined if name not in tests and used.count(name) == 1] == []


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.stem)
def test_no_snippet_means_by_a_builtin_s_name_something_else(path: Path) -> None:
    """Copied alone it would catch the builtin one."""
    for block in re.findall(r"```python\n(.*?)```", path.read_text(), re.S):
        named = {alias.asname or alias.name for node in ast.walk(ast.parse(block)) for alias in namedBy(node)}
        assert not named & set(dir(builtins)), block


def namedBy(node: ast.AST) -> list[ast.alias]:
    return node.names if isinstance(node, (ast.Import, ast.ImportFrom)) else []


def test_what_the_page_names_exists() -> None:
    named = set(re.findall(r"`(Winsock\w+|\w+Read|\w+Exceeded)`", PAGE))
    assert named and all(hasattr(errors, name) for name in named)
    for name, builtin in re.findall(r"\| `(Winsock\w+)` \| `([\w.]+)` \|", PAGE):
        assert builtin.rpartition(".")[2] in {base.__name__ for base in getattr(errors, name).__mro__}
    members = set(re.findall(r"`(\w+)\(", PAGE)) - {"GetLastError", "CSocketFile"}
    assert members and all(hasattr(CSocket, name) for name in members)
    assert issubclass(CSocket, Awaiting) and interfaces.IAsyncSocket.implementedBy(CSocket)


@everyWay
@pytest.mark.parametrize("awaited", [False, True])
def test_both_servers_answer_the_same(page: SimpleNamespace, way: str, awaited: bool) -> None:
    async def program(reactor: Any) -> None:
        door = listener() if awaited else page.CLineListener()
        if awaited:
            # The end of the listener ends its wait.
            Deferred.fromCoroutine(page.acceptLines(door)).addErrback(lambda failure: failure.trap(InterruptedError))
        else:
            must(door.Create(0, lpszSocketAddress=LOCALHOST) and door.Listen())
        peers = [peerOf(door) for _ in range(2)]
        for peer in peers:
            peer.sendall(b"hello\nwor")
            peer.sendall(b"ld\n")
            peer.shutdown(socket.SHUT_WR)
            answer = b""
            peer.setblocking(False)

            def ended(peer: socket.socket = peer) -> bool:
                nonlocal answer
                try:
                    chunk = peer.recv(100)
                except BlockingIOError:
                    return False
                answer += chunk
                return not chunk

            await until(reactor, ended)
            assert answer == b"HELLO\nWORLD\n"
            peer.close()
        door.Close()

    played(way, program)


@pytest.mark.parametrize(("way", "style"), STYLES)
def test_every_style_asks_the_same(page: SimpleNamespace, way: str, style: str) -> None:
    async def program(reactor: Any) -> None:
        near, far = await pair()
        answering = Deferred.fromCoroutine(page.answerLines(far))
        ask = getattr(page, style)
        if style == "askInTask":
            loop = reactor._asyncioEventloop
            asked = Deferred.fromFuture(loop.create_task(ask(near, b"hello", loop)))
        else:
            asked = ask(near, b"hello")
        assert await asked == b"HELLO\n"
        near.Close()
        await answering

    played(way, program)


@everyWay
def test_a_handler_waits_for_its_line(page: SimpleNamespace, way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected(page.CLoginSocket)
        peer.sendall(b"Ad")
        await until(reactor, near.IsBlocking)
        peer.sendall(b"a\n")
        await until(reactor, lambda: near.m_name is not None)
        assert near.m_name == b"Ada" and peer.recv(100) == b"hello Ada\n"
        peer.close()
        await until(reactor, lambda: near.fileno() < 0)

    played(way, program)


@everyWay
def test_a_limit_of_time_loses_nothing(page: SimpleNamespace, way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        peer.sendall(b"hel")
        assert await page.lineWithin(near, 0.01, reactor) is None
        peer.sendall(b"lo\n")
        assert await page.lineWithin(near, 20, reactor) == b"hello\n"
        near.Close()
        peer.close()

    played(way, program)


@everyWay
def test_a_refusal_is_caught_by_its_builtin_name(page: SimpleNamespace, way: str) -> None:
    async def program(reactor: Any) -> None:
        door = listener()
        port = portOf(door)
        door.Close()
        assert await page.whyNot(LOCALHOST, port) == ("WSAECONNREFUSED", 10061)

    played(way, program)


@everyWay
def test_lines_go_from_file_to_file(page: SimpleNamespace, way: str) -> None:
    async def program(reactor: Any) -> None:
        source, peer = await connected()
        target, reader = await pair()
        peer.sendall(b"one\ntwo")
        peer.close()
        await page.copyLines(source, target)
        assert target.fileno() >= 0 and await reader.receiveExactly(7) == b"one\ntwo"
        for one in (source, target, reader):
            one.Close()

    played(way, program)
