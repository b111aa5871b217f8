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
 - SHIPPED: the services of this package, each in a module of its own here.
"""

from __future__ import annotations

from twisted_casync.services._counters import Counts
from twisted_casync.services._limits import Limits
from twisted_casync.services._observed import ObservedService
from twisted_casync.services._options import ServiceOptions
from twisted_casync.services._plugin import SocketService
from twisted_casync.services._service import AsyncSocketService
from twisted_casync.services._stream import StreamConnection, StreamListener
from twisted_casync.services.chargen import chargen
from twisted_casync.services.chat import chat
from twisted_casync.services.daytime import daytime
from twisted_casync.services.discard import discard
from twisted_casync.services.echo import echo
from twisted_casync.services.forward import forward
from twisted_casync.services.run import run
from twisted_casync.services.time import time

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

SHIPPED = (echo, discard, chargen, daytime, time, forward, chat, run)
