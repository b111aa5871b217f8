"""
To be seen from outside: what an observed socket is, and that nothing is left of it when nobody observes.
"""

from __future__ import annotations

import abc
import copy
import gc
import subprocess
import sys
import traceback
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from _memory import connection, memoryReactor, turn
from _reactors import must
from _streams import LOCALHOST, accepted, listening
from _twistd import CHECKOUT, environment
from twisted.logger import capturedLogs

from twisted_casync import CAsyncSocket, CSocket, IAsyncSocket
from twisted_casync._observe import observe, observers, unobserve
from twisted_casync._threads import openSockets


class Watcher:
    """
    An observer that remembers which handlers were called, and what was opened.
    """

    def __init__(self) -> None:
        self.told: list[str] = []
        self.found: list[tuple[Any, Any]] = []

    def overriding(self, kind: type) -> Mapping[str, Callable[..., Any]]:
        below: Any = kind.OnReceive  # type: ignore[attr-defined]

        def OnReceive(socket: Any, nErrorCode: int) -> Any:
            self.told.append(type(socket).__name__)
            return below(socket, nErrorCode)

        return {"OnReceive": OnReceive}

    def opened(self, socket: Any, listener: Any) -> None:
        self.found.append((socket, listener))


@contextmanager
def watched() -> Iterator[Watcher]:
    watcher = Watcher()
    observe(watcher, openSockets())
    try:
        yield watcher
    finally:
        unobserve(watcher, openSockets())
    assert observers == []


class Slotted(CAsyncSocket):
    __slots__ = ("mine",)

    def OnReceive(self, nErrorCode: int) -> None:
        self.mine = self.Receive(bytearray(10))


class Plain(CAsyncSocket):
    """A class as most are: its objects have a __dict__."""


class Registry(CAsyncSocket):
    """A class that keeps account of its subclasses, and wants to be told something of each."""

    known: list[type] = []

    def __init_subclass__(cls, *, word: str) -> None:
        cls.known.append(cls)


class Registered(Registry, word="yes"):
    __slots__ = ()


class Abstract(CAsyncSocket, metaclass=abc.ABCMeta):
    """With a metaclass."""


class Mixin:
    def helper(self) -> str:
        return "help"


class Mixed(Mixin, Slotted):
    pass


KINDS = (CAsyncSocket, CSocket, Slotted, Plain, Registered, Abstract, Mixed)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_observed_socket_is_what_it_was_to_its_program(kind: type[CAsyncSocket]) -> None:
    with memoryReactor() as reactor:
        bare = kind(reactor)
        with watched() as watcher:
            one = kind(reactor)
            assert type(one) is not kind and isinstance(one, kind)
            assert repr(one) == repr(bare) and one.logPrefix() == kind.__name__
            assert (type(one).__module__, type(one).__qualname__) == (kind.__module__, kind.__qualname__)
            assert type(one).__doc__ == kind.__doc__
            assert IAsyncSocket.providedBy(one)
            assert hasattr(one, "__dict__") == hasattr(bare, "__dict__")
            must(one.Create())
            must(bare.Create())
            assert type(bare) is type(one), "the socket is observed when it is opened, also of an older object"
            assert watcher.found == [(one, None), (bare, None)]
            twin = copy.copy(one)
            assert type(twin) is type(one)
            twin.Close()
        assert type(one) is kind and type(bare) is kind
        one.Close()
        bare.Close()


def test_no_application_hears_of_the_classes_of_observers() -> None:
    with memoryReactor() as reactor, watched():
        assert isinstance(Registered(reactor), Registered)
    assert Registry.known == [Registered]


def test_sockets_that_are_open_are_observed_and_let_go_where_they_are() -> None:
    with memoryReactor() as reactor:
        child, peer = accepted(reactor)
        one = Slotted(reactor)
        must(one.Attach(child.Detach()))
        turn(reactor)
        with peer:
            for expected in ([], ["Slotted"], ["Slotted"]):
                if expected and not observers:
                    watcher = Watcher()
                    observe(watcher, openSockets())
                    assert watcher.found == [(one, None)]
                elif observers:
                    unobserve(watcher, openSockets())
                peer.send(b"abc")
                one.mine = 0
                turn(reactor)
                assert one.mine == 3
                assert not expected or watcher.told == expected
        assert type(one) is Slotted
        one.Close()


def test_who_accepts_is_told_with_what_was_accepted() -> None:
    with memoryReactor() as reactor, watched() as watcher:
        listener = listening(reactor)
        child, peer = accepted(reactor, listener)
        assert watcher.found == [(listener, None), (child, listener)]
        peer.close()
        child.Close()
        listener.Close()


def test_several_observe_one_behind_the_other() -> None:
    with memoryReactor() as reactor:
        child, peer = connection(reactor)
        with peer, watched() as first:
            second = Watcher()
            observe(second, openSockets())
            peer.send(b"x")
            turn(reactor)
            assert first.told == second.told == ["Recorder"]
            unobserve(second, openSockets())
            must(child.Receive(bytearray(1)))
            peer.send(b"x")
            turn(reactor)
            assert (first.told, second.told) == (["Recorder"] * 2, ["Recorder"])
        assert child.names() == ["OnReceive", "OnReceive"]
        child.Close()


def test_after_observing_every_call_is_the_class_s_own_again() -> None:
    with memoryReactor() as reactor:
        before = Slotted(reactor)
        with watched():
            must(before.Create(0, lpszSocketAddress=LOCALHOST))
        after = Slotted(reactor)
        for name in [*IAsyncSocket.names(), "_as_release"]:
            assert getattr(type(before), name) is getattr(Slotted, name) is getattr(type(after), name)
        before.Close()


def test_nothing_is_kept_of_what_was_observed() -> None:
    with memoryReactor() as reactor:

        class Passing(CAsyncSocket):
            pass

        gone = weakref.ref(Passing)
        with watched():
            one = Passing(reactor)
            must(one.Create())
            one.Close()
        del Passing, one
        gc.collect()
        assert gone() is None


def test_a_class_that_has_no_subclasses_is_left_alone_and_said_so() -> None:
    class Sealed(type):
        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any], **more: Any) -> Any:
            if any(isinstance(base, Sealed) for base in bases):
                raise TypeError(f"{name} is final")
            return super().__new__(cls, name, bases, body, **more)

    class Final(CAsyncSocket, metaclass=Sealed):
        pass

    with memoryReactor() as reactor, capturedLogs() as events, watched():
        one = Final(reactor)
        must(one.Create())
        must(Final(reactor) is not None)
        assert type(one) is Final
        one.Close()
    (event,) = events
    assert "can't be observed" in event["log_format"] and event["kind"] is Final


def test_a_traceback_through_an_observer_names_the_program_s_class() -> None:
    class Failing(CAsyncSocket):
        def OnReceive(self, nErrorCode: int) -> None:
            raise ValueError(f"of {self!r}")

    with memoryReactor() as reactor, watched():
        one: Any = Failing(reactor)
        try:
            one.OnReceive(0)
        except ValueError as error:
            text = "".join(traceback.format_exception(error))
        assert "<Failing closed -1>" in text


@pytest.mark.programs
@pytest.mark.slow
def test_scenarios_go_as_when_nobody_observes() -> None:
    program = (
        "import sys\n"
        "from twisted_casync._observe import observe\n"
        "from twisted_casync.services._counters import Counters\n"
        "from twisted_casync.testing.__main__ import main\n"
        "from twisted_casync.trace._tracer import Tracer\n"
        "lines = []\n"
        "observe(Tracer(lines.append, preview=10), ())\n"
        "observe(Counters('scenarios'), ())\n"
        "status = main(['conformance', 'tests/scenarios', 'tests/scenarios/traces'])\n"
        "assert len(lines) > 1000\n"
        "sys.exit(status)\n"
    )
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, cwd=CHECKOUT, env=environment(), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert " 0 differ" in result.stdout
