"""
The numbers of MFC's persistent data format, each with the page where it is published.

The pages are named in brackets; C{docs/archive.md} has their addresses.  Everything is little endian.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "BIG_CLASS",
    "BIG_TAG",
    "CLASS_TAG",
    "LARGEST_MAP",
    "LARGEST_SMALL_INDEX",
    "LONGEST_CLASS_NAME",
    "LONG_BYTE",
    "LONG_DWORD",
    "LONG_WORD",
    "NEW_CLASS_TAG",
    "NO_SCHEMA",
    "NULL_TAG",
    "TIME64_MARK",
    "UNICODE_MARK",
    "VERSIONABLE_SCHEMA",
    "WORD_LENGTHS_END",
]

# -- objects and classes: a WORD, the tag, stands before each.  They share one row of indices, which begins at 1.

NULL_TAG: Final = 0x0000
"""No object [TN002, wNullTag]."""

NEW_CLASS_TAG: Final = 0xFFFF
"""A class that comes for the first time: its schema (WORD) and its name (WORD length, ASCII) follow [TN002]."""

CLASS_TAG: Final = 0x8000
"""Or-ed with the index of a class that has come before [TN002, wOldClassTag].  Without it the index is an object's."""

LARGEST_SMALL_INDEX: Final = 0x7FFE
"""Larger indices do not fit into a tag [TN002]."""

BIG_TAG: Final = 0x7FFF
"""The index follows as a DWORD [TN002]."""

BIG_CLASS: Final = 0x80000000
"""Or-ed with such a DWORD when the index is a class's [VLab]."""

LARGEST_MAP: Final = 0x3FFFFFFE
"""So many objects and classes can come in one archive [TN002]."""

LONGEST_CLASS_NAME: Final = 63
"""Bytes of a class name that MFC reads [mfc reader]: its buffer has 64 with the NUL."""

NO_SCHEMA: Final = 0xFFFFFFFF
"""C{(UINT)-1}: the schema is not known [CArchive, GetObjectSchema]."""

VERSIONABLE_SCHEMA: Final = 0x80000000
"""Or-ed with a class's schema: the class reads other versions than its own [TN002].  It is not written."""

# -- lengths of strings, and counts

LONG_BYTE: Final = 0xFF
"""Instead of a BYTE: the length of a string follows as a WORD [mish]."""

UNICODE_MARK: Final = 0xFFFE
"""Behind LONG_BYTE: what comes is another length, and then UTF-16 [mish].  So no length of a string is written so."""

WORD_LENGTHS_END: Final = 0xFFFE
"""Strings that are shorter than this have their length in a WORD [mish]."""

LONG_WORD: Final = 0xFFFF
"""Instead of a WORD: the length of a string [mish], or the count of a collection [VLab], follows as a DWORD."""

LONG_DWORD: Final = 0xFFFFFFFF
"""Instead of a DWORD: the length of a string follows in 8 bytes [j2doll]; counts are taken to be alike."""

# -- times

TIME64_MARK: Final = -0x80000000 + 10
"""Before a CTime of 64 bits; any other LONG is itself a CTime, of 32 bits, as MFC 7.1 wrote it [m-ri]."""
