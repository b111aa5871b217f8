"""
The programming model of Microsoft's C{CAsyncSocket} (MFC), on Twisted.

A L{CAsyncSocket} is told that something is ready, through the handlers that its subclass overrides (C{OnAccept},
C{OnConnect}, C{OnReceive}, C{OnSend}, C{OnOutOfBandData}, C{OnClose}), and then calls C{Accept}, C{Receive}, C{Send}
itself.  The names, parameters, results and error codes are MFC's and Winsock's; the reactor is Twisted's.  A
L{CSocket} is one whose calls are awaited.

Where each idea lives, from the facts to the face; a module imports only what stands above it:

 - L{winsock}: the numbers and words of Winsock.  L{interfaces}: what a socket promises.  L{errors}: what an awaited
   call raises.
 - C{_notify}: whether an event is news.
 - C{_arguments}, C{_sockaddr}: what a program may pass.  C{_urgent}: urgent data on Linux.  C{_lookup}: names.
 - C{_observe}: how all that is seen from outside.
 - C{_descriptor}: the socket as the reactor's descriptor.  C{_window}: where readiness comes from.
 - C{_threads}: what MFC keeps per thread.
 - C{_options}, C{_binding}: Winsock's options and ports over the platform's.
 - C{_transfer}: the calls that move data.  C{_casyncsocket}: the other members.
 - C{_handling}: the handlers that wait.  C{_awaiting}: the calls that wait.  C{_reading}: exactly so many bytes,
   lines.  C{_csocket}, C{_csocketfile}: MFC's blocking classes.
 - L{archive}: MFC's C{CArchive}.
 - L{services}, C{tap}: what C{twistd casync} runs.  L{testing}: for the tests of programs that use this.  L{trace}:
   what sockets do, written down and drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import interfaces, winsock
from ._casyncsocket import CAsyncSocket
from ._later import later
from ._threads import AfxSocketInit, AfxSocketTerm
from .interfaces import *  # noqa: F403  # the public names of these are those of the package
from .winsock import *  # noqa: F403

__all__ = ["AfxSocketInit", "AfxSocketTerm", "CAsyncSocket", "CNotSupportedException", "CSocket", "CSocketFile"]
__all__ += interfaces.__all__
__all__ += winsock.__all__

if TYPE_CHECKING:
    from . import archive, errors
    from ._csocket import CSocket
    from ._csocketfile import CNotSupportedException, CSocketFile
    from .archive import *  # noqa: F403
    from .errors import *  # noqa: F403

    __all__ += archive.__all__
    __all__ += errors.__all__
else:
    # A program that uses none of this does not wait for it to be imported.
    _LATER = {
        "_csocket": "CSocket",
        "_csocketfile": "CNotSupportedException CSocketFile",
        "errors": """
        IncompleteRead LimitExceeded WinsockAccessDenied WinsockAddressError WinsockArgumentError WinsockBusy
        WinsockConnectionAborted WinsockConnectionRefused WinsockConnectionReset WinsockError WinsockInterrupted
        WinsockNameError WinsockResourceError WinsockShutDown WinsockStateError WinsockTimedOut
        WinsockUnreachable winsockError
        """,
        "archive": """
        BOOL BOOLEAN BYTE CHAR DOUBLE DWORD FLOAT IMPLEMENT_SERIAL INT LONG LONGLONG RUNTIME_CLASS SHORT UINT
        ULONGLONG VERSIONABLE_SCHEMA WCHAR WORD ArchiveIncomplete ArchiveLimits CArchive CArchiveException
        CArray CByteArray CDWordArray CList CMap CMapStringToOb CMapStringToString CMapWordToOb CObArray CObList
        CObject COleCurrency COleDateTime COleDateTimeSpan CPoint CRect CRuntimeClass CSize CString CStringA
        CStringArray CStringList CStringW CTime CWordArray ClassRegistry Serialized
        """,
    }
    __all__ += [name for names in _LATER.values() for name in names.split() if name not in __all__]
    __getattr__ = later(__name__, _LATER)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, *_LATER})


# Read by setup.cfg, without an import; a program that runs from the sources has it too.
__version__ = "0.1.0"
