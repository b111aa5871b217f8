"""SocketService: a plugin as one expression, whose sockets are named rather than imported."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from zope.interface import implementer

from twisted_casync import CAsyncSocket, IAsyncSocketService
from twisted_casync.services._naming import Unusable, resolve

__all__ = ["SocketService", "isSocketClass", "whyNotMade", "whySilent"]


def isSocketClass(thing: object) -> bool:
    """Whether it is a class of sockets, which is called without arguments; else it is a function to call."""
    return isinstance(thing, type) and issubclass(thing, CAsyncSocket)


def whyNotMade(thing: object) -> str | None:
    """What is wrong with something that is to make sockets; None when nothing is."""
    if isSocketClass(thing) or (callable(thing) and not isinstance(thing, (type, CAsyncSocket))):
        return None
    if isinstance(thing, CAsyncSocket):
        what = f"an object; its class {type(thing).__name__} makes new ones"
    elif isinstance(thing, type):
        what = f"the class {thing.__name__}, which is none"
    else:
        what = f"of type {type(thing).__name__}"
    return f"expected a subclass of CAsyncSocket, or a function that makes a socket, and it is {what}"


# What a listening object of each kind is told of what comes; one that leaves it alone would never answer.
_HANDLERS = {"stream": "OnAccept", "datagram": "OnReceive"}


def whySilent(thing: object, kind: str) -> str | None:
    """Why a class of sockets would serve nobody; None for one that would, and for a function, which does not tell.

    @param kind: "stream" or "datagram".
    """
    handler = _HANDLERS[kind]
    if isSocketClass(thing) and getattr(thing, handler) is getattr(CAsyncSocket, handler):
        return f"has no {handler} of its own, so it can't serve {kind}s"
    return None


@implementer(IAsyncSocketService)
class SocketService:
    """A service of `twistd casync`, for a file in twisted/plugins or an entry point of twisted_casync.services.

    stream, datagram and options may each be given as a str, "package.module:name". That is imported when the
    service is chosen, so that neither other commands of twistd nor other services pay for it, or fail with it.

    @param name: the word after `twistd casync`.
    @param description: one line for its help.
    @param stream: what listens where a stream is asked for: a subclass of CAsyncSocket, which is called without
        arguments, or a function, which is called with the parsed options and returns a new socket. None: the
        service has no streams.
    @param datagram: the same for datagrams.
    @param options: the service's own usage.Options; those that extend ServiceOptions take WHERE and the limits.
    @param where: where to listen if the command line doesn't say: server descriptions, as "tcp:7007".
    """

    def __init__(
        self,
        name: str,
        description: str,
        *,
        stream: str | Callable[..., CAsyncSocket] | None = None,
        datagram: str | Callable[..., CAsyncSocket] | None = None,
        options: str | Callable[[], Any] = "twisted_casync.services:ServiceOptions",
        where: Iterable[str] = (),
    ) -> None:
        self.name = name
        self.description = description
        self.where = tuple(where)
        self._options = options
        self._makers = {"stream": stream, "datagram": datagram}

    @property
    def kinds(self) -> tuple[str, ...]:
        """What it serves: "stream", "datagram" or both."""
        return tuple(kind for kind, maker in self._makers.items() if maker is not None)

    def options(self) -> Any:
        """Make the service's own options, and see whether all that is named can be imported.

        Raises Unusable when it can't; nothing has been opened then.
        """
        for kind in self.kinds:
            self._maker(kind)
        return _imported(self._options)()

    def listener(self, options: Any, kind: str) -> CAsyncSocket:
        """Make the socket that listens; see IAsyncSocketService.listener."""
        maker = self._maker(kind)
        made: CAsyncSocket = maker() if isSocketClass(maker) else maker(options)
        return made

    def _maker(self, kind: str) -> Callable[..., CAsyncSocket]:
        maker = self._makers[kind]
        if maker is None:
            raise ValueError(f"{self.name} serves no {kind}s")
        found: Any = _imported(maker)
        if wrong := whyNotMade(found):
            raise Unusable(f"{maker!r}: {wrong}")
        return found  # type: ignore[no-any-return]


def _imported(what: Any) -> Any:
    return resolve(what) if isinstance(what, str) else what
