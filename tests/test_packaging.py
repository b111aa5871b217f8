"""Each way to install this package gives a working `twistd casync`, in an environment that has nothing else.

Whether Twisted finds a plugin depends on how the installation puts files on sys.path, so only an installation
tells.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from configparser import ConfigParser
from pathlib import Path

import pytest
from _twistd import CHECKOUT, PATIENCE, Child

import twisted_casync

DROP_IN = "twisted/plugins/twisted_casync_dropin.py"
FIXTURES = "pytest_twisted_casync.py"


def run(*command: object, cwd: Path | None = None) -> str:
    """What a command prints; it must succeed."""
    result = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=clean(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def clean() -> dict[str, str]:
    """This environment without what would let a fresh one see the checkout."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


class Environment:
    """A fresh virtual environment that installs from a folder, so that only `house` uses the network."""

    def __init__(self, path: Path, house: Path) -> None:
        run(sys.executable, "-m", "venv", path)
        self.path = path
        self.house = house

    def script(self, name: str) -> str:
        return str(self.path / "bin" / name)

    def install(self, *what: object) -> None:
        # Also where pip builds: it installs setuptools from the same folder.
        run(self.script("pip"), "install", "-q", "--no-index", "--find-links", self.house, *what)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the package needs, and what builds it, as wheels."""
    path = tmp_path_factory.mktemp("house")
    setup = ConfigParser()
    setup.read(CHECKOUT / "setup.cfg")
    needed = setup["options"]["install_requires"].split()
    run(sys.executable, "-m", "pip", "download", "-q", "-d", path, "setuptools>=64", "wheel", *needed)
    return path


def copySources(path: Path) -> Path:
    """The checkout, copied: a build leaves a folder behind whose files the next one would pack again."""
    kept = {"setup.cfg", "pyproject.toml", "MANIFEST.in", "LICENSE", "README.md", "CHANGELOG.md"}
    kept |= {"SECURITY.md", "noxfile.py", ".github", ".pre-commit-config.yaml"}
    kept |= {FIXTURES, "CONTRIBUTING.md", ".ci", "twisted", "twisted_casync", "tests", "examples", "benchmarks", "docs"}

    def ignored(folder: str, names: list[str]) -> set[str]:
        if Path(folder) == CHECKOUT:
            return set(names) - kept
        return {"__pycache__", "dropin.cache"} & set(names)

    return Path(shutil.copytree(CHECKOUT, path, ignore=ignored))


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    return copySources(tmp_path / "sources")


@pytest.fixture(scope="module")
def built(house: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A wheel and a source distribution."""
    path = tmp_path_factory.mktemp("built")
    copy = copySources(path / "sources")
    # Something to be left out.
    (copy / "twisted" / "plugins" / "dropin.cache").write_bytes(b"")
    builder = Environment(path / "builder", house)
    builder.install("setuptools", "wheel")
    program = (
        # setuptools replaces sys.argv.
        "import sys; from setuptools import build_meta; folder = sys.argv[1]; "
        "build_meta.build_sdist(folder); build_meta.build_wheel(folder)"
    )
    run(builder.script("python"), "-c", program, path, cwd=copy)
    return next(path.glob("*.whl")), next(path.glob("*.tar.gz"))


def serves(environment: Environment, elsewhere: Path) -> None:
    """`twistd casync` is there, and echoes."""
    twistd = environment.script("twistd")
    # From a folder that is not the checkout, since Python looks for modules in the current one too.
    assert re.search(r"^ +casync ", run(twistd, "--help", cwd=elsewhere), re.MULTILINE)
    assert re.search(r"^ +echo ", run(twistd, "casync", "--help", cwd=elsewhere), re.MULTILINE)
    command = [twistd, "-n", "--pidfile=", "casync", "echo", "tcp:0:interface=127.0.0.1"]
    with (
        Child(command, clean(), elsewhere) as child,
        socket.create_connection(child.listening("tcp"), PATIENCE) as connection,
    ):
        connection.sendall(b"hello")
        assert connection.recv(5) == b"hello"


def fromSources(environment: Environment, sources: Path, wheel: Path) -> None:
    environment.install(sources)


def editable(environment: Environment, sources: Path, wheel: Path) -> None:
    environment.install("-e", sources)


def fromWheel(environment: Environment, sources: Path, wheel: Path) -> None:
    environment.install(wheel)


@pytest.mark.programs
@pytest.mark.slow
@pytest.mark.parametrize("install", [fromSources, editable, fromWheel])
def test_installed_in_a_fresh_environment(
    install: Callable[[Environment, Path, Path], None],
    tmp_path: Path,
    house: Path,
    sources: Path,
    built: tuple[Path, Path],
) -> None:
    environment = Environment(tmp_path / "venv", house)
    install(environment, sources, built[0])
    serves(environment, tmp_path)
    run(environment.script("pip"), "uninstall", "-q", "-y", "twisted_casync")
    # Twisted itself is whole without us, and the service is gone.
    assert not re.search(r"^ +casync ", run(environment.script("twistd"), "--help"), re.MULTILINE)


@pytest.mark.programs
@pytest.mark.slow
def test_the_wheel_holds_the_package_a_drop_in_and_the_fixtures(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        names = [name for name in wheel.namelist() if not name.startswith("twisted_casync-")]
    assert {name for name in names if not name.startswith("twisted_casync/")} == {DROP_IN, FIXTURES}
    modules = {str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "twisted_casync").rglob("*.py")}
    assert {*modules, "twisted_casync/py.typed"} == {name for name in names if name not in (DROP_IN, FIXTURES)}


@pytest.mark.programs
@pytest.mark.slow
def test_the_version_of_the_wheel_is_that_of_the_package(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        (metadata,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        assert f"Version: {twisted_casync.__version__}" in wheel.read(metadata).decode().splitlines()


@pytest.mark.programs
@pytest.mark.slow
def test_the_source_distribution_can_be_tested(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"setup.cfg", "pyproject.toml", "LICENSE", DROP_IN, "tests/test_packaging.py", ".ci/run"} <= names
    assert {"noxfile.py", "SECURITY.md", ".github/workflows/ci.yml"} <= names
    assert not any(name.endswith(("dropin.cache", ".pyc")) for name in names)


def test_what_is_promised_is_what_is_run() -> None:
    """The Pythons of the classifiers have sessions and jobs, and no others but those that may still fail."""
    setup = ConfigParser()
    setup.read(CHECKOUT / "setup.cfg")
    promised = re.findall(r"Python :: (3\.\d+)$", setup["metadata"]["classifiers"], re.MULTILINE)
    sessions = re.findall(r'"(3\.\d+)"', re.findall(r"^PYTHONS = .*$", read("noxfile.py"), re.MULTILINE)[0])
    workflow = read(".github/workflows/ci.yml")
    jobs = re.findall(r'"(3\.\d+)"', re.findall(r"python: (.*)$", workflow, re.MULTILINE)[0])
    unproven = re.findall(r"continue-on-error: .*'(3\.\d+)'", workflow)
    assert sessions == jobs == promised + unproven
    assert setup["options"]["python_requires"] == f">={promised[0]}"
    assert f"with CPython {promised[0]} to {promised[-1]}." in read("README.md")


def read(path: str) -> str:
    return (CHECKOUT / path).read_text()


def test_nothing_of_ours_replaces_twisted() -> None:
    # twisted/__init__.py would overwrite Twisted's own; twisted/plugins/__init__.py would hide every other
    # plugin.
    assert [str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "twisted").rglob("*.py")] == [DROP_IN]


def test_the_editable_install_is_plain() -> None:
    # Without this line setuptools installs an import hook instead of a .pth file, and Twisted, which looks at
    # the folders of sys.path, doesn't find the drop-in.
    setup = ConfigParser()
    setup.read(CHECKOUT / "setup.cfg")
    assert setup["options"]["package_dir"].split() == ["=", "."]
