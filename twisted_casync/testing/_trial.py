"""
A mixin for tests that trial runs.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from twisted_casync.testing._network import MemoryNetwork
from twisted_casync.testing._opensockets import SocketCheck
from twisted_casync.testing._recorder import RecordingSocket
from twisted_casync.winsock import WSAError

if TYPE_CHECKING:
    from twisted.trial.unittest import TestCase as _Base
else:
    _Base = object

__all__ = ["AsyncSocketTestMixin"]


class AsyncSocketTestMixin(_Base):
    """
    Tests of programs that are built on C{CAsyncSocket}: stands before C{twisted.trial.unittest.TestCase}, or
    C{SynchronousTestCase}, among the bases of a test case.

    A test fails that leaves a socket open which it has opened; its own clean-ups have run by then.  What a handler
    raises is logged, so that trial fails the test by itself.
    """

    def setUp(self) -> Any:
        """
        Look at what is open before the test.
        """
        check = SocketCheck()

        def look() -> None:
            left = check.closeRest()
            if left:
                self.fail(f"{len(left)} sockets were left open: {', '.join(left)}")

        # It was added first, and so runs last.
        self.addCleanup(look)
        return super().setUp()

    def memoryNetwork(self, **options: Any) -> MemoryNetwork:
        """
        A network in memory, which until the test has ended is the reactor of the sockets that are given none.

        @param options: those of L{MemoryNetwork}.
        """
        stack = ExitStack()
        network = stack.enter_context(MemoryNetwork(**options).installed())
        check = SocketCheck()

        def leave() -> None:
            left = check.closeRest()
            stack.close()
            if left:
                self.fail(f"{len(left)} sockets were left open: {', '.join(left)}")

        self.addCleanup(leave)
        return network

    def socketPair(self, network: MemoryNetwork | None = None) -> tuple[RecordingSocket, RecordingSocket]:
        """
        Two sockets that are connected to each other, and have been told C{OnSend}; closed when the test has ended.

        @param network: what connects them; L{None} for a memory network of their own.
        """
        between = self.memoryNetwork() if network is None else network
        pair = RecordingSocket(), RecordingSocket()
        between.pair(*pair)
        between.settle()
        for sock in pair:
            self.addCleanup(sock.Close)
        return pair

    def whenNotified(
        self, sock: RecordingSocket, name: str, count: int = 1, *, seconds: float = 10.0, clock: Any = None
    ) -> Deferred[WSAError]:
        """
        Wait for a notification, for some time.

        @param sock: whose.
        @param name: the handler, such as C{"OnReceive"}.
        @param count: which one, counted from the first since the object was made.
        @param seconds: the Deferred fails with a C{TimeoutError} of Twisted's after so long.
        @param clock: an C{IReactorTime}; L{None} for the global reactor.
        @return: a Deferred of the error code.
        """
        if clock is None:
            from twisted.internet import reactor as clock
        return sock.whenNotified(name, count).addTimeout(seconds, clock)
