"""What Twisted's command lines find of this package.

Every `twistd` of the environment imports this file, so it only names things: what is named is imported when
chosen. Importing a reactor here would break `twistd --reactor`.
"""

from twisted.application.reactors import Reactor
from twisted.application.service import ServiceMaker

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
