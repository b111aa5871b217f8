"""What "package.module:attribute" names, imported; what is wrong with it, in words for a command line."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from types import TracebackType
from typing import Any

from twisted_casync._where import didYouMean

__all__ = ["Unusable", "inOneLine", "resolve"]


class Unusable(Exception):
    """Something of somebody else's can't be used. Its text is one line for a command line; its cause is what
    was raised, if anything was.
    """


def resolve(name: str) -> Any:
    """Import what a dotted name stands for.

    @param name: "package.module:attribute", as entry points are written; the attribute may be one of an attribute
        ("module:Outer.Inner").
    @return: it.
    @raise Unusable: it is no such name, there is no such module or attribute, or the module could not be imported,
        whatever it raised; the cause is what it raised.
    """
    module, colon, path = name.partition(":")
    if not _isName(name):
        expected = "expected PACKAGE.MODULE:NAME, as mypackage.sockets:ChatListener"
        raise Unusable(f"{name!r}: {expected}{_written(name)}")
    found = _module(module)
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise Unusable(f"{name!r}: {_owner(found)} has no {part!r}{didYouMean(part, dir(found))}") from None
    return found


def inOneLine(error: BaseException) -> str:
    """What was raised, in one line: its type, its text, and where."""
    if isinstance(error, Unusable):
        return str(error)
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({error.filename}, line {error.lineno})"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}{': ' if text else ''}{text}{_line(error.__traceback__)}"


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        # The module itself, or a package above it; anything else is missing inside of it.
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            what = f"no module {error.name!r}" if error.name == name else f"no module {name!r}, since no {error.name!r}"
            meant = didYouMean(error.name, _beside(error.name))
            raise Unusable(f"{what}; looked for in {_looked()}{meant}") from error
        raise Unusable(f"{name} can't be imported: {inOneLine(error)}") from error
    # A module that is a program may also exit.
    except (Exception, SystemExit) as error:
        raise Unusable(f"{name} can't be imported: {inOneLine(error)}") from error


def _isName(name: str) -> bool:
    module, colon, path = name.partition(":")
    return bool(colon) and all(part.isidentifier() for part in [*module.split("."), *path.split(".")])


def _written(name: str) -> str:
    """What was meant by the path of a file, or by a class behind a point."""
    module, _, attribute = name.replace("/", ".").replace(".py:", ":").partition(":")
    if not attribute and module.rpartition(".")[2][:1].isupper():
        module, _, attribute = module.rpartition(".")
    meant = f"{module}:{attribute}"
    return f"; did you mean {meant!r}?" if meant != name and _isName(meant) else ""


def _beside(name: str) -> Iterator[str]:
    """The modules that are where one was looked for: in its package, or in the first folder of Python's path."""
    package = name.rpartition(".")[0]
    folders = sys.modules[package].__path__ if package else sys.path[:1]
    for found in iter_modules(folders):
        yield f"{package}.{found.name}" if package else found.name


def _looked() -> str:
    return f"{sys.path[0] or 'the current directory'} and the rest of Python's path" if sys.path else "nothing"


def _owner(thing: Any) -> str:
    return str(getattr(thing, "__name__", repr(thing)))


def _line(trace: TracebackType | None) -> str:
    """The place that raised: the last one that is a file of somebody, and not of Python's import machinery."""
    frames = [frame for frame in traceback.extract_tb(trace) if not frame.filename.startswith("<frozen")]
    # The first ones are ours.
    frames = [frame for frame in frames if frame.filename != __file__]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
