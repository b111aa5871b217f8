"""WHERE to listen: a server description in Twisted's syntax, and the place that it stands for."""

from __future__ import annotations

from twisted_casync._where._meant import closest, didYouMean
from twisted_casync._where._place import CannotListen, Opened, Place, nameOf
from twisted_casync._where._strports import KINDS, SCHEMES, expected, parseWhere

__all__ = [
    "KINDS",
    "SCHEMES",
    "CannotListen",
    "Opened",
    "Place",
    "closest",
    "didYouMean",
    "expected",
    "nameOf",
    "parseWhere",
]
