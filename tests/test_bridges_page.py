"""
What docs/bridges.md says to type, typed; and Twisted's web server over C{CAsyncSocket}s under its usual clients.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from _twistd import CHECKOUT, PATIENCE, Child, client, environment, script

pytestmark = pytest.mark.programs

PAGE = (CHECKOUT / "docs" / "bridges.md").read_text()
BLOCKS = [textwrap.dedent(block).strip() for block in re.findall(r"(?:^(?: {4}.*)?\n)+", PAGE, re.MULTILINE)]
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if re.match(r"(twistd|curl|wrk|python) ", line)]
PROGRAMS = [block for block in BLOCKS if re.match(r"(from|import) ", block)]

LARGE = 50 * 1024 * 1024


def command(name: str) -> list[str]:
    """
    The page's command that begins with this word.
    """
    [line] = [line for line in COMMANDS if line.startswith(f"{name} ")]
    return shlex.split(line)


def output(*words: object) -> bytes:
    """
    What a command prints; it must succeed.
    """
    result = subprocess.run(
        [str(word) for word in words], env=environment(), capture_output=True, timeout=PATIENCE, check=False
    )
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("web")
    (path / "small.txt").write_text("hello\n")
    (path / "large.bin").write_bytes(os.urandom(LARGE))
    return path


@pytest.fixture(scope="module", params=["epoll", "poll", "select", "asyncio", "casync"])
def web(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """
    The page's first command on each reactor, at a free port.

    @return: its URL.
    """
    twistd, *rest = command("twistd")
    place = [word.replace("8080", "0") for word in rest]
    with Child([script(twistd), "--pidfile=", f"--reactor={request.param}", *place], cwd=folder) as child:
        port = child.waitFor(r"Site starting on (\d+)")[1]
        yield f"http://127.0.0.1:{port}/"


def test_the_page_has_what_is_typed_here() -> None:
    assert [line.split()[0] for line in COMMANDS] == ["twistd", "curl", "wrk", "python"]
    assert len(PROGRAMS) == 4


def test_curl_is_answered(web: str) -> None:
    program, url = command("curl")
    client(program)
    answer = output(program, "-sS", url.replace("http://127.0.0.1:8080/", web))
    assert b"small.txt" in answer
    assert output(program, "-sS", web + "small.txt") == b"hello\n"


def test_wrk_is_answered(web: str) -> None:
    program, *options, url = command("wrk")
    client(program)
    report = output(program, *options, url.replace("http://127.0.0.1:8080/", web)).decode()
    answered = re.search(r"(\d+) requests in", report)
    assert answered is not None and int(answered[1]) > 100, report
    assert "Socket errors" not in report and "Non-2xx" not in report, report


def test_a_large_file_arrives_whole(web: str, folder: Path, tmp_path: Path) -> None:
    client("curl")
    output("curl", "-sS", "-o", tmp_path / "large", web + "large.bin")
    there, here = (hashlib.sha256(path.read_bytes()).digest() for path in (folder / "large.bin", tmp_path / "large"))
    assert there == here


def test_a_connection_is_kept_for_the_next_request(web: str) -> None:
    client("curl")
    answer = output("curl", "-sS", "-w", "%{num_connects} ", web + "small.txt", web + "small.txt")
    assert answer == b"hello\n1 hello\n0 "


def test_the_page_s_echo_echoes() -> None:
    [program] = [program for program in PROGRAMS if "class Echo(Protocol)" in program]
    assert output(sys.executable, "-c", program) == b"hello\n"


def test_the_page_s_datagrams_come_back() -> None:
    [program] = [program for program in PROGRAMS if "DatagramProtocol" in program]
    assert output(sys.executable, "-c", program) == b"hello from 127.0.0.1\n"


def test_the_page_s_client_fetches(web: str) -> None:
    [program] = [program for program in PROGRAMS if "Agent" in program]
    assert output(sys.executable, "-c", program, web + "small.txt") == b"200 6\n"


def test_the_page_s_whole_program_is_over_sockets() -> None:
    [program] = [program for program in PROGRAMS if "installReactor" in program]
    assert output(sys.executable, "-c", program) == b"<class 'twisted_casync.bridges._ports.Port'>\n"


def test_the_page_s_measurement_is_one_of_the_command_s() -> None:
    python, run, *options = command("python")
    # The names are checked before anything is measured.
    result = subprocess.run(
        [sys.executable, run, *options, "--rounds", "0"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2 and "in no time" in result.stderr, result.stderr
