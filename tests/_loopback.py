"""
An abstract network of one machine: what TCP and UDP do over the loopback device, as queues of bytes and a few flags.

What is sent has arrived when the call that sends it returns, in order and whole.  There are no windows, timers or lost
packets: a stream ends with a FIN or with a reset.  Nothing here knows notifications or members; the model of
those, C{_model}, is a program over this network.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

__all__ = ["End", "Listener", "Mailbox", "Network", "Undetermined"]


class Undetermined(Exception):
    """
    What happens next depends on what no rule determines.
    """


class End:
    """
    One end of a TCP connection.

    @ivar queue: what has arrived, and was not received.
    @ivar finished: the peer's FIN has arrived.
    @ivar shut: this end has sent its FIN.
    @ivar reset: the connection was reset, and what a call fails with because of it.
    @ivar abandoned: closed by its program; the kernel still answers for it.
    @ivar abortive: a close resets the connection (SO_LINGER with 0 seconds).
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.peer: End
        self.queue = b""
        self.finished = False
        self.shut = False
        self.reset: str | None = None
        self.abandoned = False
        self.abortive = False

    def isOver(self) -> bool:
        """
        @return: whether nothing can happen to the connection any more.
        """
        return self.reset is not None or (self.shut and self.finished)

    def send(self, data: bytes) -> None:
        if not data:
            return
        if self.peer.abandoned:
            # Nobody is there to receive it, which is answered with a reset.
            self.isReset()
        else:
            self.peer.queue += data

    def finish(self) -> None:
        """
        Send the FIN.
        """
        if not self.shut and self.reset is None:
            self.shut = True
            self.peer.finished = True

    def close(self) -> None:
        """
        A close that throws unread data away tells the peer so, with a reset.
        """
        if not self.isOver():
            if self.queue or self.abortive:
                self.peer.isReset()
            else:
                self.finish()
        self.abandoned = True

    def isReset(self) -> None:
        if not self.isOver():
            # Linux, and so we, can't tell a reset after the end of the stream from one that a Send has drawn
            # because the peer was gone.
            self.reset = "WSAECONNABORTED" if self.finished else "WSAECONNRESET"


class Listener:
    """
    A listening socket: the connections that were made and wait to be accepted.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.waiting: list[End] = []

    def close(self) -> None:
        for end in self.waiting:
            end.abortive = True
            end.close()


class Mailbox:
    """
    A datagram socket.

    @ivar queue: the datagrams that have arrived, each with the port it came from.
    @ivar peer: the only port that datagrams are taken from, and that can be found unreachable.
    @ivar refused: an ICMP error has arrived: nobody is at the peer's port.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.peer: int | None = None
        self.queue: list[tuple[bytes, int]] = []
        self.refused = False


class Network:
    """
    Who has which port.
    """

    def __init__(self) -> None:
        self._free: Iterator[int] = count(1)
        self.dead: set[int] = set()
        self.listeners: dict[int, Listener] = {}
        self.mailboxes: dict[int, Mailbox] = {}

    def port(self) -> int:
        """
        @return: a port that nobody had before.
        """
        return next(self._free)

    def connect(self, origin: int, port: int) -> End | None:
        """
        @return: the near end of a connection, which waits to be accepted at the other; L{None}: refused.
        @raise Undetermined: the port was given back, and may be another program's.
        """
        if port in self.dead:
            return None
        if port not in self.listeners or len(self.listeners[port].waiting) > 3:
            raise Undetermined
        near, far = End(origin), End(port)
        near.peer, far.peer = far, near
        self.listeners[port].waiting.append(far)
        return near

    def post(self, sender: Mailbox, port: int, data: bytes) -> None:
        """
        Send a datagram.

        @raise Undetermined: the port was given back, and may be another program's.
        """
        if port not in self.mailboxes and port not in self.dead:
            raise Undetermined
        receiver = self.mailboxes.get(port)
        if receiver is not None and receiver.peer in (None, sender.port):
            receiver.queue.append((data, sender.port))
        elif sender.peer == port:
            if sender.refused:
                # Two errors may have become one, or not yet.
                raise Undetermined
            sender.refused = True
