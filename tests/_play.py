"""
Tests that are scripts: a generator does one step, and yields what has to hold before it does the next.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from typing import Any

import pytest
from _reactors import LIMIT, WAYS, reactorOf, run

Script = Generator[Callable[[], bool], None, None]


def play(reactor: Any, script: Script, limit: float = LIMIT) -> None:
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

    try:
        run(reactor, done, limit)
    except AssertionError as late:
        # Raised where the script waits, so that the report shows for what.
        script.throw(late)
    finally:
        script.close()
    if failures:
        raise failures[0]


def turns(count: int = 5) -> Callable[[], bool]:
    """
    A condition that comes to hold after a few turns of the reactor: what is due by then has been told.
    """
    left = iter(range(count))
    return lambda: next(left, None) is None


def played(script: Callable[..., Script]) -> Callable[..., None]:
    """
    Make a script, whose first parameter is a running reactor, a test on every reactor.
    """

    @functools.wraps(script)
    def test(way: str, **arguments: Any) -> None:
        with reactorOf(way) as reactor:
            play(reactor, script(reactor, **arguments))

    # pytest reads the parameters from here, and no fixture is named `reactor`.
    del test.__wrapped__  # type: ignore[attr-defined]  # functools.wraps has set it
    parameters = list(inspect.signature(script).parameters.values())[1:]
    way = inspect.Parameter("way", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    test.__signature__ = inspect.Signature([way, *parameters])  # type: ignore[attr-defined]  # PEP 362
    return pytest.mark.parametrize("way", WAYS)(test)
