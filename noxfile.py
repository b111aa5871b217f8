"""The commands of this project, each in an environment of its own: `pip install nox`, then `nox -l` lists them.

What stands behind `--` goes to the command: `nox -s tests-3.12 -- tests/test_stream.py --ways=epoll-window`.
"""

from __future__ import annotations

import re
import shutil
from configparser import ConfigParser
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["tests", "lint"]
# Those that are not installed are left out, and said.
nox.options.error_on_missing_interpreters = False

PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]
HERE = Path(__file__).parent


def oldestTwisted() -> str:
    """The oldest release that setup.cfg promises to work with."""
    setup = ConfigParser()
    setup.read(HERE / "setup.cfg")
    found = re.search(r"^Twisted>=(\S+)$", setup["options"]["install_requires"], re.MULTILINE)
    assert found is not None
    return found[1]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The README's tests, on one Python; what a contributor runs all day."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python=PYTHONS)
def oldest(session: nox.Session) -> None:
    """The same with the oldest Twisted that is promised."""
    session.install("-e", ".[test]", f"Twisted=={oldestTwisted()}")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(venv_backend="none")
def full(session: nox.Session) -> None:
    """.ci/run: all that a change has to pass. `nox -s full -- python3.12` has it run with another Python."""
    session.run(".ci/run", env={"PYTHON": session.posargs[0]} if session.posargs else None, external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """ruff, mypy, and the files that are for other programs."""
    session.install("-e", ".[dev]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check", "--quiet")
    session.run("mypy")
    for schema, folder in ("github-workflows", "workflows"), ("github-issue-forms", "ISSUE_TEMPLATE"):
        files = [str(path) for path in sorted(HERE.glob(f".github/{folder}/*.yml")) if path.stem != "config"]
        session.run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files)
    session.run("zizmor", "--offline", "--quiet", ".github/workflows")
    session.run("pre-commit", "validate-config")


@nox.session
def docs(session: nox.Session) -> None:
    """The pages of the API, into build/api; and whether those of docs are in order: links, and the table of errors."""
    session.install("-e", ".[dev]")
    # Without its many lines about links to Python's own pages, as L{None}; an error in a docstring fails.
    session.run("pydoctor", silent=True)
    session.run("python", "-m", "pytest", "tests/test_links.py", "tests/test_errors.py", "-k", "link or page")


@nox.session
def bench(session: nox.Session) -> None:
    """Servers side by side, in two minutes; with arguments as benchmarks/run.py has them."""
    session.install("-e", ".[bench]")
    session.run("python", "benchmarks/run.py", *(session.posargs or ["--quick"]))


@nox.session
def build(session: nox.Session) -> None:
    """What would be published, into dist. `nox -s build -- v1.2.3` fails for another version than that of the tag."""
    session.install("build", "twine")
    shutil.rmtree(HERE / "dist", ignore_errors=True)
    session.run("python", "-m", "build")
    built = sorted((HERE / "dist").iterdir())
    session.run("twine", "check", "--strict", *map(str, built))
    names = {path.name for path in built}
    for tag in filter(None, session.posargs):
        name = f"twisted_casync-{tag.removeprefix('v')}"
        if names != {f"{name}.tar.gz", f"{name}-py3-none-any.whl"}:
            session.error(f"the tag is {tag}, and what was built is {' and '.join(sorted(names))}")
