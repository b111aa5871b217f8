"""
What random programs do with fork(2): the parent waits for its child, and then goes on as if nothing had happened.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import Any, Final

__all__ = ["FORKS"]


def _inChild(work: Callable[[], str]) -> str:
    """
    Do something in a child process.

    @return: what it has found, or how it has failed.
    """
    out, into = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(out)
            os.write(into, work().encode())
        except BaseException:
            os.write(into, traceback.format_exc().encode())
        finally:
            # Nothing of the parent's is to be flushed, or cleaned up, twice.
            os._exit(0)
    os.close(into)
    with open(out, encoding="utf-8") as report:
        # Until nobody has the other end: also not a child of the child.
        said = report.read()
    os.waitpid(child, 0)
    return said


def _report(world: Any, work: Callable[[], str]) -> None:
    if world.mayTurn():
        # What the bystanders were asked is answered: a child that has them too does not take it from them.
        world.untilAnswered()
    said = _inChild(work)
    if said:
        world.fault(f"in a child: {said}")


def _leave(world: Any) -> None:
    """
    The child becomes another program, say.
    """
    _report(world, str)


def _close(world: Any) -> None:
    """
    The child closes what it has, as a daemon's helper does.
    """

    def close() -> str:
        world.closeAll()
        return ""

    _report(world, close)


def _serve(world: Any) -> None:
    """
    The child goes on, and its parent stays.
    """
    _report(world, world.serves)


def _parting(leave: Callable[[Any], None]) -> Callable[[Any], None]:
    """
    The child goes on when its parent has ended.

    @param leave: what the parent does before.
    """

    def part(world: Any) -> None:
        def parent() -> str:
            waits, ended = os.pipe()
            if os.fork():
                os.close(waits)
                leave(world)
                # With which `ended` is closed.
                return ""
            os.close(ended)
            os.read(waits, 1)
            os.close(waits)
            return str(world.serves())

        _report(world, parent)

    return part


FORKS: Final[dict[str, Callable[[Any], None]]] = {
    "close": _close,
    "daemon": _parting(lambda world: world.closeAll()),
    "leave": _leave,
    "orphan": _parting(lambda world: None),
    "serve": _serve,
}
