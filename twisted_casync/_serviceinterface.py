"""The interface of a plugin: a service of C{twistd casync}."""

from __future__ import annotations

from typing import Any

from twisted.plugin import IPlugin
from zope.interface import Attribute

__all__ = ["IAsyncSocketService"]


class IAsyncSocketService(IPlugin):
    """A plugin that serves sockets under a word that C{twistd casync} understands.

    It is an object of a module in C{twisted/plugins}, or an entry point of the group C{twisted_casync.services} that
    has the service's name. C{twisted_casync.services.SocketService} is one for most purposes."""

    name = Attribute("The word after C{twistd casync} (str).")
    description = Attribute("One line for C{twistd casync --help} (str).")
    options = Attribute(
        "A usage.Options subclass, or a function that makes one: the service's own options. WHERE, the limits and "
        "C{--grace} are those of C{twisted_casync.services.ServiceOptions}, which they can extend."
    )
    where = Attribute(
        'Where to listen by default: a tuple of str such as ("tcp:7007", "udp:7007"); empty where the command line '
        "has to say."
    )

    def listener(options: Any, kind: str) -> Any:
        """Make the object that listens at one place; called for each place anew.

        @param options: the parsed usage.Options.
        @param kind: "stream" or "datagram".
        @return: a new, unbound provider of IAsyncSocket. The caller binds it, and makes a stream listen; its
            handlers serve.
        @raise ValueError: the service does not serve that kind."""
