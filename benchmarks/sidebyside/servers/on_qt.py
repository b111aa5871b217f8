"""Qt's QTcpSocket and QUdpSocket, in Python through PySide6. Qt itself decides how much it receives at a time."""

from __future__ import annotations

import signal

from PySide6.QtCore import QCoreApplication
from PySide6.QtNetwork import QAbstractSocket, QHostAddress, QTcpServer, QTcpSocket, QUdpSocket

from . import BACKLOG, DATAGRAM_BUFFER, announce, noDelay, pattern

__all__ = ["serve"]

# PySide6 6.12 takes three references to None too many away for each connection that ends, which aborts a Python in
# which None can die (before 3.12) after some thousand of them. These are for a million connections.
SPARE = [None] * 3_000_000
LIMIT = 1 << 20  # bytes that may wait to be sent before the other side is not read from any more


class Echo:
    def __init__(self, connection: QTcpSocket, buffer: int) -> None:
        self.connection = connection
        connection.readyRead.connect(self.answer)
        connection.bytesWritten.connect(self.answer)
        self.answer()

    def answer(self) -> None:
        """Answer what is there, also of what came before this was connected to it."""
        connection = self.connection
        if connection.bytesAvailable() and connection.bytesToWrite() < LIMIT:
            connection.write(connection.readAll())


class Sink:
    def __init__(self, connection: QTcpSocket, buffer: int) -> None:
        self.connection = connection
        connection.readyRead.connect(self.discard)
        self.discard()

    def discard(self) -> None:
        self.connection.readAll()


class Source:
    def __init__(self, connection: QTcpSocket, buffer: int) -> None:
        self.connection = connection
        self.content = bytes(pattern(buffer))
        connection.bytesWritten.connect(self.more)
        self.more()

    def more(self) -> None:
        if self.connection.bytesToWrite() < len(self.content):
            self.connection.write(self.content)


class Listener:
    def __init__(self, service: str, buffer: int) -> None:
        self.child = {"echo": Echo, "sink": Sink, "source": Source}[service]
        self.buffer = buffer
        self.connections: dict[QTcpSocket, object] = {}
        self.server = QTcpServer()
        self.server.setListenBacklogSize(BACKLOG)
        self.server.setMaxPendingConnections(BACKLOG)
        self.server.newConnection.connect(self.accept)
        if not self.server.listen(QHostAddress.SpecialAddress.LocalHost):
            raise SystemExit(self.server.errorString())
        noDelay(int(self.server.socketDescriptor()))
        announce(self.server.serverPort())

    def accept(self) -> None:
        while self.server.hasPendingConnections():
            connection = self.server.nextPendingConnection()
            connection.disconnected.connect(self.forget)
            self.connections[connection] = self.child(connection, self.buffer)
            if connection.state() != QAbstractSocket.SocketState.ConnectedState:
                self.drop(connection)

    def forget(self) -> None:
        for connection in list(self.connections):
            if connection.state() != QAbstractSocket.SocketState.ConnectedState:
                self.drop(connection)

    def drop(self, connection: QTcpSocket) -> None:
        if self.connections.pop(connection, None) is not None:
            connection.deleteLater()


class Datagrams:
    def __init__(self, buffer: int) -> None:
        self.buffer = buffer
        self.here = QUdpSocket()
        if not self.here.bind(QHostAddress(QHostAddress.SpecialAddress.LocalHost), 0):
            raise SystemExit(self.here.errorString())
        self.here.setSocketOption(QAbstractSocket.SocketOption.ReceiveBufferSizeSocketOption, DATAGRAM_BUFFER)
        self.here.readyRead.connect(self.answer)
        announce(self.here.localPort())

    def answer(self) -> None:
        while self.here.hasPendingDatagrams():
            data, host, port = self.here.readDatagram(self.buffer)
            self.here.writeDatagram(data, host, port)


def serve(service: str, buffer: int) -> None:
    """Serve one of the services."""
    # Qt's loop doesn't come back to Python for a signal.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    application = QCoreApplication([])
    here = Datagrams(buffer) if service == "datagrams" else Listener(service, buffer)
    application.exec()
    del here
