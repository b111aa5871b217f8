"""`twistd casync`: which service, with which options, where."""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.application.service import IService
from twisted.plugin import getPlugins
from twisted.python import usage

from twisted_casync.interfaces import IAsyncSocketService
from twisted_casync.services import SHIPPED, AsyncSocketService, ServiceOptions
from twisted_casync.services._seen import SeenOptions, seen

__all__ = ["Options", "makeService"]


def _services() -> dict[str, Any]:
    """What can be served, by name: our own services, then those of plugins. The first of a name wins."""
    found: dict[str, Any] = {}
    for service in (*SHIPPED, *getPlugins(IAsyncSocketService)):
        found.setdefault(service.name, service)
    return found


class Options(SeenOptions):
    """The command line of `twistd casync`; the service's own part is in `subOptions`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.services = _services()
        self.subCommands = [
            [name, None, service.options, f"{service.description} Default: {' '.join(service.where)}"]
            for name, service in self.services.items()
        ]

    opt_version = ServiceOptions.opt_version

    @property
    def synopsis(self) -> str:
        """The first line of the help, behind the program's name."""
        # A service's own synopsis is put behind this one, and its name between them.
        return "[options] SERVICE" if self.subCommand is None else "[options]"

    def postOptions(self) -> None:
        if self.subCommand is None:
            raise usage.UsageError(f"say what to serve: {', '.join(self.services)}")


def makeService(options: Options) -> IService:
    """Make the service that the command line asks for; nothing is opened before it is started."""
    plugin = options.services[str(options.subCommand)]
    chosen = options.subOptions
    where = chosen.get("where") or plugin.where
    service = AsyncSocketService(partial(plugin.listener, chosen), where, grace=chosen.get("grace", 5.0))
    return seen(options, str(options.subCommand), service)
