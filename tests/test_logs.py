"""
What a service logs, as a program reads it: fields, and not only text.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from _memory import memoryReactor, turn
from _reactors import must
from _streams import LOCALHOST, peerOf, reset
from _twistd import PATIENCE, Child, environment, script, twistd
from twisted.logger import capturedLogs

from twisted_casync.services import SHIPPED, StreamConnection, StreamListener
from twisted_casync.services._speaking import logOf
from twisted_casync.services.echo import DatagramEcho, EchoListener

OBSERVER = """
import sys
from twisted.logger import jsonFileLogObserver

def toStdout():
    return jsonFileLogObserver(sys.stdout, recordSeparator="")
"""


def events(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    Those of connections, and of them what is the same each time.
    """
    names = ("event", "service", "peer", "bytesIn", "bytesOut", "why")
    return [{name: one[name] for name in names if name in one} for one in found if "event" in one]


@pytest.mark.programs
def test_a_json_observer_gets_fields(tmp_path: Path) -> None:
    (tmp_path / "jsonlog.py").write_text(OBSERVER)
    env = environment()
    env["PYTHONPATH"] += f":{tmp_path}"
    command = [script("twistd"), "-n", "--pidfile=", "--logger=jsonlog.toStdout", "casync", "echo"]
    command += ["--max-connections=1", "tcp:0:interface=127.0.0.1"]
    with Child(command, env=env) as server:
        port = int(server.waitFor(r'"name": ?"tcp 127.0.0.1:(\d+)"')[1])
        with socket.create_connection((LOCALHOST, port), PATIENCE) as one:
            one.sendall(b"hello")
            assert one.recv(5) == b"hello"
            name = "tcp {}:{}".format(*one.getsockname())
            with socket.create_connection((LOCALHOST, port), PATIENCE) as other:
                refused = "tcp {}:{}".format(*other.getsockname())
                assert other.recv(1) == b""
        server.waitFor('"closed"')
        server.process.terminate()
        server.wait()
    found = [json.loads(line) for line in server.lines]
    assert events(found) == [
        {"event": "accepted", "service": "echo", "peer": name},
        {"event": "refused", "service": "echo", "peer": refused, "why": "max-connections"},
        {"event": "closed", "service": "echo", "peer": name, "bytesIn": 5, "bytesOut": 5, "why": ""},
    ]
    (seconds,) = [one["seconds"] for one in found if "seconds" in one]
    assert 0 < seconds < PATIENCE


@pytest.mark.programs
def test_the_lines_are_named_for_what_logs_and_not_for_a_module() -> None:
    with twistd("chat", "tcp:0:interface=127.0.0.1") as server:
        server.waitFor(r"\[casync#info\] listening on tcp 127\.0\.0\.1:\d+$")
        with socket.create_connection(server.listening("tcp"), PATIENCE):
            server.waitFor(r"\[casync\.chat#info\] connected: tcp ")
        server.waitFor(r"\[casync\.chat#info\] closed: tcp ")


@pytest.mark.parametrize("name", ["echo", "discard", "chargen", "daytime", "time", "forward", "chat"])
def test_a_service_logs_in_its_own_name(name: str) -> None:
    (service,) = (one for one in SHIPPED if one.name == name)
    options = service.options()
    options.parseOptions(["--to=127.0.0.1:1"] if name == "forward" else [])
    with capturedLogs() as found, memoryReactor():
        listener = service.listener(options, "stream")
        assert isinstance(listener, StreamListener)
        listener.warn("here")
        listener.Close()
    assert [event["log_namespace"] for event in found] == [f"casync.{name}"]
    assert listener.service == name


def test_datagrams_are_answered_in_the_name_of_the_service_too() -> None:
    assert logOf(DatagramEcho).namespace == "casync.echo"


def test_a_service_of_another_package_logs_in_the_name_of_its_module() -> None:
    class QuoteConnection(StreamConnection):
        __module__ = "quotes.sockets"

    assert logOf(QuoteConnection).namespace == "quotes.sockets"


@pytest.mark.parametrize("way", ["reset", "refused"])
def test_why_is_the_name_of_a_code(way: str) -> None:
    with memoryReactor() as reactor, capturedLogs() as found:
        listener = EchoListener(reactor)
        must(listener.Create(0, lpszSocketAddress=LOCALHOST))
        must(listener.Listen())
        if way == "refused":
            listener.Close()
            assert not listener.takeOne()
        else:
            peer = peerOf(listener)
            turn(reactor)
            reset(peer)
            turn(reactor)
            turn(reactor)
            listener.Close()
    last = events(list(found))[-1]
    if way == "refused":
        assert last == {"event": "refused", "service": "echo", "why": "WSAENOTSOCK"}
    else:
        assert last["event"] == "closed" and last["why"] == "WSAECONNRESET"
