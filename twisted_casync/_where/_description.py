"""A server description in Twisted's syntax, read: a scheme, and its arguments by name.

The grammar is that of twisted.internet.endpoints.serverFromString: arguments between colons, by position or
as name=value, and a backslash before a colon, an equals sign or a backslash that is meant as itself.
Twisted's own parser is private and makes endpoints; ours says what was expected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from twisted_casync._where._meant import didYouMean

__all__ = ["Arguments", "read"]

# Arguments that nobody meant to give come from the colons of an IPv6 address.
_QUOTE = r"a colon that belongs to an address is written \:"


class Arguments:
    """The arguments of one description, by name; an empty one counts as left out.

    All members raise ValueError, which says what was expected.

    @param scheme: what they are arguments of.
    @param names: those that the scheme has, in the order in which they may stand without their name.
    @param given: each as [value] or [name, value].
    """

    def __init__(self, scheme: str, names: Sequence[str], given: Sequence[list[str]]) -> None:
        self._scheme = scheme
        self._names = names
        values: dict[str, str] = {}
        positions = iter(names)
        for argument in given:
            name = next(positions, None) if len(argument) == 1 else argument[0]
            if name is None:
                raise ValueError(f"{argument[0]!r} is one too many, expected {', '.join(names)} at most ({_QUOTE})")
            if name not in names:
                raise ValueError(f"{scheme} has no {name!r}, expected {', '.join(names)}{didYouMean(name, names)}")
            if name in values:
                raise ValueError(f"{name} is given twice, expected once ({_QUOTE})")
            values[name] = argument[-1]
        self._values = {name: value for name, value in values.items() if value}

    def text(self, name: str) -> str | None:
        """The value of an argument, or None."""
        return self._values.get(name)

    def number(self, name: str, largest: int, base: int = 10) -> int | None:
        """The value of an argument that is a number from 0 to `largest`, or None."""
        text = self._values.get(name)
        if text is None:
            return None
        # int() alone would also take signs, blanks and underscores.
        digits = "01234567" if base == 8 else "0123456789"
        if text.strip(digits) or int(text, base) > largest:
            kind = "an octal number" if base == 8 else "a number"
            limit = f"{largest:o}" if base == 8 else largest
            raise ValueError(f"{name} {text!r}: expected {kind} from 0 to {limit}")
        return int(text, base)


def read(description: str) -> tuple[str, list[list[str]]]:
    """The scheme of a description, in lower case, and its arguments as `Arguments` takes them.

    Raises ValueError for a backslash with nothing behind it.
    """
    first, *rest = _split(description)
    return "=".join(first).lower(), rest


def _split(description: str) -> Iterator[list[str]]:
    """Each argument as [value] or [name, value], unescaped."""
    argument = [""]
    characters = iter(description)
    for character in characters:
        if character == "\\":
            try:
                argument[-1] += next(characters)
            except StopIteration:
                raise ValueError("expected a character after the backslash at the end") from None
        elif character == ":":
            yield argument
            argument = [""]
        elif character == "=" and len(argument) == 1:
            argument.append("")
        else:
            argument[-1] += character
    yield argument
