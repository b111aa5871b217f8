"""
Behaviours of a connected stream, as scripts that are played over every medium.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from _media import MEDIA, having, worldOf
from _play import Script, play, turns
from _reactors import Recorder

from twisted_casync import SOCKET_ERROR, GetLastError, WSAError

__all__ = ["failed", "holds", "quiet"]

Behaviour = Callable[..., Script]


def failed(code: WSAError, result: Any) -> bool:
    """
    @return: whether a member has failed, and why.
    """
    return result in (SOCKET_ERROR, False, None) and GetLastError() == code


def quiet() -> Callable[[], bool]:
    """
    A condition that comes to hold when what is due has been told: bytes may have to pass several protocols.
    """
    return turns(10)


def holds(capability: str | None = None, lacking: bool = False, **kinds: type) -> Callable[[Behaviour], Any]:
    """
    Make a script a test over every medium, on every reactor that it can be on.

    The script's parameters are the reactor, a connected socket that nothing is due of but what C{AsyncSelect} brings,
    and its peer, which is another.

    @param capability: what the medium must have, of L{CAPABILITIES}.
    @param lacking: what it must not have, instead.
    @param kinds: C{near} and C{far}, the classes of the two sockets.
    """

    cases = having(capability, lacking)

    def decorate(script: Behaviour) -> Any:
        if not cases:
            # No medium is like that, so that there is no test.
            return None

        @functools.wraps(script)
        def test(medium: str, way: str, **arguments: Any) -> None:
            def whole(reactor: Any) -> Script:
                near, far = kinds.get("near", Recorder)(), kinds.get("far", Recorder)()
                yield from MEDIA[medium].connect(reactor, near, far)
                yield quiet()
                for sock in (near, far):
                    getattr(sock, "told", []).clear()
                yield from script(reactor, near, far, **arguments)
                for sock in (near, far):
                    sock.Close()

            with worldOf(way) as reactor:
                play(reactor, whole(reactor), pace=0.0005)

        # pytest reads the parameters from here.
        del test.__wrapped__
        rest = list(inspect.signature(script).parameters.values())[3:]
        own = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("medium", "way")]
        test.__signature__ = inspect.Signature([*own, *rest])  # type: ignore[attr-defined]  # PEP 362
        return pytest.mark.parametrize(("medium", "way"), cases)(test)

    return decorate
