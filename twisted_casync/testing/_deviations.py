"""
The table of known deviations: which differences from the recorded traces are meant, and why.

It is a JSON file: ``{"deviations": [ROW, ...]}``, each row an object with ``scenario``, ``line``, ``field``,
``expected``, ``got`` as L{Difference} defines them, and ``reason``, free text. A row covers the one
difference that is equal to it in all five, and nothing else. A row that covers nothing any more is stale: the
table tells no more than is true.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any

from twisted_casync.testing._compare import Difference

__all__ = ["BadTable", "Deviations", "proposeRows"]

_KEYS = ("scenario", "line", "field", "expected", "got")


class BadTable(ValueError):
    """A file that is no table of deviations."""


class Deviations:
    """
    A table, and which of its rows were needed so far.
    """

    def __init__(self, text: str = '{"deviations": []}') -> None:
        """
        @param text: the table.
        @raise BadTable: it isn't one, or has the same row twice.
        """
        try:
            table = json.loads(text)
            rows = table["deviations"]
            self._rows: dict[str, Difference] = {}
            for row in rows:
                if set(row) != {*_KEYS, "reason"}:
                    raise BadTable(f"a row needs {', '.join(_KEYS)} and reason: {json.dumps(row)}")
                difference = Difference(*(row[key] for key in _KEYS))
                if _identity(difference) in self._rows:
                    raise BadTable(f"a row is there twice: {difference}")
                self._rows[_identity(difference)] = difference
        except BadTable:
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise BadTable(f"no table of deviations: {error!r}") from error
        self._used: set[str] = set()

    def covers(self, difference: Difference) -> bool:
        """@return: whether a row is about this difference. That row is needed from now on."""
        identity = _identity(difference)
        if identity not in self._rows:
            return False
        self._used.add(identity)
        return True

    def stale(self, scenarios: Collection[str]) -> list[Difference]:
        """
        @param scenarios: the names of those that were run; of others nothing can be said.
        @return: what the rows about them say that covered nothing.
        """
        return [
            difference
            for identity, difference in self._rows.items()
            if difference.scenario in scenarios and identity not in self._used
        ]


def proposeRows(differences: Iterable[Difference]) -> str:
    """
    @return: a table that covers these differences, without reasons: those are for a person to find.
    """
    rows = [{**{key: getattr(difference, key) for key in _KEYS}, "reason": ""} for difference in differences]
    # One row a line: the table is read, and merged, by rows.
    lines = ",\n".join("    " + json.dumps(row) for row in rows)
    return '{\n  "deviations": [\n' + lines + ("\n" if lines else "") + "  ]\n}\n"


def _identity(difference: Difference) -> str:
    # As JSON, where true is not 1.
    values: list[Any] = [getattr(difference, key) for key in _KEYS]
    return json.dumps(values, sort_keys=True)
