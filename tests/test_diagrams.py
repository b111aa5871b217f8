"""
The diagrams of docs/notifications.md: drawn from events, in an order that depends on causes alone, and up to date.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from twisted_casync import MSG_OOB, WSAError
from twisted_casync.testing import Event
from twisted_casync.testing._courses import COURSES
from twisted_casync.testing._diagrams import filled, places
from twisted_casync.testing._drawing import draw

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "notifications.md"
PEERS = {"client": "server", "server": "client"}
COLUMNS = ("client", "server")


def drawn(*phases: list[Event], columns: tuple[str, ...] = COLUMNS, ports: dict[int, int] | None = None) -> list[str]:
    """
    @return: the rows of a diagram, without its head and the empty lines around.
    """
    lines = draw(phases, columns, PEERS, ports or {}).splitlines()
    assert lines[0].split() == list(columns)
    assert lines[1] == lines[-1] and set(lines[1]) <= {"|", " "}
    return lines[2:-1]


SEND = Event("client", "Send", (5,), 5, data=b"hello")
TOLD = Event("server", "OnReceive")
RECEIVE = Event("server", "Receive", (100,), 5, data=b"hello", within="server.OnReceive")
ANSWER = Event("server", "Send", (5,), 5, data=b"hello", within="server.OnReceive")


def test_calls_notifications_and_what_goes_over() -> None:
    assert drawn([SEND, TOLD, RECEIVE, ANSWER], [Event("client", "OnReceive")]) == [
        "| Send(b'hello') = 5   |",
        "|------ b'hello' ----->|",
        "|                      | OnReceive(0)",
        "|                      |   Receive(buff) = 5, b'hello'",
        "|                      |   Send(b'hello') = 5",
        "|<------ b'hello' -----|",
        "|                      |",
        "| OnReceive(0)         |",
    ]


def test_the_order_between_sockets_is_that_of_causes_and_else_of_the_columns() -> None:
    here, there = Event("client", "OnSend"), Event("server", "OnSend")
    assert drawn([there, here]) == drawn([here, there])
    # The second can be the consequence of the first.
    answered = Event("client", "OnReceive")
    rows = drawn([SEND, TOLD, RECEIVE, ANSWER, answered])
    assert [row.strip("| ") for row in rows if "On" in row] == ["OnReceive(0)", "OnReceive(0)"]
    assert rows[-1].startswith("| OnReceive(0)")


def test_what_comes_again_and_again_is_said_once() -> None:
    full = Event("client", "Send", (99,), -1, WSAError.WSAEWOULDBLOCK)
    sent = [Event("client", "Send", (99,), count, data=bytes(count)) for count in (99, 98, 97)]
    assert drawn([*sent, full]) == [
        "| Send(data) = n, again and again             |",
        "|------------------- data ------------------->|",
        "| Send(data) = SOCKET_ERROR, WSAEWOULDBLOCK   |",
    ]
    read = Event("server", "Receive", (9,), 9, data=bytes(9), within="server.OnReceive")
    assert drawn([TOLD, read, TOLD, read]) == [
        "|        | OnReceive(0), again and again",
        "|        |   Receive(buff) = n",
    ]


def test_how_a_stream_ends_is_as_the_peer_was_told() -> None:
    close = Event("client", "Close")
    for error, arrow in ((WSAError.NO_ERROR, "end of stream"), (WSAError.WSAECONNRESET, "reset")):
        rows = drawn([close, Event("server", "OnClose", error=error), Event("server", "Close")])
        assert [row.strip("|-<> ") for row in rows[:2]] == ["Close()", arrow]
        assert len(rows) == 4, "nothing goes to who has closed"
    assert len(drawn([close])) == 1
    end = Event("client", "ShutDown", (), True)
    assert "end of stream" in drawn([end, close, Event("server", "OnClose")])[1]
    assert len(drawn([Event("client", "ShutDown", (0,), True)])) == 1


def test_urgent_data_datagrams_and_ports() -> None:
    urgent = Event("client", "Send", (1, None, MSG_OOB), 1, data=b"!")
    assert drawn([urgent])[0].startswith("| Send(b'!', None, MSG_OOB) = 1")
    assert " urgent b'!' " in drawn([urgent])[1]
    failed = Event("server", "ReceiveFrom", (9,), (-1, None), WSAError.WSAECONNRESET)
    came = Event("server", "ReceiveFrom", (9,), (1, ("127.0.0.1", 41234)), data=b"x")
    assert [row.partition("| ")[2].strip(" |") for row in drawn([failed, came], ports={41234: 50123})] == [
        "ReceiveFrom(buff) = (SOCKET_ERROR, None), WSAECONNRESET",
        "ReceiveFrom(buff) = (1, ('127.0.0.1', 50123)), b'x'",
    ]


def test_a_connect_goes_to_the_listener_if_there_is_one() -> None:
    columns = ("client", "listener")
    begun = Event("client", "Connect", ("127.0.0.1", 7), False, WSAError.WSAEWOULDBLOCK)
    named = Event("client", "Connect", ("host", 7), False, WSAError.WSAEWOULDBLOCK)
    listen, told = Event("listener", "Listen", (), True), Event("listener", "OnAccept")
    taken = Event("listener", "Accept", ("server",), True, within="listener.OnAccept")
    rows = drawn([begun, told, taken], columns=columns)
    assert rows[1].startswith("|---") and " connects " in rows[1] and rows[1].endswith("->|")
    assert rows[3].endswith("|   Accept(server) = True")
    for nobody in ([named, told], [begun, listen, told], [begun]):
        assert not any(" connects " in row for row in drawn(nobody, columns=columns))


def test_places_of_a_page() -> None:
    page = "a\n<!-- diagram: one -->\nold\n<!-- end of diagram -->\nb\n<!-- diagram: two -->\n<!-- end of diagram -->\n"
    assert places(page) == ["one", "two"]
    new = filled(page, {"one": "1\n2", "two": "\\1"})
    assert new == (
        "a\n<!-- diagram: one -->\n```text\n1\n2\n```\n<!-- end of diagram -->\n"
        "b\n<!-- diagram: two -->\n```text\n\\1\n```\n<!-- end of diagram -->\n"
    )
    assert filled(new, {"one": "1\n2", "two": "\\1"}) == new


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "twisted_casync.testing", "diagrams", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.programs
@pytest.mark.parametrize("reactor", ["epoll", "uvloop"])
def test_the_page_is_up_to_date_and_the_same_on_another_reactor(reactor: str) -> None:
    result = command("--check", str(PAGE), "--reactor", reactor)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_the_page_shows_every_course() -> None:
    assert sorted(places(PAGE.read_text())) == sorted(COURSES)


@pytest.mark.programs
def test_a_page_that_is_out_of_date_is_found_and_written_anew(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- diagram: reset -->\n<!-- end of diagram -->\n")
    result = command("--check", str(page))
    assert result.returncode == 1
    assert "+|                                        | OnClose(WSAECONNRESET)" in result.stdout.splitlines()
    assert "```" not in page.read_text()
    assert command(str(page)).returncode == 0
    assert "OnClose(WSAECONNRESET)" in page.read_text()
    assert command("--check", str(page)).returncode == 0


@pytest.mark.programs
@pytest.mark.parametrize(
    "text, complaint",
    [
        ("<!-- diagram: tea-party -->\n<!-- end of diagram -->\n", "no course tea-party"),
        ("<!-- diagram: reset -->\n", "has no end"),
        (None, "No such file"),
    ],
)
def test_what_cannot_be_drawn_is_status_2(tmp_path: Path, text: str | None, complaint: str) -> None:
    page = tmp_path / "page.md"
    if text is not None:
        page.write_text(text)
    result = command(str(page))
    assert result.returncode == 2 and complaint in result.stderr and "Traceback" not in result.stderr
