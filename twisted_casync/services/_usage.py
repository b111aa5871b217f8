"""What is said of a command line that can't be used: which name was meant, and where an option belongs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from getopt import GetoptError
from typing import Any

from twisted.python import usage

from twisted_casync._where import KINDS, SCHEMES, closest, didYouMean, expected

__all__ = ["CommandLine", "Misplaced"]

# What other programs have options for, and WHERE says here.
_OF_PLACES = ("port", "host", "interface", "address", "listen", "bind")

# What one letter means in other programs.
_LETTERS = {"h": "help", "p": "port"}


class Misplaced(usage.UsageError):
    """An option behind the first word that is none, where getopt looks for no options.

    @param word: as it was written.
    """

    def __init__(self, word: str) -> None:
        super().__init__(f"{word!r}: options stand before WHERE")
        self.option = word.partition("=")[0]


class CommandLine:
    """The three parts of `twistd [options] casync [options] SERVICE [options] [WHERE...]`.

    @param command: the options of casync, parsed as far as they could be.
    @param service: the name of the service; None where it is not known.
    @param options: the options of the service, or of any.
    """

    def __init__(self, command: Any, service: str | None, options: Any) -> None:
        self._command = command
        self._service = service
        program = os.path.basename(sys.argv[0])
        self._program = program if program in ("twistd", "twist") else "twistd"
        self._name = getattr(command.parent, "subCommand", None) or "casync"
        # The options of each part, and where they stand.
        self._parts = [
            (command.parent, f"belongs before {self._name}"),
            (command, "belongs before the name of the service"),
            (options, "belongs behind the name of the service"),
        ]

    @property
    def help(self) -> str:
        """The command that tells of the options of the part that is at fault."""
        return self._with(self._service or "", "--help") if self._failedInService else self._with("--help")

    def explain(self, error: usage.UsageError, words: Sequence[str], services: Sequence[str]) -> str:
        """What is wrong, in one line.

        @param words: of the command line, from the options of casync on.
        @param services: the names of all services.
        """
        if isinstance(error, Misplaced):
            return self._ofOption(error.option, str(error))
        cause = error.__context__
        if isinstance(cause, GetoptError) and "recognized" in cause.msg:
            dashes = "--" if cause.msg.startswith("option --") else "-"
            return self._ofOption(f"{dashes}{cause.opt}", cause.msg)
        if isinstance(cause, GetoptError) and "unique" in cause.msg:
            part = self._parts[2 if self._failedInService else 1][0]
            names = [f"--{name}" for name in _names(part) if name.startswith(cause.opt)]
            return f"--{cause.opt} may stand for {' or '.join(sorted(names))}"
        word = self._firstWord(words)
        # usage has no other way to tell this error from those of options.
        if not self._failedInService and word is not None and str(error) == f"Unknown command: {word}":
            return self._ofService(word, services)
        return str(error)

    @property
    def _failedInService(self) -> bool:
        return hasattr(self._command, "subOptions")

    def _firstWord(self, words: Sequence[str]) -> str | None:
        """What stands in the place of the service's name."""
        takesNext = False
        for word in words:
            if takesNext:
                takesNext = False
            elif not word.startswith("-"):
                return word
            else:
                takesNext = "=" not in word and _takesValue(self._command, word.lstrip("-"))
        return None

    def _ofService(self, word: str, services: Sequence[str]) -> str:
        if word == "help":
            return f"there is no service 'help'; did you mean {self._with('--help')}?"
        meant = didYouMean(word, services)
        if not meant and word.partition(":")[0] in SCHEMES:
            return f"say what to serve, before where: {self._with('SERVICE', word)}"
        if not meant and ":" in word and all(part.isidentifier() for part in word.replace(":", ".").split(".")):
            meant = f"; did you mean {self._with('run', word, 'WHERE')}?"
        return f"there is no service {word!r}{meant or '; there are ' + ', '.join(services)}"

    def _ofOption(self, option: str, wrong: str) -> str:
        name = option.lstrip("-")
        own = 2 if self._failedInService else 1
        for index in (own, 3 - own, 0):
            part, belongs = self._parts[index]
            if name in _names(part) or (len(name) == 1 and name in part.synonyms):
                if name in _LETTERS:
                    break
                known = option if option.startswith("--") else f"{option} (--{part.synonyms[name]})"
                if index == own:
                    return f"{known} belongs before WHERE: {self._example(index, option)}"
                return f"{known} {belongs}: {self._example(index, option)}"
        if len(name) == 1:
            name = _LETTERS.get(name, "")
        names = {one: part for part, _ in self._parts for one in _names(part)}
        # A name that several parts have is meant as their own.
        names |= dict.fromkeys(_names(self._parts[own][0]), self._parts[own][0])
        meant = closest(name, [*names, *_OF_PLACES])
        if meant is None:
            return wrong
        if meant not in names:
            scheme = expected(getattr(self._command, "kinds", KINDS) if own == 2 else KINDS).partition(":")[0]
            where = self._with(self._service or "SERVICE", f"{scheme}:PORT")
            return f"{wrong}; where to listen is no option: {where}"
        index = next(index for index, (part, _) in enumerate(self._parts) if part is names[meant])
        where = "" if index == own else f", which {self._parts[index][1]}"
        return f"{wrong}; did you mean --{meant}{where}?"

    def _example(self, index: int, option: str) -> str:
        value = _takesValue(self._parts[index][0], option.lstrip("-"))
        if value:
            option += "=..." if option.startswith("--") else " ..."
        words = [self._program, self._name, self._service or "SERVICE"]
        words.insert(index + 1, option)
        return " ".join(words)

    def _with(self, *words: str) -> str:
        return " ".join([self._program, self._name, *filter(None, words)])


def _names(options: Any) -> list[str]:
    """The long names of options."""
    return [] if options is None else [name.rstrip("=") for name in options.longOpt]


def _takesValue(options: Any, name: str) -> bool:
    return f"{name}=" in options.longOpt or f"{name}:" in options.shortOpt
