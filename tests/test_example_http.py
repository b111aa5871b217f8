"""examples/http_responder.py under curl, wrk, Python's client and everything that isn't HTTP."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from _examples import LIMIT, Server, run, toEnd, tool

pytestmark = pytest.mark.programs


@pytest.fixture
def httpServer() -> Iterator[Server]:
    with Server("http_responder.py", "0") as server:
        yield server
        server.stopWell()


BODY = b"Hello from CAsyncSocket.\n"


def ask(server: Server, request: bytes) -> bytes:
    """Everything that a client which half-closes behind its request gets."""
    with server.connect() as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        return toEnd(client)


def statuses(replies: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d+) ", replies)]


def test_http_curl(httpServer: Server) -> None:
    curl = tool("curl")
    told = "%{http_version} %{http_code} %{num_connects}\n"
    result = run(curl, "-sS", "-w", told, httpServer.url, httpServer.url)
    # The second request made no new connection.
    assert result.stdout == BODY + b"1.1 200 1\n" + BODY + b"1.1 200 0\n"
    result = run(curl, "-sS", "-I", httpServer.url)
    assert b"Content-Length: %d\r\n" % len(BODY) in result.stdout
    assert b"Date: " in result.stdout
    assert BODY not in result.stdout
    assert run(curl, "-sS", "-0", httpServer.url).stdout == BODY


def test_http_curl_posts(httpServer: Server, tmp_path: Path) -> None:
    curl = tool("curl")
    upload = tmp_path / "upload"
    upload.write_bytes(bytes(5_000_000))
    form = ["-sS", "-w", "%{http_code} %{size_upload} %{num_connects}\n", "--data-binary", f"@{upload}"]
    result = run(curl, *form, "-H", "Expect: 100-continue", httpServer.url, httpServer.url)
    assert result.stdout == BODY + b"200 5000000 1\n" + BODY + b"200 5000000 0\n"
    result = run(curl, *form, "-H", "Transfer-Encoding: chunked", httpServer.url)
    assert b"501" in result.stdout


def test_http_wrk(httpServer: Server) -> None:
    result = run(tool("wrk"), "-t1", "-c20", "-d1s", httpServer.url)
    text = result.stdout.decode()
    assert result.returncode == 0, result.stderr
    assert "Socket errors" not in text and "Non-2xx" not in text, text
    requests = re.search(r"(\d+) requests in", text)
    assert requests is not None and int(requests[1]) > 100, text


def test_http_python_client_keeps_its_connection(httpServer: Server) -> None:
    connection = HTTPConnection(*httpServer.address, timeout=LIMIT)
    connection.connect()
    first = connection.sock.getsockname()
    for method in ("GET", "POST", "HEAD", "PUT", "GET"):
        body = b"x" * 1000 if method in ("POST", "PUT") else None
        connection.request(method, "/anything?at=all", body=body)
        reply = connection.getresponse()
        assert (reply.status, reply.read()) == (200, b"" if method == "HEAD" else BODY)
        assert connection.sock.getsockname() == first
    connection.close()


GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"


def test_http_one_byte_at_a_time(httpServer: Server) -> None:
    with httpServer.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for n in range(len(GET)):
            client.sendall(GET[n : n + 1])
        client.sendall(b"\r\n" + GET)
        client.shutdown(socket.SHUT_WR)
        assert statuses(toEnd(client)) == [200, 200]


def test_http_pipelined_by_a_client_that_reads_late(httpServer: Server) -> None:
    """It is held back, and then no answer is lost and none mixed with another."""
    post = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 18\r\n\r\nGET / HTTP/1.1\r\n\r\n"
    head = b"HEAD / HTTP/1.1\r\nHost: here\r\n\r\n"
    three = GET + post + head
    with httpServer.connect() as client:
        client.settimeout(1.0)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 256_000_000:
                sent += client.send((three * 500)[sent % len(three) :])
        client.settimeout(LIMIT)
        rounds, begun = divmod(sent, len(three))
        sender = threading.Thread(target=client.sendall, args=(three[begun:] + LAST,))
        sender.start()
        replies = toEnd(client)
        sender.join(LIMIT)
    assert statuses(replies) == [200] * (3 * (rounds + 1) + 1)
    assert replies.count(BODY) == 2 * (rounds + 1) + 1


ANSWERS: dict[str, tuple[bytes, list[int]]] = {
    "two requests": (GET + GET, [200, 200]),
    "an empty line before": (b"\r\n" + GET, [200]),
    "HTTP/1.0 ends the connection": (b"GET / HTTP/1.0\r\n\r\n" + GET, [200]),
    "HTTP/1.0 keeps it when asked to": (
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + GET,
        [200, 200],
    ),
    "HTTP/1.1 ends it when asked to": (LAST + GET, [200]),
    "a body between two requests": (
        b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\n123456789" + GET,
        [200, 200],
    ),
    "a body cut short": (b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\n12345", []),
    "a head just short enough": (b"GET / HTTP/1.1\r\nHost: here\r\n" + b"X: y\r\n" * 1000 + b"\r\n", [200]),
    "a head too long": (b"GET / HTTP/1.1\r\nHost: here\r\n" + b"X: y\r\n" * 2000 + b"\r\n" + GET, [431]),
    "a request line too long": (b"GET /" + b"x" * 9000, [431]),
    "no request": (b"garbage\n", [400]),
    "a TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\n", [400]),
    "another version": (b"GET / HTTP/2.0\r\n\r\n", [400]),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", [400]),
    "two spaces": (b"GET  / HTTP/1.1\r\nHost: here\r\n\r\n" + GET, [400]),
    "a space before the colon": (b"GET / HTTP/1.1\r\nHost : here\r\n\r\n" + GET, [400]),
    "a folded header": (b"GET / HTTP/1.1\r\nHost: here\r\n folded\r\n\r\n", [400]),
    "a negative length": (b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: -1\r\n\r\n", [400]),
    "two lengths": (
        b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
        [400],
    ),
    "a chunked body": (
        b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        [501],
    ),
}


@pytest.mark.parametrize(("request_", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_http_answers(httpServer: Server, request_: bytes, expected: list[int]) -> None:
    assert statuses(ask(httpServer, request_)) == expected


def test_http_refusal_is_not_lost_to_a_client_that_goes_on_sending(httpServer: Server) -> None:
    with httpServer.connect() as client:
        client.sendall(b"garbage\r\n\r\n")
        client.sendall(bytes(1_000_000))
        assert statuses(toEnd(client)) == [400]
