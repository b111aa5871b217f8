"""
The last error: where each thread keeps its own, and which threads have one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from threading import get_ident
from typing import Final, Generic, TypeVar

__all__ = ["LastError", "inError"]

_C = TypeVar("_C", bound=int)

inError: Final[set[int]] = set()
"""
The threads that have a last error.  While there are none a call that succeeds has nothing to clear: to ask that costs a
message less than to set what belongs to a thread.
"""


class _Thread:
    """
    What ends with a thread: its last error is no one's any more.
    """

    def __init__(self) -> None:
        self._number = get_ident()

    # The function itself: when the interpreter ends the names of a module can go first.
    def __del__(self, discard: Callable[[int], None] = inError.discard) -> None:
        discard(self._number)


class LastError(threading.local, Generic[_C]):
    """
    The last error of the thread that asks.

    @ivar code: 0, or what a call failed with.
    """

    def __init__(self, none: _C) -> None:
        """
        Called in each thread that uses it, with the same.

        @param none: what is 0.
        """
        self.code = none
        self._thread = _Thread()
