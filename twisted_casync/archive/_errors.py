"""
What can go wrong in an archive, and what is too much.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

__all__ = ["ArchiveIncomplete", "ArchiveLimits", "CArchiveException", "Cause"]


class Cause(IntEnum):
    """
    The causes of a L{CArchiveException}, in the order of MFC's reference.
    """

    none = 0
    """No error occurred."""
    genericException = 1
    """Here: a limit of L{ArchiveLimits} was passed."""
    readOnly = 2
    """Tried to write into an archive opened for loading."""
    endOfFile = 3
    """Reached end of file while reading."""
    writeOnly = 4
    """Tried to read from an archive opened for storing."""
    badIndex = 5
    """Invalid file format."""
    badClass = 6
    """An object of a class that is unknown here, or that was not to come at this place."""
    badSchema = 7
    """An object of another version of its class."""


class CArchiveException(Exception):
    """
    What came can't be an archive, or not this one (C{CArchiveException}).

    It is no C{OSError}: its causes are the archive's own, and an error of the file passes through as it is.

    @ivar m_cause: one of the causes, which are also attributes of this class (C{CArchiveException.endOfFile}).
    @ivar m_strFileName: the C{name} of the archive's file, or an empty string.
    """

    none: ClassVar = Cause.none
    genericException: ClassVar = Cause.genericException
    readOnly: ClassVar = Cause.readOnly
    endOfFile: ClassVar = Cause.endOfFile
    writeOnly: ClassVar = Cause.writeOnly
    badIndex: ClassVar = Cause.badIndex
    badClass: ClassVar = Cause.badClass
    badSchema: ClassVar = Cause.badSchema

    def __init__(self, cause: int = Cause.none, message: str = "", lpszArchiveName: str = "") -> None:
        """
        @param cause: one of the causes.
        @param message: what was found, for people.
        @param lpszArchiveName: the name of the file.
        """
        super().__init__(message or Cause(cause).name)
        self.m_cause = Cause(cause)
        self.m_strFileName = lpszArchiveName

    def __str__(self) -> str:
        text = super().__str__()
        return text if text == self.m_cause.name else f"{self.m_cause.name}: {text}"


class ArchiveIncomplete(Exception):
    """
    Not all of what was asked for has come yet.  Nothing of it was taken: ask again when more is there, or use
    C{load}, which waits.

    @ivar missing: so many bytes, at least, are still to come.
    """

    def __init__(self, missing: int) -> None:
        """
        @param missing: so many bytes, at least, are still to come.
        """
        super().__init__(f"at least {missing} more bytes are to come")
        self.missing = missing


@dataclass(frozen=True)
class ArchiveLimits:
    """
    How much an archive may ask of this side.  What passes one is a L{CArchiveException} with C{genericException},
    before memory is taken for it.

    Some kilobytes are enough for most protocols: give less where you can, and more where you must.
    """

    nMaxString: int = 0x100000
    """Characters of one string, or line."""
    nMaxCount: int = 0x100000
    """What one count may say: the elements of one collection."""
    nMaxObjects: int = 0x10000
    """Objects and classes of one archive.  They are kept, as MFC keeps them, until the archive is closed."""
    nMaxDepth: int = 64
    """Objects inside each other.  Each level takes a handful of Python's frames."""
    nMaxItem: int = 0x100000
    """Bytes of what one C{load}, or one C{>>}, takes from a source that can make it wait."""
    nMaxReread: int = 0x1000000
    """Bytes of one such item that may be read again because it came in pieces.  See C{docs/archive.md}."""
