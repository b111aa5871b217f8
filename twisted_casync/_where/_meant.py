"""Which name was meant by one that does not exist."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["closest", "didYouMean"]


def closest(word: str, names: Iterable[str]) -> str | None:
    """The name that is most like a word, in whatever case; None where no name is like it."""
    from difflib import get_close_matches

    folded = {name.casefold(): name for name in names}
    found = get_close_matches(word.casefold(), folded, 1, 0.65)
    return folded[found[0]] if found else None


def didYouMean(word: str, names: Iterable[str]) -> str:
    """The end of a sentence that says that there is no such name; empty where no name is like it."""
    name = closest(word, names)
    return "" if name is None else f"; did you mean {name!r}?"
