"""
Tests that are scripts: a generator does one step, and yields what has to hold before it does the next.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest
from _reactors import LIMIT, WAYS, reactorOf, run
from twisted.logger import capturedLogs

Script = Generator[Callable[[], bool], None, None]


class OnPurpose:
    """
    In front of an exception: a handler raises it on purpose.  Any other failure in the log fails the test.
    """


class Mistake(OnPurpose, Exception):
    """
    A handler's own.
    """


def play(reactor: Any, script: Script, limit: float = LIMIT, pace: float = 0.002) -> None:
    """
    Run the reactor until a script has ended.  The sockets that are open then are told of the reactor's stop, so what
    they were told is looked at by the script.
    """
    failures: list[BaseException] = []
    awaited = turns(1)

    def done() -> bool:
        nonlocal awaited
        try:
            while awaited():
                awaited = next(script)
        except StopIteration:
            return True
        except BaseException as failure:
            # Of a failed assertion the test is to hear, and not the reactor's log.
            failures.append(failure)
            return True
        return False

    with capturedLogs() as events:
        try:
            run(reactor, done, limit, pace)
        except AssertionError as late:
            # Raised where the script waits, so that the report shows for what.
            script.throw(late)
        finally:
            script.close()
    # The second is what twisted.python.log, which reactors use, calls it.
    logged = [event.get("log_failure") or event.get("failure") for event in events]
    failures += [failure.value for failure in logged if failure and not isinstance(failure.value, OnPurpose)]
    for failure in failures:
        raise failure


def turns(count: int = 5) -> Callable[[], bool]:
    """
    A condition that comes to hold after a few turns of the reactor: what is due by then has been told.
    """
    left = iter(range(count))
    return lambda: next(left, None) is None


def playedOn(
    ways: Sequence[str], world: Callable[[str], AbstractContextManager[Any]]
) -> Callable[[Callable[..., Script]], Callable[..., None]]:
    """
    Make a script, whose first parameter is a running reactor, a test on each of several.

    @param ways: what they are called.
    @param world: the reactor of a way, which is that of this thread meanwhile.
    """

    def decorate(script: Callable[..., Script]) -> Callable[..., None]:
        @functools.wraps(script)
        def test(way: str, **arguments: Any) -> None:
            with world(way) as reactor:
                play(reactor, script(reactor, **arguments))

        # pytest reads the parameters from here, and no fixture is named `reactor`.
        del test.__wrapped__
        parameters = list(inspect.signature(script).parameters.values())[1:]
        way = inspect.Parameter("way", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        test.__signature__ = inspect.Signature([way, *parameters])  # type: ignore[attr-defined]  # PEP 362
        each: Callable[..., None] = pytest.mark.parametrize("way", ways)(test)
        return each

    return decorate


played = playedOn(WAYS, reactorOf)
"""A test on every reactor."""
