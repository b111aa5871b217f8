"""ObservedService: what a program sees of a service, for as long as that runs."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from _reactors import must
from _streams import LOCALHOST
from _twistd import PATIENCE
from twisted.application.service import Application, IService, MultiService
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs
from zope.interface.verify import verifyObject

from twisted_casync._observe import observers
from twisted_casync.services import AsyncSocketService, Counts, Limits, ObservedService
from twisted_casync.services.echo import EchoListener

LOOPBACK = f"tcp:0:interface={LOCALHOST}"


def echo(**limits: Any) -> Any:
    return AsyncSocketService(EchoListener, [LOOPBACK], limits=Limits(**limits))


def addressOf(service: Any) -> tuple[str, int]:
    name: tuple[str, int] = must(service.listeners[0].GetSockName())
    return name


def asked(address: tuple[str, int]) -> bytes:
    with socket.create_connection(address, PATIENCE) as one:
        try:
            one.sendall(b"hello")
            return one.recv(5, socket.MSG_WAITALL)
        except ConnectionResetError:
            return b""


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]
async def test_a_program_reads_what_a_service_has_done() -> None:
    service = echo(connections=1)
    observed: Any = ObservedService(service, "echo")
    assert verifyObject(IService, observed)
    assert observed.counts() == Counts()
    application = Application("test")
    observed.setServiceParent(application)
    whole: Any = IService(application)
    whole.privilegedStartService()
    whole.startService()
    assert len(observers) == 1
    before = observed.counts()
    assert await deferToThread(asked, addressOf(service)) == b"hello"
    held = socket.create_connection(addressOf(service), PATIENCE)
    try:
        assert await deferToThread(asked, addressOf(service)) == b""
        now = observed.counts()
    finally:
        held.close()
    assert before.accepted == 0, "what was read stays as it was"
    assert (now.accepted, now.active, now.bytesIn, now.bytesOut, now.failures) == (3, 1, 5, 5, 0)
    assert now.limited == {"max-connections": 1, "max-per-address": 0, "idle-timeout": 0}
    assert now.notifications["OnAccept"] >= 1 and now.notifications["OnReceive"] >= 1
    classes = observed.countsByClass()
    assert classes["EchoListener"].notifications["OnAccept"] == now.notifications["OnAccept"]
    assert classes["EchoConnection"].bytesIn == 5
    assert classes["EchoConnection"] + classes["EchoListener"] == now
    await whole.stopService()
    assert observers == []
    assert observed.counts().active == 0


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]
async def test_it_goes_on_when_it_is_started_again(tmp_path: Path) -> None:
    service = echo()
    trace = tmp_path / "trace.jsonl"
    observed = ObservedService(service, "echo", status=True, trace=trace)
    for number in (1, 2):
        with capturedLogs() as events:
            observed.startService()
            assert await deferToThread(asked, addressOf(service)) == b"hello"
            await observed.stopService()
        assert observers == []
        assert observed.counts().accepted == number
        # Of the last time.
        assert [json.loads(line).get("call") for line in trace.read_text().splitlines()].count("Accept") >= 1
        assert any("no status line" in event["log_format"] for event in events)


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]
async def test_what_it_shows_ends_after_the_service(tmp_path: Path) -> None:
    ended: Deferred[None] = Deferred()

    class Late(MultiService):
        def stopService(self) -> Any:
            return ended

    observed = ObservedService(Late(), "late")  # type: ignore[no-untyped-call]
    observed.startService()
    stopped = observed.stopService()
    assert len(observers) == 1
    ended.callback(None)
    await stopped
    assert observers == []


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]
async def test_connections_that_outlive_it_do_not_count_as_open() -> None:
    beside = echo()
    beside.startService()
    observed = ObservedService(MultiService(), "beside")
    observed.startService()
    with socket.create_connection(addressOf(beside), PATIENCE) as held:
        held.sendall(b"hello")
        assert await deferToThread(held.recv, 5, socket.MSG_WAITALL) == b"hello"
        assert observed.counts().active == 1
        await observed.stopService()
    await beside.stopService()
    assert observed.counts().active == 0
    observed.startService()
    assert (observed.counts().accepted, observed.counts().active) == (1, 0)
    await observed.stopService()


def test_what_can_not_be_shown_leaves_nothing_observed(tmp_path: Path) -> None:
    observed = ObservedService(echo(), "echo", trace=tmp_path / "no" / "trace.jsonl")
    with capturedLogs() as events, pytest.raises(FileNotFoundError):
        observed.startService()
    assert [event["log_format"] for event in events] == ["cannot write the trace {path}: {error}"]
    assert observers == []
    with socket.create_server((LOCALHOST, 0)) as taken:
        where = f"tcp:{taken.getsockname()[1]}:interface={LOCALHOST}"
        for service in (
            ObservedService(echo(), "echo", metrics=where),
            ObservedService(AsyncSocketService(EchoListener, [where]), "echo", trace=tmp_path / "trace.jsonl"),
        ):
            with capturedLogs(), pytest.raises(CannotListenError):
                service.privilegedStartService()
            assert observers == []


@pytest.mark.parametrize(
    ("where", "complaint"),
    [
        ("udp:9090", "'udp:9090': HTTP is not served over datagrams"),
        ("tcp:http", "'tcp:http': port 'http': expected a number from 0 to 65535"),
    ],
)
def test_a_bad_place_for_metrics_is_told_at_once(where: str, complaint: str) -> None:
    with pytest.raises(ValueError) as caught:
        ObservedService(echo(), "echo", metrics=where)
    assert str(caught.value) == complaint


def test_counts_add_up() -> None:
    one = Counts(accepted=1, limited={"a": 1}, errors={("Send", "WSAECONNRESET"): 2})
    other = Counts(accepted=2, limited={"a": 1, "b": 5}, bytesIn=3)
    assert one + other == Counts(3, 0, 3, limited={"a": 2, "b": 5}, errors={("Send", "WSAECONNRESET"): 2})
