"""Services of other packages: found in twisted/plugins and by entry points, and told when they can't be used."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _twistd import PATIENCE, Child, environment, script
from twisted.python.usage import UsageError
from zope.interface.verify import verifyObject

from twisted_casync import CAsyncSocket, IAsyncSocketService
from twisted_casync._where import CannotListen
from twisted_casync.services import SHIPPED, AsyncSocketService, ServiceOptions, SocketService, StreamListener
from twisted_casync.services._discovery import Registered, registered
from twisted_casync.services._naming import Unusable
from twisted_casync.tap import Options, makeService

LOOPBACK = "tcp:0:interface=127.0.0.1"

SOCKETS = """
from twisted_casync import CAsyncSocket
from twisted_casync.services import ServiceOptions

class Greeter(CAsyncSocket):
    text = b"greetings"
    def OnAccept(self, nErrorCode):
        child = CAsyncSocket()
        if self.Accept(child):
            child.Send(self.text)
            child.Close()

class Options(ServiceOptions):
    optParameters = [["text", None, "hello", "What to say."]]

def greeter(options):
    made = Greeter()
    made.text = options["text"].encode()
    return made
"""

PLUGIN = """
from twisted_casync.services import SocketService

greet = SocketService(
    "greet",
    "Greet and go.",
    stream="greetings.sockets:greeter",
    options="greetings.sockets:Options",
    where=["tcp:7013"],
)
"""


class Site:
    """A folder on Python's path, as an installation leaves it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str) -> None:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def register(self, distribution: str, **points: str) -> None:
        lines = "\n".join(f"{name} = {value}" for name, value in points.items())
        folder = f"{distribution}-1.0.dist-info"
        self.write(f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        self.write(f"{folder}/entry_points.txt", f"[twisted_casync.services]\n{lines}\n")

    def environ(self) -> dict[str, str]:
        environ = environment()
        environ["PYTHONPATH"] += os.pathsep + str(self.path)
        return environ

    def twistd(self, *arguments: str, cwd: Path | None = None) -> str:
        """What a command prints that ends by itself."""
        return subprocess.run(
            [script("twistd"), "-n", "--pidfile=", "casync", *arguments],
            env={**self.environ(), "COLUMNS": "200"},
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        ).stdout

    def serving(self, *arguments: str, cwd: Path | None = None) -> Child:
        return Child([script("twistd"), "-n", "--pidfile=", "casync", *arguments], self.environ(), cwd)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path / "site")
    made.path.mkdir()
    return made


@pytest.fixture
def here(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The same, on this process's path."""
    import sys

    before = set(sys.modules)
    monkeypatch.syspath_prepend(site.path)
    yield site
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(site.path) in str(sys.modules[name].__file__):
            del sys.modules[name]


def parse(*arguments: str) -> Options:
    options = Options()
    options.parseOptions(arguments)
    return options


def refusal(*arguments: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def names() -> list[str]:
    return [found.name for found in registered(SHIPPED)]


def found(name: str) -> list[Registered]:
    return [one for one in registered(SHIPPED) if one.name == name]


def whatIsWrong(name: str) -> str:
    """Of the last one that has the name."""
    with pytest.raises(Unusable) as caught:
        found(name)[-1].service()
    return str(caught.value)


def words(text: str) -> str:
    """Without the layout."""
    return " ".join(text.split())


def greeting(child: Child) -> bytes:
    with socket.create_connection(child.listening("tcp"), PATIENCE) as connection:
        return connection.makefile("rb").read()


# -- both ways to register


@pytest.mark.programs
@pytest.mark.parametrize("way", ["drop-in", "entry point"])
def test_a_registered_service_is_listed_and_runs(site: Site, way: str) -> None:
    site.write("greetings/__init__.py", "")
    site.write("greetings/sockets.py", SOCKETS)
    if way == "drop-in":
        site.write("twisted/plugins/greetings_plugin.py", PLUGIN)
    else:
        site.write("greetings/plugin.py", PLUGIN)
        site.register("greetings", greet="greetings.plugin:greet")
    assert " greet Greet and go. Default: tcp:7013 " in words(site.twistd("--help"))
    with site.serving("greet", "--text", "good day", LOOPBACK) as child:
        assert greeting(child) == b"good day"


@pytest.mark.programs
def test_an_object_that_is_registered_in_both_ways_is_one_service(site: Site) -> None:
    site.write("greetings/__init__.py", PLUGIN)
    site.write("twisted/plugins/greetings_plugin.py", "from greetings import greet")
    site.register("greetings", greet="greetings:greet")
    text = site.twistd("--help")
    assert text.count("greet ") == 1
    assert "Can't be used" not in text


def test_what_a_service_names_is_imported_when_it_is_chosen(here: Site) -> None:
    import sys

    here.write("greetings/__init__.py", "")
    here.write("greetings/sockets.py", SOCKETS)
    here.write("greetings/plugin.py", PLUGIN)
    here.register("greetings", greet="greetings.plugin:greet")
    parse("echo")
    assert "greetings.plugin" not in sys.modules
    assert "Greet and go." in str(Options())
    assert "greetings.sockets" not in sys.modules
    options = parse("greet", LOOPBACK)
    assert options.subOptions["text"] == "hello"
    assert isinstance(options.service.listener(options.subOptions, "stream"), CAsyncSocket)


# -- what is wrong with one


@pytest.mark.programs
def test_broken_plugins_are_named_and_hide_nothing(site: Site) -> None:
    site.write("good.py", PLUGIN.replace("greetings.sockets", "good_sockets") + "echo = SocketService('echo', '')")
    site.write("good_sockets.py", SOCKETS)
    site.write("fails.py", "import nothing_of_that_name")
    site.write("typo.py", "def chat(:")
    site.write("twisted/plugins/broken_dropin.py", "raise RuntimeError('not today')")
    site.register("first", gone="not_there:chat", fails="fails:chat", missing="good:chat", typo="typo:chat")
    site.register("second", greet="good:greet", echo="good:echo")
    text = site.twistd("--help")
    usable, _, unusable = text.partition("Can't be used")
    assert " echo Send back what comes" in words(usable)
    assert " greet Greet and go." in words(usable)
    lines = unusable.splitlines()
    for name, origin, reason in (
        ("gone", "not_there:chat of first 1.0", "ModuleNotFoundError: No module named 'not_there'"),
        ("fails", "fails:chat of first 1.0", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("missing", "good:chat of first 1.0", "AttributeError: module 'good' has no attribute 'chat'"),
        ("typo", "typo:chat of first 1.0", "SyntaxError: invalid syntax"),
        ("echo", "good:echo of second 1.0", "the name 'echo' is taken: by twisted_casync"),
        ("broken_dropin", "the file ", "RuntimeError: not today"),
    ):
        assert [line for line in lines if line.startswith(f"  {name} ({origin}") and f": {reason}" in line], name
    assert f"{site.path}/fails.py, line 1)" in unusable
    # What Twisted itself says of the file is said once, and not again when we look.
    assert text.count("Traceback") == 1
    everything = site.twistd("--plugins")
    assert "greet: good:greet of second 1.0\n" in everything
    assert 'fails.py", line 1, in <module>\n    import nothing_of_that_name' in everything
    with site.serving("greet", LOOPBACK) as child:
        assert greeting(child) == b"hello"


BROKEN = """
from twisted_casync.services import ServiceOptions, SocketService
from twisted_casync import IAsyncSocketService
from zope.interface import implementer

number = 5

@implementer(IAsyncSocketService)
class Half:
    name = "half"

half = Half()

class Raises(ServiceOptions):
    def __init__(self):
        raise KeyError("no options today")

class Stumbles(ServiceOptions):
    def postOptions(self):
        raise ZeroDivisionError("one in zero")

class Odd(SocketService):
    @property
    def where(self):
        raise OSError("no places")
    @where.setter
    def where(self, value):
        pass

raises = SocketService("raises", "", stream="broken:Listener", options=Raises, where=["tcp:0"])
stumbles = SocketService("stumbles", "", options=Stumbles, where=["tcp:0"])
named = SocketService("other", "")
nowhere = SocketService("nowhere", "", where=["tcp:http"])
odd = Odd("odd", "")
tcpOnly = SocketService("tcpOnly", "", datagram="broken:number", where=["tcp:0"])
absent = SocketService("absent", "", stream="absent.sockets:Listener", where=["tcp:0"])

class Listener:
    pass
"""


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ("number", "expected an object that provides IAsyncSocketService, and it is of type int"),
        ("Half", "expected an object that provides IAsyncSocketService, and it is the class Half"),
        ("half", "it has no description and no listener and no options and no where"),
        ("named", "it is registered as 'named', but its name is 'other'"),
        ("nowhere", "where: 'tcp:http': port 'http': expected a number from 0 to 65535"),
        ("odd", r"OSError: no places \(.*broken.py, line \d+\)"),
    ],
)
def test_what_is_registered_and_is_no_service(here: Site, point: str, reason: str) -> None:
    here.write("broken.py", BROKEN)
    here.register("broken", **{point: f"broken:{point}"})
    assert re.search(reason, whatIsWrong(point))
    assert f"{point} (broken:{point} of broken 1.0) can't be used: " in refusal(point)
    assert f"  {point} (broken:{point} of broken 1.0): " in str(Options())


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ("raises", "can't be used: 'broken:Listener': expected a subclass of CAsyncSocket"),
        ("stumbles", "can't be used: ZeroDivisionError: one in zero"),
        ("tcpOnly", "can't be used: 'broken:number': expected a subclass of CAsyncSocket"),
        ("absent", "can't be used: no module 'absent.sockets', since no 'absent'"),
    ],
)
def test_a_service_that_cannot_be_chosen(here: Site, point: str, reason: str) -> None:
    here.write("broken.py", BROKEN)
    here.register("broken", **{point: f"broken:{point}"})
    assert reason in refusal(point)


def test_a_program_that_exits_when_imported_does_not_end_the_command(here: Site) -> None:
    here.write("program.py", "import sys; sys.exit(3)")
    here.register("program", program="program:main")
    assert "SystemExit: 3" in whatIsWrong("program")


def test_two_packages_that_want_the_same_name(here: Site) -> None:
    here.write("one.py", "from twisted_casync.services import SocketService; same = SocketService('same', '')")
    here.write("two.py", "from twisted_casync.services import SocketService; same = SocketService('same', '')")
    here.register("one", same="one:same")
    here.register("two", same="two:same")
    first, second = found("same")
    assert first.service().name == "same"
    assert f"is taken: by {first.origin}" in whatIsWrong("same")
    assert second.origin != first.origin


def test_a_broken_one_does_not_take_the_name_from_one_that_is_not(here: Site) -> None:
    here.write("two.py", "from twisted_casync.services import SocketService; same = SocketService('same', '')")
    # It would come first.
    here.register("first", same="nowhere:same")
    here.register("second", same="two:same")
    first, second = found("same")
    assert first.origin == "two:same of second 1.0"
    assert first.service().name == "same"
    assert second.origin == "nowhere:same of first 1.0"
    assert "No module named 'nowhere'" in whatIsWrong("same")
    assert refusal("same") == "say where: same has no place to listen by default"


@pytest.mark.programs
def test_options_that_fail_leave_no_traceback(site: Site) -> None:
    site.write("broken.py", BROKEN)
    site.register("broken", stumbles="broken:stumbles")
    text = site.twistd("stumbles", LOOPBACK)
    assert re.search(r"stumbles .* can't be used: ZeroDivisionError: one in zero \(.*broken.py, line \d+\)", text)
    assert "Traceback" not in text


def test_options_need_not_be_ours(here: Site) -> None:
    here.write(
        "plain.py",
        """
from twisted.python.usage import Options
from twisted_casync.services import SocketService, StreamListener

class Plain(Options):
    optFlags = [["loud", "l", "Speak up."]]

plain = SocketService("plain", "", stream=StreamListener, options=Plain, where=["tcp:0:interface=127.0.0.1"])
""",
    )
    here.register("plain", plain="plain:plain")
    options = parse("plain", "--loud")
    assert options.subOptions["loud"] == 1
    assert [place.description for place in options.where] == [LOOPBACK]
    assert makeService(options)
    assert refusal("plain", "tcp:0") == "Wrong number of arguments."


# -- SocketService


def test_a_socket_service_makes_what_it_was_given() -> None:
    service = SocketService("x", "An X.", stream=StreamListener, datagram=lambda options: Datagrams(options["text"]))
    assert verifyObject(IAsyncSocketService, service)
    assert isinstance(service.options(), ServiceOptions)
    made = service.listener({"text": "hello"}, "datagram")
    assert isinstance(made, Datagrams)
    assert made.text == "hello"


class Datagrams(CAsyncSocket):
    def __init__(self, text: str = "") -> None:
        super().__init__()
        self.text = text


def test_a_kind_that_is_not_served_is_a_usage_error(here: Site) -> None:
    here.write("one.py", "from twisted_casync.services import SocketService, StreamListener\n")
    here.write("two.py", "from one import *; two = SocketService('two', '', stream=StreamListener, where=['udp:7'])")
    here.register("two", two="two:two")
    assert refusal("two", LOOPBACK, "udp:0") == "'udp:0': two serves no datagrams"
    assert refusal("two") == "'udp:7': two serves no datagrams"
    service: Any = found("two")[0].service()
    with pytest.raises(ValueError, match="two serves no datagrams"):
        service.listener({}, "datagram")


def test_a_kind_that_a_plugin_of_another_make_does_not_serve_ends_the_start() -> None:
    def factory(kind: str) -> CAsyncSocket:
        raise ValueError(f"no {kind}s here")

    with pytest.raises(CannotListen, match=r"cannot listen on udp:0: no datagrams here"):
        AsyncSocketService(factory, ["udp:0"]).startService()
    with pytest.raises(TypeError, match="has made 5, expected a CAsyncSocket"):
        AsyncSocketService(lambda kind: 5, ["udp:0"]).startService()  # type: ignore[arg-type, return-value]
