"""
Classes whose objects can be sent: their names, versions and bases (MFC's run-time object model).

What comes from a network may name only classes that are in the archive's registry, and of these only such as are asked
for.  A name is looked up in a table; nothing is ever imported or evaluated because of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from twisted_casync.archive._wire import LONGEST_CLASS_NAME, VERSIONABLE_SCHEMA

if TYPE_CHECKING:
    from twisted_casync.archive._carchive import CArchive

__all__ = ["IMPLEMENT_SERIAL", "RUNTIME_CLASS", "CObject", "CRuntimeClass", "ClassRegistry", "theClasses"]

_NOT_SERIAL = 0xFFFF
C = TypeVar("C", bound="type[CObject]")


@dataclass(frozen=True)
class CRuntimeClass:
    """
    What is known of a class (C{CRuntimeClass}).

    @ivar m_lpszClassName: the name that stands in archives.
    @ivar m_wSchema: its version, with C{VERSIONABLE_SCHEMA} where it reads others too; 0xFFFF: its objects can't be
        sent.
    @ivar pyClass: the class itself.
    """

    m_lpszClassName: str
    m_wSchema: int
    pyClass: type[CObject]

    @property
    def m_pBaseClass(self) -> CRuntimeClass | None:
        """
        What is known of the nearest base that has such information; L{None} for L{CObject}.
        """
        for base in self.pyClass.__mro__[1:]:
            found = vars(base).get("_runtimeClass")
            if found is not None:
                return found  # type: ignore[no-any-return]  # set by IMPLEMENT_SERIAL alone
        return None

    def CreateObject(self) -> CObject:
        """
        @return: a new object of the class, made without arguments.
        """
        return self.pyClass()

    def IsDerivedFrom(self, pBaseClass: CRuntimeClass) -> bool:
        """
        @return: whether the class is C{pBaseClass}, or derived from it.
        """
        return issubclass(self.pyClass, pBaseClass.pyClass)


class CObject:
    """
    The base of what has a C{Serialize} (C{CObject}).

    A class of which objects are sent as such, by C{ar << pOb}, is decorated with L{IMPLEMENT_SERIAL}, and can be made
    without arguments.
    """

    _runtimeClass: ClassVar[CRuntimeClass]

    def Serialize(self, ar: CArchive) -> None:
        """
        Write this object to an archive, or read it: the subclass's to override, for both directions, as in C++.

        While reading over a network it can be called on a fresh object more than once, from the beginning of the
        data: it should fill the object, and do nothing else.

        @param ar: the archive; C{ar.IsStoring()} tells the direction.
        """

    def GetRuntimeClass(self) -> CRuntimeClass:
        """
        @return: what is known of the nearest class that was given L{IMPLEMENT_SERIAL}, as in C++.
        """
        return self._runtimeClass

    def IsKindOf(self, pClass: CRuntimeClass | type[CObject]) -> bool:
        """
        @return: whether the object is of that class, or of one derived from it.
        """
        return isinstance(self, RUNTIME_CLASS(pClass).pyClass)

    def IsSerializable(self) -> bool:
        """
        @return: whether it can be sent by C{ar << pOb}.
        """
        return self._runtimeClass.m_wSchema != _NOT_SERIAL

    def archiveStore(self, ar: CArchive) -> None:
        """
        C{ar << pOb}.
        """
        ar.WriteObject(self)

    @classmethod
    def archiveLoad(cls, ar: CArchive) -> Any:
        """
        C{ar >> pOb}: an object of this class or one derived from it, or L{None}.
        """
        return ar.ReadObject(cls)


CObject._runtimeClass = CRuntimeClass("CObject", _NOT_SERIAL, CObject)


def RUNTIME_CLASS(class_name: CRuntimeClass | type[CObject]) -> CRuntimeClass:
    """
    What is known of a class (C{RUNTIME_CLASS}).

    @param class_name: the class; also what is known of it, which is given back.
    @raise TypeError: it is neither.
    """
    if isinstance(class_name, CRuntimeClass):
        return class_name
    if isinstance(class_name, type) and issubclass(class_name, CObject):
        return class_name._runtimeClass
    raise TypeError(f"a class derived from CObject is needed, not {class_name!r}")


class ClassRegistry:
    """
    The classes whose objects may come, by their names.  A program that talks to others gives its archive one that has
    what the protocol needs: C{ClassRegistry(CMsg, CStringList)}.
    """

    def __init__(self, *classes: type[CObject]) -> None:
        """
        @param classes: with L{IMPLEMENT_SERIAL}.
        @raise TypeError: one is without.
        """
        self._byName: dict[str, CRuntimeClass] = {}
        for cls in classes:
            self.add(cls)

    def add(self, cls: type[CObject]) -> None:
        """
        @param cls: with L{IMPLEMENT_SERIAL}.
        @raise TypeError: it is without.
        @raise ValueError: another class has the name already.
        """
        known = vars(cls).get("_runtimeClass")
        if known is None or known.m_wSchema == _NOT_SERIAL:
            raise TypeError(f"{cls.__name__} needs IMPLEMENT_SERIAL")
        other = self._byName.setdefault(known.m_lpszClassName, known)
        if other is not known:
            raise ValueError(f"another class is called {known.m_lpszClassName}: {other.pyClass!r}")

    def classNamed(self, name: str) -> CRuntimeClass | None:
        """
        @return: the class of that name, or L{None}.
        """
        return self._byName.get(name)

    def __iter__(self) -> Iterator[CRuntimeClass]:
        return iter(self._byName.values())


theClasses = ClassRegistry()
"""Every class with L{IMPLEMENT_SERIAL}: what an archive admits that is given no registry of its own."""


def IMPLEMENT_SERIAL(
    class_name: str,
    base_class_name: type[CObject],
    wSchema: int,
    *,
    classes: ClassRegistry | None = None,
) -> Callable[[C], C]:
    """
    The decorator of a class whose objects can be sent (C{DECLARE_SERIAL} and C{IMPLEMENT_SERIAL})::

        @IMPLEMENT_SERIAL("CAge", CObject, 1)
        class CAge(CObject):
            ...

    @param class_name: the name that stands in archives: what the class is called in C++.
    @param base_class_name: the base that has run-time information itself.
    @param wSchema: the version, 0 to 0xFFFE; or-ed with C{VERSIONABLE_SCHEMA} where C{Serialize} reads others too.
    @param classes: the registry to put it into; the one of all classes unless given.
    @raise TypeError: the class is not derived from C{base_class_name}.
    @raise ValueError: the name or the version can't stand in an archive, or another class has the name.
    """
    if not class_name.isascii() or not 0 < len(class_name) <= LONGEST_CLASS_NAME:
        raise ValueError(f"class_name must be 1 to {LONGEST_CLASS_NAME} ASCII characters, not {class_name!r}")
    if not 0 <= wSchema & ~VERSIONABLE_SCHEMA < _NOT_SERIAL:
        raise ValueError(f"wSchema must be 0 to 0xFFFE, alone or with VERSIONABLE_SCHEMA, not {wSchema:#x}")

    def implement(cls: C) -> C:
        if not issubclass(cls, base_class_name):
            raise TypeError(f"{cls.__name__} is not derived from {base_class_name.__name__}")
        cls._runtimeClass = CRuntimeClass(class_name, wSchema, cls)
        (theClasses if classes is None else classes).add(cls)
        return cls

    return implement
