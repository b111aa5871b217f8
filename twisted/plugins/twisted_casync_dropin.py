"""What Twisted's command lines and endpoint descriptions find of this package.

Every `twistd` of the environment imports this file, and every program that reads an endpoint's description, so it only
names things: what is named is imported when chosen. Importing a reactor here would break `twistd --reactor`.
"""

from twisted.application.reactors import Reactor
from twisted.application.service import ServiceMaker
from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor, IStreamServerEndpointStringParser
from twisted.plugin import IPlugin
from zope.interface import implementer

casyncService = ServiceMaker(
    "CAsyncSocket servers",
    "twisted_casync.tap",
    "Serve sockets in the manner of MFC's CAsyncSocket.",
    "casync",
)

casyncReactor = Reactor(
    "casync",
    "twisted_casync.reactor",
    "The epoll reactor, with sockets in the manner of CAsyncSocket in its own epoll set.",
)


@implementer(IPlugin, IStreamServerEndpointStringParser, IStreamClientEndpointStringParserWithReactor)
class _EndpointParser:
    """casync:DESCRIPTION"""

    prefix = "casync"

    def parseStreamServer(self, reactor, *args, **kwargs):
        from twisted_casync.endpoints import parseStreamServer

        return parseStreamServer(reactor, *args, **kwargs)

    def parseStreamClient(self, reactor, *args, **kwargs):
        from twisted_casync.endpoints import parseStreamClient

        return parseStreamClient(reactor, *args, **kwargs)


casyncEndpoints = _EndpointParser()
