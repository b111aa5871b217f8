"""A UNIX socket's name in the file system: taken before Bind, given back after Close.

Winsock leaves the name behind, and so does the socket call. As Twisted's own UNIX port does, a lock beside it
(PATH.lock, holding a process id) tells a name that is in use from one that a killed process left.
"""

from __future__ import annotations

import os
import stat

from twisted.logger import Logger
from twisted.python.lockfile import FilesystemLock

__all__ = ["UnixPath"]

_log = Logger("casync")


class UnixPath:
    """The claim on one path.

    @param path: of the socket.
    @param mode: its permissions, set once it is bound.
    @param lockfile: False leaves locking, and clearing up after a killed process, to whoever started this one.
    """

    def __init__(self, path: str, mode: int, lockfile: bool) -> None:
        self._path = path
        self._mode = mode
        self._lock = FilesystemLock(f"{path}.lock") if lockfile else None
        self._bound = False

    def claim(self) -> str | None:
        """Take the name; returns why it cannot be had, or None. OSError as os.symlink raises it."""
        if self._lock is None:
            return None
        if not self._lock.lock():
            return f"{self._lock.name} is held by a running process"
        # Only a socket is removed, and only if its owner went without unlocking: anything else was not ours.
        if not self._lock.clean and os.path.exists(self._path) and stat.S_ISSOCK(os.stat(self._path).st_mode):
            os.remove(self._path)
        return None

    def bound(self) -> None:
        """The socket has the name now: give it its permissions, and remove it later."""
        self._bound = True
        os.chmod(self._path, self._mode)

    def release(self) -> None:
        """Give the name back; what can't be removed is logged.

        That happens to a process that shed its privileges and may no longer write to the directory.
        """
        try:
            if self._bound:
                os.unlink(self._path)
        except OSError as error:
            _log.warn("{path} stays behind: {error}", path=self._path, error=error)
        self._bound = False
        try:
            if self._lock is not None and self._lock.locked:
                self._lock.unlock()
        except OSError as error:
            _log.warn("{path}.lock stays behind: {error}", path=self._path, error=error)
