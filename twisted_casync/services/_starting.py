"""What a service that can't be started ends twistd with: a line of the log, and no traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from twisted.internet.error import CannotListenError

__all__ = ["CannotStart", "endingTwistd"]


class CannotStart(CannotListenError, SystemExit):
    """Why a service can't be started; the log says so already.

    For an Exception only, twistd takes the pid file away and tells the terminal that it was started from; then the
    interpreter prints all but a SystemExit with a traceback. So it is both. Whoever else starts services catches it as
    the CannotListenError that it stands for.
    """

    def __init__(self, error: Exception) -> None:
        known = isinstance(error, CannotListenError)
        place = [getattr(error, name) if known else None for name in ("interface", "port", "socketError")]
        super().__init__(*place)  # type: ignore[no-untyped-call]
        self.code = 1
        self._message = str(error)

    def __str__(self) -> str:
        return self._message


@contextmanager
def endingTwistd() -> Iterator[None]:
    """Make what twistd ends with of a place that can't be had and of an error of the system, which is logged already.

    Raises CannotStart.
    """
    try:
        yield
    except CannotStart:
        raise
    except (CannotListenError, OSError) as error:
        raise CannotStart(error) from error
