"""The services of this package. What each is made of is in a module of its own, which is imported when it is chosen."""

from __future__ import annotations

from typing import Final

from twisted_casync.services._plugin import SocketService

__all__ = ["SHIPPED"]


def _service(name: str, description: str, *where: str, **parts: str) -> SocketService:
    """
    @param parts: the names, in the module of the service, of what L{SocketService} takes.
    """
    named = {part: f"twisted_casync.services.{name}:{what}" for part, what in parts.items()}
    return SocketService(name, description, where=where, **named)


SHIPPED: Final = (
    _service(
        "echo",
        "Send back what comes (RFC 862).",
        "tcp:7007",
        "udp:7007",
        stream="EchoListener",
        datagram="DatagramEcho",
    ),
    _service(
        "discard",
        "Throw away what comes (RFC 863).",
        "tcp:7009",
        "udp:7009",
        stream="DiscardListener",
        datagram="DatagramDiscard",
    ),
    _service(
        "chargen",
        "Send characters without end (RFC 864).",
        "tcp:7019",
        "udp:7019",
        stream="ChargenListener",
        datagram="DatagramChargen",
    ),
    _service(
        "daytime",
        "Say the date and the time in words (RFC 867).",
        "tcp:7013",
        "udp:7013",
        stream="DaytimeListener",
        datagram="DatagramDaytime",
    ),
    _service(
        "time",
        "Say the time as a 32-bit number (RFC 868).",
        "tcp:7037",
        "udp:7037",
        stream="TimeListener",
        datagram="DatagramTime",
    ),
    _service(
        "forward",
        "Take connections on to another place: forward --to HOST:PORT.",
        "tcp:7080:interface=127.0.0.1",
        stream="streams",
        options="ForwardOptions",
    ),
    _service(
        "chat",
        "A room for clients that send and read lines, as nc and telnet.",
        "tcp:7070",
        stream="ChatListener",
    ),
    _service(
        "run",
        "Serve with a class of your own: run mypackage.sockets:ChatListener tcp:9000",
        stream="streams",
        datagram="datagrams",
        options="RunOptions",
    ),
)
