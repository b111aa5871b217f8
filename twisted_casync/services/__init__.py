"""The socket programs that `twistd casync` runs, and what is needed to write more of them.

Public here:

 - AsyncSocketService: a Twisted service that listens with CAsyncSockets; for a .tac file, or inside an
   Application.
 - ServiceOptions: the command line that a service's own options extend.
 - ObservedService: a service whose numbers are counted, for a program, for Prometheus, on the terminal; and traced.
 - Counts: those numbers, at one moment.
 - Limits: on connections in all, from one address, and without traffic.
 - SocketService: a plugin of `twistd casync`, as one expression.
 - StreamListener, StreamConnection: accepts, counts, names in the log, and finishes connections on stop.
 - SHIPPED: the services of this package, each in a module of its own here, imported when it is chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_casync._later import later
from twisted_casync.services._limits import Limits
from twisted_casync.services._options import ServiceOptions
from twisted_casync.services._plugin import SocketService
from twisted_casync.services._service import AsyncSocketService
from twisted_casync.services._shipped import SHIPPED
from twisted_casync.services._stream import StreamConnection, StreamListener

if TYPE_CHECKING:
    from twisted_casync.services._counters import Counts
    from twisted_casync.services._observed import ObservedService
else:
    __getattr__ = later(__name__, {"_counters": "Counts", "_observed": "ObservedService"})

__all__ = [
    "SHIPPED",
    "AsyncSocketService",
    "Counts",
    "Limits",
    "ObservedService",
    "ServiceOptions",
    "SocketService",
    "StreamConnection",
    "StreamListener",
]
