"""
A network in memory, on a clock of its own: what a program's sockets do over it happens when a test says so.

It stands in the place of a reactor: a C{CAsyncSocket} that is made with it, or while it is the thread's
(L{MemoryNetwork.installed}), has no descriptor; all else is as over TCP or UDP.  Nothing arrives, and no handler is
called, but in L{MemoryNetwork.step} and its kin; the same program does the same each time.
"""

from __future__ import annotations

import socket
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any, TypeAlias, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHostnameResolver, IReactorPluggableNameResolver
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer, provider

from twisted_casync import CAsyncSocket, GetLastError
from twisted_casync._conduit import Conduit, failing
from twisted_casync._sockaddr import ANY, SockAddr, isEmpty
from twisted_casync._threads import openSockets, reactorOfThread
from twisted_casync.testing._faults import Faults, Scripted, checkedCode
from twisted_casync.testing._mailbox import Mailbox
from twisted_casync.testing._mailway import MailWay
from twisted_casync.testing._memorysocket import MemorySocket
from twisted_casync.testing._memorywindow import MemoryWindow
from twisted_casync.testing._post import Post
from twisted_casync.testing._resolver import KnownHosts
from twisted_casync.testing._way import Way
from twisted_casync.winsock import AF_INET, SOCK_STREAM, WSAError

__all__ = ["MemoryNetwork"]

_T = TypeVar("_T")

_FIRST_PORT = 49152
"""Where the ports that nobody has asked for begin (RFC 6335, 6)."""
_RETRIES = (1, 2, 4, 8, 16, 32)
"""
Seconds after which somebody whom a listener has no room for tries again, as tcp_syn_retries of Linux has it; then
the attempt has failed.
"""
_GIVE_UP = 64
_BUFFER = 65536
_MANY = 100_000
_LOOPBACK = "127.0.0.1"
_REUSEPORT = (socket.SOL_SOCKET, socket.SO_REUSEPORT)
_Name: TypeAlias = "tuple[int, Any, Any]"
"""Family, host and port."""


def _endOf(sock: CAsyncSocket, network: MemoryNetwork) -> MemorySocket | Mailbox | None:
    """
    @return: what an open socket of a network has instead of a descriptor.
    """
    end: Any = sock._as_sock
    return end if isinstance(end, (MemorySocket, Mailbox)) and end.reactor is network else None


class _Address:
    """
    What is to happen to whoever connects to an address.
    """

    def __init__(self) -> None:
        self.toListener = self.toClient = Faults()
        self.refusals: list[WSAError] = []
        self.refuses: WSAError | None = None

    def refusal(self) -> WSAError | None:
        """
        @return: what the next attempt fails with; L{None} when it does not.
        """
        return self.refusals.pop(0) if self.refusals else self.refuses


@implementer(IReactorPluggableNameResolver)
class MemoryNetwork(Clock):
    """
    A network of one machine that has every address, and the clock that it lives by.

    @ivar hosts: the addresses in numbers of each host name; one that is not here is not found.
    @ivar post: who brings datagrams to whom.
    @ivar scripted: calls of any socket that are to fail.
    """

    def __init__(
        self, *, buffer: int = _BUFFER, delay: float = 0.0, hosts: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """
        @param buffer: how many bytes a direction of a connection holds between the C{Send} at one end and the
            C{Receive} at the other: the C{SO_SNDBUF} of new sockets; and how many bytes of datagrams wait to be
            received, beyond which they are lost: their C{SO_RCVBUF}.
        @param delay: seconds that anything takes from one end to the other.
        @param hosts: host names, besides C{"localhost"}.
        """
        super().__init__()
        self.buffer, self.delay = buffer, delay
        # Those of a connection's both ways are said at the address, and all are checked there.
        Faults(delay=delay, shortSends=buffer)
        self.hosts: dict[str, Sequence[str]] = {"localhost": ("127.0.0.1", "::1"), **(hosts or {})}
        self.nameResolver: IHostnameResolver = KnownHosts(self, self.hosts)
        self.scripted = Scripted()
        self._ports = count(_FIRST_PORT)
        self.post = Post(self, delay, self._ports)
        self._names: dict[_Name, list[MemorySocket]] = {}
        self._listeners: dict[_Name, list[MemorySocket]] = {}
        self._addresses: dict[tuple[Any, ...], _Address] = {}
        # Those that are detached have nobody else.
        self._open: set[Conduit] = set()
        self._failures: list[Failure] = []

    def __repr__(self) -> str:
        return f"<MemoryNetwork at {self.seconds():g} s, {len(self._open)} sockets>"

    # -- the reactor that it stands for

    def socketWindow(self, thread: int, gone: Any) -> MemoryWindow:
        """
        Make the window of this network's sockets, as the reactors that have one of their own do.
        """
        return MemoryWindow(self, thread, gone)

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        """
        C{IReactorPluggableNameResolver.installNameResolver}.
        """
        before, self.nameResolver = self.nameResolver, resolver
        return before

    @contextmanager
    def installed(self) -> Iterator[MemoryNetwork]:
        """
        Be the reactor of this thread's sockets that are given none, so that a whole program runs here unchanged.
        Afterwards those that are still open are closed without a notification.
        """

        @provider(ILogObserver)
        def observe(event: LogEvent) -> None:
            failure = event.get("log_failure")
            if failure is not None and "handler" in event:
                self._failures.append(failure)

        globalLogPublisher.addObserver(observe)
        try:
            with reactorOfThread(self):
                yield self
        finally:
            globalLogPublisher.removeObserver(observe)
            for sock in self.openSockets():
                sock.Close()

    def openSockets(self) -> list[CAsyncSocket]:
        """
        @return: the open sockets of this network.
        """
        return [sock for sock in openSockets() if _endOf(sock, self) is not None]

    def flushFailures(self) -> list[Failure]:
        """
        @return: what handlers have raised while it was L{installed}, since this was called last; they have been logged,
            and their sockets aborted.
        """
        failures, self._failures = self._failures, []
        return failures

    # -- going on

    def step(self) -> bool:
        """
        Let one thing happen: what was sent arrives, a socket is told what is ready for it, or a timer runs out.

        @return: whether anything was due.
        """
        if not self.calls or self.calls[0].getTime() > self.seconds():
            return False
        call = self.calls.pop(0)
        call.called = 1
        call.func(*call.args, **call.kw)
        return True

    def settle(self, most: int = _MANY) -> int:
        """
        L{step} until nothing is due at this moment.

        @param most: the steps that it may take.
        @return: how many it took.
        @raise RuntimeError: it did not come to rest.
        """
        for taken in range(most):
            if not self.step():
                return taken
        raise RuntimeError(f"{self} does not come to rest in {most} steps: {', '.join(map(repr, self.openSockets()))}")

    def advance(self, amount: float) -> None:
        """
        Let time pass, and all that falls due meanwhile happen at its time.

        @param amount: seconds.
        """
        end = self.seconds() + amount
        self.settle()
        while self.calls and self.calls[0].getTime() <= end:
            self.rightNow = max(self.rightNow, self.calls[0].getTime())
            self.settle()
        self.rightNow = end

    def run(self, work: Deferred[_T] | Coroutine[Any, Any, _T], seconds: float = 3600.0) -> _T:
        """
        Go on, and let time pass, until a Deferred has fired.

        @param work: a Deferred, or a coroutine that awaits some.
        @param seconds: how long it may take on this clock.
        @return: its result.  What it fails with is raised.
        @raise RuntimeError: nothing more can happen, or not in that time.
        """
        awaited = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)
        results: list[Any] = []
        awaited.addBoth(results.append)
        end = self.seconds() + seconds
        for _ in range(_MANY):
            if results:
                break
            if not self.calls or self.calls[0].getTime() > end:
                raise RuntimeError(f"{awaited} has no result, and nothing is due in {self}")
            self.rightNow = max(self.rightNow, self.calls[0].getTime())
            self.step()
        else:
            raise RuntimeError(f"{awaited} has no result after {_MANY} steps of {self}")
        if isinstance(results[0], Failure):
            results[0].raiseException()
        result: _T = results[0]
        return result

    # -- what a test begins with

    def pair(self, client: CAsyncSocket, server: CAsyncSocket) -> None:
        """
        Connect two sockets to each other; each is told C{OnSend} when the network goes on.

        @param client: a closed socket, of any subclass.
        @param server: another.
        @raise OSError: one of them can't be attached.
        """
        near, far = MemorySocket(self, AF_INET), MemorySocket(self, AF_INET)
        for end in (near, far):
            end.bind((_LOOPBACK, 0))
        self._join(near, far, near.getsockname(), far.getsockname())
        near.connected(near.getsockname(), far.getsockname())
        for sock, end in ((client, near), (server, far)):
            if not sock.Attach(end):
                raise OSError(f"{sock!r} can't be attached: {GetLastError()}")

    def _join(self, near: MemorySocket, far: MemorySocket, name: SockAddr, peer: SockAddr) -> None:
        near.joined(far)
        far.joined(near)
        for end in (near, far):
            end.connecting()
        far.connected(peer, name)

    # -- what a test wants to go wrong

    def outgoing(self, sock: CAsyncSocket) -> Way | MailWay:
        """
        @param sock: a socket of this network that is connected, or connecting, or is one of datagrams.
        @return: the direction in which it sends; of a datagram socket all that it sends, to whomever.
        @raise ValueError: it is none.
        """
        return self._end(sock).out

    def _end(self, sock: CAsyncSocket) -> MemorySocket | Mailbox:
        end = _endOf(sock, self)
        if end is None:
            raise ValueError(f"{sock!r} is no open socket of {self}")
        return end

    def incoming(self, sock: CAsyncSocket) -> Way:
        """
        @param sock: a connected socket of this network.
        @return: the direction in which it receives.
        @raise ValueError: it is none.
        """
        return self._connection(sock)[1].out

    def _connection(self, sock: CAsyncSocket) -> tuple[MemorySocket, MemorySocket]:
        end = self._end(sock)
        if isinstance(end, Mailbox):
            raise ValueError(f"{sock!r} has no connection; what goes wrong with datagrams is said of who sends them")
        if end.out.target is None:
            raise ValueError(f"{sock!r} is not connected")
        return end, end.out.target

    def script(
        self, address: tuple[str, int], toListener: Faults | None = None, toClient: Faults | None = None
    ) -> None:
        """
        Say what goes wrong in every connection that is made from now on to an address.

        @param address: where somebody listens, or will: a host in numbers and a port.
        @param toListener: on the way to who listens.
        @param toClient: on the way back.
        @raise ValueError: they are said of datagrams, which make no connections.
        """
        said = self._said(address)
        for faults in (toListener, toClient):
            if not (faults is None or isinstance(faults, Faults)):
                raise TypeError(f"faults must be Faults, not {type(faults).__name__}")
            if faults is not None:
                faults.saidOf(SOCK_STREAM)
        said.toListener, said.toClient = toListener or Faults(), toClient or Faults()

    def refuse(self, address: tuple[str, int], code: int = WSAError.WSAECONNREFUSED, times: int | None = None) -> None:
        """
        Have attempts to connect to an address fail, whether somebody listens there or not.

        @param address: a host in numbers and a port.
        @param code: what C{OnConnect} is told.
        @param times: how many attempts fail; L{None}: all from now on, 0: none any more.
        @raise ValueError: the code is none that a call of the system fails with.
        """
        said, error = self._said(address), checkedCode(code)
        said.refuses = error if times is None else None
        said.refusals = [error] * (times or 0)

    def fail(self, member: str, code: int, sock: CAsyncSocket | None = None, times: int = 1) -> None:
        """
        Have a call fail, as it does when the system call beneath it fails.

        @param member: C{"Create"}, C{"Bind"}, C{"Listen"}, C{"Connect"}, C{"Accept"}, C{"Receive"}, C{"Send"} or
            C{"ShutDown"}; a C{ReceiveFrom} is a C{Receive}, and a C{SendTo} a C{Send}.
        @param code: the error.
        @param sock: whose; L{None}: of the socket of this network that makes the next such call.
        @param times: how many of its calls fail.
        @raise ValueError: C{member} can't be made to fail, or not so.
        """
        scripted = self.scripted if sock is None else self._end(sock).scripted
        scripted.add(member, code, times)

    def reset(self, sock: CAsyncSocket, code: int = WSAError.WSAECONNRESET) -> None:
        """
        Break a connection: both ends are told when the network goes on.

        @param sock: one of its ends.
        @param code: what C{OnClose} is told.
        """
        error = checkedCode(code)
        for end in reversed(self._connection(sock)):
            end.out.reset(error)

    def _said(self, address: tuple[str, int]) -> _Address:
        if not (isinstance(address, tuple) and len(address) == 2 and isinstance(address[1], int)):
            raise TypeError(f"address must be a host in numbers and a port, not {address!r}")
        return self._addresses.setdefault(address, _Address())

    # -- what its sockets want of it

    def opened(self, sock: Conduit) -> None:
        """
        A socket is there, until L{gone}.
        """
        self._open.add(sock)

    def gone(self, sock: Conduit) -> None:
        """
        A socket was closed: its name is free.
        """
        self._open.discard(sock)
        for table in (self._names, self._listeners):
            for name in [name for name, holders in table.items() if sock in holders]:
                table[name] = [other for other in table[name] if other is not sock]
                if not table[name]:
                    del table[name]

    def bind(self, sock: MemorySocket, address: SockAddr) -> SockAddr:
        """
        @return: the name that a socket has from now on.
        @raise OSError: C{EADDRINUSE}, another has it.
        """
        host, port = address[0], address[1]
        if not port:
            port = self._port()
        self._take(self._names, (sock.family, host, port), sock)
        return (host, port, *address[2:])

    def _port(self) -> int:
        taken = {port for _, _, port in self._names}
        return next(port for port in self._ports if port not in taken)

    def listens(self, sock: MemorySocket) -> None:
        """
        A socket can be connected to, by its name.

        @raise OSError: C{EADDRINUSE}.
        """
        name = sock.getsockname()
        self._take(self._listeners, (sock.family, name[0], name[1]), sock)

    @staticmethod
    def _take(table: dict[_Name, list[MemorySocket]], name: _Name, sock: MemorySocket) -> None:
        holders = table.get(name, [])
        if not all(each.getsockopt(*_REUSEPORT) for each in [sock, *holders] if holders):
            raise failing(WSAError.WSAEADDRINUSE)
        table[name] = [*holders, sock]

    def knock(self, sock: MemorySocket, address: SockAddr) -> None:
        """
        A socket wants to be connected.
        """
        name = sock.getsockname()
        here = address if isEmpty(name) else name
        sock.named((here[0], name[1] or self._port(), *here[2:]))
        said = self._addresses.get((address[0], address[1]), _Address())
        sock.out.script(said.toListener)
        sock.out.post(partial(self._arrived, sock, address, said, iter(_RETRIES)))

    def _arrived(self, sock: MemorySocket, address: SockAddr, said: _Address, retries: Iterator[int]) -> None:
        """
        Somebody knocks.
        """
        if sock.isClosed():
            return
        refusal = said.refusal()
        listener = self._listener(sock.family, address)
        if refusal is not None or listener is None:
            self.callLater(self.delay + said.toClient.delay, self._refused, sock, refusal or WSAError.WSAECONNREFUSED)
            return
        if not listener.hasRoom():
            wait = next(retries, None)
            if wait is None:
                self.callLater(_GIVE_UP, self._refused, sock, WSAError.WSAETIMEDOUT)
            else:
                self.callLater(wait, self._arrived, sock, address, said, retries)
            return
        server = MemorySocket(self, sock.family)
        server.inherit(listener)
        server.out.script(said.toClient)
        name = sock.getsockname()
        self._join(sock, server, name, address)
        listener.offer(server)
        server.out.post(partial(self._answered, sock, name, address))

    def _refused(self, sock: MemorySocket, code: WSAError) -> None:
        if not sock.isClosed():
            sock.refused(code)

    def _answered(self, sock: MemorySocket, name: SockAddr, peer: SockAddr) -> None:
        """
        The listener's answer is there.
        """
        if sock.isClosed():
            sock.out.reset()
        else:
            sock.connected(name, peer)

    def _listener(self, family: int, address: SockAddr) -> MemorySocket | None:
        port = address[1]
        nearest = self._listeners.get((family, address[0], port)) or self._listeners.get((family, ANY[family], port))
        # Of several that share an address the newest, as on Linux.
        return nearest[-1] if nearest else None
