"""
Random programs on every reactor: whatever one socket does, no other is harmed, and none that waits is forgotten.

C{TWISTED_CASYNC_SEEDS} says how many seeds; 200 when it is not set, 2,000 is for the night.  Each is played on one
ground, the next one on the next, so that every way is met in every run.
"""

from __future__ import annotations

import os

import pytest
from _liveness import faultsOf, shrunk
from _liveness_grounds import FORKING, GROUNDS
from _liveness_kept import KEPT, KEPT_FORKS
from _liveness_programs import program

SEEDS = int(os.environ.get("TWISTED_CASYNC_SEEDS") or 200)
FORKS = SEEDS // 10


def play(ground: str, name: str, text: str) -> None:
    faults = faultsOf(ground, text)
    if faults:
        shortest = shrunk(text, lambda shorter: bool(faultsOf(ground, shorter)))
        pytest.fail(
            f"{name} on {ground}:\n" + "\n".join(faults) + f"\n# without what some fault does not need:\n{shortest}"
            f"# where it is: {faultsOf(ground, shortest)}",
            pytrace=False,
        )


# Each ground has seeds of its own, so that none of them is left out when the tests run on some ways only.
@pytest.mark.parametrize("place", range(len(GROUNDS)), ids=GROUNDS)
def test_no_socket_costs_another_and_none_is_forgotten(place: int) -> None:
    for seed in range(place, SEEDS, len(GROUNDS)):
        play(GROUNDS[place], f"seed {seed}", program(seed))


@pytest.mark.parametrize("ground", GROUNDS)
def test_what_found_a_fault_once_finds_none(ground: str) -> None:
    for name, text in KEPT.items():
        play(ground, name, text)


@pytest.mark.programs
@pytest.mark.parametrize("ground", FORKING)
def test_what_a_child_process_does_costs_no_socket(ground: str) -> None:
    for name, text in KEPT_FORKS.items():
        play(ground, name, text)
    for seed in range(FORKING.index(ground), FORKS, len(FORKING)):
        play(ground, f"seed {seed} with forks", program(seed, forks=True))


def test_a_seed_is_the_same_program_always() -> None:
    assert [program(seed) for seed in range(20)] == [program(seed) for seed in range(20)]
    assert all("fork" not in program(seed) for seed in range(SEEDS))
