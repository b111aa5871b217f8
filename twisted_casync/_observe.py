"""
To be seen from outside: a socket that is observed is of a class of its own, which tells the observer of what its own
class does.

Such a class stands in front of the socket's own one.  It has no attributes, so that an object can be given it and can
lose it again at any time, and has the name of the class behind it.  So observing costs nothing while nobody observes:
no call looks for an observer, and the loop that tells sockets of data calls their C{OnReceive} as always.  What it
costs is one question for each object that is made, and one for each socket that is opened.

(A hook in each member would be asked with each message.  To replace the members of C{CAsyncSocket} would miss what
its subclasses override, the handlers above all; and would concern the sockets of all.)
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, Protocol

from twisted.logger import Logger

__all__ = ["Observer", "attend", "observe", "observers", "opened", "unobserve"]

_log = Logger("casync")


class Observer(Protocol):
    """
    Who is told of what sockets do.
    """

    def overriding(self, kind: type) -> Mapping[str, Callable[..., Any]]:
        """
        Make the methods that sockets of a class have while they are observed.

        @param kind: the class.
        @return: the methods by their names; each calls that of C{kind}.
        """

    def opened(self, socket: Any, listener: Any) -> None:
        """
        A socket was opened, or is open when observing begins.

        @param listener: the socket that has accepted it; L{None} if none has, or if that is not known.
        """


class _Quiet:
    """
    Stands between an observer's class and an application's, for which there is no new subclass to speak of.
    """

    __slots__ = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        pass


observers: Final[list[Observer]] = []
"""Those who observe now; the core asks whether there is one before it calls L{attend} or L{opened}."""

_classes: Final[dict[type, type]] = {}
"""The class that the objects of a class are to have now, of applications' classes and of those made here."""


def _own(kind: type) -> type:
    """
    @return: the class that an application gave to its objects.
    """
    while "_as_behind" in vars(kind):
        kind = kind._as_behind  # type: ignore[attr-defined]  # it is there
    return kind


def _inFront(kind: type) -> type:
    own = watched = _own(kind)
    for observer in observers:
        namespace = {
            "__slots__": (),
            "__doc__": own.__doc__,
            "__module__": own.__module__,
            "__qualname__": own.__qualname__,
            "_as_behind": watched,
            **observer.overriding(watched),
        }
        bases = (_Quiet, own) if watched is own else (watched,)
        watched = types.new_class(own.__name__, bases, {}, partial(_fill, namespace))
    return watched


def _fill(made: dict[str, Any], body: dict[str, Any]) -> None:
    body.update(made)


def attend(socket: Any) -> None:
    """
    Give an object the class that it is to have now.
    """
    kind = type(socket)
    watched = _classes.get(kind)
    if watched is None:
        try:
            watched = _inFront(kind)
            socket.__class__ = watched
        except TypeError:
            _log.failure("{kind} can't be observed: it has no subclasses, or none without attributes", kind=kind)
            watched = kind
        _classes[kind] = _classes[watched] = watched
    if watched is not kind:
        socket.__class__ = watched


def opened(socket: Any, listener: Any = None) -> None:
    """
    Tell those who observe that a socket was opened.

    @param listener: as for L{Observer.opened}.
    """
    attend(socket)
    for observer in observers:
        observer.opened(socket, listener)


def observe(observer: Observer, sockets: Iterable[Any]) -> None:
    """
    Begin to observe: the sockets that are given, and those that are made or opened from now on.

    @param sockets: those that are open.
    """
    observers.append(observer)
    _classes.clear()
    for socket in sockets:
        attend(socket)
        observer.opened(socket, None)


def unobserve(observer: Observer, sockets: Iterable[Any]) -> None:
    """
    Observe no more.  A socket that is not given keeps the observer's class until it is closed and opened again: what
    that tells, the observer no longer minds.

    @param sockets: those that are open.
    """
    observers.remove(observer)
    _classes.clear()
    for socket in sockets:
        attend(socket)
