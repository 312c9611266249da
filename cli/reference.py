"""The reference of all commands as Markdown: ``python -m maskcls.cli.reference > docs/cli.md``."""

from __future__ import annotations

import html

import typer
from typer.cli import get_docs_for_click
from typer.main import get_command

from .main import app

HEAD = """<!-- made by `python -m maskcls.cli.reference > docs/cli.md`; a test compares -->

"""


def reference() -> str:
    """Every command with its arguments and options, as `--help` prints them."""
    command = get_command(app)
    pages = get_docs_for_click(obj=command, ctx=typer.Context(command, info_name="maskcls"), name="maskcls")
    return HEAD + html.unescape(pages)


if __name__ == "__main__":
    print(reference(), end="")
