"""
Names of a package that are imported when somebody asks for them: a program does not wait for what it does not use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["later"]


def later(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """
    Make the C{__getattr__} of a package (PEP 562).

    @param package: its name.
    @param modules: by the name of each of its modules, the names that are taken from it, separated by blanks.
    """
    origins = {name: module for module, names in modules.items() for name in names.split()}

    def find(name: str) -> Any:
        module = name if name in modules else origins.get(name)
        if module is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = import_module(f"{package}.{module}")
        if name != module:
            found = getattr(found, name)
            # The next time it is there.
            setattr(import_module(package), name, found)
        return found

    return find
