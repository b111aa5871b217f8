"""
Choices that nothing determines: each of them is made in every way, if there are not too many.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

__all__ = ["Lots", "playings"]

_EVERY, _MANY = 32, 64


class Lots:
    """
    The choices of one playing, out of all that there are.
    """

    def __init__(self, before: list[tuple[int, int]], blind: Random | None = None) -> None:
        """
        @param before: the first choices, each with how many there were.
        @param blind: makes the others; the first is chosen without.
        """
        self._drawn = before
        self._blind = blind
        self._place = 0

    def draw(self, among: int) -> int:
        """
        @return: a number below C{among}.
        """
        if among == 1:
            return 0
        if self._place == len(self._drawn):
            self._drawn.append((self._blind.randrange(among) if self._blind else 0, among))
        self._place += 1
        return self._drawn[self._place - 1][0]

    def following(self) -> Lots | None:
        """
        @return: the choices of the next playing; C{None} when there was every one.
        """
        drawn = self._drawn[: self._place]
        while drawn:
            choice, among = drawn.pop()
            if choice + 1 < among:
                return Lots([*drawn, (choice + 1, among)])
        return None


def playings() -> Iterator[Lots]:
    """
    @return: lots for one playing after another, of a play that chooses the same when the lots are the same: all that
        there are, or else many.
    """
    lots: Lots | None = Lots([])
    for _ in range(_EVERY):
        if lots is None:
            return
        yield lots
        lots = lots.following()
    # Those so far differ in their last choices only, these in any.
    blind = Random(0)
    for _ in range(_MANY):
        yield Lots([], blind)
