"""
The last error of each thread, and the set of threads that have one.
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
The threads that have a last error.  While the set is empty a call that succeeds has nothing to clear.  A test of the
set costs less than an assignment to a thread-local attribute.
"""


class _Thread:
    """
    An object that is deleted when its thread ends, and takes the thread out of L{inError}.
    """

    def __init__(self) -> None:
        self._number = get_ident()

    # A default value: at the end of the interpreter the names of the module can be gone.
    def __del__(self, discard: Callable[[int], None] = inError.discard) -> None:
        discard(self._number)


class LastError(threading.local, Generic[_C]):
    """
    The last error of the calling thread.

    @ivar code: 0, or the code of the call that failed.
    """

    def __init__(self, none: _C) -> None:
        """
        Called in each thread that uses the object, with the same argument.

        @param none: the code 0.
        """
        self.code = none
        self._thread = _Thread()
