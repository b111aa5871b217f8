"""An epoll loop with nothing around it: what CPython can do."""

from __future__ import annotations

import select
import socket

from . import BACKLOG, DATAGRAM_BUFFER, announce, noDelay, pattern

__all__ = ["serve"]

BATCH = 64  # connections accepted, or datagrams answered, in one go
EVENTS = 1023


def listening() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    listener.setblocking(False)
    noDelay(listener.fileno())
    return listener


def acceptInto(clients: dict[int, socket.socket], listener: socket.socket, poller: select.epoll, events: int) -> None:
    """Accept what waits."""
    try:
        for _ in range(BATCH):
            client, _ = listener.accept()
            client.setblocking(False)
            descriptor = client.fileno()
            clients[descriptor] = client
            poller.register(descriptor, events)
    except BlockingIOError:
        pass


def echo(buffer: int) -> None:
    listener, poller = listening(), select.epoll()
    door = listener.fileno()
    poller.register(door, select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    unsent: dict[int, memoryview] = {}
    space = bytearray(buffer)
    view = memoryview(space)
    announce(listener.getsockname()[1])
    while True:
        for descriptor, _ in poller.poll(-1, EVENTS):
            if descriptor == door:
                acceptInto(clients, listener, poller, select.EPOLLIN)
                continue
            client = clients[descriptor]
            try:
                if descriptor in unsent:
                    data = unsent[descriptor]
                else:
                    count = client.recv_into(space)
                    if not count:
                        del clients[descriptor]
                        client.close()
                        continue
                    data = view[:count]
                try:
                    sent = client.send(data)
                except BlockingIOError:
                    sent = 0
            except OSError:
                del clients[descriptor]
                unsent.pop(descriptor, None)
                client.close()
                continue
            if sent < len(data):
                if descriptor not in unsent:
                    data = memoryview(bytes(data))
                    poller.modify(descriptor, select.EPOLLOUT)
                unsent[descriptor] = data[sent:]
            elif descriptor in unsent:
                del unsent[descriptor]
                poller.modify(descriptor, select.EPOLLIN)


def sink(buffer: int) -> None:
    listener, poller = listening(), select.epoll()
    door = listener.fileno()
    poller.register(door, select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    space = bytearray(buffer)
    announce(listener.getsockname()[1])
    while True:
        for descriptor, _ in poller.poll(-1, EVENTS):
            if descriptor == door:
                acceptInto(clients, listener, poller, select.EPOLLIN)
                continue
            try:
                count = clients[descriptor].recv_into(space)
            except OSError:
                count = 0
            if not count:
                clients.pop(descriptor).close()


def source(buffer: int) -> None:
    listener, poller = listening(), select.epoll()
    door = listener.fileno()
    poller.register(door, select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    positions: dict[int, int] = {}
    content = pattern(buffer)
    announce(listener.getsockname()[1])
    while True:
        for descriptor, _ in poller.poll(-1, EVENTS):
            if descriptor == door:
                acceptInto(clients, listener, poller, select.EPOLLOUT)
                continue
            position = positions.get(descriptor, 0)
            try:
                position += clients[descriptor].send(content[position:])
            except BlockingIOError:
                continue
            except OSError:
                clients.pop(descriptor).close()
                positions.pop(descriptor, None)
                continue
            positions[descriptor] = position % len(content)


def datagrams(buffer: int) -> None:
    here = socket.socket(type=socket.SOCK_DGRAM)
    here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DATAGRAM_BUFFER)
    here.bind(("127.0.0.1", 0))
    here.setblocking(False)
    poller = select.epoll()
    poller.register(here, select.EPOLLIN)
    space = bytearray(buffer)
    view = memoryview(space)
    announce(here.getsockname()[1])
    while True:
        poller.poll(-1, EVENTS)
        try:
            for _ in range(BATCH):
                count, peer = here.recvfrom_into(space)
                here.sendto(view[:count], peer)
        except BlockingIOError:
            pass


def serve(service: str, buffer: int) -> None:
    """Serve one of the services."""
    {"echo": echo, "sink": sink, "source": source, "datagrams": datagrams}[service](buffer)
