"""The files and commands of docs/plugins.md, installed and run as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from _ports import portOfItsOwn
from _twistd import CHECKOUT, PATIENCE, Child, client, environment, script, terminal
from test_packaging import Environment, clean, house, sources  # noqa: F401  # fixtures
from zope.interface.verify import verifyObject

from twisted_casync import IAsyncSocketService
from twisted_casync.services import ServiceOptions

PAGE = (CHECKOUT / "docs" / "plugins.md").read_text()
FILES = dict(re.findall(r"^`([\w./]+)`\n```\w+\n(.*?)^```", PAGE, re.M | re.S))
COMMANDS = re.findall(r"^    ((?:twistd|systemd-socket-activate) .*)$", PAGE, re.M)
LOOPBACK = "tcp:0:interface=127.0.0.1"

QUOTE = b"Well begun is half done."
TIDE = b"Time and tide wait for no man."


def write(folder: Path, *left: str) -> None:
    """All files of the page but those."""
    for name, text in FILES.items():
        if name not in left:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    (folder / "quotes" / "__init__.py").touch()


def command(begin: str) -> list[str]:
    """The one command of the page that begins so, at ports that are free."""
    (found,) = (one for one in COMMANDS if one.startswith(begin))
    words = [re.sub(r"^(tcp|udp):\d+$", r"\1:0:interface=127.0.0.1", word) for word in shlex.split(found)]
    if words[0] == "twistd":
        words[0] = script("twistd")
    return words


def environ(folder: Path) -> dict[str, str]:
    return {**environment(), "PYTHONPATH": os.pathsep.join([environment()["PYTHONPATH"], str(folder)])}


@contextmanager
def running(words: list[str], folder: Path, env: dict[str, str] | None = None) -> Iterator[Child]:
    with Child(words, env or environ(folder), folder) as child:
        yield child
        child.process.terminate()
        child.wait()
        assert not any("Traceback" in line for line in child.lines)


def printed(words: list[str], folder: Path, env: dict[str, str] | None = None) -> str:
    result = subprocess.run(
        words, env=env or environ(folder), cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    return result.stdout + result.stderr


def answer(address: tuple[str, int]) -> bytes:
    with socket.create_connection(address, PATIENCE) as connection, connection.makefile("rb") as stream:
        return stream.read()


def datagram(address: tuple[str, int]) -> bytes:
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        peer.settimeout(PATIENCE)
        peer.sendto(b"?", address)
        return peer.recv(1000)


def test_the_page_has_its_files_and_commands() -> None:
    assert set(FILES) == {
        "shout.py",
        "quotes/sockets.py",
        "quotes/plugin.py",
        "pyproject.toml",
        "twisted/plugins/quotes_plugin.py",
        "quotes.tac",
    }
    assert len(COMMANDS) == 6


@pytest.mark.programs
def test_a_class_as_it_is(tmp_path: Path) -> None:
    write(tmp_path)
    with running(command("twistd -n casync run shout:"), tmp_path, terminal()) as child:
        host, port = child.listening("tcp")
        result = subprocess.run(
            [client("nc"), "-N", host, str(port)], input=b"hello", capture_output=True, timeout=PATIENCE, check=True
        )
        assert result.stdout == b"HELLO"


@pytest.mark.programs
@pytest.mark.parametrize("way", ["entry point", "drop-in"])
def test_both_ways_from_a_directory_of_the_path(tmp_path: Path, way: str) -> None:
    if way == "drop-in":
        write(tmp_path)
    else:
        write(tmp_path, "twisted/plugins/quotes_plugin.py")
        registered(tmp_path)
    assert "quotes" in printed(command("twistd casync --help"), tmp_path)
    text = printed(command("twistd casync quotes --help"), tmp_path)
    assert "-q, --quote=" in text
    assert "--max-connections=" in text
    with running(command("twistd -n casync quotes --quote"), tmp_path) as child:
        child.waitFor("listening on unix")
        assert answer(child.listening("tcp")) == TIDE
        assert datagram(child.listening("udp")) == TIDE
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(tmp_path / "quotes.sock"))
            assert connection.recv(100, socket.MSG_WAITALL) == TIDE


def registered(folder: Path) -> None:
    """What the installation makes of pyproject.toml."""
    (table,) = re.findall(r"^\[project.entry-points.\"(.*)\"\]\n(.*?)\n\n", FILES["pyproject.toml"], re.M | re.S)
    made = folder / "quotes-1.0.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: quotes\nVersion: 1.0\n")
    (made / "entry_points.txt").write_text(f"[{table[0]}]\n{table[1].replace(chr(34), '')}\n")


@pytest.mark.programs
def test_a_file_in_twisted_plugins_needs_no_installation(tmp_path: Path) -> None:
    write(tmp_path)
    (typed,) = re.findall(r"`(PYTHONPATH=\. .*?)`", PAGE)
    assert "Tell the quote" in printed(["bash", "-c", typed], tmp_path, terminal())


@pytest.mark.programs
def test_what_is_wrong_is_told_as_the_page_says(tmp_path: Path) -> None:
    write(tmp_path, "twisted/plugins/quotes_plugin.py", "quotes/plugin.py")
    registered(tmp_path)
    text = printed(command("twistd casync --help"), tmp_path)
    (shown,) = re.findall(r"^    (Can't be used.*)\n    (.*)$", PAGE, re.M)
    assert "\n".join(shown) in text
    assert "Traceback" not in text


def test_without_the_convenience(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (block,) = re.findall(r"^```python\n(from zope.*?)^```", PAGE, re.M | re.S)
    names: dict[str, type] = {}
    exec(compile(block, "docs/plugins.md", "exec"), names)
    service = names["Quotes"]()
    assert verifyObject(IAsyncSocketService, service)
    options = service.options()
    assert isinstance(options, ServiceOptions)
    kinds = [type(service.listener(options, kind)).__name__ for kind in ("stream", "datagram")]
    assert kinds == ["QuoteListener", "QuoteDatagrams"]


@pytest.mark.programs
def test_the_tac_file(tmp_path: Path) -> None:
    write(tmp_path)
    tac = tmp_path / "quotes.tac"
    tac.write_text(tac.read_text().replace("tcp:7017", "tcp:0"))
    with running([*command("twistd -ny"), "--pidfile="], tmp_path) as child:
        assert answer(child.listening("tcp")) == b"Least said, soonest mended."


@pytest.mark.programs
def test_socket_activation(tmp_path: Path) -> None:
    write(tmp_path, "twisted/plugins/quotes_plugin.py")
    registered(tmp_path)
    port = portOfItsOwn()
    words = [word.replace(":7017", f":{port}") for word in command("systemd-socket-activate")]
    (unit,) = re.findall(r"^ExecStart=\S*/twistd (.*)$", PAGE, re.M)
    assert words[-len(unit.split()) :] == unit.split()
    words[:1] = [client("systemd-socket-activate"), "-EPYTHONPATH"]
    with Child(words, {**environ(tmp_path), "PATH": terminal()["PATH"]}, tmp_path) as child:
        child.waitFor("Listening on")
        assert answer(("127.0.0.1", port)) == QUOTE


@pytest.mark.programs
@pytest.mark.slow
def test_installed_in_a_fresh_environment(tmp_path: Path, house: Path, sources: Path) -> None:  # noqa: F811
    installed = Environment(tmp_path / "venv", house)
    installed.install(sources)
    package = tmp_path / "package"
    write(package, "twisted/plugins/quotes_plugin.py")
    installed.install(package)
    quotesIn(installed, tmp_path)
    # The other way, after the first one is gone.
    subprocess.run([installed.script("pip"), "uninstall", "-q", "-y", "quotes"], check=True, capture_output=True)
    assert "quotes" not in printed([installed.script("twistd"), "casync", "--help"], tmp_path, clean())
    shutil.rmtree(package)
    write(package)
    project = package / "pyproject.toml"
    (ours,) = re.findall(r"^```toml\n(\[tool.setuptools\]\n.*?)^```", PAGE, re.M | re.S)
    text = re.sub(r"\[project.entry-points.*?\n\n", "", project.read_text(), flags=re.S)
    project.write_text(text.replace(re.findall(r"\[tool.setuptools\].*", text, re.S)[0], ours))
    installed.install(package)
    quotesIn(installed, tmp_path)


def quotesIn(installed: Environment, elsewhere: Path) -> None:
    """It is listed, and answers."""
    assert "Tell the quote" in printed([installed.script("twistd"), "casync", "--help"], elsewhere, clean())
    words = [installed.script("twistd"), "-n", "--pidfile=", "casync", "quotes", LOOPBACK]
    with Child(words, clean(), elsewhere) as child:
        assert answer(child.listening("tcp")) == QUOTE
