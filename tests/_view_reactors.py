"""
Every reactor of Twisted's and the casync reactor, each seen through the view that makes its TCP connections and UDP
ports C{CAsyncSocket}s: once with them in the socket window, and once registered with the reactor itself.

Twisted's suites call what they are given the name of with the test that wants a reactor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from _reactors import REACTORS, REGISTRATIONS

from twisted_casync import AfxSocketInit, AfxSocketTerm
from twisted_casync.bridges import overCAsyncSockets

__all__ = ["NAMES"]


def _maker(name: str, registration: str) -> Callable[[Any], Any]:
    def make(test: Any) -> Any:
        reactor = REACTORS[name]()
        AfxSocketInit(reactor, direct=registration == "direct")

        def ended() -> None:
            AfxSocketTerm()
            AfxSocketInit()
            if name == "asyncio":
                reactor._asyncioEventloop.close()

        # Cleanups run in the opposite order: this one after Twisted's own, which closes what the test left open.
        test.addCleanup(ended)
        return overCAsyncSockets(reactor)

    return make


_MAKERS = {
    f"{name}-{registration}": _maker(name, registration)
    for name in REACTORS
    # Over uvloop Twisted's own transports abort the process in these suites: they close sockets beneath the loop.
    if name != "uvloop"
    for registration in REGISTRATIONS
}
NAMES = {f"{__name__}.Over{way.title().replace('-', '')}": way for way in _MAKERS}
"""Of what makes each reactor; and which of L{_reactors.WAYS} it is."""
globals().update({name.rpartition(".")[2]: _MAKERS[way] for name, way in NAMES.items()})
