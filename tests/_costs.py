"""
What something costs, counted and not timed: calls of functions, instructions of the interpreter, system calls.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType
from typing import Any

from _twistd import CHECKOUT, client


def functionCalls(what: Callable[[], object], isOthers: Callable[[CodeType], bool]) -> Counter[str]:
    """
    @param isOthers: whether what a function calls, and itself, does not count.
    @return: the calls of functions, by the kind of the function: C{"Python"} or C{"C"}.
    """
    calls: Counter[str] = Counter()

    def profile(frame: Any, event: str, argument: Any) -> None:
        if frame.f_code.co_filename == __file__ or isOthers(frame.f_code):
            return
        if event == "call":
            calls["Python"] += 1
        elif event == "c_call":
            calls["C"] += 1

    sys.setprofile(profile)
    try:
        what()
    finally:
        sys.setprofile(None)
    return calls


def instructions(what: Callable[[], object], others: Iterable[str]) -> int:
    """
    @param others: the names of functions whose instructions do not count.
    @return: the instructions of the interpreter.
    """
    count = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal count
        if frame.f_code.co_filename == __file__ or frame.f_code.co_name in others:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    # That of coverage, where it is measured.
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        what()
    finally:
        sys.settrace(before)
    return count


def systemCalls(server: str, scenes: Iterable[str], folder: Path) -> dict[str, dict[str, float]]:
    """
    @param server: one of the benchmarks' servers.
    @param folder: where to leave what they found.
    @return: by the scene, C{"calls"} and, of those, C{"registering"}.
    """
    for program in ("strace", "cc"):
        client(program)
    found = folder / "found.json"
    command = [sys.executable, str(CHECKOUT / "benchmarks" / "run.py"), "--scenes", *scenes, "--servers", server]
    subprocess.run([*command, "--rounds", "1", "--json", str(found)], check=True, capture_output=True, timeout=600)
    measured = json.loads(found.read_text())["measured"]
    return {scene: measured[scene][server][0]["values"] for scene in scenes}
