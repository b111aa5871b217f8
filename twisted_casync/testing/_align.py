"""
The cheapest pairing of two sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import zip_longest
from typing import TypeVar

__all__ = ["ONE_SIDED", "Pair", "align"]

ONE_SIDED = 2
"""What it costs to leave one item alone."""

# Above this many cells the table would take seconds. It happens to something that ran away only.
_LARGEST_TABLE = 250_000

T = TypeVar("T")
Pair = tuple[T | None, T | None]


def align(
    expected: Sequence[T], got: Sequence[T], key: Callable[[T], Hashable], cost: Callable[[T, T], int]
) -> list[Pair[T]]:
    """
    Pair two sequences at the least cost, keeping the order of both.

    @param key: only items with the same key can be a pair.
    @param cost: of a pair; 0 when both are the same. An item that stays alone costs L{ONE_SIDED}.
    @return: the pairs in order, with L{None} on the other side of an item that stays alone.
    """

    def same(one: T, other: T) -> bool:
        return key(one) == key(other) and cost(one, other) == 0

    # What both have in common at the beginning and at the end is taken off first: most often nothing is left.
    shorter = min(len(expected), len(got))
    start = 0
    while start < shorter and same(expected[start], got[start]):
        start += 1
    end = 0
    while end < shorter - start and same(expected[-1 - end], got[-1 - end]):
        end += 1
    before, after = expected[start : len(expected) - end], got[start : len(got) - end]
    runaway = len(before) * len(after) > _LARGEST_TABLE
    middle: list[Pair[T]] = _byPosition(before, after, key) if runaway else _byTable(before, after, key, cost)
    head = zip(expected[:start], got[:start], strict=True)
    tail = zip(expected[len(expected) - end :], got[len(got) - end :], strict=True)
    return [*head, *middle, *tail]


def _byPosition(before: Sequence[T], after: Sequence[T], key: Callable[[T], Hashable]) -> list[Pair[T]]:
    pairs: list[Pair[T]] = []
    for one, other in zip_longest(before, after):
        if one is not None and other is not None and key(one) != key(other):
            pairs += [(one, None), (None, other)]
        else:
            pairs.append((one, other))
    return pairs


def _byTable(
    before: Sequence[T], after: Sequence[T], key: Callable[[T], Hashable], cost: Callable[[T, T], int]
) -> list[Pair[T]]:
    """
    The edit distance, by its table: C{best[i][j]} is the least cost of pairing C{before[i:]} with
    C{after[j:]}.
    """
    rows, columns = len(before), len(after)
    best = [[0] * (columns + 1) for _ in range(rows + 1)]
    steps = [[(0, 0)] * (columns + 1) for _ in range(rows + 1)]
    for i in range(rows, -1, -1):
        for j in range(columns, -1, -1):
            ways: list[tuple[int, tuple[int, int]]] = []
            if i < rows and j < columns and key(before[i]) == key(after[j]):
                ways.append((best[i + 1][j + 1] + cost(before[i], after[j]), (1, 1)))
            if i < rows:
                ways.append((best[i + 1][j] + ONE_SIDED, (1, 0)))
            if j < columns:
                ways.append((best[i][j + 1] + ONE_SIDED, (0, 1)))
            if ways:
                best[i][j], steps[i][j] = min(ways, key=lambda way: way[0])
    pairs: list[Pair[T]] = []
    i = j = 0
    while i < rows or j < columns:
        down, right = steps[i][j]
        pairs.append((before[i] if down else None, after[j] if right else None))
        i, j = i + down, j + right
    return pairs
