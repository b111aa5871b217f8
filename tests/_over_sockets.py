"""
A reactor for whole programs of Twisted: the epoll reactor, seen through the view that makes its TCP and UDP
C{CAsyncSocket}s.

C{python _over_sockets.py window twisted.test.test_ftp} runs trial on it; C{direct} has the sockets registered with the
reactor itself.  Tests that start a Python of their own install it there by this module's name.
"""

from __future__ import annotations

import os
import sys

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import installReactor

from twisted_casync import AfxSocketInit
from twisted_casync.bridges import ReactorView

__all__ = ["OverSocketsReactor", "install"]


class OverSocketsReactor(ReactorView):
    """
    The view, which says where it can be had again.
    """


def install() -> None:
    """
    Make it the global reactor.
    """
    reactor = EPollReactor()
    AfxSocketInit(reactor, direct=os.environ.get("REGISTRATION") == "direct")
    installReactor(OverSocketsReactor(reactor))


def main() -> None:
    """
    Run trial on it.
    """
    os.environ["REGISTRATION"] = sys.argv.pop(1)
    import _over_sockets

    _over_sockets.install()
    from twisted.scripts.trial import run

    run()


if __name__ == "__main__":
    main()
