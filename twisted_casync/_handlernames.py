"""
A method whose name is nearly that of a handler, which nobody would ever call.

Closeness alone would take real names for mistakes: C{OnReceived}, C{OnRecv}, C{OnEnd} and C{OnAccess} are as close to
handlers as C{OnRecieve}.  So a mistake is only what a slip of the fingers makes, and no inflection, no other word and
no abbreviation; and only a method that the program itself does not call.
"""

from __future__ import annotations

import inspect
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from types import CodeType
from typing import Any, Final

__all__ = ["isNearly", "warnOfNames"]

_LONG: Final = len("OnAccept")
_LONGER: Final = len("OnReceive")
"""
The shorter a name, the more words are close to it: these lengths are what a wrong letter, a further one and a missing
one need at least.
"""

_HALVES: Final = {"OnOutOfBandData": "onoutofband"}
"""What is half of a handler's name, and no other word."""


def isNearly(name: str, handler: str) -> bool:
    """
    @return: whether a name is that of a handler but for one slip: another case or underscores, letters in another
        order, a letter that is missing, doubled, wrong or too much.
    """
    if name == handler or name.startswith("_"):
        return False
    typed, meant = _folded(name), _folded(handler)
    if typed == meant or typed == _HALVES.get(handler):
        return True
    # Fingers rarely miss a first letter; other words have another one, as OnEnd and OnLose.
    if typed[:3] != meant[:3] or abs(len(typed) - len(meant)) > 1:
        return False
    lacking, added = Counter(meant), Counter(typed)
    lacking, added = lacking - added, added - lacking
    if not lacking:
        # At the end a further letter inflects, unless it is the last one again.
        return not added or _isDoubled(typed, meant) or (len(meant) >= _LONG and typed[:-1] != meant)
    if not added:
        return len(meant) >= _LONGER or _without(meant, typed)
    return len(meant) >= _LONGER and sum(one != other for one, other in zip(typed, meant, strict=False)) == 1


def _folded(name: str) -> str:
    return name.replace("_", "").casefold()


def _without(longer: str, shorter: str) -> bool:
    """
    @return: whether one letter of it left out makes the other; of four letters none can be spared, as in C{OnEnd}.
    """
    return len(longer) > len("OnSend") and any(longer[:at] + longer[at + 1 :] == shorter for at in range(len(longer)))


def _isDoubled(typed: str, meant: str) -> bool:
    return any(meant[: at + 1] + meant[at:] == typed for at in range(len(meant)))


def warnOfNames(cls: type, handlers: Iterable[str], root: type) -> None:
    """
    Warn of the methods of a new class that nobody calls, and whose names are nearly those of handlers.

    @param handlers: the names of all handlers.
    @param root: what all classes of sockets extend; what one of them has was looked at when that was made.
    """
    # Of its own, or from what is mixed into it.
    own = [base for base in cls.__mro__ if base is cls or not issubclass(base, root)]
    defined = {name: value for base in reversed(own) for name, value in vars(base).items() if name[:2].lower() == "on"}
    for name, value in defined.items():
        if name in handlers or not inspect.isroutine(value):
            continue
        for handler in handlers:
            if isNearly(name, handler) and handler not in defined and not _isMeant(cls, name, handler, root):
                text = f"{cls.__qualname__}.{name} is never called; did you mean {handler}?"
                warnings.warn(text, stacklevel=3)


def _isMeant(cls: type, name: str, handler: str, root: type) -> bool:
    """
    @return: whether the program calls it, or a class of sockets has it already.
    """
    theirs = [base for base in cls.__mro__ if base is not root and not issubclass(root, base)]
    programs = [base for base in theirs if not _isOurs(base)]
    if any(name in vars(base) for base in theirs if base is not cls and issubclass(base, root)):
        return True
    # C{on_receive}, where C{OnReceive} is there: a name of the program's own, in its own style.
    if _folded(name) == _folded(handler) and any(handler in vars(base) for base in programs):
        return True
    used = {word for base in programs for value in vars(base).values() for word in _used(value)}
    # getattr(self, "on_" + what) may call any of them.
    return not used.isdisjoint({name, "on_", "On", "On_"})


def _isOurs(base: type) -> bool:
    return base.__module__.partition(".")[0] == __name__.partition(".")[0]


def _used(value: Any) -> Iterator[str]:
    """
    The names and texts in the code of a method.
    """
    function = inspect.unwrap(getattr(value, "__func__", getattr(value, "fget", value)))
    codes = [code] if isinstance(code := getattr(function, "__code__", None), CodeType) else []
    while codes:
        code = codes.pop()
        yield from code.co_names
        yield from (one for one in code.co_consts if isinstance(one, str))
        codes += (one for one in code.co_consts if isinstance(one, CodeType))
