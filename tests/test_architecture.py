"""
The laws of docs/architecture.md, read from the source.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from twisted.internet.interfaces import IReadDescriptor, IWriteDescriptor

import twisted_casync
from twisted_casync import CAsyncSocket, IAsyncSocket
from twisted_casync._readiness import Window

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "twisted_casync"

STRATA = (
    ("facts", "_lasterror"),
    ("facts", "_later"),
    ("facts", "winsock"),
    ("facts", "errors"),
    ("facts", "_serviceinterface"),
    ("facts", "interfaces"),
    ("rules", "_notify"),
    ("rules", "_handlernames"),
    ("edge", "_arguments"),
    ("edge", "_sockaddr"),
    ("edge", "_readiness"),
    ("edge", "_conduit"),
    ("edge", "_stream"),
    ("edge", "_ioctl"),
    ("edge", "_urgent"),
    ("edge", "_lookup"),
    ("edge", "_sendqueue"),
    ("edge", "_options"),
    ("edge", "_connecting"),
    ("edge", "_inspection"),
    ("edge", "_kept"),
    ("edge", "_observe"),
    ("edge", "_ownership"),
    ("edge", "_holding"),
    ("edge", "_failures"),
    ("edge", "_descriptor"),
    ("edge", "_fork"),
    ("edge", "_handles"),
    ("edge", "_looking"),
    ("edge", "_window"),
    ("edge", "_innerset"),
    ("edge", "_conduitwindow"),
    ("edge", "_threads"),
    ("socket", "_binding"),
    ("socket", "_destination"),
    ("socket", "_transfer"),
    ("socket", "_member"),
    ("socket", "_handle"),
    ("socket", "_casyncsocket"),
    ("awaited", "_handling"),
    ("awaited", "_awaiting"),
    ("awaited", "_reading"),
    ("awaited", "_csocket"),
    ("awaited", "_csocketfile"),
    ("archive", "archive"),
    ("face", "__init__"),
    ("bridges", "_seldom"),
    ("bridges", "bridges"),
    ("bridges", "endpoints"),
    ("bridges", "tls"),
    ("programs", "reactor"),
    ("programs", "_calls"),
    ("programs", "testing"),
    ("programs", "trace"),
    ("programs", "_where"),
    ("programs", "services"),
    ("programs", "tap"),
)
"""A module imports only what stands above it."""

ORDER = [name for _, name in STRATA]
CORE = [name for stratum, name in STRATA if stratum not in ("archive", "face", "bridges", "programs")]
"""
What a socket is; bridges and programs are applications, which do as applications do, and an archive knows no socket.
"""

FILES = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


def partOf(file: str) -> str:
    """
    The row that a file belongs to.
    """
    return file.split("/")[0].removesuffix(".py")


def nameOf(file: str) -> str:
    """
    What a file is imported as.
    """
    return ".".join(["twisted_casync", *file.removesuffix(".py").split("/")]).removesuffix(".__init__")


def core() -> Iterator[tuple[str, ast.Module]]:
    for name in CORE:
        yield name, FILES[f"{name}.py"]


def imported(file: str) -> Iterator[str]:
    """
    The full names of all that a file imports anywhere, each a module's or that of something in one.
    """
    for node in ast.walk(FILES[file]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= 1, "nothing here is nested that deep"
            inside = ".".join(["twisted_casync", *file.split("/")[:-1], ""]) if node.level else ""
            origin = (inside + (node.module or "")).rstrip(".")
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def ours(name: str) -> str | None:
    """
    The row of the strata that an imported name comes from.
    """
    package, _, rest = name.partition(".")
    if package != "twisted_casync":
        return None
    part = rest.split(".")[0]
    return part if part in ORDER else "__init__"


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """
    The calls of methods, by the method's name.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr, node


def modules() -> list[ModuleType]:
    return [importlib.import_module(nameOf(file)) for file in FILES if not file.endswith("__main__.py")]


# -- the strata


def test_the_strata_are_those_of_the_page() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    table = page.partition("| --- |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (\w+) \| ([^|]+) \|", table, re.MULTILINE)
    assert tuple((stratum, name) for stratum, names in rows for name in re.findall(r"`(\w+)`", names)) == STRATA


def test_every_module_has_a_place_in_the_strata() -> None:
    assert {partOf(file) for file in FILES} == set(ORDER)


def test_a_module_imports_only_what_stands_above_it() -> None:
    for file in FILES:
        part = partOf(file)
        for name in imported(file):
            row = ours(name)
            assert row is None or row == part or ORDER.index(row) < ORDER.index(part), f"{file}: {name}"


@pytest.mark.programs
@pytest.mark.parametrize("part", ["winsock", "errors", "interfaces", "_notify"])
def test_facts_and_rules_know_no_reactor(part: str) -> None:
    """Neither themselves nor through what they import."""
    alone = (
        "import importlib, sys, types\n"
        "package = sys.modules['twisted_casync'] = types.ModuleType('twisted_casync')\n"
        f"package.__path__ = [{str(PACKAGE)!r}]\n"
        f"importlib.import_module('twisted_casync.{part}')\n"
        "print([name for name in sys.modules if name.startswith('twisted.internet')])"
    )
    assert child(alone) == "[]"


def test_an_archive_knows_no_socket() -> None:
    """And its halves, and the types, know no reactor either."""
    files = [file for file in FILES if partOf(file) == "archive"]
    assert {ours(name) for file in files for name in imported(file)} == {None, "archive"}
    waits = {file for file in files for name in imported(file) if name.startswith("twisted.")}
    assert waits == {"archive/_archive.py", "archive/_file.py"}


# -- the laws


def test_only_the_windows_know_a_poller() -> None:
    pollers = {"select", "selectors", "asyncio"}
    knowing = {name for name, _ in core() if pollers & {origin.split(".")[0] for origin in imported(f"{name}.py")}}
    assert knowing == {"_fork", "_innerset", "_looking"}


def test_only_the_gate_moves_data() -> None:
    """
    _holding looks at what there is, _urgent takes the urgent byte, and passes its place, of one byte, and _inspection
    sends nothing.
    """
    moves = {"recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into"}
    moves |= {"send", "sendall", "sendto", "sendmsg", "sendfile"}
    found = {
        (file, name, ast.unparse(call)) for file, tree in FILES.items() for name, call in calls(tree) if name in moves
    }
    beside = {(file, name) for file, name, _ in found if file != "_transfer.py"}
    assert beside == {("_holding.py", "recv"), ("_urgent.py", "recv"), ("_inspection.py", "send")}
    assert {file for file, _, _ in found} >= {"_transfer.py"}
    for file, _, text in found:
        assert file != "_holding.py" or "MSG_PEEK" in text
        assert file != "_inspection.py" or "send(b''," in text
        assert file != "_urgent.py" or "MSG_OOB" in text or "recv(1" in text


def test_only_the_descriptor_calls_handlers() -> None:
    callers = {name for name, tree in core() for method, _ in calls(tree) if re.match(r"On[A-Z]", method)}
    assert callers == {"_descriptor"}
    # By their names, which are in one table; what is logged of one names it.
    texts = {name: ast.unparse(tree) for name, tree in core()}
    assert {name for name, text in texts.items() if "HANDLERS" in text} == {"_descriptor", "_failures", "_notify"}
    assert all(re.search(r"getattr\(.*On[A-Z]", text) is None for text in texts.values())


def test_only_winsock_interprets_an_errno() -> None:
    """The others hand it over as it is."""
    for file, tree in FILES.items():
        if file == "winsock.py":
            continue
        assert "errno" not in {name.split(".")[0] for name in imported(file)}, file
        handed = {
            id(argument)
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.startswith("errorFrom")
            for argument in node.args
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr == "errno":
                assert id(node) in handed, f"{file}:{node.lineno}"


def test_what_is_ours_in_a_socket_leaves_all_names_to_applications() -> None:
    theirs = {name for name, _ in [*named(IAsyncSocket), *named(IReadDescriptor), *named(IWriteDescriptor)]}
    inherited = set(dir(object)) | {"__dict__", "__doc__", "__module__", "__weakref__"}
    zopes = {"__implemented__", "__providedBy__", "__provides__"}
    # What later interpreters give every class.
    inherited |= {"__firstlineno__", "__static_attributes__", "__annotate_func__", "__annotations_cache__"}
    found = set()
    for cls in CAsyncSocket.__mro__:
        found |= {*vars(cls), *vars(cls).get("__slots__", ())}
    dunders = {name for name in found if name.startswith("__") and name.endswith("__")}
    assert {name for name in found - dunders - theirs if not name.startswith("_as_")} == set()
    assert dunders - inherited - theirs - zopes == {
        "__annotations__",
        "__copy__",
        "__del__",
        "__enter__",
        "__exit__",
        "__slots__",
    }


def named(interface: object) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = getattr(interface, "namesAndDescriptions")(all=True)  # noqa: B009  # untyped
    return found


def test_no_file_is_over_500_lines() -> None:
    folders = ("twisted_casync", "twisted", "tests", "examples", "benchmarks", "docs")
    lines = {
        path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines())
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".c", ".md")
    }
    assert {path: count for path, count in lines.items() if count > 500} == {}


def test_twisted_is_another_project_s_package() -> None:
    """What makes a package of it here would hide Twisted's own plugins."""
    assert list((ROOT / "twisted").rglob("__init__.py")) == []


# -- names and words


def test_what_is_logged_has_a_short_name_that_no_module_gives_it() -> None:
    """A Logger that is an attribute of a class is named for the class, whatever it was told."""
    loggers = [
        (file, ast.unparse(node), node in tree.body)
        for file, tree in FILES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and "Logger(" in ast.unparse(node.value)
    ]
    assert {(text, outside) for _, text, outside in loggers} == {("_log = Logger('casync')", True)}
    made = {file for file, tree in FILES.items() if re.search(r"\bLogger\(", ast.unparse(tree))}
    # The services add their own names.
    assert made - {file for file, _, _ in loggers} == {"services/_speaking.py"}


def test_a_module_names_what_it_has_for_others() -> None:
    for module in modules():
        public: list[str] = module.__all__
        assert len(set(public)) == len(public), module
        assert [name for name in public if not hasattr(module, name)] == [], module
        own = {
            name
            for name, value in vars(module).items()
            if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__ and callable(value)
        }
        assert own - set(public) == set(), module


def test_a_module_takes_from_others_only_what_they_name() -> None:
    for file in FILES:
        for name in imported(file):
            origin, _, taken = name.rpartition(".")
            if ours(name) is not None and taken not in ("*", ""):
                module = importlib.import_module(origin)
                assert taken in (*module.__all__, "__version__") or inspect.ismodule(getattr(module, taken)), (
                    f"{file}: {name}"
                )


def test_the_face_is_what_it_shows() -> None:
    assert set(twisted_casync.__all__) == {
        "AfxSocketInit",
        "AfxSocketTerm",
        "CAsyncSocket",
        *twisted_casync.archive.__all__,
        "CNotSupportedException",
        "CSocket",
        "CSocketFile",
        *twisted_casync.errors.__all__,
        *twisted_casync.interfaces.__all__,
        *twisted_casync.winsock.__all__,
    }


def isDescribed(cls: type, name: str) -> bool:
    """
    By itself, by what it stands for, or as another project's method that it replaces.
    """
    if inspect.getdoc(getattr(cls, name)) or (hasattr(Window, name) and inspect.getdoc(getattr(Window, name))):
        return True
    return any(name in vars(base) and base.__module__.startswith("twisted.") for base in cls.__mro__)


def test_all_that_is_public_is_described() -> None:
    for module in modules():
        assert inspect.getdoc(module), module
        for name, value in vars(module).items():
            if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
                continue
            if inspect.isclass(value):
                assert value.__doc__, f"{module}: {name}"
                for member, method in inspect.getmembers(value):
                    if not member.startswith("_") and (inspect.isroutine(method) or isinstance(method, property)):
                        assert isDescribed(value, member), f"{module}: {name}.{member}"
            elif inspect.isroutine(value):
                assert inspect.getdoc(value), f"{module}: {name}"


# -- importing


def child(program: str) -> str:
    """
    What a Python of its own prints.
    """
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.programs
def test_importing_any_of_it_installs_no_reactor() -> None:
    names = [nameOf(file) for file in FILES if not file.endswith("__main__.py")]
    names.append("twisted.plugins.twisted_casync_dropin")
    program = f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
    assert child(program + "print('twisted.internet.reactor' in sys.modules)") == "False"
