"""AsyncSocketService in a .tac file and in an Application: it starts and stops as any IService."""

from __future__ import annotations

import os
import pwd
import socket
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from _twistd import PATIENCE, Child, script
from twisted.application.service import Application, IService, IServiceCollection, MultiService
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from zope.interface.verify import verifyObject

from twisted_casync import CAsyncSocket
from twisted_casync.services import AsyncSocketService, Limits, StreamListener
from twisted_casync.services.echo import EchoListener

LOOPBACK = "tcp:0:interface=127.0.0.1"

TAC = """
from twisted.application.service import Application
from twisted_casync import CAsyncSocket
from twisted_casync.services import AsyncSocketService, Limits, StreamConnection, StreamListener

class Greeting(StreamConnection):
    def OnSend(self, nErrorCode):
        self.bytesOut += self.Send(b"greetings")
        self.finish()

class Greeter(StreamListener):
    def __init__(self):
        super().__init__(Greeting)

application = Application("greeter")
AsyncSocketService(Greeter, ["tcp:0:interface=127.0.0.1", "unix:greet.sock"], limits=Limits(idle=60)).setServiceParent(
    application
)
"""


def greeting(connection: socket.socket) -> bytes:
    with connection, connection.makefile("rb") as stream:
        return stream.read()


@pytest.mark.programs
def test_a_tac_file(tmp_path: Path) -> None:
    (tmp_path / "greeter.tac").write_text(TAC)
    with Child([script("twistd"), "--pidfile=", "-ny", "greeter.tac"], cwd=tmp_path) as child:
        address = child.listening("tcp")
        child.waitFor("listening on unix greet.sock$")
        assert greeting(socket.create_connection(address, PATIENCE)) == b"greetings"
        child.process.terminate()
        child.wait()
        assert not any("Traceback" in line for line in child.lines)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["greeter.tac"]


@pytest.mark.programs
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_places_are_opened_before_privileges_are_given_up(tmp_path: Path) -> None:
    # A directory that the user may not write to.
    nobody = pwd.getpwnam("nobody")
    (tmp_path / "root").mkdir(mode=0o711)
    path = tmp_path / "root" / "greet.sock"
    (tmp_path / "greeter.tac").write_text(TAC.replace("greet.sock", str(path)))
    command = [script("twistd"), "--pidfile=", "--uid=nobody", f"--gid={nobody.pw_gid}", "-ny", "greeter.tac"]
    with Child(command, cwd=tmp_path) as child:
        address = child.listening("tcp")
        assert greeting(socket.create_connection(address, PATIENCE)) == b"greetings"
        assert os.stat(f"/proc/{child.process.pid}").st_uid == nobody.pw_uid
        assert path.stat().st_uid == 0


def portOf(service: AsyncSocketService) -> tuple[str, int]:
    name = service.listeners[0].GetSockNameEx()
    assert name is not None
    return name


def isServed(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, PATIENCE).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]
async def test_an_application_starts_it_before_and_after_it_was_added() -> None:
    application = Application("test")
    # Twisted's part of a service is not typed.
    before: Any = AsyncSocketService(EchoListener, [LOOPBACK])
    after: Any = AsyncSocketService(EchoListener, [LOOPBACK])
    assert verifyObject(IService, before)
    before.setName("before")
    before.setServiceParent(application)
    whole = IService(application)
    whole.privilegedStartService()
    first = before.listeners
    whole.startService()
    assert before.listeners == first
    # A parent that runs starts what is added, opening included.
    after.setServiceParent(application)
    addresses = [portOf(before), portOf(after)]
    assert all(map(isServed, addresses))
    assert IServiceCollection(application).getServiceNamed("before") is before
    # One that leaves is stopped.
    await after.disownServiceParent()
    assert not after.running
    assert [isServed(address) for address in addresses] == [True, False]
    await whole.stopService()
    assert not isServed(addresses[0])


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]
async def test_stopping_waits_for_connections_and_starting_again_does_not() -> None:
    service = AsyncSocketService(Holding, [LOOPBACK], grace=600)
    service.startService()
    holding = service.listeners[0]
    assert isinstance(holding, Holding)
    stopped = service.stopService()
    assert not stopped.called
    assert not service.listeners
    service.startService()
    assert service.running
    assert isServed(portOf(service))
    holding.held.callback(None)
    await stopped
    # The end of the first start is none of the second's.
    assert isServed(portOf(service))
    second = service.listeners[0]
    assert isinstance(second, Holding)
    second.held.callback(None)
    await service.stopService()


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]
async def test_a_start_after_the_privileged_one_opens_nothing_again() -> None:
    made = []

    def factory(kind: str) -> CAsyncSocket:
        made.append(kind)
        return EchoListener()

    for where in ([], [LOOPBACK]):
        service = AsyncSocketService(factory, where, limits=Limits(idle=60))
        service.privilegedStartService()
        service.startService()
        assert len(made) == len(where)
        await service.stopService()


class Holding(StreamListener):
    """Has something to finish until the test says that it has finished."""

    def __init__(self) -> None:
        super().__init__(lambda listener: None)  # type: ignore[arg-type, return-value]
        self.held: Deferred[None] = Deferred()

    def OnAccept(self, nErrorCode: int) -> None:
        child = CAsyncSocket()
        self.Accept(child)
        child.Close()

    def drain(self, clock: object, grace: float) -> Deferred[None]:
        assert grace == 600
        return self.held


def test_one_that_cannot_be_opened_keeps_the_rest_from_starting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        whole = MultiService()
        good: Any = AsyncSocketService(EchoListener, [LOOPBACK])
        bad: Any = AsyncSocketService(EchoListener, [f"tcp:{other.getsockname()[1]}:interface=127.0.0.1"])
        for service in (bad, good):
            service.setServiceParent(whole)
        with pytest.raises(CannotListenError):
            whole.privilegedStartService()
        assert not good.listeners
        assert not bad.running
