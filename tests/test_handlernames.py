"""
A misspelt handler is told of when its class is made, and no method of a real program is.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from _twistd import CHECKOUT, PATIENCE, environment, script
from twisted.internet.defer import inlineCallbacks

from twisted_casync import CAsyncSocket, CSocket
from twisted_casync._calls import HANDLERS
from twisted_casync._handlernames import isNearly
from twisted_casync.services import StreamConnection


def method(self: Any, nErrorCode: int) -> None:
    """A handler, as far as it can be seen."""


def told(name: str, *bases: type, **namespace: Any) -> list[str]:
    """What is said of a class with a method of that name."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        type("Chat", bases or (CAsyncSocket,), {name: method, **namespace})
    return [str(one.message) for one in caught]


SLIPS = {
    "OnAccept": "OnAcept OnAccpet OnAcccept OnAccet OnAcceppt onAccept on_accept ONACCEPT On_Accept OnAccetp",
    "OnConnect": "OnConect OnConnct OnConnnect OnConenct OnConnecct OnConmect onConnect on_connect Onconnect",
    "OnReceive": "OnRecieve OnReceve OnRecive OnReceeive OnRecevie OnReceibe OnReiceve OnReciev onReceive on_receive",
    "OnSend": "OnSned OnSnd OnSedn OnSeend OnSendd onSend on_send ONSEND",
    "OnOutOfBandData": "OnOutOfBand OnOutofBandData OnOutOfBandDate OnOutOfBandDta onOutOfBandData OnOutOfBnadData",
    "OnClose": "OnColse OnClos OnCloes OnClosse OnClsoe onClose on_close Onclose",
}


@pytest.mark.parametrize(("handler", "name"), [(one, name) for one in SLIPS for name in SLIPS[one].split()])
def test_a_slip_is_told_of(handler: str, name: str) -> None:
    assert told(name) == [f"Chat.{name} is never called; did you mean {handler}?"]


WORDS = """
    OnRetrieve OnRelieve OnDeceive
    OnRecv OnReceived OnReceiving OnReceiver OnReceives OnReceiveFrom OnRead OnReady OnRelease OnReceipt OnData
    OnSent OnSends OnSender OnSending OnSendTo OnEnd OnSeed OnSpend OnSuspend OnSand OnTend OnSync
    OnClosed OnCloser OnClosing OnClone OnLose OnLost OnClosure OnChoose OnChosen OnCloseAll OnDispose
    OnAccepted OnAccepting OnAcceptor OnAccess OnAccent OnExcept OnAcceptEx OnAcceptConnection
    OnConnected OnConnecting OnConnection OnConnector OnConnects OnConnectEx OnDisconnect OnReconnect OnContext
    OnContent OnMessage OnContact OnCollect OnCorrect
    OnOutOfBounds OnOOB OnOutput OnIdle OnError OnTimer OnLine OnLogin on_line on_data
    on_message on_closed on_received _OnReceive _onReceive Receive
"""


@pytest.mark.parametrize("name", WORDS.split())
def test_another_word_is_no_slip(name: str) -> None:
    assert told(name) == []


def test_no_handler_is_taken_for_another() -> None:
    assert not any(isNearly(one, other) for one in HANDLERS for other in HANDLERS)


def caller(self: Any) -> Any:
    return self.OnRecieve(0)


def later(self: Any, deferred: Any) -> None:
    deferred.addCallback(lambda result: self.OnRecieve(result))


def switch(self: Any) -> str:
    return "on" if self.on else "off"


def dispatch(self: Any, what: str) -> None:
    getattr(self, f"on_{what}")()


@pytest.mark.parametrize("use", [caller, later, inlineCallbacks(caller), staticmethod(caller), property(caller)])
def test_a_method_that_the_program_calls_is_no_slip(use: Callable[..., Any]) -> None:
    assert told("OnRecieve", use=use) == []
    base = type("Base", (CAsyncSocket,), {"use": use})
    assert told("OnRecieve", base) == []


def test_a_method_that_is_looked_up_by_name_is_no_slip() -> None:
    assert told("on_close", dispatch=dispatch) == []


def test_other_words_of_a_program_are_no_calls() -> None:
    assert told("on_close", switch=switch) == ["Chat.on_close is never called; did you mean OnClose?"]


def test_a_style_of_the_program_beside_the_handlers_is_no_slip() -> None:
    base = type("Base", (CAsyncSocket,), {"OnReceive": method})
    assert told("onReceive", OnReceive=method) == []
    assert told("on_receive", base) == []
    # A second name beside the right one.
    assert told("OnRecieve", OnReceive=method) == []
    # In a class of its own it is one.
    assert told("OnRecieve", base) == ["Chat.OnRecieve is never called; did you mean OnReceive?"]


def test_what_is_no_method_is_no_slip() -> None:
    assert told("OnRecv", OnRecieve=3, onClose="x") == []


def test_a_class_of_this_package_is_extended_as_any_other() -> None:
    assert told("OnColse", StreamConnection) == ["Chat.OnColse is never called; did you mean OnClose?"]
    assert told("on_close", StreamConnection) == ["Chat.on_close is never called; did you mean OnClose?"]
    assert told("OnRecieve", CSocket) == ["Chat.OnRecieve is never called; did you mean OnReceive?"]


def test_each_class_is_told_of_once_and_a_mixin_with_the_class_that_has_it() -> None:
    mixin = type("Mixin", (), {"OnRecieve": method})
    assert told("x", mixin, CAsyncSocket) == ["Chat.OnRecieve is never called; did you mean OnReceive?"]
    with pytest.warns(UserWarning):
        base = type("Base", (CAsyncSocket,), {"OnRecieve": method})
    assert told("x", base) == []
    assert told("OnRecieve", base) == []


def test_the_warning_points_to_the_class() -> None:
    with pytest.warns(UserWarning, match="did you mean OnReceive") as caught:

        class Chat(CAsyncSocket):
            def OnRecieve(self, nErrorCode: int) -> None:
                """Misspelt."""

    assert caught[0].filename == __file__
    assert Chat.__qualname__ in str(caught[0].message)


def test_a_class_without_such_names_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it costs is a look at the names of the class."""
    asked: list[str] = []
    monkeypatch.setattr("twisted_casync._handlernames._used", asked.append)
    assert told("OnReceive", Receive=method, run=method, OnRecv=method) == []
    assert asked == []


@pytest.mark.programs
def test_nothing_here_is_told_of() -> None:
    """Neither what this package has nor its examples, which are programs."""
    modules = ["twisted_casync.services", "twisted_casync.bridges", "twisted_casync.testing", "twisted_casync.tls"]
    program = f"import importlib\nfor one in {modules}: importlib.import_module(one)\n"
    # They import each other.
    program += f"import sys; sys.path.insert(0, {str(CHECKOUT / 'examples')!r})\n"
    for path in sorted((CHECKOUT / "examples").glob("*.py")):
        program += f"import runpy; runpy.run_path({str(path)!r}, run_name='example')\n"
    result = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.programs
def test_twistd_run_shows_it(tmp_path: Path) -> None:
    (tmp_path / "chat.py").write_text(
        "from twisted_casync import CAsyncSocket\n\n"
        "class Listener(CAsyncSocket):\n    def OnAcept(self, nErrorCode):\n        self.Accept(CAsyncSocket())\n"
    )
    result = subprocess.run(
        [script("twistd"), "-n", "--pidfile=", "casync", "run", "chat:Listener", "tcp:0"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
        cwd=tmp_path,
    )
    assert "chat.py:3: UserWarning: Listener.OnAcept is never called; did you mean OnAccept?" in result.stdout
    assert "has no OnAccept of its own" in result.stdout
