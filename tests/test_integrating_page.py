"""
docs/integrating.md, step by step: what it says to write, written; what it says to type, typed.
"""

from __future__ import annotations

import re
import subprocess
import textwrap
from pathlib import Path
from urllib.request import urlopen

import pytest
from _ports import portOfItsOwn
from _twistd import CHECKOUT, PATIENCE, Child, client, terminal

PAGE = (CHECKOUT / "docs" / "integrating.md").read_text()
STEPS = dict(re.findall(r"^## ([^:\n]+)[^\n]*\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def blocks(step: str) -> list[str]:
    """
    @return: what is to be written or typed in one step, in the order of the page.
    """
    found = re.findall(r"(?:^(?: {4}.*)?\n)+", STEPS[step], re.MULTILINE)
    return [text for text in (textwrap.dedent(block).strip("\n") for block in found) if text.strip()]


class Application:
    """
    The application of the page in a folder of its own, with ports of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports: dict[str, str] = {}
        for name in ("8007", "8008"):
            self.ports[name] = str(portOfItsOwn())
        (base,) = (block for block in blocks("The application") if block.startswith("from "))
        self.write("upper.tac", base)

    def here(self, text: str) -> str:
        """
        The text with the ports of this one.
        """
        return re.sub("8007|8008", lambda match: self.ports[match[0]], text)

    def write(self, name: str, text: str) -> None:
        """
        Write something into a file, or at its end.
        """
        with (self.folder / name).open("a") as file:
            file.write(self.here(text) + "\n\n")

    def running(self) -> Child:
        """
        The page's command.
        """
        assert "`PYTHONPATH=. twistd -ny upper.tac`" in PAGE
        return Child(["bash", "-c", "PYTHONPATH=. exec twistd -ny upper.tac"], terminal(), self.folder)

    def types(self, block: str) -> None:
        """
        Type what a block says behind its C{$}, and see that it shows what the block shows.
        """
        command, _, shown = self.here(block).removeprefix("$ ").partition("\n")
        result = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=terminal(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert result.stdout.splitlines()[: shown.count("\n") + 1] == shown.splitlines(), result.stderr


@pytest.fixture
def application(tmp_path: Path) -> Application:
    client("nc")
    return Application(tmp_path)


def shownOf(step: str) -> list[str]:
    return [block for block in blocks(step) if block.startswith("$ ")]


def test_every_step_is_followed_here() -> None:
    assert list(STEPS) == ["The application", "Step 1", "Step 2", "Step 3", "Step 4", "What to know"]


@pytest.mark.programs
@pytest.mark.parametrize("over", [False, True], ids=["as it was", "step 1"])
def test_the_application_answers(application: Application, over: bool) -> None:
    if over:
        (line,) = blocks("Step 1")
        path = application.folder / "upper.tac"
        before = path.read_text()
        after = re.sub(r"^endpoint = .*$", application.here(line), before, flags=re.MULTILINE)
        assert "casync:" in after and len(after) == len(before) + len("casync:")
        path.write_text(after)
    with application.running() as child:
        child.waitFor("starting on")
        (shown,) = shownOf("The application")
        application.types(shown)


@pytest.mark.programs
def test_socket_programs_live_beside_the_protocols(application: Application) -> None:
    beeper, service, shown = blocks("Step 2")
    application.write("beeper.py", beeper)
    application.write("upper.tac", service)
    asking, connecting, answer = blocks("Step 3")
    application.write("beeper.py", asking)
    application.write("upper.tac", connecting)
    with application.running() as child:
        child.waitFor(re.escape(answer))
        application.types(shown)
        application.types(shownOf("The application")[0])


@pytest.mark.programs
def test_a_class_of_it_is_served_with_metrics(application: Application) -> None:
    application.write("beeper.py", blocks("Step 2")[0])
    (command,) = re.findall(r"`(twistd -n casync --metrics [^`]*)`", STEPS["What to know"])
    port = portOfItsOwn()
    typed = " ".join(application.here(command).replace("9090", str(port)).split())
    with Child(["bash", "-c", f"exec {typed}"], terminal(), application.folder) as child:
        child.listening("tcp")
        application.types(shownOf("Step 2")[0])
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
            assert b'casync_accepted_total{service="run",socket="Beep"} 1.0' in answer.read()


@pytest.mark.programs
def test_its_tests_need_no_port(application: Application) -> None:
    application.write("beeper.py", blocks("Step 2")[0])
    program, shown = blocks("Step 4")
    application.write("test_beeper.py", program)
    application.types(shown)
