"""
The edge of a member: what every member of the class does with a failure, and where it has its documentation from.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from zope.interface.interface import InterfaceClass

from ._arguments import Rejected
from ._lasterror import inError
from .winsock import SetLastError, WSAError, errorFromErrno

__all__ = ["documented", "member"]

_NO_ERROR: Final = WSAError.NO_ERROR
_M = TypeVar("_M", bound=Callable[..., Any])
_C = TypeVar("_C", bound=type)


def member(failure: Any) -> Callable[[_M], _M]:
    """
    Make a failure of a member its result, and the last error; there is none after a success.

    @param failure: what the member returns then.
    """

    def decorate(method: _M) -> _M:
        @functools.wraps(method)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            if inError:
                SetLastError(_NO_ERROR)
            try:
                return method(self, *args, **kwargs)
            except Rejected as rejected:
                SetLastError(rejected.code)
            except OSError as error:
                SetLastError(errorFromErrno(error.errno))
            return failure

        return cast(_M, call)

    return decorate


def documented(interface: InterfaceClass) -> Callable[[_C], _C]:
    """
    Give each method of a class that has no docstring the one that C{interface} has for it.
    """

    def decorate(cls: _C) -> _C:
        for name, declared in interface.namesAndDescriptions(all=True):
            method = getattr(cls, name, None)
            if callable(method) and not method.__doc__:
                method.__doc__ = declared.getDoc()
        return cls

    return decorate
