"""What a service that can't be started ends twistd with: a line of the log, and no traceback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from twisted.internet.error import CannotListenError

__all__ = ["Failed", "endingTwistd"]

# In the background twistd shows 100 bytes: two of its own, then the class, a colon and the text.
_SHOWN = 100 - 2 - len("Failed: ")

# Of a text that is too long, the end says why, and can be so long.
_REASON = 55


class Failed(CannotListenError, SystemExit):
    """Why a service can't be started; the log says so already, in full.

    For an Exception only, twistd takes the pid file away and tells the terminal that it was started from; then the
    interpreter prints all but a SystemExit with a traceback. So it is both. Whoever else starts services catches it as
    the CannotListenError that it stands for.

    Its text is what twistd can show in the background: the middle of a longer one is left out. That of its cause is
    whole.
    """

    # The only module that Python does not put in front of the name of an exception, where it would take a third of
    # what twistd shows.
    __module__ = "builtins"

    def __init__(self, error: Exception, text: str) -> None:
        known = isinstance(error, CannotListenError)
        place = [getattr(error, name) if known else None for name in ("interface", "port", "socketError")]
        super().__init__(*place)  # type: ignore[no-untyped-call]
        self.code = 1
        self._message = _shown(text)

    def __str__(self) -> str:
        return self._message


def _shown(text: str) -> str:
    # As twistd writes it.
    written = text.encode("ascii", "backslashreplace").decode()
    if len(written) <= _SHOWN:
        return text
    colon = written.find(": ", len(written) - _REASON)
    reason = written[colon if colon >= 0 else -_REASON :]
    return f"{written[: _SHOWN - len(reason) - 3]}...{reason}"


@contextmanager
def endingTwistd(why: Callable[[Exception], str] = str) -> Iterator[None]:
    """Make what twistd ends with of a place that can't be had and of an error of the system, which is logged already.

    @param why: says what of the error is logged.
    @raise Failed: there was such an error.
    """
    try:
        yield
    except Failed:
        raise
    except (CannotListenError, OSError) as error:
        raise Failed(error, why(error)) from error
