"""`twistd casync`: which service, with which options, where."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService
from twisted.python import usage

from twisted_casync._where import KINDS, parseWhere
from twisted_casync.services import (
    SHIPPED,
    AsyncSocketService,
    Limits,
    ServiceOptions,
    SocketService,
)
from twisted_casync.services._discovery import Registered, registered
from twisted_casync.services._naming import Unusable, inOneLine
from twisted_casync.services._seen import SeenOptions

if TYPE_CHECKING:
    from twisted_casync.services._usage import CommandLine

__all__ = ["Options", "makeService"]


class _Commands:
    """What twisted.python.usage wants to know of each service, asked of it no earlier than usage asks."""

    def __init__(self, note: Callable[[Registered], None]) -> None:
        self._note = note

    def __iter__(self) -> Iterator[list[Any]]:
        for found in registered(SHIPPED):
            yield [found.name, None, partial(self._options, found), ""]

    def _options(self, found: Registered) -> Any:
        self._note(found)
        return found.service().options()


class Options(SeenOptions):
    """The command line of `twistd casync`; the service's own part is in `subOptions`.

    Whatever is wrong with a plugin is a usage error of those that ask for it, and of nobody else.
    """

    longdesc = (
        "Serves with sockets in the manner of MFC's CAsyncSocket. `twistd casync SERVICE --help` tells of the "
        "options of a service, and where it can listen."
    )

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.subCommands: Any = _Commands(self._choose)
        self._chosen: Registered | None = None
        # Once it has failed.
        self._failed: CommandLine | None = None

    opt_version = ServiceOptions.opt_version

    def opt_plugins(self) -> None:
        """Say where each service comes from, and all about those that can't be used, and exit."""
        for found in registered(SHIPPED):
            print(f"{found.name}: {found.origin}")
            try:
                found.service()
            except Unusable as error:
                print("".join(traceback.format_exception(error.__cause__ or error)))
        raise SystemExit(0)

    @property
    def synopsis(self) -> str:
        """The first line of the help, behind the program's name."""
        # A service's own synopsis is put behind this one, and its name between them.
        return "[options] SERVICE [options] [WHERE...]" if self.subCommand is None else "[options]"

    @property
    def service(self) -> Any:
        """The chosen provider of IAsyncSocketService."""
        assert self._chosen is not None
        return self._chosen.service()

    @property
    def kinds(self) -> tuple[str, ...]:
        """What the chosen service serves; of one that is none of ours, it turns out when it starts."""
        return self.service.kinds if isinstance(self.service, SocketService) else KINDS

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]
        except usage.UsageError as error:
            words = list(options or ())
            services = [found.name for found in registered(SHIPPED)]
            from twisted_casync.services._usage import CommandLine

            self._failed = CommandLine(self, *self._spoken(words))
            raise usage.UsageError(self._failed.explain(error, words, services)) from error
        except Exception as error:
            if self._chosen is None:
                raise
            who = f"{self._chosen.name} ({self._chosen.origin})"
            raise usage.UsageError(f"{who} can't be used: {inOneLine(error)}") from error

    def postOptions(self) -> None:
        if self.subCommand is None:
            names = ", ".join(found.name for found in registered(SHIPPED))
            raise usage.UsageError(f"say what to serve: {names}")
        where = self.subOptions.get("where") or self.service.where
        if not where:
            raise usage.UsageError(f"say where: {self.subCommand} has no place to listen by default")
        try:
            self.where = [parseWhere(place) if isinstance(place, str) else place for place in where]
            for place in self.where:
                place.check()
        except ValueError as error:
            raise usage.UsageError(str(error)) from None
        for place in self.where:
            if place.kind not in self.kinds:
                raise usage.UsageError(f"{place.description!r}: {self.subCommand} serves no {place.kind}s")

    def getUsage(self, width: int | None = None) -> str:
        if self._failed is not None:
            # twistd prints it in front of the error, which is to be seen.
            return f"`{self._failed.help}` tells more.\n"
        if hasattr(self, "subOptions"):
            return super().getUsage(width)
        usable, unusable = [], []
        for found in registered(SHIPPED):
            try:
                service = found.service()
            except Unusable as error:
                unusable.append(f"  {found.name} ({found.origin}): {error}\n")
            else:
                default = f" Default: {' '.join(service.where)}" if service.where else ""
                usable.append([found.name, None, None, f"{service.description}{default}"])
        self.subCommands, commands = usable, self.subCommands
        try:
            text = super().getUsage(width)
        finally:
            self.subCommands = commands
        if unusable:
            text += "Can't be used (twistd casync --plugins tells more):\n" + "".join(unusable)
        return text

    def _spoken(self, words: Sequence[str]) -> tuple[str | None, Any]:
        """The service that a command line speaks of, and its options; those that services share if it has none."""
        if self.subCommand is not None:
            return self.subCommand, getattr(self, "subOptions", None) or ServiceOptions()
        for found in registered(SHIPPED):
            if found.name in words:
                try:
                    return found.name, found.service().options()
                except Exception:
                    # What is wrong with it is told when it is asked for.
                    return found.name, ServiceOptions()
        return None, ServiceOptions()

    def _choose(self, found: Registered) -> None:
        self._chosen = found


def makeService(options: Options) -> IService:
    """Make the service that the command line asks for; nothing is opened before it is started."""
    chosen = options.subOptions
    factory = partial(options.service.listener, chosen)
    # A plugin's options need not be ours.
    limits = chosen.limits() if isinstance(chosen, ServiceOptions) else Limits()
    service = AsyncSocketService(factory, options.where, grace=chosen.get("grace", 5.0), limits=limits)
    if not (options["metrics"] or options["status"] or options["trace"]):
        return service
    from twisted_casync.services import ObservedService

    return ObservedService(
        service,
        str(options.subCommand),
        metrics=options["metrics"],
        status=bool(options["status"]),
        trace=options["trace"],
    )
