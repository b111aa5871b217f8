"""What the pages point to is there: files, headings of pages, and members of this package."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from _twistd import CHECKOUT

PAGES = sorted([*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").glob("*.md"), *(CHECKOUT / ".github").rglob("*.md")])

# Files that a page has its readers write, or that a program makes.
MADE = {"twisted/plugins/quotes_plugin.py"}


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The names that a page's headings have in links: in lower case, without punctuation, blanks as hyphens."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> Iterator[str]:
    for text, target in re.findall(r"\[([^\]]*)\]\(([^)\s]+)\)", prose(page)):
        assert text.strip(), target
        yield target
    yield from re.findall(r"^\[[^\]]+\]: (\S+)", prose(page), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_leads_somewhere(page: Path) -> None:
    for target in links(page):
        if re.match(r"https?://", target):
            continue
        name, _, heading = target.partition("#")
        there = page.parent / name if name else page
        assert there.is_file(), target
        assert not heading or heading in anchors(there), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_file_that_is_named_is_there(page: Path) -> None:
    named = set(
        re.findall(
            r"`((?:docs|tests|examples|benchmarks|twisted_casync|twisted|\.ci|\.github)/[\w./*-]+)`", prose(page)
        )
    )
    assert [name for name in sorted(named - MADE) if not list(CHECKOUT.glob(name))] == []
