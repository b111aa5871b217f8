"""run: listens with any class of sockets that can be imported, without a plugin."""

from __future__ import annotations

import inspect
import os
import sys
from typing import Any

from twisted.python import usage

from twisted_casync import CAsyncSocket
from twisted_casync.services._limits import Limited, Limits
from twisted_casync.services._naming import Unusable, resolve
from twisted_casync.services._options import ServiceOptions
from twisted_casync.services._plugin import isSocketClass, whyNotMade, whySilent

__all__ = ["RunOptions", "datagrams", "streams"]


class RunOptions(ServiceOptions):
    """The command line of run: what is to listen, and where. After parsing, `self["socket"]` is what it names."""

    synopsis = "[options] MODULE:CLASS WHERE..."

    longdesc = (
        "MODULE:CLASS names a class of sockets, as mypackage.sockets:ChatListener, or a function that is called with "
        "'stream' or 'datagram' and returns a new one. Its module is looked for in the current directory too."
    )

    def parseArgs(self, *words: str) -> None:
        if len(words) < 2:
            what = "say what is to listen, and where" if not words else "say where to listen"
            raise usage.UsageError(f"{what}, as in: run {words[0] if words else 'mypackage.sockets:Listener'} tcp:7007")
        super().parseArgs(*words[1:])
        self["socket"] = _found(words[0])
        for place in self["where"]:
            _check(words[0], self["socket"], place)
        if self.limits() != Limits() and isSocketClass(self["socket"]) and not issubclass(self["socket"], Limited):
            raise usage.UsageError(f"{words[0]} is no StreamListener, which could keep to limits")


def _found(name: str) -> Any:
    # As python -m does; the scripts twistd and twist don't.
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    try:
        return resolve(name)
    except Unusable as error:
        raise usage.UsageError(str(error)) from error


def _check(name: str, found: Any, place: Any) -> None:
    """Raises UsageError for what could only fail, or fall silent, later."""
    if wrong := whyNotMade(found):
        raise usage.UsageError(f"{name}: {wrong}")
    given = () if isSocketClass(found) else (place.kind,)
    try:
        inspect.signature(found).bind(*given)
    except TypeError as error:
        call = ", ".join(map(repr, given))
        raise usage.UsageError(f"{name} can't be called as {found.__name__}({call}): {error}") from error
    except ValueError:
        pass  # It is not written in Python, and doesn't tell what it takes.
    if wrong := whySilent(found, place.kind):
        raise usage.UsageError(f"{place.description}: {name} {wrong}")


def streams(options: Any) -> CAsyncSocket:
    """
    @param options: a L{RunOptions}, parsed.
    @return: a new socket of what the command line names, which is to accept.
    """
    return _made(options["socket"], "stream")


def datagrams(options: Any) -> CAsyncSocket:
    """
    @param options: a L{RunOptions}, parsed.
    @return: a new socket of what the command line names, which is to receive datagrams.
    """
    return _made(options["socket"], "datagram")


def _made(what: Any, kind: str) -> CAsyncSocket:
    made: CAsyncSocket = what() if isSocketClass(what) else what(kind)
    return made
