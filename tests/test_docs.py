"""What README and docs say can be typed, and where their links lead."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from maskcls.cli.main import app

ROOT = Path(__file__).parents[1]
README, DOCS = ROOT / "README.md", ROOT / "docs"
PAGES = [README, ROOT / "SECURITY.md", *sorted(DOCS.glob("*.md"))]
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def commands() -> Iterator[str]:
    """Lines in blocks of code that begin with ``maskcls``, without what they are piped into."""
    for page in PAGES:
        for block in BLOCK.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("maskcls "):
                    yield line.partition(" | ")[0]


def links(page: Path) -> list[str]:
    """Links to other pages and headings of the project."""
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")) if "://" not in link]


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page in links."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize("line", sorted(set(commands())), ids=lambda line: line.partition("#")[0].strip())
def test_every_command_is_understood(line: str) -> None:
    _, *arguments = shlex.split(line, comments=True)
    command: Any = get_command(app)
    while hasattr(command, "commands") and arguments:
        word = arguments.pop(0)
        if word.startswith("-"):
            assert word in options(command)
        else:
            command = command.commands[word]
    if not hasattr(command, "commands"):
        command.make_context("maskcls", arguments)  # parses and checks, and runs nothing


def test_readme_names_every_page() -> None:
    linked = {link.partition("#")[0] for link in links(README)}
    assert {f"docs/{page.name}" for page in DOCS.glob("*.md")} - linked == set()
    shown = {f"docs/{Path(link).name}" for page in PAGES for link in links(page) if link.endswith(".png")}
    assert shown == {f"docs/{picture.name}" for picture in DOCS.glob("*.png")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        name, _, heading = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not heading or heading in anchors(target), link
