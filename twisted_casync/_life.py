"""
Where a transport is: in its life, in sending what it has, in its own half of the connection.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Half", "Life", "Sending"]


class Life(IntEnum):
    """
    Where a transport is in its life.
    """

    NEW = 0
    CONNECTING = 1
    OPEN = 2
    LOSING = 3
    """C{loseConnection} was called: what is buffered, and what a producer still gives, goes first."""
    ABORTING = 4
    """C{abortConnection} was called in this turn."""
    LOST = 5


class Sending(IntEnum):
    """
    What the buffer waits for.
    """

    IDLE = 0
    DUE = 1
    """The end of this turn."""
    BLOCKED = 2
    """C{OnSend}."""


class Half(IntEnum):
    """
    This side's half of the connection.
    """

    OPEN = 0
    FINISHING = 1
    """C{loseWriteConnection} was called: what is buffered goes first."""
    FINISHED = 2
