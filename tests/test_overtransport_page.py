"""
What docs/overtransport.md says to type, typed.
"""

from __future__ import annotations

import re
import subprocess
import textwrap
from pathlib import Path

import pytest
import test_over_scenarios
from _twistd import CHECKOUT, PATIENCE, terminal

PAGE = (CHECKOUT / "docs" / "overtransport.md").read_text()
BLOCKS = [textwrap.dedent(block).strip() for block in re.findall(r"(?:^(?: {4}.*)?\n)+", PAGE, re.MULTILINE)]
PROGRAMS = [block for block in BLOCKS if block.startswith("from ")]
(COMMAND,) = (block for block in BLOCKS if block.startswith("echo "))


def typed(command: str, folder: Path) -> str:
    """
    @return: what a shell prints that is given a line.
    """
    result = subprocess.run(
        command, shell=True, cwd=folder, env=terminal(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert result.returncode == 0 and result.stderr == "", result.stderr
    return result.stdout


@pytest.mark.programs
@pytest.mark.parametrize(("program", "command"), list(zip(PROGRAMS, ("python shout.py", COMMAND), strict=True)))
def test_a_program_prints_what_the_page_says(program: str, command: str, tmp_path: Path) -> None:
    (tmp_path / "shout.py").write_text(program)
    assert typed(command, tmp_path).strip() == "HELLO"


def test_the_page_counts_the_scenarios() -> None:
    made, left = len(test_over_scenarios.scenarios()), len(test_over_scenarios.LEFT_OUT)
    assert f"{made} can be played over a transport; {made - left} of them go as over a descriptor" in PAGE
