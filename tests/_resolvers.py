"""
Name resolvers that ask nobody.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IHostnameResolver
from zope.interface import implementer


@implementer(IHostnameResolver)
class Nobody:
    """
    A resolver that knows no name.
    """

    def resolveHostName(self, resolutionReceiver: Any, *arguments: Any, **options: Any) -> Any:
        resolutionReceiver.resolutionBegan(None)
        resolutionReceiver.resolutionComplete()
        return resolutionReceiver


@implementer(IHostnameResolver)
class Never:
    """
    A resolver that never answers.
    """

    def resolveHostName(self, resolutionReceiver: Any, *arguments: Any, **options: Any) -> Any:
        resolutionReceiver.resolutionBegan(None)
        return resolutionReceiver
