"""WHERE strings: where `twistd casync` listens."""

from __future__ import annotations

import socket

import pytest

from twisted_casync._where import nameOf, parseWhere
from twisted_casync._where._place import BoundPlace, InheritedPlace, UnixPlace


@pytest.mark.parametrize(
    ("description", "family", "address"),
    [
        ("tcp:7007", socket.AF_INET, ("0.0.0.0", 7007)),
        ("TCP:7007", socket.AF_INET, ("0.0.0.0", 7007)),
        ("tcp:port=7:interface=127.0.0.1", socket.AF_INET, ("127.0.0.1", 7)),
        ("tcp:7:127.0.0.1", socket.AF_INET, ("127.0.0.1", 7)),
        ("tcp:7:interface=", socket.AF_INET, ("0.0.0.0", 7)),
        ("udp:65535", socket.AF_INET, ("0.0.0.0", 65535)),
        ("tcp6:7", socket.AF_INET6, ("::", 7, 0, 0)),
        (r"tcp6:7:interface=\:\:1", socket.AF_INET6, ("::1", 7, 0, 0)),
        (r"udp6:7:interface=\:\:1", socket.AF_INET6, ("::1", 7, 0, 0)),
        ("unix:/run/echo.sock", socket.AF_UNIX, "/run/echo.sock"),
        (r"unix:a\:b\=c\\d", socket.AF_UNIX, r"a:b=c\d"),
        ("unix:address=/a=b", socket.AF_UNIX, "/a=b"),
    ],
)
def test_where(description: str, family: int, address: object) -> None:
    place = parseWhere(description)
    assert isinstance(place, BoundPlace)
    assert (place.addrInfo[0], place.addrInfo[4]) == (family, address)
    assert place.kind == ("datagram" if description.startswith("udp") else "stream")
    assert place.description == description


def bound(description: str) -> BoundPlace:
    place = parseWhere(description)
    assert isinstance(place, BoundPlace)
    return place


def test_where_options() -> None:
    assert bound("tcp:7").backlog is None
    assert bound("tcp:7:backlog=5").backlog == 5
    plain, changed = bound("unix:p"), bound("unix:p:mode=600:lockfile=0")
    assert isinstance(plain, UnixPlace)
    assert isinstance(changed, UnixPlace)
    assert (plain.mode, plain.lockfile) == (0o666, True)
    assert (changed.mode, changed.lockfile) == (0o600, False)


@pytest.mark.parametrize(
    ("description", "which"),
    [
        ("systemd:domain=INET:index=0", ("INET", 0, None)),
        ("systemd:INET6:1", ("INET6", 1, None)),
        ("systemd:domain=UNIX:name=echo.socket", ("UNIX", None, "echo.socket")),
        ("systemd:name=web", (None, None, "web")),
    ],
)
def test_sockets_of_systemd(description: str, which: tuple[str | None, int | None, str | None]) -> None:
    place = parseWhere(description)
    assert isinstance(place, InheritedPlace)
    assert (place.domain, place.index, place.name) == which


@pytest.mark.parametrize(
    ("description", "wrong"),
    [
        ("", "expected one of tcp, tcp6, udp, udp6, unix, ssl, systemd and"),
        ("7007", r"did you mean 'tcp:7007'\?"),
        ("http:80", "expected one of tcp, tcp6, udp, udp6, unix, ssl, systemd and"),
        ("tcp=80", "expected one of"),
        ("tcp", "the port is missing, expected tcp:PORT"),
        ("tcp:", "the port is missing"),
        ("tcp:http", "port 'http': expected a number from 0 to 65535"),
        ("tcp:70000", "port '70000': expected a number from 0 to 65535"),
        ("tcp:-1", "expected a number"),
        ("tcp: 1", "expected a number"),
        ("tcp:1_0", "expected a number"),
        ("tcp:\N{ARABIC-INDIC DIGIT SEVEN}", "expected a number"),
        ("tcp:7:interface=localhost", "'localhost': expected a numeric IPv4 address, as interface=127.0.0.1"),
        (r"tcp:7:interface=\:\:1", "expected a numeric IPv4 address"),
        ("tcp6:7:interface=127.0.0.1", r"expected a numeric IPv6 address, as interface=\\:\\:1"),
        ("tcp6:7:interface=::1", r"a colon that belongs to an address is written \\:"),
        ("tcp:7:backlog=many", "backlog 'many': expected a number"),
        ("tcp:7:mode=600", "tcp has no 'mode', expected port, interface, backlog"),
        ("udp:7:backlog=5", "udp has no 'backlog', expected port, interface"),
        ("tcp:7:port=8", "port is given twice"),
        ("tcp:7:127.0.0.1:5:6", "'6' is one too many"),
        ("unix:", "the path is missing, expected unix:PATH"),
        ("unix:" + "x" * 108, "at most 107 bytes"),
        ("unix:p:mode=888", "mode '888': expected an octal number from 0 to 777"),
        ("unix:p:lockfile=2", "lockfile '2': expected a number from 0 to 1"),
        ("systemd:", "expected either index=N or name=NAME"),
        ("systemd:INET", "expected either index=N or name=NAME"),
        ("systemd:INET:0:web", "expected either index=N or name=NAME"),
        ("systemd:inet:0", "domain 'inet': expected INET, INET6, UNIX"),
        ("systemd:domain=INET:index=first", "index 'first': expected a number"),
        ("systemd:domain=INET:fd=3", "systemd has no 'fd', expected domain, index, name"),
        ("tcp:7\\", "after the backslash"),
    ],
)
def test_a_bad_where_says_what_is_wrong_and_what_was_expected(description: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong) as caught:
        parseWhere(description)
    assert str(caught.value).startswith(repr(description))


def test_names() -> None:
    assert nameOf("tcp", ("127.0.0.1", 7)) == "tcp 127.0.0.1:7"
    assert nameOf("tcp6", ("::1", 7, 0, 0)) == "tcp6 [::1]:7"
    assert nameOf("unix", b"/run/x") == "unix /run/x"
    assert nameOf("unix", "") == "unix"
