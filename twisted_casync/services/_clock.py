"""What measures the time of a listener's connections."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime

__all__ = ["clockOf"]


def clockOf(listener: Any) -> IReactorTime:
    """The reactor that a listener was made for; the global one, which is not imported earlier, if for none."""
    if listener.reactor is not None:
        return listener.reactor  # type: ignore[no-any-return]
    from twisted.internet import reactor

    return reactor
