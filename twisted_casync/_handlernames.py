"""
Warns of a method whose name is a misspelt handler's: nothing would ever call it.

Likeness alone does not tell a slip from another word: difflib finds C{OnReceived} (0.95) and C{OnSpend} (0.92) more
like a handler than C{OnRecieve} (0.89) and C{OnSned} (0.83).  So the rules are those of fingers: letters in another
order, one missing, one too many, one wrong.  A method that the program itself calls is none.
"""

from __future__ import annotations

import inspect
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from types import CodeType
from typing import Any

__all__ = ["isNearly", "warnOfNames"]


def isNearly(name: str, handler: str) -> bool:
    """
    @return: whether a name is that of a handler but for its case, underscores and one slip.  The shorter a name, the
        more words are like it: a short one forgives less.
    """
    typed, meant = _folded(name), _folded(handler)
    if name == handler:
        return False
    if typed == meant or (typed == "onoutofband" and meant.startswith(typed)):
        return True
    # Fingers rarely miss a first letter; OnEnd and OnLose are other words.
    if typed[:3] != meant[:3]:
        return False
    lacking, added = Counter(meant) - Counter(typed), Counter(typed) - Counter(meant)
    match lacking.total(), added.total():
        case ((0 | 1), 0):
            return True
        case 0, 1:
            # A further letter at the end inflects: OnCloser.
            return 2 * next(iter(added)) in typed or (len(meant) > len("OnClose") and typed[:-1] != meant)
        case 1, 1:
            return len(meant) > len("OnAccept") and sum(map(str.__ne__, typed, meant)) == 1
    return False


def _folded(name: str) -> str:
    return name.replace("_", "").casefold()


def warnOfNames(cls: type, handlers: Iterable[str], root: type) -> None:
    """
    Warn of the methods of a new class that nothing calls, and whose names are nearly those of handlers.

    @param handlers: the names of all handlers.
    @param root: the class that all classes of sockets extend.  The methods of each were looked at when it was made.
    """
    # Its own ones, and those of its mixins.
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
    theirs = [base for base in cls.__mro__ if not issubclass(root, base)]
    if any(name in vars(base) for base in theirs if base is not cls and issubclass(base, root)):
        return True
    programs = [vars(base) for base in theirs if not base.__module__.startswith("twisted_casync.")]
    # C{on_receive}, where C{OnReceive} is there: a name of the program's own, in its own style.
    if _folded(name) == _folded(handler) and any(handler in names for names in programs):
        return True
    used = {word for names in programs for value in names.values() for word in _used(value)}
    # getattr(self, "on_" + name) may call any of them.
    return not used.isdisjoint({name, "on_", "On", "On_"})


def _used(value: Any) -> Iterator[str]:
    """
    The names and texts in the code of a method.
    """
    function = inspect.unwrap(getattr(value, "__func__", getattr(value, "fget", value)))
    codes = [getattr(function, "__code__", None)]
    for code in codes:
        if isinstance(code, CodeType):
            yield from code.co_names
            yield from (one for one in code.co_consts if isinstance(one, str))
            codes += code.co_consts
