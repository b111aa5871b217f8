"""Which services there are: those of this package, of files in twisted/plugins, and of entry points.

Each is looked at only when it is asked for, and one that can't be had is told, with the reason, beside the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from twisted.logger import globalLogPublisher
from zope.interface import Invalid

from twisted_casync import IAsyncSocketService
from twisted_casync._where import parseWhere
from twisted_casync.services._naming import Unusable, inOneLine

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "Registered", "registered"]

GROUP = "twisted_casync.services"
"""The group of entry points, each named as the service that it stands for."""


class Registered:
    """One service that somebody has registered, usable or not.

    @param name: the word after `twistd casync`; of a file that can't be imported, the file's name.
    @param origin: who has registered it.
    """

    def __init__(self, name: str, origin: str, load: Callable[[], Any], taken: str | None = None) -> None:
        self.name = name
        self.origin = origin
        self._load = load
        self._taken = taken
        self._service: Any = None

    def service(self) -> Any:
        """The provider of IAsyncSocketService. Raises Unusable, which names no origin."""
        if self._taken is not None:
            raise Unusable(f"the name {self.name!r} is taken: {self._taken}")
        if self._service is None:
            try:
                service = self._load()
                _check(self.name, service)
            except Unusable:
                raise
            # Somebody else's module: it may also exit.
            except (Exception, SystemExit) as error:
                raise Unusable(inOneLine(error)) from error
            self._service = service
        return self._service


def registered(shipped: Iterable[Any]) -> Iterator[Registered]:
    """All services, ours first, and of those that have the same name the usable one first.

    @param shipped: our own. Nothing else is looked for until they have been gone through.
    """
    ours = [Registered(one.name, "twisted_casync", _given(one)) for one in shipped]
    yield from ours
    named: dict[str, list[Registered]] = {one.name: [one] for one in ours}
    for found in (*_dropIns(), *_entryPoints()):
        named.setdefault(found.name, []).append(found)
    for same in named.values():
        # Only those that compete are loaded to see which is to have the name.
        first = same[0] if len(same) == 1 else next(filter(_isUsable, same), same[0])
        if first not in ours:
            yield first
        yield from (_beside(first, other) for other in same if other is not first and not _isSame(first, other))


def _isUsable(one: Registered) -> bool:
    try:
        one.service()
    except Unusable:
        return False
    return True


def _isSame(first: Registered, second: Registered) -> bool:
    """Whether a package has registered one object in both ways."""
    return _isUsable(first) and _isUsable(second) and first.service() is second.service()


def _beside(first: Registered, other: Registered) -> Registered:
    """What is left of one that has the name of another."""
    if not _isUsable(other):
        return other
    return Registered(other.name, other.origin, other.service, taken=f"by {first.origin}")


def _given(service: Any) -> Callable[[], Any]:
    return lambda: service


def _dropIns() -> Iterator[Registered]:
    """What files in twisted/plugins provide, of whatever folder."""
    from twisted.plugin import getCache
    from twisted.python.modules import getModule

    with _unlogged():
        import twisted.plugins as package

        cache = getCache(package)
    for dropIn in cache.values():
        for plugin in dropIn.plugins:
            if any(provided.isOrExtends(IAsyncSocketService) for provided in plugin.provided):
                origin = f"{plugin.name} of {dropIn.moduleName}"
                try:
                    service = plugin.load()
                    name = str(service.name)
                except Exception:
                    yield Registered(plugin.name, origin, plugin.load)
                else:
                    yield Registered(name, origin, _given(service))
    for module in getModule(package.__name__).iterModules():
        name = module.name.rpartition(".")[2]
        if name not in cache:
            yield Registered(name, f"the file {module.filePath.path}", module.load)


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep what is logged meanwhile from the log.

    Twisted logs a traceback for each file in twisted/plugins that can't be imported, whenever anybody looks for
    plugins; twistd has just done so itself, and we tell in our own words. There is no public way to say so.
    """
    observers = globalLogPublisher._observers
    globalLogPublisher._observers = []
    try:
        yield
    finally:
        globalLogPublisher._observers = observers


def _entryPoints() -> Iterator[Registered]:
    from importlib.metadata import entry_points

    found = [Registered(point.name, _distribution(point), point.load) for point in entry_points(group=GROUP)]
    # In an order that does not depend on that of a directory.
    yield from sorted(found, key=lambda one: (one.name, one.origin))


def _distribution(point: EntryPoint) -> str:
    dist = point.dist
    return f"{point.value} of {dist.name} {dist.version}" if dist is not None else point.value


def _check(name: str, service: Any) -> None:
    """Raises Unusable unless it is what IAsyncSocketService says."""
    if not IAsyncSocketService.providedBy(service):
        what = f"the class {service.__name__}" if isinstance(service, type) else f"of type {type(service).__name__}"
        raise Unusable(f"expected an object that provides IAsyncSocketService, and it is {what}")
    if missing := [name for name in IAsyncSocketService if not hasattr(service, name)]:
        raise Unusable(f"it has no {' and no '.join(sorted(missing))}")
    from zope.interface.verify import verifyObject

    try:
        verifyObject(IAsyncSocketService, service)
    except Invalid as error:
        raise Unusable(" ".join(str(error).split())) from error
    for attribute in ("name", "description"):
        value = getattr(service, attribute)
        if not isinstance(value, str):
            raise Unusable(f"{attribute} is of type {type(value).__name__}, expected str")
    if service.name != name:
        raise Unusable(f"it is registered as {name!r}, but its name is {service.name!r}")
    if not name or name.startswith("-") or len(name.split()) != 1:
        raise Unusable(f"the name {name!r} is no word of a command line")
    if not callable(service.options):
        raise Unusable("options can't be called, expected a subclass of usage.Options")
    _checkPlaces(service.where)


def _checkPlaces(where: Any) -> None:
    if isinstance(where, str) or not isinstance(where, Sequence):
        raise Unusable(f"where is of type {type(where).__name__}, expected a tuple of str")
    try:
        for description in where:
            parseWhere(description)
    except (ValueError, TypeError) as error:
        raise Unusable(f"where: {error}") from error
