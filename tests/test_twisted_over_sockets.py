"""
Twisted's tests of its own applications, on a reactor whose TCP and UDP are C{CAsyncSocket}s: FTP, mail, web, DNS,
remote objects; and of UDP, among them those of multicast, which is the reactor's own.

They run in a process of their own, since the reactor is its global one.  What can't pass is in L{LEFT_OUT}.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from _reactors import REGISTRATIONS
from _twistd import CHECKOUT, environment

pytestmark = pytest.mark.programs

MODULES = [
    *(f"twisted.test.test_{name}" for name in ("amp", "ftp", "ssl", "tcp", "udp")),
    *(f"twisted.mail.test.test_{name}" for name in ("imap", "pop3client", "smtp")),
    *(f"twisted.web.test.test_{name}" for name in ("webclient", "xmlrpc")),
    "twisted.names.test.test_names",
    "twisted.spread.test.test_pb",
]
LEAST = 1100
"""So many tests there are in them."""

LEFT_OUT = {
    "twisted.test.test_tcp.HalfCloseTests.testCloseWriteCloser": "it waits for an attribute that is private to Twisted",
}
"""The tests that fail, and why."""


@pytest.mark.slow
@pytest.mark.parametrize("registration", REGISTRATIONS)
def test_they_pass(registration: str, tmp_path: Path) -> None:
    trial = [sys.executable, str(CHECKOUT / "tests" / "_over_sockets.py"), registration]
    result = subprocess.run(
        [*trial, "--reporter=text", *MODULES],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    report = result.stdout
    count = re.search(r"^Ran (\d+) tests", report, re.MULTILINE)
    assert count is not None and int(count[1]) >= LEAST, report + result.stderr
    # Each kind of failure, and below it the names of the tests that failed so.
    failed = {
        name
        for block in report.split("=" * 79)
        if re.match(r"\s*\[(FAIL|ERROR)\]", block)
        for name in re.findall(r"^twisted\.[\w.]+$", block, re.MULTILINE)
    }
    assert failed == set(LEFT_OUT), report
