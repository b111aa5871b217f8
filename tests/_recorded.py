"""
The recorded scenarios, and those of this project: where they are, and what their traces are compared with.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from twisted_casync.testing._deviations import Deviations

__all__ = ["OWN", "OWN_TRACES", "RECORDED", "RECORDED_TRACES", "knownDeviations"]

_HERE: Final = Path(__file__).parent
RECORDED: Final = _HERE / "conformance" / "scenarios"
RECORDED_TRACES: Final = (_HERE / "conformance" / "traces", _HERE / "conformance" / "traces-wine10")
OWN: Final = _HERE / "scenarios"
OWN_TRACES: Final = (OWN / "traces",)


def knownDeviations() -> Deviations:
    """
    @return: the answers that are as in no recording, with their reasons.
    """
    return Deviations((_HERE / "conformance" / "deviations.json").read_text("utf-8"))
