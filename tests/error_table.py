"""
The table of errors: a row for each error code that the reference lists of each member.

The rows are written down beside their scenes, in C{_errors_*.py}; here they are put into the reference's order.
C{test_errors} walks the table, C{make_errors_page} writes C{docs/errors.md} from it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import _errors_asking  # noqa: F401  # it writes rows down, as all of these
import _errors_connections  # noqa: F401
import _errors_data  # noqa: F401
import _errors_every  # noqa: F401
import _errors_handlers  # noqa: F401
import _errors_opening  # noqa: F401
from _errortable import FURTHER, ROWS, Row

__all__ = ["FURTHER_OF", "REFERENCE", "SOURCE", "TABLE"]

_reference: dict[str, Any] = json.loads(Path(__file__).with_name("reference_errors.json").read_text())

SOURCE: str = _reference["source"]
"""The page of the reference."""

REFERENCE: dict[str, list[str]] = _reference["members"]
"""The names of the codes that the reference lists, by member, in its order."""


def _place(row: Row) -> tuple[int, int]:
    """
    Where the reference has a row; one that it does not have comes last, for the test to find.
    """
    members = [*REFERENCE]
    codes = REFERENCE.get(row.member, [])
    return (
        members.index(row.member) if row.member in members else len(members),
        codes.index(row.code.name) if row.code.name in codes else len(codes),
    )


TABLE: list[Row] = sorted(ROWS, key=_place)
"""All rows, in the reference's order."""

FURTHER_OF: dict[str, list[Row]] = {}
"""What a member leaves here that the reference does not list, by member."""
for _row in FURTHER:
    FURTHER_OF.setdefault(_row.member, []).append(_row)
