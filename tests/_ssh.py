"""
An SSH server of Twisted's, whose commands send their input back or are a protocol's, and a client's endpoint for it.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.conch.avatar import ConchUser
from twisted.conch.client.knownhosts import KnownHostsFile
from twisted.conch.endpoints import SSHCommandClientEndpoint
from twisted.conch.interfaces import IConchUser
from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.connection import SSHConnection
from twisted.conch.ssh.factory import SSHFactory
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.userauth import SSHUserAuthServer
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.python.filepath import FilePath
from zope.interface import implementer

_NAME, _PASSWORD = b"user", b"secret"


class _EchoingChannel(SSHChannel):
    """
    A session whose command is C{cat}, whatever it is called.
    """

    name = b"session"

    def request_exec(self, data: bytes) -> bool:
        return True

    def dataReceived(self, data: bytes) -> None:
        self.write(data)  # type: ignore[no-untyped-call]

    def eofReceived(self) -> None:
        self.loseConnection()  # type: ignore[no-untyped-call]


class _CarryingChannel(SSHChannel):
    """
    A session whose command is a protocol's.
    """

    name = b"session"

    def __init__(self, protocol: Any, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._protocol = protocol

    def request_exec(self, data: bytes) -> bool:
        self._protocol.makeConnection(self)
        return True

    def dataReceived(self, data: bytes) -> None:
        self._protocol.dataReceived(data)

    def closed(self) -> None:
        self._protocol.connectionLost(Failure(ConnectionDone()))


@implementer(IRealm)
class _Realm:
    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
        avatar = ConchUser()
        avatar.channelLookup[b"session"] = self._channel
        return IConchUser, avatar, lambda: None


def server(protocol: Any = None) -> Any:
    """
    @param protocol: what a command is the connection of; L{None}: it sends its input back.
    @return: the factory of an SSH server.
    """
    channel = _EchoingChannel if protocol is None else partial(_CarryingChannel, protocol)
    key = Key(Ed25519PrivateKey.generate())
    factory: Any = SSHFactory()
    factory.portal = Portal(_Realm(channel), [InMemoryUsernamePasswordDatabaseDontUse(**{_NAME.decode(): _PASSWORD})])
    factory.publicKeys = {b"ssh-ed25519": key.public()}
    factory.privateKeys = {b"ssh-ed25519": key}
    factory.services = {b"ssh-userauth": SSHUserAuthServer, b"ssh-connection": SSHConnection}
    return factory


def client(reactor: Any, host: str, port: int, factory: Any, folder: str) -> Any:
    """
    @return: an endpoint that runs a command there.
    @param folder: where to keep the file of known hosts.
    """
    known: Any = KnownHostsFile(FilePath(folder).child("known_hosts"))
    known.addHostKey(host.encode(), factory.publicKeys[b"ssh-ed25519"])
    known.addHostKey(f"[{host}]:{port}".encode(), factory.publicKeys[b"ssh-ed25519"])
    return SSHCommandClientEndpoint.newConnection(
        reactor, b"cat", _NAME, cast(Any, host), port, password=_PASSWORD, knownHosts=known, agentEndpoint=None
    )
