"""
What docs/tls.md says to type, typed.
"""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from _ports import portOfItsOwn
from _twistd import CHECKOUT, PATIENCE, Child, environment, script
from _twistd import client as program

pytestmark = pytest.mark.programs

PAGE = (CHECKOUT / "docs" / "tls.md").read_text()
BLOCKS = [textwrap.dedent(block).strip() for block in re.findall(r"(?:^(?: {4}.*)?\n)+", PAGE, re.MULTILINE)]
PROGRAMS = [block for block in BLOCKS if block.startswith("from ")]
COMMANDS = [block for block in BLOCKS if block and not block.startswith("from ")]
SERVER, CLIENT, AWAITED, STARTTLS = PROGRAMS
INSTALL, CERTIFICATE, SERVE, ASK = COMMANDS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """
    Where the key and the certificate are.
    """
    command = shlex.split(CERTIFICATE)
    subprocess.run([program(command[0]), *command[1:]], cwd=tmp_path, check=True, capture_output=True, timeout=PATIENCE)
    return tmp_path


@pytest.fixture
def port() -> int:
    return portOfItsOwn()


def python(text: str, port: int, folder: Path) -> Child:
    return Child([sys.executable, "-c", text.replace("8443", str(port))], cwd=folder)


def twistd(command: Sequence[str], folder: Path) -> Child:
    return Child([script(command[0]), "--pidfile=", *command[1:]], cwd=folder)


def waitUntilItListens(port: int) -> None:
    """
    The page's server says nothing: ask until it is there, as somebody at a terminal would.
    """
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with socket.socket() as visitor:
            if visitor.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise AssertionError(f"nobody listens at port {port}")


@pytest.mark.parametrize("asking", [CLIENT, AWAITED])
def test_the_client_of_the_page_speaks_with_its_server(asking: str, folder: Path, port: int) -> None:
    with python(SERVER, port, folder):
        waitUntilItListens(port)
        with python(asking, port, folder) as client:
            assert client.wait() == 0
            assert client.lines == ["HELLO"]


def test_a_certificate_that_nobody_trusts_is_said_to_be_one(folder: Path, port: int) -> None:
    with python(SERVER, port, folder):
        waitUntilItListens(port)
        with python(CLIENT.replace(', trustRoot="cert.pem"', ""), port, folder) as client:
            assert client.wait() == 0
            assert "certificate verify failed" in client.lines[-1]


def test_the_starttls_of_the_page_begins(folder: Path, port: int) -> None:
    with python(STARTTLS, port, folder) as both:
        assert both.wait() == 0
        assert both.lines == ["HELLO"]


def test_the_service_of_the_page_is_spoken_with_by_openssl(folder: Path, port: int) -> None:
    serve, ask = (shlex.split(each.replace("8443", str(port))) for each in (SERVE, ASK))
    with twistd(serve, folder) as child:
        child.waitFor("listening on ssl")
        with subprocess.Popen(
            [program(ask[0]), *ask[1:]],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as client:
            assert client.stdin is not None and client.stdout is not None
            client.stdin.write(b"good day\n")
            client.stdin.flush()
            assert client.stdout.readline() == b"good day\n"
            client.kill()


def test_what_is_to_be_installed_is_an_extra() -> None:
    assert INSTALL == "pip install 'twisted_casync[tls]'"
    assert "\ntls =\n    pyOpenSSL\n    service-identity\n" in (CHECKOUT / "setup.cfg").read_text()


def test_without_what_it_needs_it_says_so() -> None:
    """An interpreter in which pyOpenSSL is not there."""
    hidden = "import sys\nsys.modules['OpenSSL'] = None\nimport twisted_casync.tls\n"
    result = subprocess.run(
        [sys.executable, "-c", hidden], env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: TLS needs pyOpenSSL and service-identity: pip install 'twisted_casync[tls]'")


def test_the_benchmark_of_the_page_runs() -> None:
    result = subprocess.run(
        [sys.executable, "-W", "ignore", str(CHECKOUT / "benchmarks" / "tls.py"), "0.05"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert result.stdout.count("CAsyncSocket over TLS") == 3
