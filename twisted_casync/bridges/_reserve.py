"""
A descriptor kept for the moment when there is no other: with it a server can still turn its visitors away.

A connection that waits while there is no descriptor for it (C{EMFILE}) would be announced for ever, and its peer
would wait for ever.  So one descriptor is opened beforehand; given up, it takes each such connection in turn, which is
closed at once.  Twisted's servers do the same.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final

__all__ = ["Reserve", "reserve"]


class Reserve(AbstractContextManager["Reserve"]):
    """
    The reserved descriptor.  As a context: it is free for somebody else meanwhile.
    """

    def __init__(self) -> None:
        self._fd = -1

    def isHeld(self) -> bool:
        """
        @return: whether there is one.
        """
        return self._fd >= 0

    def hold(self) -> None:
        """
        Reserve one, if there is none yet, and as far as there is any left.
        """
        if self._fd < 0:
            try:
                self._fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                # None is left; it is tried again by the next one who listens.
                self._fd = -1

    def __enter__(self) -> Reserve:
        os.close(self._fd)
        self._fd = -1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hold()


reserve: Final = Reserve()
"""The process's, since descriptors are the process's."""
